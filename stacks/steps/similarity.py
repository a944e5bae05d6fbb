"""The steps of vectorise: plan, pack, transform, collect."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_stepfunctions_tasks import LambdaInvoke
from constructs import Construct

from menulens.core import keys
from menulens.settings import Settings
from stacks.steps import sagemaker_tasks as tasks
from stacks.steps.base import Function, bucket_arn, machine_arn, rooms
from stacks.steps.states import distributed_map

PREPARED = "$.plan"
PACKED = "$.packed"
ANY_PACKED = "$.any_packed"
OUTCOME = "$.outcome"
COLLECTED = "$.collected"
PROGRESS = "$.progress"
ERROR = "$.error"

# Photos are fetched by so many functions at once: enough to keep ahead of the GPU, few enough to leave an account's
# thousand functions to others.
PACKERS = 20
MAP_LABEL = "packs"
SERVICE_PAYLOAD_MB = 100  # MaxConcurrentTransforms × MaxPayloadInMB may not be more
SMALLEST_PAYLOAD_MB = 6
MOST_CONCURRENT = 4

_BY_CONTENT = "Plans, packs and shards are named by the photos in them."
_BY_CUSTOMERS = "Photos are named by those who bring them; this is their prefix."


class PlanVectors(Construct):
    """Which photos still need a vector, of which model."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        reads = [
            bucket_arn(settings, "vectors", keys_below) for keys_below in ("*/done/*", "*/shards/*", "*/rejects/*")
        ]
        plans = bucket_arn(settings, "vectors", "*/plans/*")
        cards = bucket_arn(settings, "vectors", "*/done/*")
        jobs, models = tasks.own(settings, "transform-job"), tasks.own(settings, "model")
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="plan_vectors",
            environment=rooms(settings, "photos", "vectors"),
            timeout=Duration.minutes(15),
            memory_mb=1024,
            statements=[
                tasks.listing(settings, "photos", "vectors"),
                iam.PolicyStatement(actions=["s3:GetObject"], resources=reads),
                iam.PolicyStatement(actions=["s3:AbortMultipartUpload", "s3:PutObject"], resources=[plans]),
                # Of a plan that was done, where all of it is due again.
                iam.PolicyStatement(sid="TakeBack", actions=["s3:DeleteObject"], resources=[cards]),
                tasks.may_read_registry(settings),
                iam.PolicyStatement(actions=["sagemaker:DescribeEndpoint"], resources=[tasks.endpoint_arn(settings)]),
                iam.PolicyStatement(actions=["sagemaker:DescribeModel"], resources=[models]),
                iam.PolicyStatement(actions=["sagemaker:DescribeTransformJob"], resources=[jobs]),
            ],
            acknowledged={
                **{tasks.wildcard(arn): _BY_CONTENT for arn in (*reads, plans, jobs, models)},
                **tasks.registry_wildcard(settings),
            },
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "PlanVectors",
            payload={
                **{key: sfn.JsonPath.object_at(f"$.{key}") for key in (keys.PHOTOS, keys.MODEL_PACKAGE)},
                "cursor": sfn.JsonPath.string_at(f"{PROGRESS}.cursor"),
            },
            result_path=PREPARED,
        )


class PackVectors(Construct):
    """Photos as the JSON lines that the transform job reads, pack by pack, each by a function of its own."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        plans = bucket_arn(settings, "vectors", "*/plans/*")
        writes = [bucket_arn(settings, "vectors", keys_below) for keys_below in ("*/packs/*", "*/rejects/*")]
        photos = bucket_arn(settings, "photos", f"{settings.photos.prefix}*")
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="pack_vectors",
            environment=rooms(settings, "photos", "vectors"),
            timeout=Duration.minutes(10),
            memory_mb=1024,
            statements=[
                # To tell a photo that was deleted from one that may not be read.
                tasks.listing(settings, "photos", "vectors"),
                iam.PolicyStatement(actions=["s3:GetObject"], resources=[photos, plans]),
                iam.PolicyStatement(
                    actions=["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging"], resources=writes
                ),
            ],
            acknowledged={
                **{tasks.wildcard(arn): _BY_CONTENT for arn in (plans, *writes)},
                tasks.wildcard(photos): _BY_CUSTOMERS,
            },
        )

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What a machine with a distributed map needs: to start itself for each item, and to look after these runs."""
        machine = machine_arn(self._settings, "vectorise")
        return [
            self.function.invoke,
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine]),
            iam.PolicyStatement(
                actions=["states:DescribeExecution", "states:RedriveExecution", "states:StopExecution"],
                resources=_executions(self._settings),
            ),
        ]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The acknowledgements that go with the statements."""
        return {
            tasks.wildcard(arn): "Executions of this machine alone; AWS draws their names."
            for arn in _executions(self._settings)
        }

    def state(self, scope: Construct) -> sfn.CustomState:
        """Return the state; its answer says of each pack whether any photo is in it."""
        return sfn.CustomState(
            scope,
            "PackPhotos",
            state_json=distributed_map(
                self.function,
                name="PackSome",
                label=MAP_LABEL,
                items=f"{PREPARED}.packs",
                item={
                    "pack.$": "$$.Map.Item.Value",
                    "plan.$": f"{PREPARED}.plan",
                    f"{keys.MODEL_VERSION}.$": f"{PREPARED}.{keys.MODEL_VERSION}",
                },
                at_once=PACKERS,
                tries=3,
                result_path=PACKED,
            ),
        )


class RunTransform(Construct):
    """The transform job."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, role: iam.IRole) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._role = role

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the machine needs to run the job and to wait for it."""
        settings = self._settings
        return [
            iam.PolicyStatement(
                actions=["sagemaker:AddTags", "sagemaker:CreateModel"], resources=[tasks.own(settings, "model")]
            ),
            iam.PolicyStatement(
                actions=[
                    "sagemaker:AddTags",
                    "sagemaker:CreateTransformJob",
                    "sagemaker:DescribeTransformJob",
                    "sagemaker:ListTags",
                    "sagemaker:StopTransformJob",
                ],
                # A transform job is asked for in terms of its model.
                resources=[tasks.own(settings, "transform-job"), tasks.own(settings, "model")],
            ),
            tasks.may_pass(self._role),
            tasks.may_wait_for("TransformJobs"),
        ]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The acknowledgements that go with the statements."""
        return {tasks.wildcard(tasks.own(self._settings, kind)): _BY_CONTENT for kind in ("model", "transform-job")}

    def create_model(self, scope: Construct) -> sfn.CustomState:
        """Return the state that makes the SageMaker model, where deploy has not made it."""
        return tasks.request(
            scope,
            "CreateModel",
            service="aws-sdk:sagemaker:createModel",
            parameters=tasks.model_request(self._settings, PREPARED, self._role),
        )

    def state(self, scope: Construct) -> sfn.CustomState:
        """Return the state; it ends when the job ends."""
        return tasks.request(
            scope,
            "RunTransformJob",
            service="sagemaker:createTransformJob.sync",
            parameters=self.request(),
            comment="Repeated for the same photos and model it meets the job that is there",
        )

    def request(self) -> dict[str, Any]:
        """Return the CreateTransformJob request."""
        settings = self._settings
        payload = largest_payload_mb(settings.photos.max_bytes)
        return {
            "TransformJobName.$": f"{PREPARED}.transform_job",
            "ModelName.$": f"{PREPARED}.model_name",
            "BatchStrategy": "MultiRecord",
            "MaxPayloadInMB": payload,
            "MaxConcurrentTransforms": min(MOST_CONCURRENT, SERVICE_PAYLOAD_MB // payload),
            "ModelClientConfig": {"InvocationsTimeoutInSeconds": 900, "InvocationsMaxRetries": 2},
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri.$": f"{PREPARED}.packs_uri"}},
                "ContentType": "application/jsonlines",
                "CompressionType": "None",
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath.$": f"{PREPARED}.answers_uri",
                "Accept": "application/jsonlines",
                "AssembleWith": "Line",
            },
            "TransformResources": {"InstanceType": settings.serving.transform_instance_type, "InstanceCount": 1},
            "Tags": tasks.tags(settings),
        }


class TransformOutcome(Construct):
    """What became of a job whose state ended with an error: done already, running, or failed and why."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        jobs = tasks.own(settings, "transform-job")
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="transform_outcome",
            statements=[iam.PolicyStatement(actions=["sagemaker:DescribeTransformJob"], resources=[jobs])],
            acknowledged={tasks.wildcard(jobs): _BY_CONTENT},
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "LookAtTransformJob",
            payload={
                "transform_job": sfn.JsonPath.string_at(f"{PREPARED}.transform_job"),
                "error": sfn.JsonPath.object_at(ERROR),
            },
            result_path=OUTCOME,
        )


class CollectVectors(Construct):
    """The transform job's answers → shards, rejects and the plan's card."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        between = [
            bucket_arn(settings, "vectors", keys_below)
            for keys_below in ("*/packs/*", "*/transform/*", "*/rejects/*/*")
        ]
        reads = [bucket_arn(settings, "vectors", keys_below) for keys_below in ("*/plans/*", "*/done/*")]
        writes = [
            bucket_arn(settings, "vectors", keys_below) for keys_below in ("*/shards/*", "*/rejects/*", "*/done/*")
        ]
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="collect_vectors",
            environment=rooms(settings, "vectors"),
            timeout=Duration.minutes(15),
            memory_mb=2048,
            statements=[
                tasks.listing(settings, "vectors"),
                iam.PolicyStatement(actions=["s3:GetObject"], resources=[*reads, *between[1:]]),
                iam.PolicyStatement(actions=["s3:AbortMultipartUpload", "s3:PutObject"], resources=writes),
                iam.PolicyStatement(sid="Tidy", actions=["s3:DeleteObject"], resources=between),
            ],
            acknowledged={tasks.wildcard(arn): _BY_CONTENT for arn in {*between, *reads, *writes}},
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "CollectVectors",
            payload={
                **{
                    key: sfn.JsonPath.string_at(f"{PREPARED}.{key}")
                    for key in ("plan", keys.MODEL_VERSION, keys.MODEL_PACKAGE)
                },
                "total": sfn.JsonPath.number_at(f"{PROGRESS}.total"),
            },
            result_path=COLLECTED,
        )


def largest_payload_mb(max_bytes: int) -> int:
    """Return the megabytes of a request that one photo of the largest size fits into, as base64 in its JSON line."""
    line = max_bytes * 4 // 3 + 4096  # the key has at most 1,024 bytes, and may be escaped
    return max(SMALLEST_PAYLOAD_MB, -(-line // (1 << 20)))


def _executions(settings: Settings) -> list[str]:
    """Return the ARNs of the machine's executions, and of those that its map starts."""
    executions = machine_arn(settings, "vectorise").replace(":stateMachine:", ":execution:")
    return [f"{executions}:*", f"{executions}/{MAP_LABEL}:*"]

"""The steps of train: prepare, run, look what became of it, weigh, register."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_stepfunctions_tasks import LambdaInvoke
from constructs import Construct

from menulens.core import keys, names
from menulens.settings import Settings
from stacks.images import serving_image, training_image
from stacks.steps import sagemaker_tasks as tasks
from stacks.steps.base import Function, bucket_arn, bucket_name, rooms

PREPARED = "$.training"
OUTCOME = "$.outcome"
VERDICT = "$.gate"
REGISTERED = "$.registered"
ERROR = "$.error"

BACKBONES = "backbones/*"
JOBS = "training/*"

# train.py logs a line of JSON for each epoch and for the evaluation; SageMaker draws these figures as curves.
METRICS = [{"Name": name, "Regex": f'"{name}": ([0-9.eE+-]+)'} for name in ("loss", "accuracy", "balanced_accuracy")]


class PrepareTraining(Construct):
    """Dataset → everything that its training job is given."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, source: s3_assets.Asset) -> None:
        super().__init__(scope, construct_id)
        pointers = "backbones/*/current.json"
        cards = f"*/{keys.CARD}"
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="prepare_training",
            environment={
                **rooms(settings, "datasets", "models"),
                "TRAINING_SOURCE": source.s3_object_url,
                "TRAINING_IMAGE": training_image(settings),
            },
            statements=[
                tasks.objects(settings, "datasets", cards, "s3:GetObject"),
                tasks.objects(settings, "models", pointers, "s3:GetObject"),
                tasks.listing(settings, "datasets", "models"),
                tasks.may_read_registry(settings),
                iam.PolicyStatement(
                    actions=["sagemaker:DescribeTrainingJob"], resources=[tasks.own(settings, "training-job")]
                ),
            ],
            acknowledged={
                **tasks.objects_wildcard(settings, "datasets", cards),
                **tasks.objects_wildcard(settings, "models", pointers),
                **tasks.registry_wildcard(settings),
                tasks.wildcard(tasks.own(settings, "training-job")): "Jobs are named after their datasets.",
            },
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "PrepareTraining",
            payload={keys.DATASET: sfn.JsonPath.string_at(f"$.{keys.DATASET}")},
            result_path=PREPARED,
        )


class RunTraining(Construct):
    """The training job, and the role that its container has."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, source: s3_assets.Asset) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        photos = f"{settings.photos.prefix}*"
        reads = [
            bucket_arn(settings, "datasets", "*"),
            bucket_arn(settings, "photos", photos),
            bucket_arn(settings, "models", BACKBONES),
            bucket_arn(settings, "models", JOBS),
        ]
        self.role = tasks.container_role(
            self,
            "Role",
            description=f"What the training container of {names.prefix(settings.environment)} may do",
            image=training_image(settings),
            log_groups=["/aws/sagemaker/TrainingJobs"],
            metrics="/aws/sagemaker/TrainingJobs",
            statements=[
                iam.PolicyStatement(
                    sid="Read",
                    actions=["s3:GetObject"],
                    resources=[*reads, source.bucket.arn_for_objects(source.s3_object_key)],
                ),
                iam.PolicyStatement(
                    sid="Find",
                    actions=["s3:ListBucket"],
                    resources=[bucket_arn(settings, room) for room in ("datasets", "photos", "models")],
                ),
                iam.PolicyStatement(
                    sid="Write",
                    actions=["s3:AbortMultipartUpload", "s3:PutObject"],
                    resources=[bucket_arn(settings, "models", JOBS)],
                ),
            ],
            acknowledged={
                tasks.wildcard(arn): "Datasets, photos, backbones and models are named by their content."
                for arn in reads
            },
        )

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the machine needs to run the job and to wait for it."""
        return [
            iam.PolicyStatement(
                actions=[
                    "sagemaker:AddTags",
                    "sagemaker:CreateTrainingJob",
                    "sagemaker:DescribeTrainingJob",
                    "sagemaker:ListTags",
                    "sagemaker:StopTrainingJob",
                ],
                resources=[tasks.own(self._settings, "training-job")],
            ),
            tasks.may_pass(self.role),
            tasks.may_wait_for("TrainingJobs"),
        ]

    def state(self, scope: Construct) -> sfn.CustomState:
        """Return the state; it ends when the job ends."""
        return tasks.request(
            scope,
            "RunTrainingJob",
            service="sagemaker:createTrainingJob.sync",
            parameters=self.request(),
            comment="Repeated for the same dataset, settings and source it meets the job that is there",
        )

    def request(self) -> dict[str, Any]:
        """Return the CreateTrainingJob request.

        Disks of GPU instances with local storage are encrypted by the instance and take no key; what is written to S3
        is encrypted by its bucket.
        """
        training = self._settings.training
        return {
            "TrainingJobName.$": f"{PREPARED}.{keys.TRAINING_JOB}",
            "AlgorithmSpecification": {
                "TrainingImage": training_image(self._settings),
                "TrainingInputMode": "Pipe",
                "MetricDefinitions": METRICS,
            },
            "RoleArn": self.role.role_arn,
            "HyperParameters.$": f"{PREPARED}.hyperparameters",
            "InputDataConfig.$": f"{PREPARED}.channels",
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket_name(self._settings, 'models')}/training"},
            "ResourceConfig": {
                "InstanceType": training.instance_type,
                "InstanceCount": 1,  # train.py trains on one instance and its first GPU
                "VolumeSizeInGB": training.volume_gb,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": training.max_hours * 3600},
            "Tags": tasks.tags(self._settings),
        }


class TrainingOutcome(Construct):
    """What became of a job whose state ended with an error: done already, running, or failed and why."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        jobs = tasks.own(settings, "training-job")
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="training_outcome",
            statements=[iam.PolicyStatement(actions=["sagemaker:DescribeTrainingJob"], resources=[jobs])],
            acknowledged={tasks.wildcard(jobs): "Jobs are named after their datasets."},
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "LookAtTrainingJob",
            payload={
                keys.TRAINING_JOB: sfn.JsonPath.string_at(f"{PREPARED}.{keys.TRAINING_JOB}"),
                "error": sfn.JsonPath.object_at(ERROR),
            },
            result_path=OUTCOME,
        )


class GateModel(Construct):
    """Evaluation → may the model be registered, and why."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        outputs = "training/*/output/output.tar.gz"
        jobs = tasks.own(settings, "training-job")
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="gate_model",
            timeout=Duration.minutes(5),
            memory_mb=512,
            statements=[
                tasks.objects(settings, "models", outputs, "s3:GetObject"),
                tasks.listing(settings, "models"),
                tasks.may_read_registry(settings),
                iam.PolicyStatement(actions=["sagemaker:DescribeTrainingJob"], resources=[jobs]),
            ],
            acknowledged={
                **tasks.objects_wildcard(settings, "models", outputs),
                **tasks.registry_wildcard(settings),
                tasks.wildcard(jobs): "Jobs are named after their datasets.",
            },
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "GateModel",
            payload={
                keys.TRAINING_JOB: sfn.JsonPath.string_at(f"{PREPARED}.{keys.TRAINING_JOB}"),
                keys.DATASET: sfn.JsonPath.string_at(f"{PREPARED}.{keys.DATASET}"),
            },
            result_path=VERDICT,
        )


class RegisterModel(Construct):
    """A version in the model package group; its approval is what starts deploy."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the machine needs to register a version."""
        return [
            iam.PolicyStatement(actions=["sagemaker:CreateModelPackage"], resources=tasks.package_arns(self._settings))
        ]

    def state(self, scope: Construct) -> sfn.CustomState:
        """Return the state."""
        return tasks.request(
            scope,
            "RegisterModel",
            service="aws-sdk:sagemaker:createModelPackage",
            parameters=self.request(),
            result_selector={f"{keys.MODEL_PACKAGE}.$": "$.ModelPackageArn"},
            result_path=REGISTERED,
        )

    def request(self) -> dict[str, Any]:
        """Return the CreateModelPackage request; its token makes a repeated one the same version."""
        settings = self._settings
        automatic = settings.gate.approval == "automatic"
        return {
            "ModelPackageGroupName": names.model_package_group(settings.environment),
            "ModelPackageDescription.$": f"{VERDICT}.description",
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": serving_image(settings),
                        "ModelDataUrl.$": f"{VERDICT}.model_data_url",
                        "Framework": "TENSORFLOW",
                    }
                ],
                "SupportedContentTypes": ["image/jpeg", "image/png", "application/json", "application/jsonlines"],
                "SupportedResponseMIMETypes": ["application/json", "application/x-npy", "application/jsonlines"],
                "SupportedRealtimeInferenceInstanceTypes": [settings.serving.instance_type],
                "SupportedTransformInstanceTypes": [settings.serving.transform_instance_type],
            },
            "ModelApprovalStatus": "Approved" if automatic else "PendingManualApproval",
            "CustomerMetadataProperties.$": f"{VERDICT}.metadata",
            "ClientToken.$": f"States.Hash({PREPARED}.{keys.TRAINING_JOB}, 'MD5')",
        }

"""The steps of deploy: prepare, the requests that make or change the endpoint, and the smoke test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_stepfunctions_tasks import LambdaInvoke
from constructs import Construct

from menulens.core import keys, names
from menulens.serving.deployment import VARIANT
from menulens.settings import Settings
from stacks.images import serving_image
from stacks.steps import sagemaker_tasks as tasks
from stacks.steps.base import Function, bucket_arn
from stacks.steps.scaling import Scaling

PREPARED = "$.deployment"
ERROR = "$.error"
ALSO = "$.also"  # a second error, which must not hide the first
FAILURE = "$.failure"  # what the execution ends with
TRIED = "$.tried"
STATUS = "$.endpoint_now"
SMOKE = "$.smoke"

# The old fleet stays this long beside the new one; an alarm in that time takes the traffic back.
BAKE_SECONDS = 300


class ModelRole(Construct):
    """The role of the serving container, on the endpoint and in transform jobs."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        models = bucket_arn(settings, "models", "training/*")
        packs = bucket_arn(settings, "vectors", "*/packs/*")
        answers = bucket_arn(settings, "vectors", "*/transform/*")
        self.role = tasks.container_role(
            self,
            "Role",
            description=f"What the serving container of {names.prefix(settings.environment)} may do",
            image=serving_image(settings),
            log_groups=[
                f"/aws/sagemaker/Endpoints/{names.endpoint(settings.environment)}",
                "/aws/sagemaker/TransformJobs",
            ],
            metrics="/aws/sagemaker/Endpoints",
            statements=[
                iam.PolicyStatement(sid="Read", actions=["s3:GetObject"], resources=[models, packs]),
                iam.PolicyStatement(
                    sid="Find",
                    actions=["s3:ListBucket"],
                    resources=[bucket_arn(settings, "models"), bucket_arn(settings, "vectors")],
                ),
                iam.PolicyStatement(
                    sid="Write", actions=["s3:AbortMultipartUpload", "s3:PutObject"], resources=[answers]
                ),
            ],
            acknowledged={
                tasks.wildcard(arn): "Models and packs are named by their content." for arn in (models, packs, answers)
            },
        )


class PrepareDeployment(Construct):
    """Model package → what the endpoint is made of, and what to do next."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        made = [tasks.own(settings, "model"), tasks.own(settings, "endpoint-config")]
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="prepare_deployment",
            statements=[
                tasks.may_read_registry(settings),
                iam.PolicyStatement(
                    actions=["sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel"], resources=made
                ),
                iam.PolicyStatement(actions=["sagemaker:DescribeEndpoint"], resources=[tasks.endpoint_arn(settings)]),
            ],
            acknowledged={
                **tasks.registry_wildcard(settings),
                **{tasks.wildcard(arn): "Named after the version and its content." for arn in made},
            },
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "PrepareDeployment",
            payload={keys.MODEL_PACKAGE: sfn.JsonPath.string_at(f"$.{keys.MODEL_PACKAGE}")},
            result_path=PREPARED,
        )


class SmokeTest(Construct):
    """Does the endpoint answer as it should?"""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.function = Function(
            self,
            "Function",
            settings=settings,
            step="smoke_test",
            timeout=Duration.minutes(5),
            statements=[
                iam.PolicyStatement(actions=["sagemaker:InvokeEndpoint"], resources=[tasks.endpoint_arn(settings)])
            ],
        )

    def state(self, scope: Construct) -> LambdaInvoke:
        """Return the state."""
        return self.function.state(
            scope,
            "SmokeTest",
            payload={key: sfn.JsonPath.string_at(f"{PREPARED}.{key}") for key in (keys.ENDPOINT, keys.MODEL_VERSION)},
            result_path=SMOKE,
        )


class RollbackAlarms(Construct):
    """What takes the traffic back to the old fleet while a new one bakes."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        prefix = names.prefix(settings.environment)
        dimensions = {"EndpointName": names.endpoint(settings.environment), "VariantName": VARIANT}
        self.alarms = [
            cloudwatch.Alarm(
                self,
                name,
                alarm_name=f"{prefix}-endpoint-{suffix}",
                alarm_description=text,
                metric=cloudwatch.Metric(
                    namespace="AWS/SageMaker",
                    metric_name=metric,
                    dimensions_map=dimensions,
                    statistic=statistic,
                    period=Duration.minutes(1),
                ),
                threshold=threshold,
                evaluation_periods=2,
                datapoints_to_alarm=2,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            for name, suffix, metric, statistic, threshold, text in (
                (
                    "Errors",
                    "5xx",
                    "Invocation5XXErrors",
                    "Average",
                    0.05,
                    "Over 5 % of the calls to the endpoint fail with a fault of the server",
                ),
                (
                    "Latency",
                    "latency",
                    "ModelLatency",
                    "p95",
                    5_000_000,
                    "One call in twenty to the endpoint takes over 5 s",
                ),
            )
        ]

    @property
    def names(self) -> list[str]:
        """The alarms' names."""
        return [alarm.alarm_name for alarm in self.alarms]


class EndpointRequests(Construct):
    """Every request that deploy sends about the endpoint, and the statements they need."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        role: iam.IRole,
        alarms: Sequence[str],
        scaling: Scaling,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._role = role
        self._alarms = alarms
        self._scaling = scaling

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the machine needs."""
        settings = self._settings
        statements = [
            iam.PolicyStatement(
                actions=["sagemaker:AddTags", "sagemaker:CreateModel"], resources=[tasks.own(settings, "model")]
            ),
            iam.PolicyStatement(
                actions=["sagemaker:AddTags", "sagemaker:CreateEndpointConfig"],
                resources=[tasks.own(settings, "endpoint-config")],
            ),
            # An endpoint is made and changed in terms of its configuration: both are asked for.
            iam.PolicyStatement(
                actions=["sagemaker:AddTags", "sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
                resources=[tasks.endpoint_arn(settings), tasks.own(settings, "endpoint-config")],
            ),
            iam.PolicyStatement(
                actions=["sagemaker:DeleteEndpoint", "sagemaker:DescribeEndpoint"],
                resources=[tasks.endpoint_arn(settings)],
            ),
            iam.PolicyStatement(actions=["sagemaker:UpdateModelPackage"], resources=[tasks.package_arns(settings)[1]]),
            tasks.may_pass(self._role),
            iam.PolicyStatement(
                actions=["cloudwatch:DescribeAlarms"],
                resources=[tasks.alarm_arn(f"{names.prefix(settings.environment)}-endpoint-*")],
            ),
        ]
        return [*statements, *self._scaling.statements]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The acknowledgements that go with the statements."""
        settings = self._settings
        found = {
            tasks.wildcard(tasks.own(settings, "model")): "Named after the version and its content.",
            tasks.wildcard(tasks.own(settings, "endpoint-config")): "Named after the version and its content.",
            tasks.wildcard(
                tasks.alarm_arn(f"{names.prefix(settings.environment)}-endpoint-*")
            ): "This endpoint's alarms.",
            **tasks.registry_wildcard(settings),
        }
        return {**found, **self._scaling.acknowledged}

    def create_model(self, scope: Construct) -> sfn.CustomState:
        """Return the state that makes the SageMaker model."""
        return tasks.request(
            scope,
            "CreateModel",
            service="aws-sdk:sagemaker:createModel",
            parameters=tasks.model_request(self._settings, PREPARED, self._role),
        )

    def create_config(self, scope: Construct) -> sfn.CustomState:
        """Return the state that makes the endpoint configuration."""
        serving = self._settings.serving
        return tasks.request(
            scope,
            "CreateEndpointConfig",
            service="aws-sdk:sagemaker:createEndpointConfig",
            parameters={
                "EndpointConfigName.$": f"{PREPARED}.config_name",
                "ProductionVariants": [
                    {
                        "VariantName": VARIANT,
                        "ModelName.$": f"{PREPARED}.model_name",
                        "InstanceType": serving.instance_type,
                        "InitialInstanceCount": serving.min_instances,
                        "ModelDataDownloadTimeoutInSeconds": 600,
                        "ContainerStartupHealthCheckTimeoutInSeconds": 600,
                        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
                    }
                ],
                "Tags": tasks.tags(self._settings),
            },
        )

    def create(self, scope: Construct) -> sfn.CustomState:
        """Return the state that makes the endpoint."""
        return tasks.request(
            scope,
            "CreateEndpoint",
            service="aws-sdk:sagemaker:createEndpoint",
            parameters={
                "EndpointName.$": f"{PREPARED}.{keys.ENDPOINT}",
                "EndpointConfigName.$": f"{PREPARED}.config_name",
                "Tags": tasks.tags(self._settings),
            },
        )

    def update(self, scope: Construct) -> sfn.CustomState:
        """Return the state that moves the traffic to a new fleet, and back if an alarm rings."""
        return self._update(scope, "UpdateEndpoint", "config_name", self._rollout())

    def roll_back(self, scope: Construct) -> sfn.CustomState:
        """Return the state that puts the previous configuration back, at once."""
        return self._update(scope, "RollBack", "previous_config", _blue_green(_AT_ONCE, 0))

    def delete(self, scope: Construct, construct_id: str) -> sfn.CustomState:
        """Return a state that removes the endpoint."""
        return tasks.request(
            scope,
            construct_id,
            service="aws-sdk:sagemaker:deleteEndpoint",
            parameters={"EndpointName.$": f"{PREPARED}.{keys.ENDPOINT}"},
        )

    def describe(self, scope: Construct, construct_id: str) -> sfn.CustomState:
        """Return a state that looks at the endpoint."""
        return tasks.request(
            scope,
            construct_id,
            service="aws-sdk:sagemaker:describeEndpoint",
            parameters={"EndpointName.$": f"{PREPARED}.{keys.ENDPOINT}"},
            result_path=STATUS,
        )

    def reject_package(self, scope: Construct, construct_id: str, *, why: str) -> sfn.CustomState:
        """Return a state that takes the approval back, so that the champion is a model that serves."""
        return tasks.request(
            scope,
            construct_id,
            service="aws-sdk:sagemaker:updateModelPackage",
            parameters={
                "ModelPackageArn.$": f"{PREPARED}.{keys.MODEL_PACKAGE}",
                "ModelApprovalStatus": "Rejected",
                "ApprovalDescription": f"{why}; the execution of deploy tells more.",
            },
        )

    def _update(self, scope: Construct, construct_id: str, config: str, rollout: dict[str, Any]) -> sfn.CustomState:
        return tasks.request(
            scope,
            construct_id,
            service="aws-sdk:sagemaker:updateEndpoint",
            parameters={
                "EndpointName.$": f"{PREPARED}.{keys.ENDPOINT}",
                "EndpointConfigName.$": f"{PREPARED}.{config}",
                # What auto scaling has grown stays grown; else the number is the configuration's.
                "RetainAllVariantProperties": self._scaling.wanted,
                "DeploymentConfig": rollout,
            },
        )

    def _rollout(self) -> dict[str, Any]:
        # A canary needs a second instance to be one of; what auto scaling keeps is not known here.
        one_of_many = {
            "Type": "CANARY",
            "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
            "WaitIntervalInSeconds": BAKE_SECONDS,
        }
        known_to_be_many = self._settings.serving.min_instances > 1 and not self._scaling.wanted
        routing = one_of_many if known_to_be_many else _AT_ONCE
        return {
            **_blue_green(routing, BAKE_SECONDS),
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm} for alarm in self._alarms]},
        }


_AT_ONCE: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}


def _blue_green(routing: dict[str, Any], bake_seconds: int) -> dict[str, Any]:
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": bake_seconds,
            "MaximumExecutionTimeoutInSeconds": 3600,
        }
    }

"""How the endpoint grows and shrinks: set up by deploy, for the endpoint that it scales is made there, too."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import names
from menulens.serving.deployment import VARIANT
from menulens.settings import Settings
from stacks.steps import sagemaker_tasks as tasks

# Twenty calls a second: room is left on an instance while another starts, which takes minutes.
INVOCATIONS_PER_INSTANCE_AND_MINUTE = 1200

# The first request of an account makes a role, which takes a moment until it may be used.
THROTTLED = [
    "ApplicationAutoScaling.ApplicationAutoScalingException",
    "ApplicationAutoScaling.ConcurrentUpdateException",
    "ApplicationAutoScaling.FailedResourceAccessException",
    "ApplicationAutoScaling.InternalServiceException",
]


class Scaling:
    """The requests of Application Auto Scaling, and the statements they need."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def wanted(self) -> bool:
        """Whether the settings let the endpoint grow."""
        serving = self._settings.serving
        return serving.max_instances > serving.min_instances

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the machine needs; where the endpoint stays as it is, no more than to end what once let it grow."""
        alarms = [tasks.alarm_arn("TargetTracking-*")]
        if not self.wanted:
            return [
                _on_targets("DeregisterScalableTarget"),
                iam.PolicyStatement(actions=["cloudwatch:DeleteAlarms"], resources=alarms),
            ]
        linked = (
            f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/aws-service-role/sagemaker.application-autoscaling."
            "amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        )
        return [
            _on_targets("DeregisterScalableTarget", "PutScalingPolicy", "RegisterScalableTarget"),
            iam.PolicyStatement(
                actions=["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"],
                resources=alarms,
            ),
            iam.PolicyStatement(
                actions=["sagemaker:DescribeEndpointConfig", "sagemaker:UpdateEndpointWeightsAndCapacities"],
                resources=[tasks.endpoint_arn(self._settings), tasks.own(self._settings, "endpoint-config")],
            ),
            iam.PolicyStatement(
                actions=["iam:CreateServiceLinkedRole"],
                resources=[linked],
                conditions={"StringLike": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}},
            ),
        ]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The acknowledgements that go with the statements."""
        return {
            tasks.wildcard(_targets_arn()): "A scalable target's name is drawn by AWS; a condition names SageMaker.",
            tasks.wildcard(tasks.alarm_arn("TargetTracking-*")): "Named by Application Auto Scaling.",
        }

    def register_target(self, scope: Construct, construct_id: str) -> sfn.CustomState:
        """Return a state that lets the endpoint grow; no template can, for deploy makes it."""
        serving = self._settings.serving
        return tasks.request(
            scope,
            construct_id,
            service="aws-sdk:applicationautoscaling:registerScalableTarget",
            parameters={
                **self._target(),
                "MinCapacity": serving.min_instances,
                "MaxCapacity": serving.max_instances,
            },
            waited_out=THROTTLED,
        )

    def put_scaling_policy(self, scope: Construct, construct_id: str) -> sfn.CustomState:
        """Return a state that says when it grows."""
        return tasks.request(
            scope,
            construct_id,
            service="aws-sdk:applicationautoscaling:putScalingPolicy",
            parameters={
                **self._target(),
                "PolicyName": f"{names.endpoint(self._settings.environment)}-invocations",
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": INVOCATIONS_PER_INSTANCE_AND_MINUTE,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
                    "ScaleOutCooldown": 60,
                    "ScaleInCooldown": 600,
                },
            },
            waited_out=THROTTLED,
        )

    def deregister_target(self, scope: Construct, construct_id: str) -> sfn.CustomState:
        """Return a state that ends scaling; it fails where nothing scales."""
        return tasks.request(
            scope,
            construct_id,
            service="aws-sdk:applicationautoscaling:deregisterScalableTarget",
            parameters=self._target(),
            waited_out=THROTTLED,
        )

    def _target(self) -> dict[str, str]:
        return {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{names.endpoint(self._settings.environment)}/variant/{VARIANT}",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }


def _on_targets(*actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=[f"application-autoscaling:{action}" for action in actions],
        resources=[_targets_arn()],
        conditions={"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
    )


def _targets_arn() -> str:
    return f"arn:{Aws.PARTITION}:application-autoscaling:{Aws.REGION}:{Aws.ACCOUNT_ID}:scalable-target/*"

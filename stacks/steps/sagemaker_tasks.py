"""What the machines that run SageMaker share: states written out as requests, and the roles of containers.

CDK's own SageMaker tasks add permissions on ``*`` where a location comes from the state's data, and know no optional
channel. A request here is the request that the service gets, so that a test can hold it against the service's model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import names
from menulens.serving.deployment import CONTAINER_ENVIRONMENT
from menulens.settings import Settings
from stacks.steps.base import acknowledge, bucket_arn, nag_name, sagemaker_arn

SAGEMAKER = iam.ServicePrincipal("sagemaker.amazonaws.com")
QUOTA = ["SageMaker.ResourceLimitExceeded", "SageMaker.ResourceLimitExceededException"]

# SageMaker's model declares neither throttling nor faults of the server: Step Functions names them, and all else that
# is not declared, by the base class of the SDK that the integration uses.
UNDECLARED = {"sagemaker": "SageMaker.AmazonSageMakerException", "aws-sdk:sagemaker": "SageMaker.SageMakerException"}
_RESOURCE = "arn:{partition}:states:::{service}"


def request(
    scope: Construct,
    construct_id: str,
    *,
    service: str,
    parameters: Mapping[str, Any],
    result_path: str = "$.answer",
    result_selector: Mapping[str, str] | None = None,
    comment: str | None = None,
    waited_out: Sequence[str] = QUOTA,
) -> sfn.CustomState:
    """Return a state that sends a request.

    Parameters
    ----------
    service
        The integration, as in ``sagemaker:createTrainingJob.sync`` or ``aws-sdk:sagemaker:describeEndpoint``.
    result_path
        Where the answer goes; the rest of the state's input goes on unchanged.
    waited_out
        Errors that minutes may mend, as of quotas.
    """
    state: dict[str, Any] = {
        "Type": "Task",
        "Resource": _RESOURCE.format(partition=Aws.PARTITION, service=service),
        "Parameters": dict(parameters),
        "ResultPath": result_path,
    }
    if result_selector is not None:
        state["ResultSelector"] = dict(result_selector)
    if comment is not None:
        state["Comment"] = comment
    state["Retry"] = [{"ErrorEquals": list(waited_out), "IntervalSeconds": 30, "MaxAttempts": 5, "BackoffRate": 2}]
    undeclared = UNDECLARED.get(service.rpartition(":")[0])
    if undeclared is not None:
        state["Retry"].append({"ErrorEquals": [undeclared], "IntervalSeconds": 5, "MaxAttempts": 3, "BackoffRate": 2})
    return sfn.CustomState(scope, construct_id, state_json=state)


def tags(settings: Settings) -> list[dict[str, str]]:
    """Return the tags of what a machine makes; CDK's own reach only what CloudFormation makes."""
    return [{"Key": "project", "Value": "menulens"}, {"Key": "environment", "Value": settings.environment}]


def own(settings: Settings, kind: str) -> str:
    """Return the ARN of everything of a kind that carries the environment's name, as in ``training-job``."""
    return sagemaker_arn(f"{kind}/{names.prefix(settings.environment)}-*")


def endpoint_arn(settings: Settings) -> str:
    """Return the endpoint's ARN."""
    return sagemaker_arn(f"endpoint/{names.endpoint(settings.environment)}")


def alarm_arn(name: str) -> str:
    """Return an alarm's ARN."""
    return f"arn:{Aws.PARTITION}:cloudwatch:{Aws.REGION}:{Aws.ACCOUNT_ID}:alarm:{name}"


def package_arns(settings: Settings) -> list[str]:
    """Return the ARNs of the model package group and of its versions."""
    group = names.model_package_group(settings.environment)
    return [sagemaker_arn(f"model-package-group/{group}"), sagemaker_arn(f"model-package/{group}/*")]


def wildcard(arn: str) -> str:
    """Return the name of cdk-nag's finding about a resource with a ``*``."""
    return f"AwsSolutions-IAM5[Resource::{nag_name(arn)}]"


def may_pass(role: iam.IRole) -> iam.PolicyStatement:
    """Return the statement that lets a machine hand a role to SageMaker, and to nothing else."""
    return iam.PolicyStatement(
        actions=["iam:PassRole"],
        resources=[role.role_arn],
        conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )


def may_wait_for(job: str) -> iam.PolicyStatement:
    """Return the statement that ``.sync`` needs: Step Functions' own rule for the end of a job.

    Parameters
    ----------
    job
        ``TrainingJobs`` or ``TransformJobs``.
    """
    rule = f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:rule/StepFunctionsGetEventsForSageMaker{job}Rule"
    return iam.PolicyStatement(actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"], resources=[rule])


def container_role(
    scope: Construct,
    construct_id: str,
    *,
    description: str,
    image: str,
    log_groups: Sequence[str],
    metrics: str,
    statements: Sequence[iam.PolicyStatement],
    acknowledged: Mapping[str, str],
) -> iam.Role:
    """Return the role that a SageMaker container runs with: pull its image, write logs and metrics, and what is given.

    Parameters
    ----------
    log_groups
        SageMaker's log groups, as in ``/aws/sagemaker/TrainingJobs``.
    metrics
        CloudWatch namespace it may write to.
    """
    groups = [_log_group(name) for name in log_groups]
    role = iam.Role(
        scope,
        construct_id,
        assumed_by=SAGEMAKER.with_conditions({"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}),
        description=description,
        inline_policies={
            "container": iam.PolicyDocument(
                statements=[
                    # A registry's token and a metric have no resource-level permission.
                    iam.PolicyStatement(sid="Registry", actions=["ecr:GetAuthorizationToken"], resources=["*"]),
                    iam.PolicyStatement(
                        sid="Metrics",
                        actions=["cloudwatch:PutMetricData"],
                        resources=["*"],
                        conditions={"StringEquals": {"cloudwatch:namespace": metrics}},
                    ),
                    iam.PolicyStatement(
                        sid="Image",
                        actions=[
                            "ecr:BatchCheckLayerAvailability",
                            "ecr:BatchGetImage",
                            "ecr:GetDownloadUrlForLayer",
                        ],
                        resources=[repository_arn(image)],
                    ),
                    iam.PolicyStatement(
                        sid="Log",
                        actions=[
                            "logs:CreateLogGroup",
                            "logs:CreateLogStream",
                            "logs:DescribeLogStreams",
                            "logs:PutLogEvents",
                        ],
                        resources=groups,
                    ),
                    *statements,
                ],
                minimize=False,
            )
        },
    )
    acknowledge(role, "A registry's token and a metric have no resource-level permission.", wildcard("*"))
    for group in groups:
        acknowledge(role, "SageMaker names the streams of its log group after jobs and instances.", wildcard(group))
    for finding, reason in acknowledged.items():
        acknowledge(role, reason, finding)
    return role


def repository_arn(image: str) -> str:
    """Return the ARN of the repository of an image, ``<account>.dkr.ecr.<region>.<domain>/<repository>:<tag>``."""
    host, _, name = image.partition("/")
    account, _, _, region = host.split(".")[:4]
    return f"arn:{Aws.PARTITION}:ecr:{region}:{account}:repository/{name.partition(':')[0]}"


def model_request(settings: Settings, path: str, role: iam.IRole) -> dict[str, Any]:
    """Return the CreateModel request for the names and the archive under a path of the state's data."""
    return {
        "ModelName.$": f"{path}.model_name",
        "PrimaryContainer": {
            "Image.$": f"{path}.image",
            "ModelDataUrl.$": f"{path}.model_data_url",
            "Environment": dict(CONTAINER_ENVIRONMENT),
        },
        "ExecutionRoleArn": role.role_arn,
        # Photos come in and vectors go out through SageMaker alone.
        "EnableNetworkIsolation": True,
        "Tags": tags(settings),
    }


def may_read_registry(settings: Settings) -> iam.PolicyStatement:
    """Return the statement of a step that looks for the champion or a job's package."""
    return iam.PolicyStatement(
        actions=["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"], resources=package_arns(settings)
    )


def registry_wildcard(settings: Settings) -> dict[str, str]:
    """Return the acknowledgement that goes with the package ARNs."""
    return {wildcard(package_arns(settings)[1]): "Versions of this environment's own group; they have numbers."}


def objects(settings: Settings, room: names.Room, keys_below: str, *actions: str) -> iam.PolicyStatement:
    """Return a statement about the objects of a room, under a pattern of keys."""
    return iam.PolicyStatement(actions=list(actions), resources=[bucket_arn(settings, room, keys_below)])


def listing(settings: Settings, *which: names.Room) -> iam.PolicyStatement:
    """Return a statement that lets a step list rooms.

    Without it S3 answers a question for a missing object with "forbidden"; a condition on the prefix has the same
    effect.
    """
    return iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket_arn(settings, room) for room in which])


def objects_wildcard(settings: Settings, room: names.Room, keys_below: str) -> dict[str, str]:
    """Return the acknowledgement that goes with :func:`objects`."""
    return {
        wildcard(bucket_arn(settings, room, keys_below)): f"Objects of the {room} bucket are named by their content."
    }


def _log_group(name: str) -> str:
    return f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:{name}:*"

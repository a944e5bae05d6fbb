"""What every step and every state machine has: one role with literal actions, logs, traces.

A step file holds a class with the step's function (:class:`Function`), its permissions (``statements`` of its role) and
its state (:meth:`Function.state`). :class:`Machine` joins states into a state machine whose role may do what its
``statements`` say and nothing more: no construct adds a permission behind our back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_cdk import Acknowledgment, Aws, Duration, Environment, RemovalPolicy, Size, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct, IConstruct

from menulens.core import names
from menulens.settings import Settings
from stacks import packaging

LOCAL = "local"

# X-Ray's two write actions have no resource-level permission.
TRACING = iam.PolicyStatement(
    sid="Trace", actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources=["*"]
)


def removal_policy(settings: Settings) -> RemovalPolicy:
    """Return what becomes of data when its stack goes: kept in an account, gone with the local cloud.

    What a stack made that could not be created goes in an account too: it is empty, and the next try needs its name.
    """
    return RemovalPolicy.DESTROY if settings.environment == LOCAL else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE


def in_region(settings: Settings) -> Environment:
    """Return where the stacks go: the region of the settings, which images and addresses are those of."""
    return Environment(region=settings.region)


def acknowledge(construct: IConstruct, reason: str, *findings: str) -> None:
    """Acknowledge findings of cdk-nag at the construct that has them, each by its full name, for one reason."""
    Validations.of(construct).acknowledge(*(Acknowledgment(id=finding, reason=reason) for finding in findings))


def stable_id(text: str) -> str:
    """Return a logical id's part for one of several, which stays the same when others come and go."""
    return hashlib.sha256(text.lower().encode()).hexdigest()[:8]


def nag_name(text: str) -> str:
    """Return how cdk-nag spells an ARN or a bucket's name that holds the account and the region."""
    for token, spelled in (
        (Aws.PARTITION, "<AWS::Partition>"),
        (Aws.REGION, "<AWS::Region>"),
        (Aws.ACCOUNT_ID, "<AWS::AccountId>"),
    ):
        text = text.replace(token, spelled)
    return text


def finding(resource: str) -> str:
    """Return the full name of cdk-nag's finding on a resource with a wildcard."""
    return f"AwsSolutions-IAM5[Resource::{nag_name(resource)}]"


def path(*parts: str) -> str:
    """Return the JSONPath of a key, as in ``$.prepared.dataset``."""
    return ".".join(("$", *parts))


def bucket_name(settings: Settings, room: names.Room) -> str:
    """Return the bucket of a room; account and region are filled in at deployment."""
    if room == "photos" and settings.photos.bucket:
        return settings.photos.bucket
    return names.bucket(settings.environment, room, Aws.ACCOUNT_ID, Aws.REGION)


def bucket_arn(settings: Settings, room: names.Room, keys_below: str | None = None) -> str:
    """Return the ARN of a room's bucket, or of the objects under a pattern of keys."""
    arn = f"arn:{Aws.PARTITION}:s3:::{bucket_name(settings, room)}"
    return arn if keys_below is None else f"{arn}/{keys_below}"


def machine_arn(settings: Settings, machine: names.Machine) -> str:
    """Return a state machine's ARN by its name, so that machines can start each other without a cycle of stacks."""
    return names.state_machine_arn(settings.environment, machine, Aws.ACCOUNT_ID, Aws.REGION, Aws.PARTITION)


def sagemaker_arn(resource: str) -> str:
    """Return the ARN of a SageMaker resource of this account and region, as in ``training-job/menulens-*``."""
    return f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"


def default_bus_arn() -> str:
    """Return the ARN of the event bus that the machines speak on."""
    return f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:event-bus/default"


def undelivered_name(settings: Settings) -> str:
    """Return the name of the queue for what could not be delivered."""
    return f"{names.prefix(settings.environment)}-undelivered"


def hyphened(name: str) -> str:
    """Return ``DatasetReady`` as ``dataset-ready``."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def table_arn(settings: Settings) -> str:
    """Return the ARN of the labeling portal's table."""
    table = names.labeling_table(settings.environment)
    return f"arn:{Aws.PARTITION}:dynamodb:{Aws.REGION}:{Aws.ACCOUNT_ID}:table/{table}"


def sign_in_prefix(settings: Settings) -> str:
    """Return the first part of our user pool's domain; the account makes it unique in the region."""
    return f"{names.prefix(settings.environment)}-{Aws.ACCOUNT_ID}"


def sign_in_address(settings: Settings, prefix: str | None = None) -> str:
    """Return the address of a user pool's hosted sign-in; ours if no prefix is given."""
    return f"https://{prefix or sign_in_prefix(settings)}.auth.{settings.region}.amazoncognito.com"


def rooms(settings: Settings, *needed: names.Room) -> dict[str, str]:
    """Return the environment variables that tell a function its buckets: ``PHOTOS_BUCKET`` and so on."""
    return {f"{room.upper()}_BUCKET": bucket_name(settings, room) for room in needed}


class Function(Construct):
    """The function of one step: packaged code, a role of its own, a log group of its own."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        step: str,
        statements: Sequence[iam.PolicyStatement] = (),
        environment: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        memory_mb: int = 256,
        storage_mb: int | None = None,
        acknowledged: Mapping[str, str] | None = None,
        beside: Mapping[str, Path] | None = None,
    ) -> None:
        """Make the function.

        Parameters
        ----------
        step
            The folder of ``lambdas/`` that holds ``handler.py``.
        statements
            What the step may do, beside writing its log and its trace.
        acknowledged
            cdk-nag finding on the role to its reason.
        beside
            Folders that go into the asset: name to place.
        """
        super().__init__(scope, construct_id)
        name = f"{names.prefix(settings.environment)}-{step.replace('_', '-')}"
        self.arn = f"arn:{Aws.PARTITION}:lambda:{Aws.REGION}:{Aws.ACCOUNT_ID}:function:{name}"
        log_group_name = f"/aws/lambda/{name}"
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=log_group_name,
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        streams = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:{log_group_name}:log-stream:*"
        write_log = iam.PolicyStatement(
            sid="Log", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[streams]
        )
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What the step {step} of {names.prefix(settings.environment)} may do",
            inline_policies={"step": iam.PolicyDocument(statements=[write_log, TRACING, *statements], minimize=False)},
        )
        acknowledge(
            self.role,
            "X-Ray's write actions have no resource-level permission.",
            finding("*"),
        )
        acknowledge(
            self.role,
            "A log stream's name is drawn by Lambda; the log group is the function's own.",
            finding(streams),
        )
        for found, reason in (acknowledged or {}).items():
            acknowledge(self.role, reason, found)
        with packaging.lambda_code(step, settings, beside) as code:
            self.function = lambda_.Function(
                self,
                "Function",
                function_name=name,
                code=code,
                handler=packaging.HANDLER,
                runtime=lambda_.Runtime.PYTHON_3_13,
                architecture=lambda_.Architecture.ARM_64,
                role=self.role.without_policy_updates(),
                log_group=log_group,
                logging_format=lambda_.LoggingFormat.JSON,
                tracing=lambda_.Tracing.ACTIVE,
                timeout=timeout or Duration.minutes(1),
                memory_size=memory_mb,
                environment={"ENVIRONMENT": settings.environment, **(environment or {})},
                **({} if storage_mb is None else {"ephemeral_storage_size": Size.mebibytes(storage_mb)}),
            )
        acknowledge(
            self.function,
            "Python 3.13 is the newest that the project is tested on (requires-python).",
            "AwsSolutions-L1",
        )

    @property
    def invoke(self) -> iam.PolicyStatement:
        """The statement a state machine needs to run this step."""
        return iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self.arn])

    def state(
        self,
        scope: Construct,
        construct_id: str,
        *,
        payload: Mapping[str, Any] | None = None,
        result_path: str | None = None,
        result_selector: Mapping[str, Any] | None = None,
        comment: str | None = None,
    ) -> tasks.LambdaInvoke:
        """Return a state that runs the function: its answer lies at ``result_path``, or is the whole output.

        Faults of the Lambda service are retried with back-off; what the handler raises is not.
        """
        return tasks.LambdaInvoke(
            scope,
            construct_id,
            lambda_function=self.function,
            payload=None if payload is None else sfn.TaskInput.from_object(dict(payload)),
            payload_response_only=True,
            result_path=result_path,
            result_selector=result_selector,
            comment=comment,
        )


class Machine(Construct):
    """A state machine: its definition, its log, its role."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        machine: names.Machine,
        definition: sfn.IChainable,
        statements: Sequence[iam.PolicyStatement],
        timeout: Duration,
        comment: str,
        acknowledged: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        name = names.state_machine(settings.environment, machine)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/vendedlogs/states/{name}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        # Log delivery is set up by actions that have no resource-level permission.
        deliver_logs = iam.PolicyStatement(
            sid="DeliverLogs",
            actions=[
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            resources=["*"],
        )
        trace = iam.PolicyStatement(
            sid="Trace",
            actions=[
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            resources=["*"],
        )
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description=f"What the state machine {name} may do",
            inline_policies={
                "machine": iam.PolicyDocument(statements=[deliver_logs, trace, *statements], minimize=False)
            },
        )
        acknowledge(
            self.role,
            "Log delivery and X-Ray's actions have no resource-level permission.",
            finding("*"),
        )
        for found, reason in (acknowledged or {}).items():
            acknowledge(self.role, reason, found)
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=name,
            definition_body=sfn.DefinitionBody.from_chainable(definition),
            role=self.role.without_policy_updates(),
            timeout=timeout,
            comment=comment,
            tracing_enabled=True,
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True),
        )


class Inputs(Construct):
    """The first state of every machine: check what was typed or sent, and fill in what was left out."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.function = Function(
            self,
            "Check",
            settings=settings,
            step="check_input",
            environment=rooms(settings, "photos", "labels", "datasets", "models", "vectors"),
        )

    @property
    def invoke(self) -> iam.PolicyStatement:
        """The statement a state machine needs to check its input."""
        return self.function.invoke

    def state(self, scope: Construct, machine: names.Machine) -> tasks.LambdaInvoke:
        """Return the state that answers with the machine's whole input, checked; it raises InvalidInputError."""
        return self.function.state(
            scope,
            "CheckInput",
            payload={"machine": machine, "input": sfn.JsonPath.object_at("$")},
            comment="Fails with a message that names the field and what is allowed",
        )

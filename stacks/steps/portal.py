"""The steps of the labeling portal: display copies, opening a job, its API, its log, and what ends it."""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from menulens.core import deployed, keys, names
from menulens.labeling import layout
from menulens.portal.display_index import DISPLAY
from menulens.settings import Settings
from stacks.steps.base import LOCAL, Function, finding, machine_arn, path, rooms, undelivered_name
from stacks.steps.grants import (
    ANY_JOB,
    describing_jobs,
    listing,
    portal_variables,
    reading,
    reading_table,
    wildcards,
    writing,
    writing_table,
)
from stacks.steps.states import distributed_map, may_put_events

DISPLAYED: Final = "displayed"
PREPARED: Final = "prepared"
MAP_LABEL: Final = "display"
EXECUTIONS: Final = "Executions of this machine alone; AWS draws their names."
LOG: Final = "log/"
WHOLE_CPU_MB: Final = 1_769
API_TIMEOUT: Final = Duration.seconds(29)  # what API Gateway waits


class MakeDisplayCopies(Construct):
    """Make what browsers get of each photo, in chunks, and find near-duplicates among them.

    One state after the other; behind them the copies' index lies under ``displayed``.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        given = reading(settings, "labels", layout.INPUTS)
        self._plan = Function(
            self,
            "PlanDisplay",
            settings=settings,
            step="plan_display",
            environment=rooms(settings, "labels"),
            statements=[listing(settings, "labels"), given],
            timeout=Duration.minutes(5),
            acknowledged=wildcards(given),
        )
        photos = reading(settings, "photos", settings.photos.prefix)
        read = reading(settings, "labels", layout.INPUTS, DISPLAY)
        written = writing(settings, "labels", DISPLAY, f"{layout.INPUTS}*/{DISPLAY}")
        self._prepare = Function(
            self,
            "PrepareDisplay",
            settings=settings,
            step="prepare_display",
            environment=rooms(settings, "photos", "labels"),
            statements=[listing(settings, "photos", "labels"), photos, read, written],
            timeout=Duration.minutes(15),
            memory_mb=3_008,  # photos are decoded in processes of their own, each with room for the largest allowed
            acknowledged=wildcards(photos, read, written),
        )
        index = writing(settings, "labels", layout.INPUTS)
        self._group = Function(
            self,
            "GroupDisplay",
            settings=settings,
            step="group_display",
            environment=rooms(settings, "labels"),
            statements=[listing(settings, "labels"), given, index],
            timeout=Duration.minutes(5),
            memory_mb=1_024,
            acknowledged=wildcards(given, index),
        )

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the machine needs: its functions, to start itself for each chunk, and to look after these runs."""
        return [
            *(function.invoke for function in (self._plan, self._prepare, self._group)),
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine_arn(self._settings, "label")]),
            iam.PolicyStatement(
                actions=["states:DescribeExecution", "states:RedriveExecution", "states:StopExecution"],
                resources=self._runs(),
            ),
        ]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The acknowledgements that go with the statements."""
        return {finding(arn): EXECUTIONS for arn in self._runs()}

    def states(self, scope: Construct) -> sfn.Chain:
        """Return plan, Map and grouping, one after the other."""
        job = {
            keys.JOB_NAME: sfn.JsonPath.string_at(path(keys.JOB_NAME)),
            keys.INPUT_MANIFEST: sfn.JsonPath.string_at(path(keys.INPUT_MANIFEST)),
        }
        plan = self._plan.state(
            scope,
            "PlanDisplay",
            payload={keys.INPUT_MANIFEST: job[keys.INPUT_MANIFEST]},
            result_path=path(DISPLAYED),
        )
        prepare = sfn.CustomState(
            scope,
            "PrepareDisplay",
            state_json=distributed_map(
                self._prepare,
                name="PrepareChunk",
                label=MAP_LABEL,
                items=path(DISPLAYED, keys.CHUNKS),
                item={
                    f"{keys.CHUNK}.$": "$$.Map.Item.Value",
                    f"{keys.JOB_NAME}.$": path(keys.JOB_NAME),
                    f"{keys.INPUT_MANIFEST}.$": path(keys.INPUT_MANIFEST),
                },
                at_once=2 if self._settings.environment == LOCAL else 40,
                result_path=path(PREPARED),
                tries=3,
            ),
        )
        group = self._group.state(
            scope,
            "GroupDisplay",
            payload={
                keys.JOB_NAME: job[keys.JOB_NAME],
                keys.COUNT: sfn.JsonPath.number_at(path(DISPLAYED, keys.COUNT)),
                keys.LINES: sfn.JsonPath.number_at(path(DISPLAYED, keys.LINES)),
            },
            result_path=path(DISPLAYED),
            comment="Near-duplicates are shown once; the plan's chunks are not needed any more",
        )
        chain: sfn.Chain = plan.next(prepare).next(group)
        return chain

    def _runs(self) -> list[str]:
        executions = machine_arn(self._settings, "label").replace(":stateMachine:", ":execution:")
        return [f"{executions}:*", f"{executions}/{MAP_LABEL}:*"]


class OpenPortalJob(Function):
    """Open a job in the portal, and wait until whoever ends it answers the task token."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        given = reading(settings, "labels", layout.INPUTS)
        read = reading(settings, "answers", layout.INPUTS)
        kept = writing(settings, "answers", layout.INPUTS)
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="open_portal_job",
            environment=portal_variables(settings),
            statements=[
                listing(settings, "labels", "answers"),
                given,
                read,
                kept,
                reading_table(settings),
                writing_table(settings),
                may_put_events(),
            ],
            timeout=Duration.minutes(15),
            memory_mb=WHOLE_CPU_MB,
            acknowledged=wildcards(given, read, kept),
        )

    def waiting_state(self, scope: Construct) -> tasks.LambdaInvoke:
        """Return the state that opens the job and waits for its end, for as long as an execution may last."""
        return tasks.LambdaInvoke(
            scope,
            "OpenPortalJob",
            lambda_function=self.function,
            integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            payload=sfn.TaskInput.from_object(
                {
                    keys.JOB_NAME: sfn.JsonPath.string_at(path(keys.JOB_NAME)),
                    keys.INPUT_MANIFEST: sfn.JsonPath.string_at(path(keys.INPUT_MANIFEST)),
                    keys.DISPLAY_INDEX: sfn.JsonPath.string_at(path(DISPLAYED, keys.DISPLAY_INDEX)),
                    keys.TASK_TOKEN: sfn.JsonPath.task_token,
                }
            ),
            result_path=sfn.JsonPath.DISCARD,
            comment="Annotators answer, for weeks if need be; the last answer, or the owner, ends it",
        )


class TakeSnapshot(Function):
    """Keep a running job's labels as they are now, of whichever provider."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        labels = reading(settings, "labels", layout.INPUTS, layout.JOBS, layout.MERGED, layout.RESCUED)
        log = reading(settings, "answers", layout.INPUTS, LOG)
        write = [writing(settings, "labels", layout.JOBS, layout.SNAPSHOTS), writing(settings, "answers", LOG)]
        job = describing_jobs()
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="take_snapshot",
            environment=portal_variables(settings),
            statements=[
                listing(settings, "labels", "answers"),
                labels,
                log,
                *write,
                job,
                reading_table(settings),
                writing_table(settings),
            ],
            timeout=Duration.minutes(15),
            memory_mb=WHOLE_CPU_MB,
            acknowledged={**wildcards(labels, log, *write), **wildcards(job, reason=ANY_JOB)},
        )


class AddPhotos(Function):
    """Make photos ready, and hand them to a job that runs."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        photos = reading(settings, "photos", settings.photos.prefix)
        labels = reading(settings, "labels", "")  # a manifest may lie anywhere in it
        kept = reading(settings, "answers", layout.INPUTS)
        write = [
            writing(settings, "labels", layout.INPUTS, DISPLAY),
            writing(settings, "answers", layout.INPUTS),
        ]
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="add_photos",
            environment=portal_variables(settings, "photos"),
            statements=[
                listing(settings, "photos", "labels", "answers"),
                photos,
                labels,
                kept,
                *write,
                reading_table(settings),
                writing_table(settings),
                may_put_events(),
            ],
            timeout=Duration.minutes(15),
            memory_mb=3_008,  # photos are decoded in processes of their own, each with room for the largest allowed
            acknowledged=wildcards(photos, labels, kept, *write),
        )


class FinishPortalJob(Function):
    """End a job: seal its log, write what Ground Truth would write, and answer the execution that waits."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> None:
        given = reading(settings, "labels", layout.INPUTS, layout.JOBS)
        log = reading(settings, "answers", layout.INPUTS, LOG)
        write = [writing(settings, "labels", layout.JOBS), writing(settings, "answers", LOG)]
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="finish_portal_job",
            environment=portal_variables(settings),
            statements=[
                listing(settings, "labels", "answers"),
                given,
                log,
                *write,
                reading_table(settings),
                writing_table(settings),
                may_put_events(),
                iam.PolicyStatement(
                    actions=["states:SendTaskFailure", "states:SendTaskSuccess"],
                    resources=[machine_arn(settings, "label")],
                ),
                # An event that it failed on for good goes to the queue that an alarm watches.
                iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[undelivered_arn(settings)]),
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]),
            ],
            timeout=Duration.minutes(15),
            memory_mb=3_008,
            acknowledged=wildcards(given, log, *write),
        )


class SealLog(Function):
    """Move answers from the table into the hash-chained log, and make good what a kill left undone."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, stream_arn: str) -> None:
        log = reading(settings, "answers", layout.INPUTS, LOG)
        write = writing(settings, "answers", LOG)
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="seal_log",
            environment=portal_variables(settings),
            statements=[
                listing(settings, "answers"),
                log,
                write,
                reading_table(settings),
                writing_table(settings),
                may_put_events(),
                iam.PolicyStatement(
                    actions=["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
                    resources=[stream_arn],
                ),
                # Lambda asks for it when the stream is connected; it has no resource-level permission.
                iam.PolicyStatement(actions=["dynamodb:ListStreams"], resources=["*"]),
            ],
            timeout=Duration.minutes(5),
            memory_mb=WHOLE_CPU_MB,
            acknowledged=wildcards(log, write),
        )


class PortalApi(Function):
    """What annotators' pages ask and answer."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        copies = reading(settings, "labels", DISPLAY)
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="portal_api",
            environment={**portal_variables(settings), **groups(settings)},
            statements=[
                listing(settings, "labels"),
                copies,
                reading_table(settings),
                writing_table(settings),
                may_put_events(),
            ],
            timeout=API_TIMEOUT,
            memory_mb=WHOLE_CPU_MB,
            acknowledged=wildcards(copies),
        )


class OwnerApi(Function):
    """What owners' pages and the command line ask."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, pool_id: str) -> None:
        labels = reading(settings, "labels", layout.INPUTS, layout.JOBS, layout.SNAPSHOTS, DISPLAY)
        log = reading(settings, "answers", layout.INPUTS, LOG)
        write = writing(settings, "answers", layout.INPUTS, LOG)
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="owner_api",
            environment={**portal_variables(settings, "photos"), **groups(settings), deployed.USER_POOL_ID: pool_id},
            statements=[
                listing(settings, "labels", "answers"),
                labels,
                log,
                write,
                reading_table(settings),
                writing_table(settings),
                may_put_events(),
                iam.PolicyStatement(
                    actions=["states:StartExecution"],
                    resources=[machine_arn(settings, one) for one in ("label", "snapshot", "add")],
                ),
                # Tokens name people by their id; owners know them by their address.
                iam.PolicyStatement(
                    actions=["cognito-idp:ListUsersInGroup"],
                    resources=[f"arn:{Aws.PARTITION}:cognito-idp:{Aws.REGION}:{Aws.ACCOUNT_ID}:userpool/{pool_id}"],
                ),
            ],
            timeout=API_TIMEOUT,
            memory_mb=WHOLE_CPU_MB,
            acknowledged=wildcards(labels, log, write),
        )


def undelivered_arn(settings: Settings) -> str:
    """Return the ARN of the queue for what could not be delivered."""
    return f"arn:{Aws.PARTITION}:sqs:{Aws.REGION}:{Aws.ACCOUNT_ID}:{undelivered_name(settings)}"


def groups(settings: Settings) -> dict[str, str]:
    """Return the environment variables that name the groups whose members may do what."""
    return {
        deployed.ANNOTATORS_GROUP: names.annotators(settings.environment),
        deployed.OWNERS_GROUP: names.owners(settings.environment),
    }

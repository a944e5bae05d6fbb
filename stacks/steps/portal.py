"""The steps of the labeling portal: display copies, opening a job, its API, its log, and what ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
# Photos are decoded in processes of their own, each with room for the largest allowed.
DECODING_MB: Final = 3_008
STARTED_BY_OWNERS: Final[tuple[names.Machine, ...]] = ("label", "snapshot", "add")
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
            memory_mb=DECODING_MB,
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


class _PortalStep(Function):
    """A step that works on the portal's table, and on objects of some rooms."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        step: str,
        lists: Sequence[names.Room],
        objects: Sequence[iam.PolicyStatement],
        more: Sequence[iam.PolicyStatement] = (),
        environment: Mapping[str, str] | None = None,
        timeout: Duration,
        memory_mb: int = WHOLE_CPU_MB,
        acknowledged: Mapping[str, str] | None = None,
        needs: Sequence[names.Room] = (),
    ) -> None:
        """Make the function.

        Parameters
        ----------
        lists
            Rooms in which it looks for objects that may be missing.
        objects
            What it reads and writes there.
        more
            What it may do beside that.
        needs
            Rooms of which it is told, beside the portal's own.
        """
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step=step,
            environment={**portal_variables(settings, *needs), **(environment or {})},
            statements=[
                listing(settings, *lists),
                *objects,
                reading_table(settings),
                writing_table(settings),
                *more,
            ],
            timeout=timeout,
            memory_mb=memory_mb,
            acknowledged={**wildcards(*objects), **(acknowledged or {})},
        )


class OpenPortalJob(_PortalStep):
    """Open a job in the portal, and wait until whoever ends it answers the task token."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="open_portal_job",
            lists=["labels", "answers"],
            objects=[
                reading(settings, "labels", layout.INPUTS),
                reading(settings, "answers", layout.INPUTS),
                writing(settings, "answers", layout.INPUTS),
            ],
            more=[may_put_events()],
            timeout=Duration.minutes(15),
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
                    keys.MADE_FROM: sfn.JsonPath.string_at(path(keys.MADE_FROM)),
                    keys.DISPLAY_INDEX: sfn.JsonPath.string_at(path(DISPLAYED, keys.DISPLAY_INDEX)),
                    keys.TASK_TOKEN: sfn.JsonPath.task_token,
                }
            ),
            result_path=sfn.JsonPath.DISCARD,
            comment="Annotators answer, for weeks if need be; the last answer, or the owner, ends it",
        )


class TakeSnapshot(_PortalStep):
    """Keep a running job's labels as they are now, of whichever provider."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        job = describing_jobs()
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="take_snapshot",
            lists=["labels", "answers"],
            objects=[
                reading(settings, "labels", ""),  # a job that was started elsewhere may write anywhere in it
                reading(settings, "answers", layout.INPUTS, LOG),
                writing(settings, "labels", layout.JOBS, layout.SNAPSHOTS),
                writing(settings, "answers", LOG),
            ],
            more=[job],
            timeout=Duration.minutes(15),
            acknowledged=wildcards(job, reason=ANY_JOB),
        )


class AddPhotos(_PortalStep):
    """Make photos ready, and hand them to a job that runs."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="add_photos",
            lists=["photos", "labels", "answers"],
            objects=[
                reading(settings, "photos", settings.photos.prefix),
                reading(settings, "labels", ""),  # a manifest may lie anywhere in it
                reading(settings, "answers", layout.INPUTS),
                writing(settings, "labels", layout.INPUTS, DISPLAY),
                writing(settings, "answers", layout.INPUTS),
            ],
            more=[may_put_events()],
            timeout=Duration.minutes(15),
            memory_mb=DECODING_MB,
            needs=["photos"],
        )


class FinishPortalJob(_PortalStep):
    """End a job: seal its log, write what Ground Truth would write, and answer the execution that waits."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="finish_portal_job",
            lists=["labels", "answers"],
            objects=[
                reading(settings, "labels", layout.INPUTS, layout.JOBS),
                reading(settings, "answers", layout.INPUTS, LOG),
                writing(settings, "labels", layout.JOBS),
                writing(settings, "answers", LOG),
            ],
            more=[
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
        )


class SealLog(_PortalStep):
    """Move answers from the table into the hash-chained log, and make good what a kill left undone."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, stream_arn: str) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="seal_log",
            lists=["answers"],
            objects=[reading(settings, "answers", layout.INPUTS, LOG), writing(settings, "answers", LOG)],
            more=[
                may_put_events(),
                iam.PolicyStatement(
                    actions=["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
                    resources=[stream_arn],
                ),
                # Lambda asks for it when the stream is connected; it has no resource-level permission.
                iam.PolicyStatement(actions=["dynamodb:ListStreams"], resources=["*"]),
            ],
            timeout=Duration.minutes(5),
        )


class PortalApi(_PortalStep):
    """What annotators' pages ask and answer."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="portal_api",
            lists=["labels"],
            objects=[reading(settings, "labels", DISPLAY)],
            more=[may_put_events()],
            environment=groups(settings),
            timeout=API_TIMEOUT,
        )


class OwnerApi(_PortalStep):
    """What owners' pages and the command line ask."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, pool_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="owner_api",
            lists=["labels", "answers"],
            objects=[
                reading(settings, "labels", layout.INPUTS, layout.JOBS, layout.SNAPSHOTS, DISPLAY),
                reading(settings, "answers", layout.INPUTS, LOG),
                writing(settings, "answers", layout.INPUTS, LOG),
            ],
            more=[
                may_put_events(),
                iam.PolicyStatement(
                    actions=["states:StartExecution"],
                    resources=[machine_arn(settings, one) for one in STARTED_BY_OWNERS],
                ),
                # Tokens name people by their id; owners know them by their address.
                iam.PolicyStatement(
                    actions=["cognito-idp:ListUsersInGroup"],
                    resources=[f"arn:{Aws.PARTITION}:cognito-idp:{Aws.REGION}:{Aws.ACCOUNT_ID}:userpool/{pool_id}"],
                ),
            ],
            environment={**groups(settings), deployed.USER_POOL_ID: pool_id},
            timeout=API_TIMEOUT,
            needs=["photos"],  # it tells at once whether a place can be one of photos
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

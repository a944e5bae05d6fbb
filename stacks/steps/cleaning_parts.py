"""The steps of cleaning a manifest beyond one function's time: plan, scan (Map), join, write (Map), publish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_stepfunctions_tasks import LambdaInvoke
from constructs import Construct

from menulens.core import keys, names
from menulens.core.partition import PART_BYTES
from menulens.labeling.parts import ONE_FUNCTION_BYTES, ONE_FUNCTION_VARIABLE, PART_VARIABLE, WORK_PREFIX
from menulens.settings import Settings
from stacks.steps.base import Function, bucket_arn, finding, machine_arn, path, rooms
from stacks.steps.states import distributed_map

PLAN = "plan"
SCANNED = "scanned"
JOINED = "joined"
WRITTEN = "written"

# Enough that a part's time and not their number decides, few enough to leave an account's thousand functions to others.
FUNCTIONS_AT_ONCE = 20
WHOLE_CPU_MB = 1_769
# A new account gives a function no more. Five bytes a line, forty where every photo is doubled: room for the lines of
# 29 GiB; the function's time ends before, see decision 8.
JOIN_MB = 3_008
SCAN_LABEL, WRITE_LABEL = "scan", "write"

_PUBLISHED = (keys.TRAIN_MANIFEST, keys.EVAL_MANIFEST, keys.REJECTS, keys.CARD)


class CleanInParts(Construct):
    """The functions of the five steps, their states, and what the machine must be allowed."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._plan = self._function(
            "plan_cleaning",
            reads_manifest=True,
            timeout=Duration.minutes(5),
            environment={ONE_FUNCTION_VARIABLE: str(ONE_FUNCTION_BYTES), PART_VARIABLE: str(PART_BYTES)},
        )
        self._scan = self._function("scan_part", reads_manifest=True, writes=self._work())
        self._join = self._function(
            "join_parts", reads_manifest=True, reads=self._work(), writes=self._work(), memory_mb=JOIN_MB
        )
        self._write = self._function("write_part", reads_manifest=True, reads=self._work(), writes=self._work())
        self._publish = self._publishing()

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the machine needs: its functions, to start itself for each part, and to look after these runs."""
        functions = (self._plan, self._scan, self._join, self._write, self._publish)
        return [
            *(function.invoke for function in functions),
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine_arn(self._settings, "clean")]),
            iam.PolicyStatement(
                actions=["states:DescribeExecution", "states:RedriveExecution", "states:StopExecution"],
                resources=self._executions(),
            ),
        ]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The acknowledgements that go with the statements."""
        return {finding(arn): "Executions of this machine alone; AWS draws their names." for arn in self._executions()}

    def state(self, scope: Construct, *, one_function: sfn.IChainable, ready: sfn.IChainable) -> LambdaInvoke:
        """Return the planning state; behind it lies the way through one function, or through the parts.

        Parameters
        ----------
        one_function
            The state that cleans a manifest on its own.
        ready
            What follows on a dataset made of parts.
        """
        plan = self._plan.state(
            scope,
            "PlanCleaning",
            payload={
                keys.MANIFEST: sfn.JsonPath.string_at(path(keys.MANIFEST)),
                "execution": sfn.JsonPath.string_at("$$.Execution.Name"),
            },
            result_path=path(PLAN),
            comment="One function, or parts of the manifest by its bytes",
        )
        scan = self._map(scope, "ScanParts", "ScanPart", self._scan, label=SCAN_LABEL, result_path=path(SCANNED))
        write = self._map(scope, "WriteParts", "WritePart", self._write, label=WRITE_LABEL, result_path=path(WRITTEN))
        scan.next(self._join_state(scope)).next(write).next(self._publish_state(scope)).next(ready)
        plan.next(
            sfn.Choice(scope, "OneFunctionOrParts")
            .when(sfn.Condition.number_greater_than(path(PLAN, keys.COUNT), 1), scan)
            .otherwise(one_function)
        )
        return plan

    def _join_state(self, scope: Construct) -> LambdaInvoke:
        return self._join.state(
            scope,
            "JoinParts",
            payload={
                **self._whole(),
                keys.NAME: sfn.JsonPath.object_at(path(keys.NAME)),
                keys.REINDEX: sfn.JsonPath.object_at(path(keys.REINDEX)),
            },
            result_path=path(JOINED),
            comment="Doubles, the split and the counts are decided over all parts",
        )

    def _publish_state(self, scope: Construct) -> LambdaInvoke:
        return self._publish.state(
            scope,
            "PublishParts",
            payload={
                **self._whole(),
                keys.ENVIRONMENT: sfn.JsonPath.string_at(path(keys.ENVIRONMENT)),
                "reindexed": sfn.JsonPath.object_at(path(WRITTEN)),
            },
            comment="The card is written last: before it there is no dataset",
        )

    def _whole(self) -> dict[str, Any]:
        return {
            keys.MANIFEST: sfn.JsonPath.string_at(path(keys.MANIFEST)),
            "parts": sfn.JsonPath.object_at(path(PLAN, "parts")),
            "work": sfn.JsonPath.string_at(path(PLAN, "work")),
        }

    def _map(
        self, scope: Construct, name: str, one: str, function: Function, *, label: str, result_path: str
    ) -> sfn.CustomState:
        """Return a distributed Map over the parts."""
        return sfn.CustomState(
            scope,
            name,
            state_json=distributed_map(
                function,
                name=one,
                label=label,
                items=path(PLAN, "parts"),
                item={
                    "part.$": "$$.Map.Item.Value",
                    "work.$": path(PLAN, "work"),
                    f"{keys.MANIFEST}.$": path(keys.MANIFEST),
                    f"{keys.REINDEX}.$": path(keys.REINDEX),
                },
                at_once=FUNCTIONS_AT_ONCE,
                result_path=result_path,
            ),
        )

    def _function(
        self,
        step: str,
        *,
        reads_manifest: bool,
        reads: str | None = None,
        writes: str | None = None,
        memory_mb: int = WHOLE_CPU_MB,
        timeout: Duration | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Function:
        readable = [*(self._manifests() if reads_manifest else ()), *([reads] if reads else ())]
        statements = [
            self._listing("labels", "datasets"),
            iam.PolicyStatement(actions=["s3:GetObject"], resources=readable),
        ]
        if writes:
            statements.append(
                iam.PolicyStatement(actions=["s3:AbortMultipartUpload", "s3:PutObject"], resources=[writes])
            )
        return Function(
            self,
            "".join(word.capitalize() for word in step.split("_")),
            settings=self._settings,
            step=step,
            environment={**rooms(self._settings, "photos", "labels", "datasets"), **(environment or {})},
            statements=statements,
            timeout=timeout or Duration.minutes(15),
            memory_mb=memory_mb,
            acknowledged=_reasons({*readable, *([writes] if writes else ())}),
        )

    def _publishing(self) -> Function:
        """Return the function that alone may write datasets: their four files, and nothing into the inbox."""
        files = [bucket_arn(self._settings, "datasets", f"*/{name}") for name in _PUBLISHED]
        card, inbox = files[-1], bucket_arn(self._settings, "datasets", f"{keys.INBOX_PREFIX}*")
        return Function(
            self,
            "PublishParts",
            settings=self._settings,
            step="publish_parts",
            environment=rooms(self._settings, "datasets"),
            statements=[
                self._listing("datasets"),
                iam.PolicyStatement(actions=["s3:GetObject"], resources=[self._work(), card]),
                iam.PolicyStatement(actions=["s3:AbortMultipartUpload", "s3:PutObject"], resources=files),
                # An older card is removed before its dataset is replaced: a card vouches for what lies beside it.
                iam.PolicyStatement(actions=["s3:DeleteObject"], resources=[card]),
                # What people drop into the inbox starts this machine: it must never write there itself.
                iam.PolicyStatement(
                    effect=iam.Effect.DENY, actions=["s3:DeleteObject", "s3:PutObject"], resources=[inbox]
                ),
            ],
            timeout=Duration.minutes(15),
            memory_mb=WHOLE_CPU_MB,
            acknowledged={**_reasons([self._work(), *files]), finding(inbox): "A denial."},
        )

    def _listing(self, *which: names.Room) -> iam.PolicyStatement:
        """Return the statement without which S3 answers a question for a missing object with "forbidden"."""
        return iam.PolicyStatement(
            actions=["s3:ListBucket"], resources=[bucket_arn(self._settings, room) for room in which]
        )

    def _manifests(self) -> list[str]:
        return [
            bucket_arn(self._settings, "labels", "*"),
            bucket_arn(self._settings, "datasets", f"{keys.INBOX_PREFIX}*"),
        ]

    def _work(self) -> str:
        return bucket_arn(self._settings, "datasets", f"{WORK_PREFIX}*")

    def _executions(self) -> list[str]:
        """Return the ARNs of the machine's executions, and of those that its Maps start."""
        executions = machine_arn(self._settings, "clean").replace(":stateMachine:", ":execution:")
        return [f"{executions}:*", f"{executions}/{SCAN_LABEL}:*", f"{executions}/{WRITE_LABEL}:*"]


def _reasons(arns: Iterable[str]) -> dict[str, str]:
    reason = "A manifest may lie anywhere in the room of labels or the inbox; work and datasets are named by their run."
    return {finding(arn): reason for arn in arns}

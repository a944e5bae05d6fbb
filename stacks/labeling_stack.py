"""Labeling: the state machines ``label``, ``clean`` and ``snapshot``, from photos to datasets."""

from __future__ import annotations

from typing import cast

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from menulens.core import keys, names
from menulens.settings import Settings
from stacks.steps.base import Inputs, Machine, finding, machine_arn, may_put_events, path, put_event
from stacks.steps.cleaning import CleanManifest
from stacks.steps.cleaning_parts import CleanInParts
from stacks.steps.labeling import BuildInputManifest, CreateLabelingJob, LocateLabels, MergeLabels, TakeSnapshot

CLEANED = "cleaned"
NESTED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


class LabelingStack(Stack):
    """Photos in, datasets out.

    Attributes
    ----------
    machines
        ``label``, ``clean`` and ``snapshot``.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, inputs: Inputs, team_arn: str
    ) -> None:
        super().__init__(scope, construct_id, description="menulens: labeling and cleaning")
        self._settings = settings
        self._inputs = inputs
        self._build = BuildInputManifest(self, "BuildInputManifest", settings=settings)
        self._create = CreateLabelingJob(self, "LabelingJob", settings=settings, team_arn=team_arn)
        self._locate = LocateLabels(self, "LocateLabels", settings=settings)
        self._merge = MergeLabels(self, "MergeLabels", settings=settings)
        self._snapshot = TakeSnapshot(self, "TakeSnapshot", settings=settings)
        self._clean = CleanManifest(self, "CleanManifest", settings=settings)
        self._parts = CleanInParts(self, "CleanInParts", settings=settings)
        clean = self._clean_machine()
        self.machines: dict[names.Machine, sfn.StateMachine] = {
            "clean": clean,
            "label": self._label_machine(clean),
            "snapshot": self._snapshot_machine(clean),
        }

    def _label_machine(self, clean: sfn.StateMachine) -> sfn.StateMachine:
        """Photos → labeling job → labels → dataset."""
        scope = Construct(self, "LabelStates")
        build = self._build.state(scope, "BuildInputManifest")
        create = self._create.state(scope, "CreateLabelingJob")
        locate = self._locate.state(scope, "LocateLabels")
        merge = self._merge.state(scope, "MergeLabels")
        ready = put_event(
            scope,
            "TellLabelsReady",
            settings=self._settings,
            detail_type=keys.LABELS_READY,
            detail={
                keys.JOB_NAME: sfn.JsonPath.string_at(path(keys.JOB_NAME)),
                keys.MANIFEST_URI: sfn.JsonPath.string_at(path(keys.MANIFEST)),
            },
        ).next(self._start_clean(scope, clean))
        merge.next(ready)
        # What became of the job decides, not the error: a job may exist already, be stopped, or fail with output.
        create.add_catch(locate, errors=[sfn.Errors.ALL], result_path=path(keys.JOB_ERROR))
        create.next(locate)
        anything_to_ask = (
            sfn.Choice(scope, "AnythingToAsk", comment="A resumed job may have all its labels already")
            .when(sfn.Condition.number_equals(path(keys.COUNT), 0), cast("sfn.IChainable", merge))
            .otherwise(create)
        )
        locate.next(
            sfn.Choice(scope, "AllLabelsIn")
            .when(sfn.Condition.boolean_equals(path(keys.READY), False), self._wait(scope).next(locate))
            .when(sfn.Condition.is_not_null(path(keys.EARLIER_MANIFEST)), cast("sfn.IChainable", merge))
            .otherwise(ready)
        )
        build.next(anything_to_ask)
        return Machine(
            self,
            "Label",
            settings=self._settings,
            machine="label",
            definition=self._inputs.state(scope, "label").next(build),
            statements=[
                *(step.invoke for step in (self._inputs, self._build, self._locate, self._merge)),
                *self._create.statements,
                *self._may_start_clean(),
                may_put_events(),
            ],
            timeout=Duration.days(self._settings.labeling.job_days + 3),
            comment="Asks people about photos, and makes a dataset of the answers",
            acknowledged={**self._create.acknowledged, **self._clean_executions()},
        ).state_machine

    def _clean_machine(self) -> sfn.StateMachine:
        """Labels → dataset."""
        scope = Construct(self, "CleanStates")
        locate = self._locate.state(scope, "LocateLabels")
        merge = self._merge.state(scope, "MergeLabels")
        clean = self._clean.state(scope, "CleanManifest")
        ready = put_event(
            scope,
            "TellDatasetReady",
            settings=self._settings,
            detail_type=keys.DATASET_READY,
            detail={
                keys.DATASET: sfn.JsonPath.string_at(path(keys.DATASET)),
                keys.DATASET_URI: sfn.JsonPath.string_at(path(keys.DATASET_URI)),
            },
        )
        clean.next(ready)
        plan = self._parts.state(scope, one_function=clean, ready=ready)
        merge.next(plan)
        locate.next(
            sfn.Choice(scope, "AllLabelsIn")
            .when(
                sfn.Condition.boolean_equals(path(keys.OURS), False),
                sfn.Succeed(scope, "NotOurs", comment="The reason stands in the output"),
            )
            .when(sfn.Condition.boolean_equals(path(keys.READY), False), self._wait(scope).next(locate))
            .when(sfn.Condition.is_not_null(path(keys.EARLIER_MANIFEST)), cast("sfn.IChainable", merge))
            .otherwise(cast("sfn.IChainable", plan))
        )
        by_job = (
            sfn.Choice(scope, "ByJobOrManifest")
            .when(sfn.Condition.is_not_null(path(keys.LABELING_JOB)), cast("sfn.IChainable", locate))
            .otherwise(cast("sfn.IChainable", plan))
        )
        return Machine(
            self,
            "Clean",
            settings=self._settings,
            machine="clean",
            definition=self._inputs.state(scope, "clean").next(by_job),
            statements=[
                *(step.invoke for step in (self._inputs, self._locate, self._merge, self._clean)),
                *self._parts.statements,
                may_put_events(),
            ],
            timeout=Duration.days(self._settings.labeling.job_days + 2),
            comment="Makes a dataset of an augmented manifest",
            acknowledged=self._parts.acknowledged,
        ).state_machine

    def _snapshot_machine(self, clean: sfn.StateMachine) -> sfn.StateMachine:
        """A running job's labels → dataset."""
        scope = Construct(self, "SnapshotStates")
        return Machine(
            self,
            "Snapshot",
            settings=self._settings,
            machine="snapshot",
            definition=self._inputs.state(scope, "snapshot")
            .next(self._snapshot.state(scope, "TakeSnapshot"))
            .next(self._start_clean(scope, clean)),
            statements=[self._inputs.invoke, self._snapshot.invoke, *self._may_start_clean()],
            timeout=Duration.hours(2),
            comment="Makes a dataset of what a running labeling job has up to now",
            acknowledged=self._clean_executions(),
        ).state_machine

    def _wait(self, scope: Construct) -> sfn.Wait:
        return sfn.Wait(
            scope,
            "WaitForLabels",
            time=sfn.WaitTime.seconds_path(path(keys.WAIT_SECONDS)),
            comment="The job was there before this execution and still runs",
        )

    def _start_clean(self, scope: Construct, clean: sfn.StateMachine) -> tasks.StepFunctionsStartExecution:
        return tasks.StepFunctionsStartExecution(
            scope,
            "Clean",
            state_machine=clean,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            input=sfn.TaskInput.from_object(
                {
                    keys.MANIFEST: sfn.JsonPath.string_at(path(keys.MANIFEST)),
                    keys.NAME: sfn.JsonPath.string_at(path(keys.NAME)),
                }
            ),
            associate_with_parent=True,
            result_selector={
                keys.DATASET: sfn.JsonPath.string_at(path("Output", keys.DATASET)),
                keys.DATASET_URI: sfn.JsonPath.string_at(path("Output", keys.DATASET_URI)),
            },
            result_path=path(CLEANED),
        )

    def _may_start_clean(self) -> list[iam.PolicyStatement]:
        rule = f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:rule/{NESTED_RULE}"
        return [
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine_arn(self._settings, "clean")]),
            iam.PolicyStatement(
                actions=["states:DescribeExecution", "states:StopExecution"], resources=[self._executions_of_clean()]
            ),
            iam.PolicyStatement(
                actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"], resources=[rule]
            ),
        ]

    def _executions_of_clean(self) -> str:
        return machine_arn(self._settings, "clean").replace(":stateMachine:", ":execution:") + ":*"

    def _clean_executions(self) -> dict[str, str]:
        return {finding(self._executions_of_clean()): "Executions are named by the service."}

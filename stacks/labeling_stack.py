"""Labeling: the state machines ``label``, ``clean``, ``snapshot`` and ``add``, from photos to datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from aws_cdk.aws_stepfunctions_tasks import EventBridgePutEvents, LambdaInvoke
from constructs import Construct

from menulens.core import keys, names
from menulens.settings import Settings
from stacks.steps.base import Inputs, Machine, finding, in_region, machine_arn, path
from stacks.steps.cleaning import CleanManifest
from stacks.steps.cleaning_parts import CleanInParts
from stacks.steps.labeling import BuildInputManifest, CreateLabelingJob, LocateLabels, MergeLabels
from stacks.steps.portal import AddPhotos, MakeDisplayCopies, OpenPortalJob, TakeSnapshot
from stacks.steps.states import may_put_events, put_event

CLEANED = "cleaned"
LONGEST_EXECUTION: Final = Duration.days(365)
NESTED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


@dataclass(frozen=True)
class _Asking:
    """How people are asked: the states from the first on, what the machine must be allowed, how long it may take."""

    begin: sfn.IChainable
    statements: Sequence[iam.PolicyStatement]
    acknowledged: Mapping[str, str]
    longest: Duration


class LabelingStack(Stack):
    """Photos in, datasets out.

    Attributes
    ----------
    machines
        ``label``, ``clean``, ``snapshot`` and ``add``.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, inputs: Inputs, team_arn: str | None
    ) -> None:
        """Make the machines.

        Parameters
        ----------
        team_arn
            Ground Truth's team; None where the portal is the provider.
        """
        super().__init__(scope, construct_id, description="menulens: labeling and cleaning", env=in_region(settings))
        self._settings = settings
        self._inputs = inputs
        self._build = BuildInputManifest(self, "BuildInputManifest", settings=settings)
        self._locate = LocateLabels(self, "LocateLabels", settings=settings)
        self._merge = MergeLabels(self, "MergeLabels", settings=settings)
        self._snapshot = TakeSnapshot(self, "TakeSnapshot", settings=settings)
        self._add = AddPhotos(self, "AddPhotos", settings=settings)
        self._clean = CleanManifest(self, "CleanManifest", settings=settings)
        self._parts = CleanInParts(self, "CleanInParts", settings=settings)
        clean = self._clean_machine()
        self.machines: dict[names.Machine, sfn.StateMachine] = {
            "clean": clean,
            "label": self._label_machine(clean, team_arn),
            "snapshot": self._snapshot_machine(clean),
            "add": self._add_machine(),
        }

    def _label_machine(self, clean: sfn.StateMachine, team_arn: str | None) -> sfn.StateMachine:
        """Photos → labeling job → labels → dataset."""
        scope = Construct(self, "LabelStates")
        build = self._build.state(scope, "BuildInputManifest")
        locate = self._locate.state(scope, "LocateLabels")
        ready = self._tell_labels_ready(scope).next(self._clean_photos(scope, clean))
        merge = self._merge_before(scope, ready)
        asking = self._ask_ground_truth(scope, locate, team_arn) if team_arn else self._ask_in_the_portal(scope, locate)
        self._when_all_labels_are_in(scope, locate, merge=merge, ready=ready)
        build.next(
            sfn.Choice(scope, "AnythingToAsk", comment="A resumed job may have all its labels already")
            .when(sfn.Condition.number_equals(path(keys.COUNT), 0), merge)
            .otherwise(asking.begin)
        )
        return Machine(
            self,
            "Label",
            settings=self._settings,
            machine="label",
            definition=self._inputs.state(scope, "label").next(build),
            statements=[
                *(step.invoke for step in (self._inputs, self._build, self._locate, self._merge)),
                *asking.statements,
                *self._may_start_clean(),
                may_put_events(),
            ],
            timeout=asking.longest,
            comment="Asks people about photos, and makes a dataset of the answers",
            acknowledged={**asking.acknowledged, **self._clean_executions()},
        ).state_machine

    def _ask_in_the_portal(self, scope: Construct, then: sfn.IChainable) -> _Asking:
        """Ask in our own portal: its job has no end of its own, so the execution may last as long as one can."""
        display = MakeDisplayCopies(self, "DisplayCopies", settings=self._settings)
        job = OpenPortalJob(self, "OpenPortalJob", settings=self._settings)
        chain = display.states(scope).next(job.waiting_state(scope)).next(then)
        return _Asking(chain, [*display.statements, job.invoke], display.acknowledged, LONGEST_EXECUTION)

    def _ask_ground_truth(self, scope: Construct, then: sfn.IChainable, team_arn: str) -> _Asking:
        """Ask in Ground Truth."""
        job = CreateLabelingJob(self, "LabelingJob", settings=self._settings, team_arn=team_arn)
        create = job.state(scope, "CreateLabelingJob")
        # What became of the job decides, not the error: a job may exist already, be stopped, or fail with output.
        create.add_catch(then, errors=[sfn.Errors.ALL], result_path=path(keys.JOB_ERROR))
        create.next(then)
        longest = Duration.days(self._settings.labeling.job_days + 3)
        return _Asking(create, job.statements, job.acknowledged, longest)

    def _clean_machine(self) -> sfn.StateMachine:
        """Labels → dataset."""
        scope = Construct(self, "CleanStates")
        locate = self._locate.state(scope, "LocateLabels")
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
        plan = cast("sfn.IChainable", self._parts.state(scope, one_function=clean, ready=ready))
        merge = self._merge_before(scope, plan)
        not_ours = sfn.Succeed(scope, "NotOurs", comment="The reason stands in the output")
        self._when_all_labels_are_in(scope, locate, merge=merge, ready=plan, not_ours=not_ours)
        by_job = (
            sfn.Choice(scope, "ByJobOrManifest")
            .when(sfn.Condition.is_not_null(path(keys.LABELING_JOB)), cast("sfn.IChainable", locate))
            .otherwise(plan)
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
            .next(self._clean_photos(scope, clean)),
            statements=[self._inputs.invoke, self._snapshot.invoke, *self._may_start_clean()],
            timeout=Duration.hours(2),
            comment="Makes a dataset of what a running labeling job has up to now",
            acknowledged=self._clean_executions(),
        ).state_machine

    def _add_machine(self) -> sfn.StateMachine:
        """More photos → a job that runs."""
        scope = Construct(self, "AddStates")
        return Machine(
            self,
            "Add",
            settings=self._settings,
            machine="add",
            definition=self._inputs.state(scope, "add").next(self._add.state(scope, "AddPhotos")),
            statements=[self._inputs.invoke, self._add.invoke],
            timeout=Duration.hours(2),
            comment="Adds photos to a labeling job of the portal that is there",
        ).state_machine

    def _when_all_labels_are_in(
        self,
        scope: Construct,
        locate: LambdaInvoke,
        *,
        merge: sfn.IChainable,
        ready: sfn.IChainable,
        not_ours: sfn.IChainable | None = None,
    ) -> None:
        """Go on from a job's labels: wait for a job that runs, merge what a resumed one had before."""
        choice = sfn.Choice(scope, "AllLabelsIn")
        if not_ours:
            choice.when(sfn.Condition.boolean_equals(path(keys.OURS), False), not_ours)
        wait = sfn.Wait(
            scope,
            "WaitForLabels",
            time=sfn.WaitTime.seconds_path(path(keys.WAIT_SECONDS)),
            comment="The job was there before this execution and still runs",
        )
        choice.when(sfn.Condition.boolean_equals(path(keys.READY), False), wait.next(locate))
        choice.when(sfn.Condition.is_not_null(path(keys.EARLIER_MANIFEST)), merge)
        locate.next(choice.otherwise(ready))

    def _merge_before(self, scope: Construct, then: sfn.IChainable) -> sfn.IChainable:
        merge = self._merge.state(scope, "MergeLabels")
        merge.next(then)
        return cast("sfn.IChainable", merge)

    def _tell_labels_ready(self, scope: Construct) -> EventBridgePutEvents:
        return put_event(
            scope,
            "TellLabelsReady",
            settings=self._settings,
            detail_type=keys.LABELS_READY,
            detail={
                keys.JOB_NAME: sfn.JsonPath.string_at(path(keys.JOB_NAME)),
                keys.MANIFEST_URI: sfn.JsonPath.string_at(path(keys.MANIFEST)),
            },
        )

    def _clean_photos(self, scope: Construct, clean: sfn.StateMachine) -> sfn.Choice:
        """Make a dataset of labeled photos; labeled texts are done."""
        choice = sfn.Choice(scope, "PhotosOrTexts")
        choice.when(
            sfn.Condition.string_equals(path(keys.JOB_KIND), "text"),
            sfn.Succeed(scope, "TextsLabeled", comment="The classifier is one of photos"),
        )
        choice.otherwise(cast("sfn.IChainable", self._start_clean(scope, clean)))
        return choice

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

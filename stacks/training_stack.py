"""Training: the train state machine, from a dataset to a registered model or a reason why not."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import keys, names
from menulens.settings import Settings
from stacks import packaging
from stacks.steps import sagemaker_tasks as tasks
from stacks.steps.base import Inputs, Machine, in_region, removal_policy
from stacks.steps.states import may_put_events, put_event
from stacks.steps.training import (
    ERROR,
    OUTCOME,
    PREPARED,
    REGISTERED,
    VERDICT,
    GateModel,
    PrepareTraining,
    RegisterModel,
    RunTraining,
    TrainingOutcome,
)


class TrainingStack(Stack):
    """Dataset in, model package out.

    Attributes
    ----------
    state_machine
        ``train``.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, inputs: Inputs) -> None:
        super().__init__(scope, construct_id, description="menulens: training", env=in_region(settings))
        self._settings = settings
        models = sagemaker.CfnModelPackageGroup(
            self,
            "Models",
            model_package_group_name=names.model_package_group(settings.environment),
            model_package_group_description="Made by the train state machine; the newest approved is the champion.",
        )
        models.apply_removal_policy(removal_policy(settings))  # a group with versions can't be deleted
        source = packaging.training_source(self, "Source")
        self._inputs = inputs
        self._prepare = PrepareTraining(self, "Prepare", settings=settings, source=source)
        self._run = RunTraining(self, "Run", settings=settings, source=source)
        self._outcome = TrainingOutcome(self, "Outcome", settings=settings)
        self._gate = GateModel(self, "Gate", settings=settings)
        self._register = RegisterModel(self, "Register", settings=settings)
        machine = Machine(
            self,
            "Train",
            settings=settings,
            machine="train",
            definition=self._definition(),
            statements=[
                inputs.invoke,
                self._prepare.function.invoke,
                self._outcome.function.invoke,
                self._gate.function.invoke,
                *self._run.statements,
                *self._register.statements,
                may_put_events(),
            ],
            timeout=Duration.hours(settings.training.max_hours + 2),
            comment="Trains on a dataset, weighs the model against the champion and registers it",
            acknowledged={
                tasks.wildcard(tasks.own(settings, "training-job")): "Jobs are named after their datasets.",
                **tasks.registry_wildcard(settings),
            },
        )
        self.state_machine = machine.state_machine

    def _definition(self) -> sfn.Chain:
        run = self._run.state(self)
        outcome = self._outcome.state(self)
        gate = self._gate.state(self)
        ready = self._ready()
        already = sfn.Pass(
            self,
            "AlreadyRegistered",
            parameters={keys.MODEL_PACKAGE: sfn.JsonPath.string_at(f"{VERDICT}.{keys.MODEL_PACKAGE}")},
            result_path=REGISTERED,
        )
        register = self._register.state(self)
        already.next(ready)
        register.next(ready)
        verdict = (
            sfn.Choice(self, "IsItGoodEnough")
            .when(sfn.Condition.boolean_equals(f"{VERDICT}.{keys.PASSED}", False), self._rejected())
            .when(sfn.Condition.string_equals(f"{VERDICT}.{keys.MODEL_PACKAGE}", ""), register)
            .otherwise(already)
        )
        gate.next(verdict)
        run.add_catch(outcome, errors=[sfn.Errors.ALL], result_path=ERROR)
        run.next(gate)
        status = f"{OUTCOME}.{keys.JOB_STATUS}"
        outcome.next(
            sfn.Choice(self, "WhatBecameOfIt")
            .when(sfn.Condition.string_equals(status, "Completed"), gate)
            .when(sfn.Condition.string_equals(status, "AlreadyRunning"), self._running())
            .otherwise(sfn.Fail(self, "TrainingFailed", error="TrainingFailed", cause_path=f"{OUTCOME}.{keys.REASON}"))
        )
        chain: sfn.Chain = sfn.Chain.start(self._inputs.state(self, "train")).next(self._prepare.state(self)).next(run)
        return chain

    def _ready(self) -> sfn.Chain:
        package = sfn.JsonPath.string_at(f"{REGISTERED}.{keys.MODEL_PACKAGE}")
        job = sfn.JsonPath.string_at(f"{PREPARED}.{keys.TRAINING_JOB}")
        dataset = sfn.JsonPath.string_at(f"{PREPARED}.{keys.DATASET}")
        tell = put_event(
            self,
            "TellModelReady",
            settings=self._settings,
            detail_type=keys.MODEL_READY,
            detail={keys.MODEL_PACKAGE: package, keys.TRAINING_JOB: job, keys.DATASET: dataset},
        )
        chain: sfn.Chain = sfn.Chain.start(tell).next(
            sfn.Pass(self, "ModelRegistered", parameters={**self._answer(True), keys.MODEL_PACKAGE: package})
        )
        return chain

    def _rejected(self) -> sfn.Chain:
        reject = sfn.Pass(self, "ChampionStays", parameters=self._answer(False))
        chain: sfn.Chain = sfn.Chain.start(reject).next(
            sfn.Succeed(self, "ModelRejected", comment="The reason stands in the output")
        )
        return chain

    def _running(self) -> sfn.Chain:
        tell = sfn.Pass(
            self,
            "OneIsEnough",
            parameters={
                keys.TRAINING_JOB: sfn.JsonPath.string_at(f"{PREPARED}.{keys.TRAINING_JOB}"),
                keys.REASON: sfn.JsonPath.string_at(f"{OUTCOME}.{keys.REASON}"),
            },
        )
        chain: sfn.Chain = sfn.Chain.start(tell).next(sfn.Succeed(self, "AlreadyRunning"))
        return chain

    def _answer(self, passed: bool) -> dict[str, object]:
        return {
            keys.PASSED: passed,
            keys.REASON: sfn.JsonPath.string_at(f"{VERDICT}.{keys.REASON}"),
            "accuracy": sfn.JsonPath.string_at(f"{VERDICT}.accuracy"),
            keys.TRAINING_JOB: sfn.JsonPath.string_at(f"{PREPARED}.{keys.TRAINING_JOB}"),
            keys.DATASET: sfn.JsonPath.string_at(f"{PREPARED}.{keys.DATASET}"),
        }

"""Similarity: the vectorise state machine, from photos to shards of feature vectors."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import keys
from menulens.settings import Settings
from stacks.steps.base import Inputs, Machine, in_region
from stacks.steps.similarity import (
    ANY_PACKED,
    COLLECTED,
    ERROR,
    OUTCOME,
    PACKED,
    PREPARED,
    PROGRESS,
    CollectVectors,
    PackVectors,
    PlanVectors,
    RunTransform,
    TransformOutcome,
)
from stacks.steps.states import may_put_events, put_event


class SimilarityStack(Stack):
    """Photos in, vectors out.

    Attributes
    ----------
    state_machine
        ``vectorise``.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, inputs: Inputs, model_role: iam.IRole
    ) -> None:
        super().__init__(scope, construct_id, description="menulens: similarity", env=in_region(settings))
        self._settings = settings
        self._inputs = inputs
        self._plan = PlanVectors(self, "Plan", settings=settings)
        self._pack = PackVectors(self, "Pack", settings=settings)
        self._run = RunTransform(self, "Run", settings=settings, role=model_role)
        self._outcome = TransformOutcome(self, "Outcome", settings=settings)
        self._collect = CollectVectors(self, "Collect", settings=settings)
        machine = Machine(
            self,
            "Vectorise",
            settings=settings,
            machine="vectorise",
            definition=self._definition(),
            statements=[
                inputs.invoke,
                self._plan.function.invoke,
                *self._pack.statements,
                *self._run.statements,
                self._outcome.function.invoke,
                self._collect.function.invoke,
                may_put_events(),
            ],
            timeout=Duration.days(5),
            comment="Gives every photo that has none a feature vector of the model that serves",
            acknowledged={**self._pack.acknowledged, **self._run.acknowledged},
        )
        self.state_machine = machine.state_machine

    def _definition(self) -> sfn.Chain:
        plan = self._plan.state(self)
        collect = self._collect.state(self)
        rounds = self._next_round(plan)
        transform = self._transform(collect)
        packed = sfn.Pass(
            self,
            "IsAnyPhotoPacked",
            parameters={"any": sfn.JsonPath.array_contains(sfn.JsonPath.object_at(PACKED), 1)},
            result_path=ANY_PACKED,
        )
        self._pack_state = self._pack.state(self)
        self._pack_state.next(packed).next(
            sfn.Choice(self, "PhotosOrRejectsAlone")
            .when(sfn.Condition.boolean_equals(f"{ANY_PACKED}.any", True), transform)
            .otherwise(collect)
        )
        collect.next(self._tell_ready()).next(rounds)
        self._branch(plan, collect, rounds)
        begin = sfn.Pass(
            self, "FirstRound", result=sfn.Result.from_object({"cursor": "", "total": 0}), result_path=PROGRESS
        )
        chain: sfn.Chain = sfn.Chain.start(self._inputs.state(self, "vectorise")).next(begin).next(plan)
        return chain

    def _branch(self, plan: sfn.INextable, collect: sfn.IChainable, rounds: sfn.IChainable) -> None:
        """Go on as the plan says."""
        step = f"{PREPARED}.next"
        keep = sfn.Pass(
            self,
            "KeepTotal",
            parameters={
                keys.COUNT: 0,
                "rejected": 0,
                "total": sfn.JsonPath.number_at(f"{PROGRESS}.total"),
            },
            result_path=COLLECTED,
        )
        keep.next(rounds)
        plan.next(
            sfn.Choice(self, "WhatIsToBeDone")
            .when(sfn.Condition.string_equals(step, "pack"), self._pack_state)
            .when(sfn.Condition.string_equals(step, "collect"), collect)
            .when(sfn.Condition.string_equals(step, "running"), sfn.Succeed(self, "AlreadyRunning"))
            .otherwise(keep)
        )

    def _transform(self, collect: sfn.IChainable) -> sfn.Choice:
        """Return what turns packs into answers."""
        run = self._run.state(self)
        model = self._run.create_model(self)
        outcome = self._outcome.state(self)
        # Where deploy made the model a moment ago this is turned away; where it is missing the job says so.
        model.add_catch(run, errors=[sfn.Errors.ALL], result_path=ERROR)
        model.next(run)
        run.add_catch(outcome, errors=[sfn.Errors.ALL], result_path=ERROR)
        run.next(collect)
        status = f"{OUTCOME}.{keys.JOB_STATUS}"
        outcome.next(
            sfn.Choice(self, "WhatBecameOfIt")
            .when(sfn.Condition.string_equals(status, "Completed"), collect)
            .when(sfn.Condition.string_equals(status, "AlreadyRunning"), sfn.Succeed(self, "AnotherExecutionGoesOn"))
            .otherwise(
                sfn.Fail(self, "TransformFailed", error="TransformFailed", cause_path=f"{OUTCOME}.{keys.REASON}")
            )
        )
        choice: sfn.Choice = (
            sfn.Choice(self, "IsThereAModel")
            .when(sfn.Condition.boolean_equals(f"{PREPARED}.create_model", True), model)
            .otherwise(run)
        )
        return choice

    def _tell_ready(self) -> sfn.INextable:
        return put_event(
            self,
            "TellVectorsReady",
            settings=self._settings,
            detail_type=keys.VECTORS_READY,
            detail={
                keys.MODEL_VERSION: sfn.JsonPath.string_at(f"{PREPARED}.{keys.MODEL_VERSION}"),
                keys.VECTORS_URI: sfn.JsonPath.string_at(f"{PREPARED}.{keys.VECTORS_URI}"),
                keys.COUNT: sfn.JsonPath.number_at(f"{COLLECTED}.{keys.COUNT}"),
            },
        )

    def _next_round(self, plan: sfn.IChainable) -> sfn.Choice:
        """Return what asks for the rest, or ends with what this execution did."""
        again = sfn.Pass(
            self,
            "GoOn",
            parameters={
                "cursor": sfn.JsonPath.string_at(f"{PREPARED}.cursor"),
                "total": sfn.JsonPath.number_at(f"{COLLECTED}.total"),
            },
            result_path=PROGRESS,
        )
        again.next(plan)
        done = sfn.Pass(
            self,
            "Vectorised",
            parameters={
                keys.MODEL_VERSION: sfn.JsonPath.string_at(f"{PREPARED}.{keys.MODEL_VERSION}"),
                keys.VECTORS_URI: sfn.JsonPath.string_at(f"{PREPARED}.{keys.VECTORS_URI}"),
                keys.COUNT: sfn.JsonPath.number_at(f"{COLLECTED}.total"),
            },
        )
        choice: sfn.Choice = (
            sfn.Choice(self, "IsThereMore")
            .when(sfn.Condition.boolean_equals(f"{PREPARED}.more", True), again)
            .otherwise(done)
        )
        return choice

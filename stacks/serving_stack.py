"""Serving: the deploy state machine, from an approved model package to an endpoint that was tried."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import keys
from menulens.settings import Settings
from stacks.steps.base import Inputs, Machine, in_region
from stacks.steps.scaling import Scaling
from stacks.steps.serving import (
    ALSO,
    ERROR,
    FAILURE,
    PREPARED,
    STATUS,
    TRIED,
    EndpointRequests,
    ModelRole,
    PrepareDeployment,
    RollbackAlarms,
    SmokeTest,
)
from stacks.steps.states import may_put_events, put_event

POLL = Duration.seconds(5)
# Two executions may find the same thing to do; the loser of each race looks again.
LOOKS = 4


class ServingStack(Stack):
    """Model package in, endpoint out.

    Attributes
    ----------
    state_machine
        ``deploy``.
    model_role
        The serving container's role; transform jobs run with it, too.
    alarms
        Of the endpoint.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, inputs: Inputs) -> None:
        super().__init__(scope, construct_id, description="menulens: serving", env=in_region(settings))
        self._settings = settings
        self._inputs = inputs
        self.model_role = ModelRole(self, "Model", settings=settings).role
        alarms = RollbackAlarms(self, "Alarms", settings=settings)
        self.alarms = alarms.alarms
        self._prepare = PrepareDeployment(self, "Prepare", settings=settings)
        self._smoke = SmokeTest(self, "Smoke", settings=settings)
        self._scaling = Scaling(settings)
        self._requests = EndpointRequests(
            self, "Requests", settings=settings, role=self.model_role, alarms=alarms.names, scaling=self._scaling
        )
        machine = Machine(
            self,
            "Deploy",
            settings=settings,
            machine="deploy",
            definition=self._definition(),
            statements=[
                inputs.invoke,
                self._prepare.function.invoke,
                self._smoke.function.invoke,
                *self._requests.statements,
                may_put_events(),
            ],
            timeout=Duration.hours(4),
            comment="Puts an approved model behind the endpoint without downtime, tries it, and goes back if it fails",
            acknowledged=self._requests.acknowledged,
        )
        self.state_machine = machine.state_machine

    def _definition(self) -> sfn.Chain:
        prepare = self._prepare.state(self)
        self._end = self._fail_with_scaling()
        smoke = self._try()
        look_again = self._look_again(prepare)
        wait = self._until_in_service(smoke)
        create_model = self._requests.create_model(self)
        create_config = self._requests.create_config(self)
        create = self._requests.create(self)
        update = self._requests.update(self)
        for state in (create_model, create_config, create, update):
            state.add_catch(look_again, errors=[sfn.Errors.ALL], result_path=ERROR)
        create.next(wait)
        update.next(wait)
        apply = (
            sfn.Choice(self, "IsThereAnEndpoint")
            .when(self._action("create"), create)
            .when(sfn.Condition.boolean_equals(f"{PREPARED}.other_instances", True), self._stop_scaling(update))
            .otherwise(update)
        )
        create_config.next(apply)
        config = (
            sfn.Choice(self, "IsThereAConfig")
            .when(sfn.Condition.boolean_equals(f"{PREPARED}.create_config", True), create_config)
            .otherwise(apply)
        )
        create_model.next(config)
        model = (
            sfn.Choice(self, "IsThereAModel")
            .when(sfn.Condition.boolean_equals(f"{PREPARED}.create_model", True), create_model)
            .otherwise(config)
        )
        pause = sfn.Wait(self, "LetTheOtherChangeEnd", time=sfn.WaitTime.duration(POLL))
        pause.next(prepare)
        remove = self._requests.delete(self, "RemoveFailedEndpoint")
        remove.next(pause)
        prepare.next(
            sfn.Choice(self, "WhatIsToBeDone")
            .when(self._action("keep"), smoke)
            .when(self._action("wait"), pause)
            .when(self._action("replace"), remove)
            .otherwise(model)
        )
        begin = sfn.Pass(self, "FirstLook", result=sfn.Result.from_number(1), result_path=TRIED)
        chain: sfn.Chain = sfn.Chain.start(self._inputs.state(self, "deploy")).next(begin).next(prepare)
        return chain

    def _look_again(self, prepare: sfn.IChainable) -> sfn.Pass:
        """Return what follows a request that was turned away: look again, and give up after some looks."""
        count = sfn.Pass(
            self,
            "CountLook",
            parameters={"looks": sfn.JsonPath.math_add(sfn.JsonPath.number_at(TRIED), 1)},
            result_path="$.counted",
        )
        take = sfn.Pass(self, "TakeCount", input_path="$.counted.looks", result_path=TRIED)
        pause = sfn.Wait(self, "BeforeLookingAgain", time=sfn.WaitTime.duration(POLL))
        pause.next(prepare)
        enough = (
            sfn.Choice(self, "LookedOftenEnough")
            .when(
                sfn.Condition.number_greater_than(TRIED, LOOKS),
                self._failing("DeploymentRefused", cause=sfn.JsonPath.string_at(f"{ERROR}.Cause")),
            )
            .otherwise(pause)
        )
        count.next(take).next(enough)
        return count

    def _until_in_service(self, smoke: sfn.IChainable) -> sfn.Wait:
        """Return the loop that waits for the endpoint, and what follows."""
        wait = sfn.Wait(self, "WaitForEndpoint", time=sfn.WaitTime.duration(POLL))
        look = self._requests.describe(self, "LookAtEndpoint")
        look.add_catch(self._end, errors=[sfn.Errors.ALL], result_path=FAILURE)
        status = f"{STATUS}.EndpointStatus"
        failed = sfn.Choice(self, "IsThereAReason").when(
            sfn.Condition.is_present(f"{STATUS}.FailureReason"),
            self._failing("EndpointFailed", cause=sfn.JsonPath.string_at(f"{STATUS}.FailureReason")),
        )
        failed.otherwise(
            self._failing(
                "EndpointNotChanged",
                error="EndpointFailed",
                cause=sfn.JsonPath.format(
                    "The endpoint is {} with the configuration {}; {} was due. An alarm may have taken it back.",
                    sfn.JsonPath.string_at(status),
                    sfn.JsonPath.string_at(f"{STATUS}.EndpointConfigName"),
                    sfn.JsonPath.string_at(f"{PREPARED}.config_name"),
                ),
            )
        )
        withdraw = self._requests.reject_package(self, "WithdrawWhatWasTakenBack", why="An alarm took it back")
        withdraw.add_catch(failed, errors=[sfn.Errors.ALL], result_path=ERROR)
        withdraw.next(failed)
        in_service = sfn.Condition.string_equals(status, "InService")
        wait.next(look).next(
            sfn.Choice(self, "IsItInService")
            .when(_changing(status), wait)
            .when(
                sfn.Condition.and_(in_service, self._serves("config_name")),
                smoke,
            )
            .when(sfn.Condition.and_(in_service, self._serves("previous_config")), withdraw)
            .otherwise(failed)
        )
        return wait

    def _serves(self, config: str) -> sfn.Condition:
        condition: sfn.Condition = sfn.Condition.string_equals_json_path(
            f"{STATUS}.EndpointConfigName", f"{PREPARED}.{config}"
        )
        return condition

    def _scale(self, after: sfn.IChainable) -> sfn.IChainable:
        """Let the endpoint grow as the settings say now, or no more."""
        if self._scaling.wanted:
            target = self._scaling.register_target(self, "RegisterScalableTarget")
            target.next(self._scaling.put_scaling_policy(self, "PutScalingPolicy")).next(after)
        else:
            target = self._scaling.deregister_target(self, "LeaveTheNumberAsItIs")
            target.add_catch(after, errors=[sfn.Errors.ALL], result_path=ERROR)
            target.next(after)
        return target

    def _stop_scaling(self, update: sfn.CustomState) -> sfn.IChainable:
        """Return what goes before other instances: SageMaker refuses them as long as the old ones are scaled."""
        pause = self._scaling.deregister_target(self, "StopScaling")
        pause.add_catch(update, errors=[sfn.Errors.ALL], result_path=ERROR)
        pause.next(update)
        return pause

    def _fail_with_scaling(self) -> sfn.IChainable:
        """Return what ends an execution with the failure in its data: what serves on is scaled again, then it fails."""
        fail = sfn.Fail(self, "DeploymentFailed", error_path=f"{FAILURE}.Error", cause_path=f"{FAILURE}.Cause")
        if not self._scaling.wanted:
            return fail
        target = self._scaling.register_target(self, "RegisterTargetAgain")
        policy = self._scaling.put_scaling_policy(self, "PutPolicyAgain")
        target.next(policy).next(fail)
        for state in (target, policy):
            state.add_catch(fail, errors=[sfn.Errors.ALL], result_path=ALSO)
        choice: sfn.Choice = (
            sfn.Choice(self, "WasScalingStopped")
            .when(sfn.Condition.boolean_equals(f"{PREPARED}.other_instances", True), target)
            .otherwise(fail)
        )
        return choice

    def _failing(self, construct_id: str, *, cause: str, error: str = "") -> sfn.Pass:
        """Return a state that notes a failure, named as the state if not otherwise, and goes to the end."""
        noted = sfn.Pass(
            self, construct_id, parameters={"Error": error or construct_id, "Cause": cause}, result_path=FAILURE
        )
        noted.next(self._end)
        return noted

    def _try(self) -> sfn.IChainable:
        """Return the smoke test, and what follows."""
        smoke = self._smoke.state(self)
        smoke.add_catch(self._go_back(), errors=[sfn.Errors.ALL], result_path=ERROR)
        smoke.next(self._scale(self._tell_ready()))
        return smoke

    def _go_back(self) -> sfn.IChainable:
        """Return what follows a failed smoke test: the previous configuration, or no endpoint if there was none.

        What served already stays: there is nothing known to go back to.
        """
        roll_back = self._requests.roll_back(self)
        remove = self._requests.delete(self, "RemoveNewEndpoint")
        withdraw = self._requests.reject_package(
            self, "WithdrawApproval", why="The smoke test of its deployment failed"
        )
        fail = self._failing("SmokeTestFailed", cause=sfn.JsonPath.string_at(f"{ERROR}.Cause"))
        wait = sfn.Wait(self, "WaitForRollback", time=sfn.WaitTime.duration(POLL))
        look = self._requests.describe(self, "LookAtRollback")
        roll_back.next(wait).next(look).next(
            sfn.Choice(self, "IsItBack").when(_changing(f"{STATUS}.EndpointStatus"), wait).otherwise(withdraw)
        )
        remove.next(withdraw)
        withdraw.add_catch(fail, errors=[sfn.Errors.ALL], result_path=ALSO)
        withdraw.next(fail)
        for state in (roll_back, remove, look):
            state.add_catch(withdraw, errors=[sfn.Errors.ALL], result_path=ALSO)
        choice: sfn.Choice = (
            sfn.Choice(self, "WasThereAnEndpoint")
            .when(self._action("keep"), fail)
            .when(sfn.Condition.string_equals(f"{PREPARED}.previous_config", ""), remove)
            .otherwise(roll_back)
        )
        return choice

    def _tell_ready(self) -> sfn.Chain:
        detail = {
            key: sfn.JsonPath.string_at(f"{PREPARED}.{key}")
            for key in (keys.MODEL_PACKAGE, keys.MODEL_VERSION, keys.ENDPOINT)
        }
        tell = put_event(
            self, "TellModelDeployed", settings=self._settings, detail_type=keys.MODEL_DEPLOYED, detail=detail
        )
        chain: sfn.Chain = sfn.Chain.start(tell).next(
            sfn.Pass(self, "Deployed", parameters={**detail, "action": sfn.JsonPath.string_at(f"{PREPARED}.action")})
        )
        return chain

    def _action(self, action: str) -> sfn.Condition:
        condition: sfn.Condition = sfn.Condition.string_equals(f"{PREPARED}.action", action)
        return condition


def _changing(status: str) -> sfn.Condition:
    condition: sfn.Condition = sfn.Condition.or_(
        *(
            sfn.Condition.string_equals(status, name)
            for name in ("Creating", "Updating", "SystemUpdating", "RollingBack")
        )
    )
    return condition

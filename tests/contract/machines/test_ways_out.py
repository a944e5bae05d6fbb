"""Deploy and train run whole on Step Functions, on answers that AWS gives on a bad day."""

from typing import Any

import pytest

from tests.contract.machines.conftest import Client
from tests.contract.machines.driven import Ended, Refusal, drive
from tests.infrastructure.model_chain import Kind, templates
from tests.infrastructure.rendering import definition

THROTTLED = Refusal("SageMaker.SageMakerException", "Rate exceeded (Error Code: ThrottlingException)")
OLD, NEW = "menulens-test-v2-abcdef0123", "menulens-test-v3-abcdef0123"
PACKAGE = "arn:aws:sagemaker:us-east-1:111122223333:model-package/menulens-test-classifier/3"
UPDATE = {
    "action": "update",
    "create_model": False,
    "create_config": False,
    "other_instances": True,
    "model_package": PACKAGE,
    "model_version": "job",
    "endpoint": "menulens-test-vectors",
    "config_name": NEW,
    "previous_config": OLD,
}


def serving(config: str, status: str = "InService", **more: str) -> dict[str, str]:
    return {"EndpointStatus": status, "EndpointConfigName": config, **more}


CHECKED = {"model_package": PACKAGE}


class Machine:
    def __init__(self, client: Client) -> None:
        self._sf = client("stepfunctions")

    def deploy(self, kind: Kind = "large", **answers: Any) -> Ended:
        told = {
            "CheckInput": [CHECKED],
            "PrepareDeployment": [UPDATE],
            "LookAtEndpoint": [serving(NEW)],
            "LookAtRollback": [serving(OLD)],
            **answers,
        }
        return drive(self._sf, definition(templates(kind)["serving"]), CHECKED, told)


@pytest.fixture
def machine(client: Client) -> Machine:
    return Machine(client)


def should_go_on_after_a_throttle_while_the_traffic_moves(machine: Machine) -> None:
    ended = machine.deploy(LookAtEndpoint=[THROTTLED, serving(OLD, "Updating"), THROTTLED, THROTTLED, serving(NEW)])
    assert ended.status == "SUCCEEDED", ended
    assert ended.asked.count("LookAtEndpoint") == 5
    assert "SmokeTest" in ended.asked


WRONG = Refusal("SmokeTestError", "the answer has 3 numbers, 4 were due")
REFUSED = Refusal("SageMaker.SageMakerException", "no such instance type")
OVER_QUOTA = Refusal("SageMaker.ResourceLimitExceededException", "0 instances are left")
GONE = Refusal("SageMaker.SageMakerException", "not now")
WAYS_OUT = [
    ("SmokeTestFailed", WRONG.cause, {"SmokeTest": [WRONG]}),
    ("SmokeTestFailed", WRONG.cause, {"SmokeTest": [WRONG], "LookAtRollback": [GONE]}),
    ("EndpointFailed", "no capacity", {"LookAtEndpoint": [serving(NEW, "Failed", FailureReason="no capacity")]}),
    ("EndpointFailed", f"The endpoint is InService with the configuration {OLD}", {"LookAtEndpoint": [serving(OLD)]}),
    ("DeploymentRefused", REFUSED.cause, {"UpdateEndpoint": [REFUSED]}),
    ("DeploymentRefused", OVER_QUOTA.cause, {"UpdateEndpoint": [OVER_QUOTA]}),
    (GONE.error, GONE.cause, {"LookAtEndpoint": [GONE]}),
]


@pytest.mark.parametrize("again", [{}, {"RegisterTargetAgain": [REFUSED]}, {"PutPolicyAgain": [REFUSED]}], ids=str)
@pytest.mark.parametrize(("error", "cause", "answers"), WAYS_OUT)
def should_scale_again_whatever_failed_after_scaling_was_stopped_and_fail_for_the_first_reason(
    machine: Machine, error: str, cause: str, answers: dict[str, Any], again: dict[str, Any]
) -> None:
    ended = machine.deploy(**answers, **again)
    assert (ended.status, ended.error) == ("FAILED", error)
    assert ended.cause.startswith(cause)
    assert "StopScaling" in ended.asked
    assert "RegisterTargetAgain" in ended.asked
    assert ("PutPolicyAgain" in ended.asked) == ("RegisterTargetAgain" not in again)
    assert "TellModelDeployed" not in ended.asked


@pytest.mark.parametrize(("error", "cause", "answers"), WAYS_OUT[:4])
def should_leave_scaling_alone_where_it_was_not_stopped(
    machine: Machine, error: str, cause: str, answers: dict[str, Any]
) -> None:
    for kind, other_instances in (("large", False), ("small", True)):
        prepared = {**UPDATE, "other_instances": other_instances}
        ended = machine.deploy(kind, PrepareDeployment=[prepared], **answers)
        assert (ended.status, ended.error) == ("FAILED", error)
        assert ended.cause.startswith(cause)
        assert not {"RegisterTargetAgain", "PutPolicyAgain"} & set(ended.asked)


def should_try_what_serves_already_and_leave_it_when_it_answers_wrongly(machine: Machine) -> None:
    keep = {**UPDATE, "action": "keep", "other_instances": False, "previous_config": NEW}
    ended = machine.deploy(PrepareDeployment=[keep])
    assert ended.status == "SUCCEEDED", ended
    assert ended.asked[2:] == ["SmokeTest", "RegisterScalableTarget", "PutScalingPolicy", "TellModelDeployed"]
    ended = machine.deploy(PrepareDeployment=[keep], SmokeTest=[WRONG])
    assert (ended.status, ended.error, ended.cause) == ("FAILED", "SmokeTestFailed", WRONG.cause)
    assert ended.asked[2:] == ["SmokeTest"]

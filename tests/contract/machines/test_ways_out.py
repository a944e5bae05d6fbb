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

"""Every Choice of train, deploy and vectorise, run by Step Functions on what the functions really answer."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from menulens.core import names
from menulens.search.vectorise import Rooms, plan_round
from menulens.serving import deployment
from menulens.storage import Storage
from menulens.training.candidate import weigh
from menulens.training.outcome import outcome
from tests.contract.machines.conftest import Client
from tests.contract.machines.generators import any_group, any_jpeg, any_package
from tests.contract.machines.test_outcome import EVALUATING, GATE, IN_USE, run
from tests.infrastructure.model_chain import Stack, templates
from tests.infrastructure.rendering import definition

Choose = Callable[[Stack, str, dict[str, Any]], str]


@pytest.fixture
def choose(client: Client) -> Choose:
    """Return the name of the state that a Choice takes, each way ending in a state that tells its name."""
    sf = client("stepfunctions")

    def decide(stack: Stack, name: str, data: dict[str, Any]) -> str:
        choice = definition(templates("small")[stack])["States"][name]
        ways = {way["Next"] for way in choice["Choices"]} | ({choice["Default"]} if "Default" in choice else set())
        machine = {
            "StartAt": name,
            "States": {name: choice, **{way: {"Type": "Pass", "Result": way, "End": True} for way in ways}},
        }
        arn = sf.create_state_machine(
            name=f"choice-{time.monotonic_ns()}",
            definition=json.dumps(machine),
            roleArn="arn:aws:iam::000000000000:role/choice",
        )["stateMachineArn"]
        execution = sf.start_execution(stateMachineArn=arn, input=json.dumps(data))["executionArn"]
        deadline = time.monotonic() + 20
        while (told := sf.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert told["status"] == "SUCCEEDED", told
        return str(json.loads(told["output"]))

    return decide


def should_register_what_passes_keep_what_is_registered_and_stop_what_does_not_pass(
    choose: Choose, s3: Any, sagemaker: Any, storage: Storage, bucket: Callable[[str], str], environment: str
) -> None:
    group = any_group(sagemaker, environment)
    run(s3, sagemaker, bucket("code"), "choice-weigh", EVALUATING)

    def told(**gate: float) -> dict[str, Any]:
        values = {**GATE, **gate}
        return {"gate": weigh("choice-weigh", "d", gate=values, group=group, storage=storage, sagemaker=sagemaker)}

    assert choose("training", "IsItGoodEnough", told()) == "RegisterModel"
    assert choose("training", "IsItGoodEnough", told(min_accuracy=0.9)) == "ChampionStays"
    any_package(sagemaker, group, "choice-weigh")
    assert choose("training", "IsItGoodEnough", told()) == "AlreadyRegistered"
    assert choose("training", "IsItGoodEnough", told(min_accuracy=0.9)) == "ChampionStays"


@pytest.mark.parametrize(
    ("stack", "goes_on", "fails"),
    [("training", "GateModel", "TrainingFailed"), ("similarity", "CollectVectors", "TransformFailed")],
)
def should_go_on_after_a_job_as_it_ended(
    choose: Choose, s3: Any, sagemaker: Any, bucket: Callable[[str], str], stack: Stack, goes_on: str, fails: str
) -> None:
    name = f"choice-{stack}"
    missing = outcome(sagemaker, "training", name, IN_USE)
    assert choose(stack, "WhatBecameOfIt", {"outcome": missing}) == fails
    run(s3, sagemaker, bucket("code"), name, EVALUATING)
    assert choose(stack, "WhatBecameOfIt", {"outcome": outcome(sagemaker, "training", name, IN_USE)}) == goes_on


def should_make_what_a_deployment_lacks_and_no_more(
    choose: Choose,
    s3: Any,
    sagemaker: Any,
    bucket: Callable[[str], str],
    environment: str,
    settings: dict[str, Any],
) -> None:
    models = bucket("models")
    s3.put_object(Bucket=models, Key="training/job-1/output/model.tar.gz", Body=b"an archive")
    arn = any_package(sagemaker, any_group(sagemaker, environment), "job-1", models=models)
    told = deployment.prepare(arn, environment, settings, sagemaker)
    data = {"deployment": told}
    assert choose("serving", "WhatIsToBeDone", data) == "IsThereAModel"
    assert choose("serving", "IsThereAModel", data) == "CreateModel"
    assert choose("serving", "IsThereAConfig", data) == "CreateEndpointConfig"
    assert choose("serving", "IsThereAnEndpoint", data) == "CreateEndpoint"
    there = {"deployment": told | {"action": "update"}}
    assert choose("serving", "IsThereAnEndpoint", there) == "UpdateEndpoint"
    there["deployment"]["other_instances"] = True
    assert choose("serving", "IsThereAnEndpoint", there) == "StopScaling"
    assert choose("serving", "WasThereAnEndpoint", data) == "RemoveNewEndpoint"
    sagemaker.create_model(
        ModelName=told["model_name"],
        PrimaryContainer={"Image": told["image"], "ModelDataUrl": told["model_data_url"]},
        ExecutionRoleArn="arn:aws:iam::000000000000:role/model",
    )
    data = {"deployment": deployment.prepare(arn, environment, settings, sagemaker)}
    assert choose("serving", "IsThereAModel", data) == "IsThereAConfig"
    assert choose("similarity", "IsThereAModel", {"plan": data["deployment"]}) == "RunTransformJob"
    assert choose("similarity", "IsThereAModel", {"plan": told}) == "CreateModel"


@pytest.mark.parametrize(
    ("action", "due"),
    [
        ("create", "IsThereAModel"),
        ("update", "IsThereAModel"),
        ("keep", "SmokeTest"),
        ("wait", "LetTheOtherChangeEnd"),
        ("replace", "RemoveFailedEndpoint"),
    ],
)
def should_know_what_to_do_for_every_action(choose: Choose, action: str, due: str) -> None:
    assert choose("serving", "WhatIsToBeDone", {"deployment": {"action": action}}) == due


@pytest.mark.parametrize(
    ("status", "config", "due"),
    [
        ("Creating", "wanted", "WaitForEndpoint"),
        ("Updating", "old", "WaitForEndpoint"),
        ("SystemUpdating", "wanted", "WaitForEndpoint"),
        ("RollingBack", "old", "WaitForEndpoint"),
        ("InService", "wanted", "SmokeTest"),
        ("InService", "old", "WithdrawWhatWasTakenBack"),
        ("InService", "somebody else's", "IsThereAReason"),
        ("Failed", "wanted", "IsThereAReason"),
        ("OutOfService", "wanted", "IsThereAReason"),
    ],
)
def should_try_the_endpoint_only_when_it_serves_what_was_deployed(
    choose: Choose, status: str, config: str, due: str
) -> None:
    data = {
        "deployment": {"config_name": "wanted", "previous_config": "old"},
        "endpoint_now": {"EndpointStatus": status, "EndpointConfigName": config},
    }
    assert choose("serving", "IsItInService", data) == due


def should_plan_pack_and_end_as_the_plan_says(
    choose: Choose,
    s3: Any,
    sagemaker: Any,
    bucket: Callable[[str], str],
    environment: str,
    settings: dict[str, Any],
) -> None:
    any_package(sagemaker, any_group(sagemaker, environment), "job-1")
    rooms = Rooms(environment, bucket("photos"), bucket("vectors"))

    def told() -> dict[str, Any]:
        return {"plan": plan_round(f"s3://{rooms.photos_bucket}/", None, rooms, settings, s3=s3, sagemaker=sagemaker)}

    nothing = told()
    assert nothing["plan"]["photos"] == 0
    assert choose("similarity", "WhatIsToBeDone", nothing) == "KeepTotal"
    assert choose("similarity", "IsThereMore", nothing) == "Vectorised"
    s3.put_object(Bucket=rooms.photos_bucket, Key="a.jpg", Body=any_jpeg())
    some = told()
    assert some["plan"]["packs"] == [{"number": 0, "first": 0, "last": some["plan"]["packs"][0]["last"]}]
    assert some["plan"]["transform_job"] == f"{names.prefix(environment)}-{some['plan']['plan']}"
    assert choose("similarity", "WhatIsToBeDone", some) == "PackPhotos"
    assert choose("similarity", "WhatIsToBeDone", {"plan": {"next": "collect"}}) == "CollectVectors"
    assert choose("similarity", "WhatIsToBeDone", {"plan": {"next": "running"}}) == "AlreadyRunning"
    assert choose("similarity", "IsThereMore", {"plan": {"more": True}}) == "GoOn"

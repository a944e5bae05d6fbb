"""Every Choice of label and clean, run by Step Functions on what the steps before it really answer."""

import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from menulens.core import inputs, names
from menulens.settings import settings_of
from menulens.storage import Storage
from stacks.labeling_stack import LabelingStack
from stacks.steps.base import Inputs
from tests.contract.machines.test_labeling import Room, any_photo, found_by, label, labeled, start_job, wait_until_ended
from tests.tools.lint_templates import resolved

Client = Callable[[str], Any]
Choose = Callable[[names.Machine, str, dict[str, Any]], str]
TEAM = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/annotators"


@cache
def definition(machine: names.Machine) -> dict[str, Any]:
    app = cdk.App()
    settings = settings_of("local")
    checks = Inputs(cdk.Stack(app, "inputs"), "Inputs", settings=settings)
    template = Template.from_stack(LabelingStack(app, "labeling", settings=settings, inputs=checks, team_arn=TEAM))
    found = {
        resource["Properties"]["StateMachineName"]: resource["Properties"]["DefinitionString"]
        for resource in dict(template.to_json())["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    }
    parsed: dict[str, Any] = json.loads(resolved(found[names.state_machine("local", machine)]))
    return parsed


@pytest.fixture
def choose(client: Client) -> Choose:
    """Return the name of the state that a Choice takes, each way ending in a state that tells its name."""
    sf = client("stepfunctions")

    def decide(machine: names.Machine, name: str, data: dict[str, Any]) -> str:
        choice = definition(machine)["States"][name]
        ways = {way["Next"] for way in choice["Choices"]} | {choice["Default"]}
        states = {name: choice, **{way: {"Type": "Pass", "Result": way, "End": True} for way in ways}}
        arn = sf.create_state_machine(
            name=f"choice-{time.monotonic_ns()}",
            definition=json.dumps({"StartAt": name, "States": states}),
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


@pytest.fixture
def room(storage: Storage, sagemaker: Any, settings: dict[str, Any], bucket: Callable[[str], str]) -> Room:
    return Room(storage, sagemaker, settings, bucket)


def should_take_the_way_that_a_jobs_state_asks_for(choose: Choose, room: Room, client: Client) -> None:
    uris = [room.put(f"{number}.jpg", any_photo(number)) for number in range(2)]
    made = room.prepare()
    assert choose("label", "AnythingToAsk", made) == "CreateLabelingJob"

    name = start_job(room, made, client)
    running = {**made, **found_by(room, name)}
    assert choose("label", "AllLabelsIn", running) == "WaitForLabels"
    assert choose("clean", "AllLabelsIn", running) == "WaitForLabels"

    room.sagemaker.stop_labeling_job(LabelingJobName=name)
    ended = {**made, **wait_until_ended(room, name)}
    assert choose("label", "AllLabelsIn", ended) == "TellLabelsReady"
    assert choose("clean", "AllLabelsIn", ended) == "PlanCleaning"

    # A resumed job whose photos all have labels asks nothing, and goes on with the labels from before.
    label(room, name, [labeled(uri, 0) for uri in uris])
    nothing = room.prepare(resume_from=name)
    assert nothing["count"] == 0
    assert choose("label", "AnythingToAsk", nothing) == "MergeLabels"

    label(room, name, [labeled(uris[0], 0), json.dumps({"source-ref": uris[1]}).encode()])
    again = room.prepare(resume_from=name)
    second = start_job(room, again, client)
    room.sagemaker.stop_labeling_job(LabelingJobName=second)
    resumed = {**again, **wait_until_ended(room, second)}
    assert choose("label", "AllLabelsIn", resumed) == "MergeLabels"
    assert choose("clean", "AllLabelsIn", resumed) == "MergeLabels"


def should_leave_the_jobs_of_others_alone(choose: Choose, room: Room, client: Client) -> None:
    room.put("1.jpg", any_photo(1))
    name = start_job(room, room.prepare(), client)
    other = found_by(room, name, label_attribute="another-teams")
    assert "another-teams" in other["reason"]
    assert choose("clean", "AllLabelsIn", other) == "NotOurs"
    room.sagemaker.stop_labeling_job(LabelingJobName=name)


def should_clean_a_manifest_at_once_and_look_for_a_jobs(choose: Choose) -> None:
    rooms = {room: f"b-{room}" for room in ("photos", "labels", "datasets", "models", "vectors")}
    place = inputs.Place(environment="local", buckets=rooms, photo_prefix="photos/", max_photos=10)
    by_manifest = inputs.check("clean", {"manifest": "s3://b-labels/a.manifest"}, place)
    assert choose("clean", "ByJobOrManifest", by_manifest) == "PlanCleaning"
    assert choose("clean", "ByJobOrManifest", inputs.check("clean", {"labeling_job": "a"}, place)) == "LocateLabels"

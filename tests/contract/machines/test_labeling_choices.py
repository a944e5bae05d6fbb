"""Every Choice of label and clean, run by Step Functions on what the steps before it really answer."""

import json
import time
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from menulens.core import inputs, names
from menulens.labeling.jobs import LabelingJobError
from menulens.portal import described, finish, jobs, sealing, work
from menulens.portal.answers import Who, record
from menulens.portal.context import Portal
from menulens.portal.model import Answer, Job
from menulens.settings import settings_of
from menulens.storage import Storage
from stacks.labeling_stack import LabelingStack
from stacks.steps.base import Inputs
from tests.contract.machines.test_labeling import (
    ATTRIBUTE,
    Room,
    any_photo,
    found_by,
    label,
    labeled,
    start_job,
    wait_until_ended,
)
from tests.tools.apps import app_of_templates
from tests.tools.lint_templates import resolved

Client = Callable[[str], Any]
Choose = Callable[..., str]
TEAM = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/annotators"


@cache
def definition(machine: names.Machine, team: str | None = TEAM) -> dict[str, Any]:
    app = app_of_templates()
    settings = settings_of("local")
    checks = Inputs(cdk.Stack(app, "inputs"), "Inputs", settings=settings)
    template = Template.from_stack(LabelingStack(app, "labeling", settings=settings, inputs=checks, team_arn=team))
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

    def decide(machine: names.Machine, name: str, data: dict[str, Any], team: str | None = TEAM) -> str:
        choice = definition(machine, team)["States"][name]
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
def room(
    storage: Storage, sagemaker: Any, settings: dict[str, Any], bucket: Callable[[str], str], portal: Portal
) -> Room:
    return Room(storage, sagemaker, settings, bucket, portal)


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


def opened(room: Room, made: dict[str, Any], answers: int = 1) -> Job:
    """Open a job in the portal as the machine does, where each photo needs so many answers."""
    options = {"min_answers": answers, "max_answers": answers, "confidence": 0.51, "gold_share": 0.0}
    settings = {**room.settings, "portal": {**room.settings["portal"], **options}}
    return jobs.open_job(room.portal, settings, name=made["job_name"], manifest=made["input_manifest"])


def answer_all(room: Room, job: Job, category: str = "meal") -> None:
    who = Who(str(uuid.uuid4()), "Aki")
    picked = job.category(category)
    assert picked
    given = [
        Answer(id=str(uuid.uuid4()), item=item.id, person=who.id, kind="label", category=picked.index)
        for item in work.lease(room.portal, job, who.id, limit=10).items
    ]
    assert {one.status for one in record(room.portal, job, who, given)} == {"accepted"}
    sealing.seal_all(room.portal, [job.name])


def should_take_the_way_that_a_portal_jobs_state_asks_for(choose: Choose, room: Room) -> None:
    uris = [room.put(f"{number}.jpg", any_photo(number)) for number in range(2)]
    made = room.prepare()
    assert choose("label", "AnythingToAsk", made, None) == "PlanDisplay"

    job = opened(room, made)
    running = {**made, **found_by(room, job.name, expected_input=made["input_manifest"])}
    assert (running["job_status"], running["ours"]) == ("InProgress", True)
    assert choose("clean", "AllLabelsIn", running) == "WaitForLabels"

    answer_all(room, job)
    # It has ended, but its labels are not written yet.
    assert found_by(room, job.name)["job_status"] == "Stopping"
    finish.finish(room.portal, job.name)
    ended = {**made, **found_by(room, job.name, expected_input=made["input_manifest"])}
    assert ended["job_status"] == "Completed"
    assert choose("label", "AllLabelsIn", ended, None) == "TellLabelsReady"
    assert choose("label", "PhotosOrTexts", ended, None) == "Clean"
    assert choose("clean", "AllLabelsIn", ended) == "PlanCleaning"
    lines = [json.loads(line) for line in room.storage.lines(ended["manifest"])]
    assert [(line["source-ref"], line[ATTRIBUTE]) for line in lines] == [(uri, 0) for uri in uris]

    # All photos have labels: there is nothing to ask, and the labels from before go on.
    nothing = room.prepare(resume_from=job.name)
    assert nothing["count"] == 0
    assert choose("label", "AnythingToAsk", nothing, None) == "MergeLabels"


def should_go_on_with_a_stopped_portal_job_and_ask_the_rest(choose: Choose, room: Room) -> None:
    uris = [room.put(f"{number}.jpg", any_photo(number)) for number in range(2)]
    first = opened(room, room.prepare(), answers=2)
    answer_all(room, first)  # one person, where two are due
    jobs.stop(room.portal, first.name)
    finish.finish(room.portal, first.name)
    assert found_by(room, first.name)["job_status"] == "Stopped"
    again = room.prepare(resume_from=first.name)
    second = opened(room, again)
    answer_all(room, second)
    taken = finish.snapshot(room.portal, second.name)
    both = [json.loads(line)["source-ref"] for line in room.storage.lines(taken["manifest"])]
    assert (taken["count"], sorted(both)) == (2, sorted(uris))
    finish.finish(room.portal, second.name)
    resumed = {**again, **found_by(room, second.name, expected_input=again["input_manifest"])}
    assert resumed["earlier_manifest"]
    assert choose("label", "AllLabelsIn", resumed, None) == "MergeLabels"


def should_label_texts_and_make_no_dataset_of_them(choose: Choose, room: Room) -> None:
    place = f"s3://{room.labels}/texts.manifest"
    room.storage.write_text(
        place, "".join(json.dumps({"source": text}) + "\n" for text in ("天ぷらそば", "抹茶アイス"))
    )
    made = room.prepare(manifest=place)
    assert choose("label", "AnythingToAsk", made, None) == "PlanDisplay"
    job = opened(room, made)
    answer_all(room, job)
    taken = finish.snapshot(room.portal, job.name)
    known = described.describe(room.portal, job.name)
    assert known
    assert choose("snapshot", "PhotosOrTexts", {**taken, "job_kind": known.kind}, None) == "TextsLabeled"
    finish.finish(room.portal, job.name)
    ended = {**made, **found_by(room, job.name, expected_input=made["input_manifest"])}
    assert choose("label", "AllLabelsIn", ended, None) == "TellLabelsReady"
    assert choose("label", "PhotosOrTexts", ended, None) == "TextsLabeled"
    left_alone = found_by(room, job.name, for_dataset=True)
    assert "texts" in left_alone["reason"]
    assert choose("clean", "AllLabelsIn", left_alone) == "NotOurs"


def should_ask_about_texts_in_the_portal_alone(room: Room) -> None:
    place = f"s3://{room.labels}/texts.manifest"
    room.storage.write_text(place, json.dumps({"source": "天ぷらそば"}) + "\n")
    room.settings["labeling"]["provider"] = "ground_truth"
    with pytest.raises(LabelingJobError, match=r"texts are asked about in the portal; .* 'ground_truth'"):
        room.prepare(manifest=place)


def should_wake_every_execution_that_waits_for_a_job(room: Room, client: Client) -> None:
    """The machine's own waiting state, with a queue in the function's place that gives the token away."""
    room.put("1.jpg", any_photo(1))
    made = room.prepare()
    waiting = definition("label", None)["States"]["OpenPortalJob"]
    assert waiting["Resource"] == "arn:aws:states:::lambda:invoke.waitForTaskToken"
    queue = client("sqs").create_queue(QueueName=f"tokens-{time.monotonic_ns()}")["QueueUrl"]
    payload = waiting["Parameters"]["Payload"]
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": payload},
        "ResultPath": waiting["ResultPath"],
        "End": True,
    }
    sf = client("stepfunctions")
    machine = sf.create_state_machine(
        name=f"waits-{time.monotonic_ns()}",
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": state}}),
        roleArn="arn:aws:iam::000000000000:role/waits",
    )["stateMachineArn"]
    data = {**made, "displayed": {"display_index": ""}}
    executions = [sf.start_execution(stateMachineArn=machine, input=json.dumps(data))["executionArn"] for _ in range(2)]
    told = [json.loads(body) for body in received(client("sqs"), queue, len(executions))]
    assert {frozenset(one) for one in told} == {
        frozenset({"job_name", "input_manifest", "made_from", "display_index", "task_token"})
    }
    for one in told:
        jobs.open_job(
            room.portal,
            room.settings,
            name=one["job_name"],
            manifest=one["input_manifest"],
            display=one["display_index"],
            task_token=one["task_token"],
        )
    job = jobs.get(room.portal, made["job_name"])
    jobs.stop(room.portal, job.name)
    finish.finish(room.portal, job.name)
    for execution in executions:
        deadline = time.monotonic() + 20
        while (ended := sf.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ended["status"] == "SUCCEEDED"
        assert json.loads(ended["output"]) == data


def received(sqs: Any, queue: str, count: int) -> list[str]:
    found: list[str] = []
    deadline = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline
        for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", []):
            found.append(message["Body"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found

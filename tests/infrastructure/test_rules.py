"""Rules: each takes the events it should, gives its machine an input that the machine takes, and loops never."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from ministack.services import eventbridge

from menulens.core import inputs
from menulens.portal import mails
from tests.infrastructure.test_labeling_permissions import HERE, TABLE, line, step

Resources = Callable[[str], dict[str, dict[str, Any]]]
ACCOUNT = "123456789012"
PLACE = inputs.Place(
    environment="local",
    buckets={
        room: f"menulens-local-{room}-{ACCOUNT}-us-east-1"
        for room in ("photos", "labels", "datasets", "models", "vectors")
    },
    photo_prefix="photos/",
    max_photos=100_000,
)
PACKAGE = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/menulens-local-classifier/1"
JOB = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:labeling-job/spring"


def any_event(source: str, detail_type: str, detail: dict[str, Any], resources: tuple[str, ...] = ()) -> dict[str, Any]:
    """An event in the shape that EventBridge gives to rules."""
    return {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": "2026-11-11T21:29:54Z",
        "region": "us-east-1",
        "resources": list(resources),
        "detail": detail,
    }


def any_object(bucket: str, key: str, size: int = 5) -> dict[str, Any]:
    return any_event(
        "aws.s3",
        "Object Created",
        {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": size, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F08"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": ACCOUNT,
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
        (f"arn:aws:s3:::{bucket}",),
    )


def any_package(group: str = "menulens-local-classifier", approval: str = "Approved") -> dict[str, Any]:
    return any_event(
        "aws.sagemaker",
        "SageMaker Model Package State Change",
        {
            "ModelPackageGroupName": group,
            "ModelPackageVersion": 1,
            "ModelPackageArn": PACKAGE,
            "CreationTime": 1_583_831_889_050,
            "ModelPackageStatus": "Completed",
            "ModelApprovalStatus": approval,
        },
        (PACKAGE,),
    )


def any_labeling_job(status: str) -> dict[str, Any]:
    detail = {"LabelingJobStatus": status}
    return any_event("aws.sagemaker", "SageMaker Ground Truth Labeling Job State Change", detail, (JOB,))


DATASETS = PLACE.buckets["datasets"]
READY = any_event(
    "menulens",
    "DatasetReady",
    {"environment": "local", "dataset": "spring-0123456789ab", "dataset_uri": f"s3://{DATASETS}/spring-0123456789ab/"},
)
DEPLOYED = any_event(
    "menulens",
    "ModelDeployed",
    {"environment": "local", "model_package": PACKAGE, "model_version": "m", "endpoint": "menulens-local-vectors"},
)
TAKEN = [
    (READY, "train", {"dataset": "spring-0123456789ab"}),
    (any_package(), "deploy", {"model_package": PACKAGE}),
    (DEPLOYED, "vectorise", {"model_package": PACKAGE}),
    (any_labeling_job("Completed"), "clean", {"labeling_job": [JOB]}),
    (any_labeling_job("Stopped"), "clean", {"labeling_job": [JOB]}),
    (any_labeling_job("Failed"), "clean", {"labeling_job": [JOB]}),
    (
        any_event("menulens", "LabelsReady", {"environment": "local", "job_name": "spring", "unattended": True}),
        "clean",
        {"labeling_job": "spring"},
    ),
    (
        any_object(DATASETS, "inbox/手で.manifest"),
        "clean",
        {"manifest": f"s3://{DATASETS}/inbox/手で.manifest"},
    ),
]
LEFT = [
    any_event("menulens", "DatasetReady", {**READY["detail"], "environment": "live"}),
    any_event("someone.else", "DatasetReady", READY["detail"]),
    any_package(group="another-group"),
    any_package(approval="PendingManualApproval"),
    any_package(approval="Rejected"),
    any_labeling_job("InProgress"),
    any_object(DATASETS, "spring-0123456789ab/train.manifest"),
    any_object(DATASETS, "spring-0123456789ab/card.json"),
    any_object(DATASETS, "inbox/", size=0),
    any_object(PLACE.buckets["labels"], "inbox/by-hand.manifest"),
    any_event("menulens", "LabelsReady", {"environment": "local", "job_name": "x", "manifest_uri": "s3://y/z"}),
    any_event("menulens", "ModelReady", {"environment": "local", "model_package": PACKAGE}),
    any_event("menulens", "VectorsReady", {"environment": "local", "count": 1}),
]


@pytest.fixture(scope="session")
def rules(resources: Resources) -> dict[str, dict[str, Any]]:
    return {rule["Name"]: rule for name, rule in resources("AWS::Events::Rule").items() if "operations/" in name}


def taking(rules: dict[str, Any], event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules whose pattern an event fits, by the operation TestEventPattern."""
    found = []
    for rule in rules.values():
        asked = {"EventPattern": json.dumps(rule["EventPattern"]), "Event": json.dumps(event)}
        status, _, body = eventbridge._test_event_pattern(asked)
        assert status == 200, body
        if json.loads(body)["Result"]:
            found.append(rule)
    return found


def given(rule: dict[str, Any], event: dict[str, Any]) -> Any:
    """Return what a rule's target gets: its template, filled in as EventBridge's guide says."""
    transformer = rule["Targets"][0]["InputTransformer"]
    text = transformer["InputTemplate"]
    for name, path in transformer.get("InputPathsMap", {}).items():
        value: Any = event
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        quoted = json.dumps(value, ensure_ascii=False)
        # Inside a text the bare value goes in; a whole value goes in as JSON.
        text = text.replace(f":<{name}>", f":{quoted}").replace(f"<{name}>", quoted.strip('"'))
    return json.loads(text)


@pytest.mark.parametrize(("event", "machine", "expected"), TAKEN, ids=lambda value: str(value)[:40])
def should_start_one_machine_with_an_input_that_it_takes(
    rules: dict[str, Any], event: dict[str, Any], machine: str, expected: dict[str, Any]
) -> None:
    (rule,) = taking(rules, event)
    assert machine.capitalize() in rule["Targets"][0]["Arn"]
    assert given(rule, event) == expected
    assert inputs.check(machine, expected, PLACE)["environment"] == "local"


@pytest.mark.parametrize("event", LEFT, ids=lambda event: f"{event['detail-type']} {event['detail']}"[:60])
def should_leave_every_other_event_alone(rules: dict[str, Any], event: dict[str, Any]) -> None:
    assert taking(rules, event) == []


def should_never_start_a_machine_by_what_it_tells_or_writes(rules: dict[str, Any]) -> None:
    tells: dict[str, list[dict[str, Any]]] = {
        "label": [any_event("menulens", "LabelsReady", {"environment": "local", "job_name": "x", "manifest_uri": "y"})],
        "clean": [READY, any_object(DATASETS, "spring-0123456789ab/card.json")],
        "train": [any_event("menulens", "ModelReady", {"environment": "local", "model_package": PACKAGE})],
        "deploy": [DEPLOYED],
        "vectorise": [any_event("menulens", "VectorsReady", {"environment": "local"})],
    }
    for machine, events in tells.items():
        for event in events:
            started = [rule["Targets"][0]["Arn"] for rule in taking(rules, event)]
            assert not [arn for arn in started if machine.capitalize() in arn]


def should_keep_what_could_not_be_delivered(rules: dict[str, Any]) -> None:
    assert set(rules) == {
        f"menulens-local-{name}"
        for name in (
            *("dataset-ready", "model-approved", "model-deployed", "labeling-job-ended", "labels-unattended"),
            *("manifest-dropped", "labeling-finished", "labeling-opened", "annotator-blocked", "execution-failed"),
        )
    }
    for rule in rules.values():
        (target,) = rule["Targets"]
        assert "Undelivered" in target["DeadLetterConfig"]["Arn"]
        assert target["RetryPolicy"] == {"MaximumRetryAttempts": 8, "MaximumEventAgeInSeconds": 21_600}


def should_start_each_machine_under_a_role_that_starts_nothing_else(resources: Resources) -> None:
    started = [
        role["Policies"][0]["PolicyDocument"]["Statement"]
        for name, role in resources("AWS::IAM::Role").items()
        if name.startswith("operations/") and role["Description"].startswith("Starts ")
    ]
    machines = sorted(statement["Resource"].rpartition(":")[2] for (statement,) in started)
    assert machines == [
        f"menulens-local-{name}" for name in ("clean", "clean", "clean", "deploy", "train", "vectorise")
    ]
    assert {statement["Action"] for (statement,) in started} == {"states:StartExecution"}


def should_finish_a_portal_job_that_ended_and_keep_what_could_not_be_finished(
    rules: dict[str, Any], resources: Resources
) -> None:
    event = any_event("menulens", "LabelingFinished", {"environment": "local", "job_name": "spring"})
    (rule,) = taking(rules, event)
    (target,) = rule["Targets"]
    assert "FinishPortalJob" in target["Arn"]
    assert target["InputPath"] == "$.detail"
    assert_may_run(resources, "FinishPortalJob")


def assert_may_run(resources: Resources, function: str) -> None:
    """Events may run a function of operations' rules, and what it fails on for good is kept."""
    permissions = [
        item
        for name, item in resources("AWS::Lambda::Permission").items()
        if name.startswith("operations/") and function in str(item["FunctionName"])
    ]
    assert permissions
    assert {permission["Principal"] for permission in permissions} == {"events.amazonaws.com"}
    (failed,) = (
        item for item in resources("AWS::Lambda::EventInvokeConfig").values() if function in str(item["FunctionName"])
    )
    assert "Undelivered" in failed["DestinationConfig"]["OnFailure"]["Destination"]
    assert (failed["MaximumRetryAttempts"], failed["MaximumEventAgeInSeconds"]) == (2, 21_600)


STATES = f"arn:aws:states:us-east-1:{ACCOUNT}"


def any_execution(machine: str, status: str) -> dict[str, Any]:
    detail = {
        "executionArn": f"{STATES}:execution:{machine}:any",
        "stateMachineArn": f"{STATES}:stateMachine:{machine}",
        "name": "any",
        "status": status,
        "error": "AnyError",
        "cause": "any cause",
    }
    return any_event("aws.states", "Step Functions Execution Status Change", detail)


TOLD = [
    any_event("menulens", "LabelingOpened", {"environment": "local", "job_name": "spring", "title": "春", "open": 3}),
    any_event(
        "menulens",
        "AnnotatorBlocked",
        {"environment": "local", "job_name": "spring", "person": "1", "accuracy": 0.4, "seen": 10, "due": 0.7},
    ),
    *(any_execution(f"menulens-local-{machine}", "FAILED") for machine in inputs.INPUTS),
    any_execution("menulens-local-train", "TIMED_OUT"),
]


@pytest.mark.parametrize("event", TOLD, ids=lambda event: str(event["detail-type"]))
def should_tell_people_by_the_whole_event(rules: dict[str, Any], event: dict[str, Any]) -> None:
    told = [target for rule in taking(rules, event) for target in rule["Targets"] if "TellPeople" in target["Arn"]]
    (target,) = told
    assert not {"Input", "InputPath", "InputTransformer"} & target.keys()
    assert mails.written(event, address="https://labels.example.com", called=str) is not None


@pytest.mark.parametrize(
    "event",
    [
        any_event("menulens", "LabelingOpened", {"environment": "live", "job_name": "spring", "open": 3}),
        any_event("menulens", "AnnotatorBlocked", {"environment": "live", "job_name": "spring"}),
        any_execution("menulens-live-train", "FAILED"),
        any_execution("menulens-local-train", "SUCCEEDED"),
        any_execution("menulens-local-train", "ABORTED"),
        any_execution("somebody-elses", "FAILED"),
    ],
    ids=lambda event: f"{event['detail-type']}-{event['detail'].get('status', 'live')}",
)
def should_tell_nobody_of_others_and_of_what_went_well(rules: dict[str, Any], event: dict[str, Any]) -> None:
    assert taking(rules, event) == []


def should_let_events_run_the_function_that_tells(resources: Resources) -> None:
    assert_may_run(resources, "TellPeople")


def should_let_the_function_that_tells_do_exactly_this(resources: Resources) -> None:
    (role,) = (
        role
        for name, role in resources("AWS::IAM::Role").items()
        if role["Description"] == "What the step tell_people of menulens-local may do"
    )
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    assert {_named(line(statement)) for statement in policy["PolicyDocument"]["Statement"]} == step(
        "tell-people",
        "sns:Publish on TOPICS",
        f"dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem on {TABLE} "
        'if {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["told"]}}',
        "cognito-idp:ListUsersInGroup on POOL",
        f"sqs:SendMessage on arn:aws:sqs:{HERE}menulens-local-undelivered",
        "kms:Decrypt, kms:GenerateDataKey on KEY",
    )
    (topics,) = (
        statement["Resource"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "sns:Publish"
    )
    assert len(topics) == 3
    assert [word for word in ("NewWork", "ToOwners", "Alarms") if not any(word in topic for topic in topics)] == []


def _named(text: str) -> str:
    """Return a statement with what CDK names under a word of ours."""
    for service, word in (("kms:", "KEY"), ("sns:", "TOPICS"), ("cognito-idp:", "POOL")):
        if text.startswith(service):
            return f"{text.rpartition(' on ')[0]} on {word}"
    return text


def should_alarm_when_an_execution_fails_or_an_event_is_undelivered(resources: Resources) -> None:
    alarms = {
        alarm["AlarmName"]: alarm
        for name, alarm in resources("AWS::CloudWatch::Alarm").items()
        if "operations/" in name
    }
    expected = {f"menulens-local-{machine}-{what}" for machine in inputs.INPUTS for what in ("failed", "timed-out")}
    assert set(alarms) == expected | {"menulens-local-events-undelivered"}
    for alarm in alarms.values():
        assert len(alarm["AlarmActions"]) == 1
        assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (1, 1)

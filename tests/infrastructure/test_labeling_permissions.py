"""Every role of labeling and operations: its statements, all of them, word for word."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Resources = Callable[[str], dict[str, dict[str, Any]]]
HERE = "us-east-1:123456789012:"
LAMBDA = f"lambda:InvokeFunction on arn:aws:lambda:{HERE}function:menulens-local-"
STATES = f"arn:aws:states:{HERE}"
LOGS = f"arn:aws:logs:{HERE}log-group:"
JOBS = f"arn:aws:sagemaker:{HERE}labeling-job/*"
MANAGE_RULE = (
    f"events:DescribeRule, events:PutRule, events:PutTargets on arn:aws:events:{HERE}rule/StepFunctionsGetEventsFor"
)
BUILT_IN = "arn:aws:lambda:us-east-1:432418664414:function:"
TO_SAGEMAKER = 'if {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}'
PUT_EVENTS = (
    f'events:PutEvents on arn:aws:events:{HERE}event-bus/default if {{"StringEquals": {{"events:source": "menulens"}}}}'
)
DESCRIBE = f"sagemaker:DescribeLabelingJob on {JOBS}"


def room(name: str, *keys: str) -> str:
    arn = f"arn:aws:s3:::menulens-local-{name}-123456789012-us-east-1"
    return ", ".join(f"{arn}/{key}" for key in keys) if keys else arn


def labels(*folders: str) -> str:
    return room("labels", *(f"{folder}/*" for folder in folders))


def write(place: str) -> str:
    return f"s3:AbortMultipartUpload, s3:PutObject on {place}"


def step(name: str, *more: str) -> set[str]:
    return {
        f"logs:CreateLogStream, logs:PutLogEvents on {LOGS}/aws/lambda/menulens-local-{name}:log-stream:*",
        "xray:PutTelemetryRecords, xray:PutTraceSegments on *",
        *more,
    }


def machine(*more: str) -> set[str]:
    return {
        "logs:CreateLogDelivery, logs:DeleteLogDelivery, logs:DescribeLogGroups, logs:DescribeResourcePolicies, "
        "logs:GetLogDelivery, logs:ListLogDeliveries, logs:PutResourcePolicy, logs:UpdateLogDelivery on *",
        "xray:GetSamplingRules, xray:GetSamplingTargets, xray:PutTelemetryRecords, xray:PutTraceSegments on *",
        f"{LAMBDA}check-input",
        *more,
    }


STARTS_CLEAN = (
    f"states:StartExecution on {STATES}stateMachine:menulens-local-clean",
    f"states:DescribeExecution, states:StopExecution on {STATES}execution:menulens-local-clean:*",
    f"{MANAGE_RULE}StepFunctionsExecutionRule",
)
LIST_PHOTOS, LIST_LABELS = f"s3:ListBucket on {room('photos')}", f"s3:ListBucket on {room('labels')}"
LIST_BOTH_ROOMS = f"s3:ListBucket on {room('photos')}, {room('labels')}"
LIST_LOG = f"s3:ListBucket on {room('labels')}, {room('answers')}"
TABLE = f"arn:aws:dynamodb:{HERE}table/menulens-local-labeling"
FIND = f"dynamodb:GetItem on {TABLE}"
READ_TABLE = f"dynamodb:BatchGetItem, dynamodb:GetItem, dynamodb:Query on {TABLE}, {TABLE}/index/next"
WRITE_TABLE = f"dynamodb:BatchWriteItem, dynamodb:DeleteItem, dynamodb:PutItem, dynamodb:UpdateItem on {TABLE}"
LIST_BOTH = f"s3:ListBucket on {room('labels')}, {room('datasets')}"
MANIFESTS = f"{room('labels', '*')}, {room('datasets', 'inbox/*')}"
WORK = room("datasets", "unfinished/*")
READ_PHOTOS = f"s3:GetObject on {room('photos', 'photos/*')}"
ROLES = {
    "What the step check_input of menulens-local may do": step("check-input"),
    "What the step build_input_manifest of menulens-local may do": step(
        "build-input-manifest",
        LIST_BOTH_ROOMS,
        READ_PHOTOS,
        f"s3:GetObject on {room('labels', '*')}",
        write(labels("inputs")),
        DESCRIBE,
        FIND,
    ),
    "What the step locate_labels of menulens-local may do": step(
        "locate-labels",
        LIST_LABELS,
        f"s3:GetObject on {room('labels', '*')}",
        write(labels("rescued")),
        DESCRIBE,
        FIND,
    ),
    "What the step merge_labels of menulens-local may do": step(
        "merge-labels",
        LIST_LABELS,
        f"s3:GetObject on {room('labels', '*')}",
        write(labels("merged")),
    ),
    "What the step take_snapshot of menulens-local may do": step(
        "take-snapshot",
        LIST_LOG,
        f"s3:GetObject on {room('labels', '*')}",
        f"s3:GetObject on {room('answers', 'inputs/*', 'log/*')}",
        write(labels("jobs", "snapshots")),
        write(room("answers", "log/*")),
        DESCRIBE,
        READ_TABLE,
        WRITE_TABLE,
    ),
    "What the step add_photos of menulens-local may do": step(
        "add-photos",
        f"s3:ListBucket on {room('photos')}, {room('labels')}, {room('answers')}",
        READ_PHOTOS,
        f"s3:GetObject on {room('labels', '*')}",
        f"s3:GetObject on {room('answers', 'inputs/*')}",
        write(labels("inputs", "display")),
        write(room("answers", "inputs/*")),
        READ_TABLE,
        WRITE_TABLE,
        PUT_EVENTS,
    ),
    "What the step plan_display of menulens-local may do": step(
        "plan-display", LIST_LABELS, f"s3:GetObject on {labels('inputs')}"
    ),
    "What the step prepare_display of menulens-local may do": step(
        "prepare-display",
        LIST_BOTH_ROOMS,
        READ_PHOTOS,
        f"s3:GetObject on {labels('inputs', 'display')}",
        write(labels("display", "inputs/*/display")),
    ),
    "What the step group_display of menulens-local may do": step(
        "group-display", LIST_LABELS, f"s3:GetObject on {labels('inputs')}", write(labels("inputs"))
    ),
    "What the step open_portal_job of menulens-local may do": step(
        "open-portal-job",
        LIST_LOG,
        f"s3:GetObject on {labels('inputs')}",
        f"s3:GetObject on {room('answers', 'inputs/*')}",
        write(room("answers", "inputs/*")),
        READ_TABLE,
        WRITE_TABLE,
        PUT_EVENTS,
    ),
    "What the step clean_manifest of menulens-local may do": step(
        "clean-manifest",
        f"s3:ListBucket on {room('labels')}, {room('datasets')}",
        f"s3:GetObject on {room('labels', '*')}, {room('datasets', '*')}",
        f"s3:AbortMultipartUpload, s3:DeleteObject, s3:PutObject on {room('datasets', '*')}",
        f"DENY s3:DeleteObject, s3:PutObject on {room('datasets', 'inbox/*')}",
    ),
    "What the step plan_cleaning of menulens-local may do": step(
        "plan-cleaning", LIST_BOTH, f"s3:GetObject on {MANIFESTS}"
    ),
    "What the step scan_part of menulens-local may do": step(
        "scan-part", LIST_BOTH, f"s3:GetObject on {MANIFESTS}", write(WORK)
    ),
    "What the step join_parts of menulens-local may do": step(
        "join-parts", LIST_BOTH, f"s3:GetObject on {MANIFESTS}, {WORK}", write(WORK)
    ),
    "What the step write_part of menulens-local may do": step(
        "write-part", LIST_BOTH, f"s3:GetObject on {MANIFESTS}, {WORK}", write(WORK)
    ),
    "What the step publish_parts of menulens-local may do": step(
        "publish-parts",
        f"s3:ListBucket on {room('datasets')}",
        f"s3:GetObject on {WORK}, {room('datasets', '*/card.json')}",
        write(room("datasets", "*/train.manifest", "*/eval.manifest", "*/rejects.jsonl", "*/card.json")),
        f"s3:DeleteObject on {room('datasets', '*/card.json')}",
        f"DENY s3:DeleteObject, s3:PutObject on {room('datasets', 'inbox/*')}",
    ),
    "What the state machine menulens-local-label may do": machine(
        *(f"{LAMBDA}{name}" for name in ("build-input-manifest", "locate-labels", "merge-labels")),
        *(f"{LAMBDA}{name}" for name in ("plan-display", "prepare-display", "group-display", "open-portal-job")),
        f"states:StartExecution on {STATES}stateMachine:menulens-local-label",
        "states:DescribeExecution, states:RedriveExecution, states:StopExecution on "
        f"{STATES}execution:menulens-local-label:*, {STATES}execution:menulens-local-label/display:*",
        *STARTS_CLEAN,
        PUT_EVENTS,
    ),
    "What the state machine menulens-local-clean may do": machine(
        *(f"{LAMBDA}{name}" for name in ("locate-labels", "merge-labels", "clean-manifest", "plan-cleaning")),
        *(f"{LAMBDA}{name}" for name in ("scan-part", "join-parts", "write-part", "publish-parts")),
        f"states:StartExecution on {STATES}stateMachine:menulens-local-clean",
        "states:DescribeExecution, states:RedriveExecution, states:StopExecution on "
        f"{STATES}execution:menulens-local-clean:*, {STATES}execution:menulens-local-clean/scan:*, "
        f"{STATES}execution:menulens-local-clean/write:*",
        PUT_EVENTS,
    ),
    "What the state machine menulens-local-snapshot may do": machine(f"{LAMBDA}take-snapshot", *STARTS_CLEAN),
    "What the state machine menulens-local-add may do": machine(f"{LAMBDA}add-photos"),
    **{
        f"Starts menulens-local-{name}": {f"states:StartExecution on {STATES}stateMachine:menulens-local-{name}"}
        for name in ("train", "deploy", "vectorise", "clean")
    },
}

# Where Ground Truth is the provider, these are there as well, or say something else.
ROLES_OF_GROUND_TRUTH = {
    "What a labeling job may do": {
        LIST_PHOTOS,
        LIST_LABELS,
        READ_PHOTOS,
        f"s3:GetObject on {labels('inputs', 'jobs')}",
        write(labels("jobs")),
        f"lambda:InvokeFunction on {BUILT_IN}PRE-ImageMultiClass, {BUILT_IN}ACS-ImageMultiClass",
        "logs:CreateLogStream, logs:DescribeLogStreams, logs:PutLogEvents on "
        f"{LOGS}/aws/sagemaker/LabelingJobs:log-stream:*",
        f"logs:CreateLogGroup on {LOGS}/aws/sagemaker/LabelingJobs, {LOGS}/aws/sagemaker/LabelingJobs:*",
        'cloudwatch:PutMetricData on * if {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/LabelingJobs"}}',
    },
    "What the state machine menulens-local-label may do": machine(
        *(f"{LAMBDA}{name}" for name in ("build-input-manifest", "locate-labels", "merge-labels")),
        "sagemaker:AddTags, sagemaker:CreateLabelingJob, sagemaker:DescribeLabelingJob, sagemaker:ListTags, "
        "sagemaker:StopLabelingJob "
        f"on {JOBS}",
        f"iam:PassRole on arn:aws:iam::123456789012:role/menulens-local-labeling-job {TO_SAGEMAKER}",
        f"{MANAGE_RULE}SageMakerLabelingJobsRule",
        *STARTS_CLEAN,
        PUT_EVENTS,
    ),
}


def line(statement: dict[str, Any]) -> str:
    def joined(value: str | list[str]) -> str:
        return value if isinstance(value, str) else ", ".join(value)

    text = f"{joined(statement['Action'])} on {joined(statement['Resource'])}"
    if statement["Effect"] == "Deny":
        text = f"DENY {text}"
    return f"{text} if {json.dumps(statement['Condition'])}" if "Condition" in statement else text


def mine(resources: Resources) -> list[dict[str, Any]]:
    stacks = ("storage/", "workforce/", "labeling/", "operations/")
    found = {name: role for name, role in resources("AWS::IAM::Role").items() if name.startswith(stacks)}
    return [role for name, role in found.items() if "TellPeople" not in name]  # with the rules that start it


@pytest.fixture(scope="session")
def roles(resources: Resources) -> list[dict[str, Any]]:
    return mine(resources)


@pytest.mark.parametrize("description", ROLES_OF_GROUND_TRUTH)
def should_allow_ground_truth_exactly_this(ground_truth_resources: Resources, description: str) -> None:
    (role,) = (role for role in mine(ground_truth_resources) if role["Description"] == description)
    (policy,) = role["Policies"]
    assert {line(statement) for statement in policy["PolicyDocument"]["Statement"]} == ROLES_OF_GROUND_TRUTH[
        description
    ]


def should_make_no_step_of_the_portal_where_ground_truth_asks(ground_truth_resources: Resources) -> None:
    names = {role["Description"] for role in mine(ground_truth_resources)}
    assert names - set(ROLES) == {"What a labeling job may do"}
    gone = {name.split()[3] for name in set(ROLES) - names}
    assert gone == {"plan_display", "prepare_display", "group_display", "open_portal_job"}


def should_make_these_roles_and_no_other(roles: list[dict[str, Any]]) -> None:
    assert {role["Description"] for role in roles} == set(ROLES)


@pytest.mark.parametrize("description", ROLES)
def should_allow_each_role_exactly_this(roles: list[dict[str, Any]], description: str) -> None:
    found = [role for role in roles if role["Description"] == description]
    for role in found:
        assert "ManagedPolicyArns" not in role
        (policy,) = role["Policies"]
        assert {line(statement) for statement in policy["PolicyDocument"]["Statement"]} == ROLES[description]


def should_let_no_construct_add_a_policy_behind_our_back(resources: Resources) -> None:
    assert resources("AWS::IAM::Policy") == {}
    assert resources("AWS::IAM::ManagedPolicy") == {}


MOST_MB_IN_A_NEW_ACCOUNT = 3_008


def should_keep_every_log_for_three_months(resources: Resources) -> None:
    groups = resources("AWS::Logs::LogGroup")
    assert groups
    assert {group["RetentionInDays"] for group in groups.values()} == {90}


def should_trace_and_log_every_function_and_machine(resources: Resources) -> None:
    for function in resources("AWS::Lambda::Function").values():
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert (function["Runtime"], function["Handler"]) == ("python3.13", "handler.handler")
        assert function.get("MemorySize", 128) <= MOST_MB_IN_A_NEW_ACCOUNT
    for found in resources("AWS::StepFunctions::StateMachine").values():
        assert found["TracingConfiguration"] == {"Enabled": True}
        assert found["LoggingConfiguration"]["Level"] == "ALL"

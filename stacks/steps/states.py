"""States that several machines have: a distributed Map written out, and events for the default bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from menulens.core import keys
from menulens.settings import Settings
from stacks.steps.base import Function, default_bus_arn


def distributed_map(
    function: Function,
    *,
    name: str,
    label: str,
    items: str,
    item: Mapping[str, str],
    at_once: int,
    result_path: str,
    tries: int = 1,
) -> dict[str, Any]:
    """Return a distributed Map that gives each item to a function.

    Written out, for CDK's own adds a policy of its making to the machine's role.

    Parameters
    ----------
    name, label
        Of the state inside, and of the Map's runs.
    items
        Path of the list.
    item
        What the function gets for each: key (ending in ``.$``) to path.
    result_path
        Where the answers lie.
    tries
        How often an item is tried whatever the handler raises; for functions that go on where they stopped.
    """
    again = [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 2, "MaxAttempts": tries - 1, "BackoffRate": 2}]
    task = {
        "Type": "Task",
        "Resource": function.arn,
        "Retry": [
            {
                "ErrorEquals": [
                    "Lambda.ClientExecutionTimeoutException",
                    "Lambda.ServiceException",
                    "Lambda.AWSLambdaException",
                    "Lambda.SdkClientException",
                    "Lambda.TooManyRequestsException",
                ],
                "IntervalSeconds": 2,
                "MaxAttempts": 6,
                "BackoffRate": 2,
            },
            *(again if tries > 1 else ()),
        ],
        "End": True,
    }
    return {
        "Type": "Map",
        "Label": label,
        "ItemsPath": items,
        "ItemSelector": dict(item),
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": name,
            "States": {name: task},
        },
        "MaxConcurrency": at_once,
        "ResultPath": result_path,
    }


def put_event(
    scope: Construct, construct_id: str, *, settings: Settings, detail_type: str, detail: Mapping[str, Any]
) -> tasks.EventBridgePutEvents:
    """Return a state that tells the default bus what is ready; the state's input goes on unchanged."""
    return tasks.EventBridgePutEvents(
        scope,
        construct_id,
        entries=[
            tasks.EventBridgePutEventsEntry(
                source=keys.EVENT_SOURCE,
                detail_type=detail_type,
                detail=sfn.TaskInput.from_object({keys.ENVIRONMENT: settings.environment, **detail}),
            )
        ],
        result_path=sfn.JsonPath.DISCARD,
    )


def may_put_events() -> iam.PolicyStatement:
    """Return the statement for :func:`put_event`: our source alone, on the default bus."""
    return iam.PolicyStatement(
        actions=["events:PutEvents"],
        resources=[default_bus_arn()],
        conditions={"StringEquals": {"events:source": keys.EVENT_SOURCE}},
    )

"""A state machine that runs on Step Functions as it deploys, while the test answers for each of its tasks."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/driven"
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that fails the task."""

    error: str
    cause: str = "because"


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution that ended.

    Attributes
    ----------
    status, error, cause
        As Step Functions tells them; the last two are empty where it succeeded.
    asked
        The tasks that were asked for, in order, each try by itself.
    """

    status: str
    error: str
    cause: str
    asked: list[str]


def drive(sf: Any, definition: Mapping[str, Any], given: Any, answers: Mapping[str, Sequence[Any]]) -> Ended:
    """Run a machine, each task an activity that is answered here; nothing is waited for.

    Parameters
    ----------
    sf
        Client of Step Functions.
    definition
        The machine's, as it deploys; its Retry and Catch, paths and choices are what is tried.
    given
        The execution's input.
    answers
        Task to its answers, one after the other; the last one is given for as long as it is asked. A task that is not
        named answers with nothing.
    """
    activity = sf.create_activity(name=f"driven-{uuid.uuid4()}")["activityArn"]
    states = {name: _answered(name, state, activity) for name, state in definition["States"].items()}
    machine = sf.create_state_machine(
        name=f"driven-{uuid.uuid4()}", definition=json.dumps({**definition, "States": states}), roleArn=ROLE
    )["stateMachineArn"]
    execution = sf.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    asked: list[str] = []
    deadline = time.monotonic() + _SECONDS
    while (told := sf.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline, asked
        scheduled = sum(event["type"] == "TaskScheduled" for event in _history(sf, execution))
        if scheduled > len(asked):
            task = sf.get_activity_task(activityArn=activity)
            name = json.loads(task["input"])["state"]
            due = answers.get(name, [{}])
            _answer(sf, task["taskToken"], due[min(asked.count(name), len(due) - 1)])
            asked.append(name)
        else:
            time.sleep(0.02)
    return Ended(told["status"], told.get("error", ""), told.get("cause", ""), asked)


def _answered(name: str, state: Mapping[str, Any], activity: str) -> dict[str, Any]:
    """Return a state whose request goes to the activity, its parameters still read from the state's data."""
    if state["Type"] == "Wait":
        return {**state, "Seconds": 0}
    if state["Type"] != "Task":
        return dict(state)
    at_once = [{**retry, "IntervalSeconds": 0} for retry in state.get("Retry", ())]
    parameters = {"state": name, "parameters": state.get("Parameters", {})}
    return {**state, "Resource": activity, "Parameters": parameters, "Retry": at_once}


def _answer(sf: Any, token: str, answer: Any) -> None:
    if isinstance(answer, Refusal):
        sf.send_task_failure(taskToken=token, error=answer.error, cause=answer.cause)
    else:
        sf.send_task_success(taskToken=token, output=json.dumps(answer))


def _history(sf: Any, execution: str) -> list[dict[str, Any]]:
    pages = sf.get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"]]

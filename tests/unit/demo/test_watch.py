"""Watching executions: which one did the work, and what is said when none comes, one lasts or one fails."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo import watch
from demo.watch import Look, StageError, Watcher

SINCE = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
ARN = "arn:aws:states:us-east-1:000000000000:execution:menulens-local-{machine}:{name}"


def any_execution(name: str, *, begin: float = 1, seconds: float = 20, status: str = "SUCCEEDED", **more: str) -> dict:
    """Return an execution as Step Functions describes it."""
    told: dict[str, Any] = {
        "executionArn": ARN.format(machine="train", name=name),
        "name": name,
        "status": status,
        "startDate": SINCE + timedelta(seconds=begin),
        **more,
    }
    if status != "RUNNING":
        told["stopDate"] = told["startDate"] + timedelta(seconds=seconds)
    return told


@dataclass
class States:
    """Step Functions with what each look at its executions finds, the last one for ever."""

    looks: list[list[dict[str, Any]]]
    asked: list[str] = field(default_factory=list)

    def list_executions(self, *, stateMachineArn: str, maxResults: int) -> dict[str, Any]:  # noqa: N803 (the API's)
        self.asked.append(stateMachineArn)
        now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {"executions": [{k: one[k] for k in one if k not in ("output", "error", "cause")} for one in now]}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 (the API's)
        return next(one for one in self.looks[-1] if one["executionArn"] == executionArn)


@dataclass
class Place:
    """A cloud that has Step Functions."""

    states: States

    def client(self, service: str) -> States:
        assert service == "stepfunctions"
        return self.states

    def state_machine_arn(self, machine: str) -> str:
        return f"arn:aws:states:us-east-1:000000000000:stateMachine:menulens-local-{machine}"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)


def any_watcher(*looks: list[dict[str, Any]]) -> Watcher:
    return Watcher(Place(States(list(looks))), SINCE, Path("state"))  # type: ignore[arg-type]


def waited(watcher: Watcher, patience: float = 60) -> tuple[watch.Execution, list[Look]]:
    seen: list[Look] = []
    return watcher.wait("train", lambda: Look(1, 6, "epoch 1 of 6 done"), seen.append, patience), seen


def should_take_the_longest_when_an_event_came_twice():
    work = any_execution("work", begin=2, seconds=90, output=json.dumps({"passed": True}))
    again = any_execution("again", begin=3, seconds=1, output=json.dumps({"already": "there"}))

    execution, _ = waited(any_watcher([again, work]))

    assert execution.output == {"passed": True}
    assert (execution.ended - execution.began).total_seconds() == 90


def should_wait_for_the_second_execution_as_well():
    first, second = any_execution("first", seconds=1), any_execution("second", seconds=80, output='{"n": 2}')
    running = any_execution("second", status="RUNNING")

    execution, seen = waited(any_watcher([], [first, running], [first, running], [first, second]))

    assert execution.output == {"n": 2}
    assert [look.doing for look in seen] == ["waiting for its event", "epoch 1 of 6 done", "epoch 1 of 6 done"]


def should_pass_over_executions_of_an_earlier_run():
    old = any_execution("old", begin=-60, seconds=500, output='{"old": true}')

    execution, _ = waited(any_watcher([any_execution("new", output="{}"), old]))

    assert execution.arn.endswith(":new")


def should_say_why_an_execution_failed_and_where_the_log_is():
    cause = json.dumps({"TrainingJobName": "t", "FailureReason": "AlgorithmError: 7 of 9 photos can't be decoded"})
    failed = any_execution("bad", status="FAILED", error="States.TaskFailed", cause=cause)

    with pytest.raises(StageError) as told:
        waited(any_watcher([failed]))

    assert str(told.value) == (
        "train: FAILED: States.TaskFailed: AlgorithmError: 7 of 9 photos can't be decoded\n"
        "Logs: menulens local logs, state/server.log"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"error": "InvalidInputError", "cause": '{"errorMessage": "dataset is missing"}'}, "dataset is missing"),
        ({"error": "E", "cause": "plain text"}, "E: plain text"),
        ({"cause": '["a list"]'}, 'no error name: ["a list"]'),
        ({}, "no error name: no cause given"),
    ],
)
def should_say_what_there_is_of_a_cause(more, said):
    watcher = any_watcher([any_execution("bad", status="FAILED", **more)])

    assert said in str(watcher.failed("train"))


def should_know_no_failure_while_all_goes_well():
    assert any_watcher([any_execution("a"), any_execution("b", status="RUNNING")]).failed("train") is None


def should_fail_when_one_of_two_executions_failed():
    with pytest.raises(StageError, match="train: TIMED_OUT"):
        waited(any_watcher([any_execution("good", seconds=90), any_execution("bad", status="TIMED_OUT")]))


def should_say_when_nothing_starts_a_machine(monkeypatch):
    monkeypatch.setattr(watch, "APPEAR_SECONDS", 0.0)

    with pytest.raises(StageError, match=r"train: nothing started it within 0 s; .*state/server\.log"):
        waited(any_watcher([]))


def should_say_which_execution_lasts_too_long():
    with pytest.raises(StageError, match=r"train: not ended after 0 s; .*menulens-local-train:slow"):
        waited(any_watcher([any_execution("slow", status="RUNNING")]), patience=0.0)

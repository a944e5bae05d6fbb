"""One run of the demo: what it finds out first, how it times its stages, which dataset it goes on with."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from demo import run as demo_run
from demo.run import Run, _dataset_of, _follow
from demo.watch import Execution, StageError

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def any_execution(output: dict[str, Any], machine: str = "clean") -> Execution:
    return Execution(machine, f"arn:{machine}", NOW, NOW + timedelta(seconds=3), output)  # type: ignore[arg-type]


def should_put_stages_by_the_clouds_clock_beside_those_by_its_own(tmp_path):
    run = Run(tmp_path)
    with run.stage("upload photos"):
        pass
    began = datetime.now(UTC) + timedelta(seconds=10)

    run.note("training", began, began + timedelta(seconds=95), "two epochs")

    upload, training = run.stages
    assert upload.start == pytest.approx(0, abs=1)
    assert training.start == pytest.approx(10, abs=1)
    assert (training.seconds, training.detail) == (95, "two epochs")


def should_give_no_stage_a_time_before_the_start_or_less_than_none(tmp_path):
    run = Run(tmp_path)

    run.note("cleaning", NOW - timedelta(days=1), NOW - timedelta(days=2))

    assert (run.stages[0].start, run.stages[0].seconds) == (0.0, 0.0)


def should_not_count_a_stage_that_failed(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(StageError), run.stage("deploy the stacks"):
        raise StageError("no")

    assert run.stages == []


def should_take_the_dataset_of_the_cleaning_or_of_the_labeling_that_cleaned():
    nothing = any_execution({})

    assert _dataset_of(any_execution({"dataset": "a-1"}), nothing) == "a-1"
    assert _dataset_of(nothing, any_execution({"cleaned": {"dataset": "b-2"}}, "label")) == "b-2"
    with pytest.raises(StageError, match="clean: its execution arn:clean names no dataset"):
        _dataset_of(nothing, any_execution({}, "label"))


def should_say_before_anything_starts_what_is_missing(tmp_path, monkeypatch):
    with monkeypatch.context() as without, pytest.raises(StageError, match=r"preflight: Node\.js"):
        without.setattr(shutil, "which", lambda _: None)
        Run(tmp_path).preflight()
    with monkeypatch.context() as without, pytest.raises(StageError, match="make setup"):
        without.setattr(demo_run.pictures, "PROJECT", tmp_path)
        Run(tmp_path).preflight()
    with monkeypatch.context() as without, pytest.raises(StageError, match=r"GiB of disk are free here; 999999 are"):
        without.setattr(demo_run, "NEEDED_GIB", 999_999.0)
        Run(tmp_path).preflight()


def should_follow_a_labeling_job_to_its_end_and_leave_when_told(monkeypatch):
    monkeypatch.setattr(demo_run, "POLL_SECONDS", 0.0)
    looks = [
        {"state": "open", "done": 3, "total": 60, "answers": 5},
        {"state": "paused", "done": 60, "total": 60, "answers": 81},
        {"state": "complete", "done": 60, "total": 60, "answers": 82},
    ]
    owner = SimpleNamespace(job=lambda: looks.pop(0))
    shown: list[tuple[int, int, str]] = []
    bars = SimpleNamespace(update=lambda _task, *, total, completed, doing: shown.append((completed, total, doing)))

    ended = _follow(owner, threading.Event(), bars, 0, "answering")  # type: ignore[arg-type]

    assert shown == [(3, 60, "answering, 5 answers"), (60, 60, "answering, 81 answers")]
    assert ended["answers"] == 82
    leave = threading.Event()
    leave.set()
    assert _follow(SimpleNamespace(), leave, bars, 0, "") == {}  # type: ignore[arg-type]

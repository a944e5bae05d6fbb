"""The tasks of one labeling job: who may answer what, for how long, and answers that are on disk before they count."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "open", "answered", "labeled", "passed", "skipped", "failed"]


class TaskError(Exception):
    """A task that can't be given or answered; ``status`` is the HTTP status to refuse with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Worker:
    """Who answers: the Cognito subject, and the token's issuer."""

    sub: str
    name: str
    issuer: str
    pool: str
    groups: frozenset[str]


@dataclass(frozen=True)
class Given:
    """One answer."""

    worker: Worker
    answer: str
    accepted_at: float
    submitted_at: float


@dataclass
class Item:
    """One line of the input manifest.

    ``waiting`` for pre-annotation, ``open`` to workers, ``answered`` by enough of them, ``labeled``; ``passed``: it had
    a label before; ``skipped``: pre-annotation said that nobody need look; ``failed``: with a reason.
    """

    index: int
    line: str
    data: dict[str, Any]
    state: State = "waiting"
    task_input: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Given] = field(default_factory=dict)
    leases: dict[str, tuple[float, float]] = field(default_factory=dict)  # worker to (begin, end)
    output: dict[str, Any] = field(default_factory=dict)


class TaskStore:
    """Items of one job, and the journal of answers.

    Parameters
    ----------
    journal
        File that each answer is appended and flushed to before it is acknowledged.
    workers_per_item
        Different people that each item needs.
    lease_seconds
        How long a person has for a task before someone else may get it.
    choices
        Answers that are allowed.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        journal: Path,
        workers_per_item: int,
        lease_seconds: float,
        choices: Iterable[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.items = list(items)
        self.choices = tuple(choices)
        self.workers_per_item = workers_per_item
        self.answered = threading.Event()  # set when an item got its last answer
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._lock = threading.RLock()
        self._open: dict[int, Item] = {}
        journal.parent.mkdir(parents=True, exist_ok=True)
        self._journal = journal.open("ab")

    @property
    def lock(self) -> threading.RLock:
        """Lock over every item."""
        return self._lock

    def open(self, item: Item, task_input: dict[str, Any]) -> None:
        """Offer an item to workers."""
        with self._lock:
            item.task_input = task_input
            item.state = "open"
            self._open[item.index] = item

    def open_count(self) -> int:
        """Return how many items are on offer."""
        return len(self._open)

    def withdraw(self) -> None:
        """Take every item off offer."""
        with self._lock:
            self._open.clear()

    def lease(self, worker: Worker, limit: int) -> list[Item]:
        """Return up to ``limit`` tasks for a worker: first those already theirs, then new ones. None twice."""
        now = self._clock()
        leased: list[Item] = []
        with self._lock:
            for item in self._open.values():
                if len(leased) >= limit:
                    break
                if worker.sub in item.answers:
                    continue
                if self._holds(item, worker.sub, now) or self._free_places(item, now) > 0:
                    begin = item.leases.get(worker.sub, (now, 0.0))[0]
                    item.leases[worker.sub] = (begin, now + self._lease_seconds)
                    leased.append(item)
        return leased

    def _holds(self, item: Item, worker: str, now: float) -> bool:
        return item.leases.get(worker, (0.0, 0.0))[1] > now

    def _free_places(self, item: Item, now: float) -> int:
        for worker in [worker for worker, (_, end) in item.leases.items() if end <= now]:
            del item.leases[worker]
        return self.workers_per_item - len(item.answers) - len(item.leases)

    def leased(self, worker: Worker, index: int) -> Item:
        """Return an item that a worker holds or has answered.

        Raises
        ------
        TaskError
            If they hold no such item.
        """
        with self._lock:
            if 0 <= index < len(self.items):
                item = self.items[index]
                if worker.sub in item.answers or self._holds(item, worker.sub, self._clock()):
                    return item
        raise TaskError("This task is not yours; ask for tasks again.", 404)

    def answer(self, worker: Worker, index: int, answer: str) -> None:
        """Record an answer: on disk first, then in memory.

        Raises
        ------
        TaskError
            If the answer is none of the choices, the task is gone, or someone else took it after the lease ran out. The
            same answer once more is no error.
        """
        if answer not in self.choices:
            raise TaskError(f"{answer!r} is no category; allowed: {', '.join(self.choices)}.", 400)
        now = self._clock()
        with self._lock:
            if not 0 <= index < len(self.items):
                raise TaskError("There is no such task.", 404)
            item = self.items[index]
            before = item.answers.get(worker.sub)
            if before is not None:
                if before.answer == answer:
                    return
                raise TaskError("You have answered this task already.", 409)
            if item.index not in self._open:
                raise TaskError("This task is closed.", 409)
            held = self._holds(item, worker.sub, now)
            begin = item.leases.get(worker.sub, (now, 0.0))[0]
            if not held and self._free_places(item, now) <= 0:
                raise TaskError("Your time for this task was over, and someone else has it now.", 409)
            given = Given(worker, answer, begin, now)
            self._write(item, given)
            item.leases.pop(worker.sub, None)
            item.answers[worker.sub] = given
            if len(item.answers) >= self.workers_per_item:
                item.state = "answered"
                del self._open[item.index]
                self.answered.set()

    def _write(self, item: Item, given: Given) -> None:
        entry = {
            "item": item.index,
            "worker": given.worker.sub,
            "answer": given.answer,
            "accepted_at": given.accepted_at,
            "submitted_at": given.submitted_at,
        }
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def close(self) -> None:
        """Close the journal."""
        with self._lock:
            self._open.clear()
            self._journal.close()

"""People who label, for tests: each has a device that makes ids."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from benchmarks._portal_room import Room
from menulens.portal import answers, jobs, log, work
from menulens.portal.model import Answer, Item, Job


def any_id() -> str:
    return str(uuid.uuid4())


@dataclass
class Annotator:
    """One person at one job."""

    room: Room
    job: str
    id: str = field(default_factory=any_id)

    @property
    def who(self) -> answers.Who:
        return answers.Who(self.id, "any person", "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_any")

    def now(self) -> Job:
        return jobs.get(self.room.portal, self.job)

    def lease(self, limit: int = 5, have: tuple[str, ...] = ()) -> list[Item]:
        return list(work.lease(self.room.portal, self.now(), self.id, limit=limit, have=have).items)

    def given(self, item: str, category: int | None = 0, **more: Any) -> Answer:
        return Answer(id=any_id(), item=item, person="", **{"kind": "label", "category": category, **more})

    def send(self, *given: Answer) -> list[answers.Result]:
        return answers.record(self.room.portal, self.now(), self.who, given)

    def say(self, item: str, category: int | None = 0, **more: Any) -> answers.Result:
        [result] = self.send(self.given(item, category, **more))
        return result

    def label(self, category: int = 0, limit: int = 5) -> list[str]:
        """Lease and label; return the items."""
        leased = self.lease(limit)
        for it in leased:
            assert self.say(it.id, category).status == "accepted"
        return [it.id for it in leased]


def logged(room: Room, job: str) -> list[str]:
    """Seal, and return the ids of the log's answers."""

    log.seal(room.portal, job)
    lines = [json.loads(line) for line in log.lines(room.portal, job)]
    return [line["id"] for line in lines if line["kind"] == "answer"]

"""What one request of an owner works with: the portal, who asks, and what was counted a moment ago."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from menulens.labeling import agreement
from menulens.portal import jobs, review, skills, stats, work
from menulens.portal.context import Portal
from menulens.portal.model import Item, Job, Person, Progress

FRESH_SECONDS: Final = 10.0
"""For so long a count of a job that has had new answers since is shown again: one pass reads all of its items."""

MOST_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class Counted:
    """What one pass over a job's items found, and when.

    Attributes
    ----------
    when
        On the clock that never goes back.
    progress, version
        Of the job before the pass.
    """

    when: float
    progress: Progress
    version: int
    stats: stats.Stats
    agreement: agreement.Alpha


_counted: dict[tuple[str, str], Counted] = {}


@dataclass(frozen=True, slots=True)
class Desk:
    """An owner's desk.

    Attributes
    ----------
    owner
        The owner's id.
    sign
        (job, key of a display copy) to an address that this owner alone can open, for a while.
    start
        (machine, input) starts an execution and returns its ARN.
    names
        What people are called, by id.
    """

    portal: Portal
    owner: str
    sign: Callable[[Job, str], str]
    start: Callable[[str, Mapping[str, Any]], str]
    names: Callable[[], Mapping[str, str]] = dict

    def job(self, name: str) -> Job:
        """Return a job."""
        return jobs.get(self.portal, name)

    def signed(self, job: Job) -> Callable[[str], str]:
        """Return what signs display copies of a job."""
        return lambda key: self.sign(job, key)

    def people(self, job: Job) -> dict[str, Person]:
        """Return everybody whom a job knows, by id."""
        called = self.names()
        known = work.people(self.portal, job.name)
        return {person.id: replace(person, name=called.get(person.id) or person.name) for person in known}

    def views(self, job: Job, items: list[Item]) -> list[dict[str, Any]]:
        """Return items as the owner sees them."""
        people, known = self.people(job), skills.current(self.portal, job.name)
        return [review.view(item, job, people, self.signed(job), known) for item in items]

    def counted(self, job: Job) -> Counted:
        """Return what one pass over a job's items finds; a count of the last seconds serves again."""
        place = (self.portal.table.name, job.name)
        now, progress = time.monotonic(), jobs.progress(self.portal, job)
        found = _counted.get(place)
        if found is not None:
            same = (found.progress, found.version) == (progress, job.version)
            if same or now - found.when < FRESH_SECONDS:
                return replace(found, progress=progress)
        seen = stats.look(jobs.items(self.portal, job), job.created_at)
        _counted.pop(place, None)
        while len(_counted) >= MOST_KEPT:
            del _counted[next(iter(_counted))]
        _counted[place] = Counted(now, progress, job.version, seen, agreement.krippendorff(seen.votes))
        return _counted[place]

    def forget(self, job: Job) -> None:
        """Count anew next time: the owner has changed something and wants to see it."""
        _counted.pop((self.portal.table.name, job.name), None)

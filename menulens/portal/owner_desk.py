"""What one request of an owner works with: the portal, who asks, and what was counted a moment ago."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from menulens.labeling import agreement
from menulens.portal import jobs, review, skills, stats, work
from menulens.portal.context import Portal
from menulens.portal.model import Item, Job, Person, PortalError, Progress

FRESH_SECONDS: Final = 10.0
"""For so long a count of a job that has had new answers since is shown again: one pass reads all of its items."""

REST: Final = 10
"""A pass that took long is shown again for so many times as long."""

COUNTING_SECONDS: Final = 10.0
"""A pass stops after so long, and the next request goes on with it: the page waits for 20 seconds at most."""

LEFT_ALONE_SECONDS: Final = 120.0

MOST_KEPT: Final = 8


_ANOTHER: Final = -1
"""The version of a job that is not the one that was counted."""


class CountingError(PortalError):
    """A job is being counted that is too large for one request; the next one goes on.

    Attributes
    ----------
    share
        How much of it is counted, 0 to 1.
    """

    def __init__(self, job: str, share: float) -> None:
        super().__init__("counting", f"{share:.0%} of {job} are counted; ask again.", 409)
        self.share = share


@dataclass(frozen=True, slots=True)
class Counted:
    """What one pass over a job's items found, and when.

    Attributes
    ----------
    when, took
        When it ended, on the clock that never goes back, and how many seconds it took.
    progress, version
        Of the job before the pass.
    """

    when: float
    took: float
    progress: Progress
    version: int
    stats: stats.Stats
    agreement: agreement.Alpha


@dataclass(slots=True)
class _Pass:
    """A pass that is under way: what was found in the first so many chunks of a job's items."""

    progress: Progress
    version: int
    found: stats.Stats = field(default_factory=stats.Stats)
    chunks: int = 0
    took: float = 0.0
    looked: float = field(default_factory=time.monotonic)

    @property
    def left_alone(self) -> bool:
        """Whether nobody has asked for so long that what it found is old."""
        return time.monotonic() - self.looked > LEFT_ALONE_SECONDS

    def go_on(self, portal: Portal, job: Job) -> bool:
        """Count for a while, a chunk at least; return whether all is counted."""
        began = time.monotonic()
        for chunk in range(self.chunks, jobs.chunks(job)):
            stats.look(jobs.items_of(portal, job, chunk), job.created_at, self.found)
            self.chunks += 1
            if time.monotonic() - began > COUNTING_SECONDS:
                break
        self.looked = time.monotonic()
        self.took += self.looked - began
        return self.chunks >= jobs.chunks(job)


_counted: dict[tuple[str, str], Counted] = {}
_passes: dict[tuple[str, str], _Pass] = {}


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
        """Return what one pass over a job's items finds; a count of the last seconds serves again.

        Raises
        ------
        CountingError
            While a job is counted for the first time that is too large for one request.
        """
        place = (self.portal.table.name, job.name)
        progress = jobs.progress(self.portal, job)
        found = _counted.get(place)
        if found is not None:
            same = (found.progress, found.version) == (progress, job.version)
            if same or time.monotonic() - found.when < max(FRESH_SECONDS, REST * found.took):
                return replace(found, progress=progress)
        going = _passes.get(place)
        if going is None or going.left_alone:
            going = _passes[place] = _Pass(progress, job.version)
        if not going.go_on(self.portal, job):
            if found is not None:
                return replace(found, progress=progress)
            raise CountingError(job.name, going.chunks / jobs.chunks(job))
        del _passes[place]
        _counted.pop(place, None)
        while len(_counted) >= MOST_KEPT:
            del _counted[next(iter(_counted))]
        alpha = agreement.krippendorff(going.found.votes)
        _counted[place] = Counted(time.monotonic(), going.took, going.progress, going.version, going.found, alpha)
        return _counted[place]

    def forget(self, job: Job) -> None:
        """Count anew next time: the owner has changed something and wants to see it.

        What takes several requests to count is shown for its time all the same, and goes on if it is under way:
        an owner who decides one item after the other would wait for it each time.
        """
        place = (self.portal.table.name, job.name)
        if place in _passes:
            _passes[place].version = _ANOTHER
        found = _counted.pop(place, None)
        if found is not None and found.took > COUNTING_SECONDS:
            _counted[place] = replace(found, version=_ANOTHER)

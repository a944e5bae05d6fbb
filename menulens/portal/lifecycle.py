"""Pause, resume, stop, reopen, and the end that comes by itself."""

from __future__ import annotations

from typing import Any, Final

from menulens.core import keys as names
from menulens.portal import entries, keys
from menulens.portal.context import Portal
from menulens.portal.model import ENDED, Job, JobState, PortalError, Progress, iso, seconds
from menulens.portal.reading import get, progress
from menulens.portal.table import ConditionError, Update

LABELING_FINISHED: Final = "LabelingFinished"
LABELING_OPENED: Final = "LabelingOpened"
OVERDUE_SECONDS: Final = 1_200.0
"""Longer than writing an output takes: after this it is taken to have been killed, and begun again."""


def pause(portal: Portal, name: str) -> Job:
    """Hand out no more work; answers to what is handed out are taken."""
    return _move(portal, name, "paused", ("open",))


def resume(portal: Portal, name: str) -> Job:
    """Hand out work again."""
    return _move(portal, name, "open", ("paused",))


def stop(portal: Portal, name: str) -> Job:
    """End a job as it is; its output has the labels so far."""
    return _move(portal, name, "stopped", ("open", "paused"))


def reopen(portal: Portal, name: str) -> Job:
    """Go on with a job that ended."""
    return _move(portal, name, "open", ("stopped", "complete"))


def conclude(portal: Portal, job: Job) -> Job:
    """End a job whose items are all done; one with open items, or in another state, stays as it is."""
    if job.state != "open" or progress(portal, job).open:
        return job
    return _move(portal, job.name, "complete", ("open",))


def nudge(portal: Portal, job: Job) -> Job:
    """Make good what a kill left undone: end a job that is done, tell again that one has ended and has no output."""
    entry = portal.table.get(keys.meta(job.name)) or {}
    if job.state == "open":
        now = progress(portal, job)
        # A reopened job stays open until something has changed since.
        return job if now.open or entry.get("reopened_at") == _standing(now) else conclude(portal, job)
    overdue = portal.clock() - OVERDUE_SECONDS > seconds(entry.get("changed_at", job.created_at))
    if job.finish_due and overdue:
        portal.emit(LABELING_FINISHED, {names.JOB_NAME: job.name})
    return job


def _move(portal: Portal, name: str, target: JobState, allowed: tuple[JobState, ...]) -> Job:
    job = get(portal, name)
    if job.state == target:
        return job
    if job.state not in allowed:
        raise PortalError("state", f"{name} is {job.state}; due: {' or '.join(allowed)}.", 409)
    change: dict[str, Any] = {"state": target, "changed_at": iso(portal.clock())}
    tells = job.output == "portal"
    if target in ENDED:
        change["finish_due"] = True if tells else None
    elif job.state in ENDED:
        change |= {"finish_due": None, "reopened_at": _standing(progress(portal, job))}
    try:
        portal.table.transact(
            [
                Update(keys.meta(name), set=change, add={"version": 1}, when={"state": job.state}),
                entries.waiting(name, "state", {"state": target}, now=portal.clock()),
            ]
        )
    except ConditionError:
        return _move(portal, name, target, allowed)
    moved = get(portal, name)
    if target in ENDED and tells:
        portal.emit(LABELING_FINISHED, {names.JOB_NAME: name})
    elif job.state in ENDED:
        announce(portal, moved)
    return moved


def _standing(now: Progress) -> list[int]:
    """Return what tells whether anything has happened: photos asked again and answered are as many as before."""
    return [now.done, now.total, now.answers]


def announce(portal: Portal, job: Job) -> None:
    """Tell that there is work."""
    told = {
        names.JOB_NAME: job.name,
        names.JOB_KIND: job.kind,
        names.TITLE: job.texts.title_ja or job.texts.title_en or job.name,
        names.TITLE_EN: job.texts.title_en or job.texts.title_ja or job.name,
        names.OPEN: progress(portal, job).open,
    }
    portal.emit(LABELING_OPENED, told)

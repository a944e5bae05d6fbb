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
REST_SECONDS: Final = 300.0
"""An owner who has decided nothing for so long is taken to be through: the output is written with what they decided."""


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
    """End a job that is done, have the output of one that has ended written anew when its owner has decided since.

    Makes good what a kill left undone: tells again that a job has ended and has no output.
    """
    entry = portal.table.get(keys.meta(job.name)) or {}
    decided_at = entry.get("decided_at", "")
    decided = decided_at != "" and portal.clock() - REST_SECONDS > seconds(decided_at)
    if job.state == "open":
        now = progress(portal, job)
        # A reopened job stays open until something has changed since.
        unchanged = entry.get("reopened_at") == _standing(now) and not decided
        return job if now.open or unchanged else conclude(portal, job)
    if decided and job.state in ENDED and job.output == "portal":
        return _finish_anew(portal, job, decided_at)
    overdue = portal.clock() - OVERDUE_SECONDS > seconds(entry.get("changed_at", job.created_at))
    if job.finish_due and overdue:
        portal.emit(LABELING_FINISHED, {names.JOB_NAME: job.name})
    return job


def decided(job: Job, now: float) -> Update:
    """Return the write that notes that an owner decides something of a job, which must still be in the state it was in.

    A job's end clears the note, for its output has all that was decided before; one that comes later waits for
    :func:`nudge`.
    """
    return Update(keys.meta(job.name), set={"decided_at": iso(now)}, when={"state": job.state})


def _finish_anew(portal: Portal, job: Job, decided_at: str) -> Job:
    change = {"finish_due": True, "changed_at": iso(portal.clock())}
    as_read = {"state": job.state, "decided_at": decided_at}
    try:
        portal.table.write(
            Update(keys.meta(job.name), set=change, remove=["decided_at"], add={"version": 1}, when=as_read)
        )
    except ConditionError:
        return job  # reopened, or decided on: the next look sees to it
    portal.emit(LABELING_FINISHED, {names.JOB_NAME: job.name})
    return get(portal, job.name)


def _move(portal: Portal, name: str, target: JobState, allowed: tuple[JobState, ...]) -> Job:
    job = get(portal, name)
    if job.state == target:
        return job
    if job.state not in allowed:
        raise PortalError("state", f"{name} is {job.state}; due: {' or '.join(allowed)}.", 409)
    change: dict[str, Any] = {"state": target, "changed_at": iso(portal.clock())}
    tells = job.output == "portal"
    if target in ENDED:
        change |= {"finish_due": True if tells else None, "decided_at": None}
    elif job.state in ENDED:
        change |= {"finish_due": None, "decided_at": None, "reopened_at": _standing(progress(portal, job))}
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
    """Return what tells whether anything has happened: photos asked again and answered are as many as before.

    What waits for an owner counts when the last of it is decided: an end after the first would come in between.
    """
    return [now.done, now.total, now.answers, int(now.review > 0)]


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

"""The sealer's round: which jobs have something for the log, and what follows from its being there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from menulens.portal import jobs, log
from menulens.portal.context import Portal
from menulens.portal.model import Job
from menulens.portal.refit import refit

_OUTBOX: Final = "outbox#"


def told_of(event: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the jobs whose outbox a batch of the table's stream tells of; None (all jobs) for any other event."""
    if "Records" not in event:
        return None
    found = set()
    for one in event["Records"]:
        pk = one.get("dynamodb", {}).get("Keys", {}).get("pk", {}).get("S", "")
        # What leaves the outbox is in the log already.
        if pk.startswith(_OUTBOX) and one.get("eventName") != "REMOVE":
            found.add(pk.removeprefix(_OUTBOX))
    return frozenset(found)


def seal_all(portal: Portal, names: Collection[str] | None = None) -> dict[str, int]:
    """Seal jobs, learn from what came in, and end those that are done; return the lines written for each.

    A job that fails holds up no other: its error is raised when all are through.

    Parameters
    ----------
    names
        Jobs; all if None.

    Raises
    ------
    ExceptionGroup
        What went wrong with each job that failed.
    """
    found = (
        jobs.list_jobs(portal) if names is None else [one for name in sorted(names) if (one := jobs.find(portal, name))]
    )
    written, failed = {}, []
    for job in found:
        try:
            if lines := _seal(portal, job):
                written[job.name] = lines
        except Exception as error:
            error.add_note(f"Job {job.name}.")
            failed.append(error)
    if failed:
        raise ExceptionGroup("Jobs that could not be sealed", failed)
    return written


def _seal(portal: Portal, job: Job) -> int:
    lines = log.seal(portal, job.name)
    if job.state == "open":
        # Before a job ends, its items are judged by all that is known; some may be asked about again.
        anyway = jobs.progress(portal, job).open == 0
        if refit(portal, job, log.head_of(portal, job.name).seq, anyway=anyway):
            lines += log.seal(portal, job.name)
    jobs.nudge(portal, job)
    return lines

"""The sealer's round: which jobs have something for the log, and what follows from its being there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from menulens.portal import jobs, log
from menulens.portal.context import Portal
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

    Parameters
    ----------
    names
        Jobs; all if None.
    """
    found = (
        jobs.list_jobs(portal) if names is None else [one for name in sorted(names) if (one := jobs.find(portal, name))]
    )
    written = {}
    for job in found:
        if lines := log.seal(portal, job.name):
            written[job.name] = lines
        if job.state == "open":
            # Before a job ends, its items are judged by all that is known; some may be asked about again.
            anyway = jobs.progress(portal, job).open == 0
            if refit(portal, job, log.head_of(portal, job.name).seq, anyway=anyway):
                written[job.name] = lines + log.seal(portal, job.name)
        jobs.nudge(portal, job)
    return written

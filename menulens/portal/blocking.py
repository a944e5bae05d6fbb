"""An owner gives someone no more work of a job, or work again; what the person said stays as it is."""

from __future__ import annotations

from typing import Any

from menulens.core import keys as names
from menulens.portal import entries, keys, work
from menulens.portal.context import Portal
from menulens.portal.model import Job, Person, PortalError
from menulens.portal.table import ConditionError, Put, Update

BY_OWNER = "owner"


def block(portal: Portal, job: Job, person_id: str, reason: str = "") -> Person:
    """Block a person; their leases go to others.

    Raises
    ------
    PortalError
        If the job does not know the person.
    """
    why = f"{BY_OWNER}: {reason}" if reason else BY_OWNER
    _change(portal, job, person_id, {"blocked": True, "blocked_reason": why}, why)
    person = work.person_of(portal, job.name, person_id)
    work.release(portal, job, person_id, person.held)
    return work.person_of(portal, job.name, person_id)


def unblock(portal: Portal, job: Job, person_id: str) -> Person:
    """Unblock a person. Gold items count anew: who was blocked for them would be blocked by the next one again.

    Raises
    ------
    PortalError
        If the job does not know the person.
    """
    anew = {"blocked": False, "blocked_reason": None, "gold_seen": 0, "gold_right": 0}
    _change(portal, job, person_id, anew, "")
    return work.person_of(portal, job.name, person_id)


def told(job: Job, person_id: str, reason: str, *, now: float, gold: tuple[int, int] | None = None) -> Put:
    """Return the write that tells the log of a block, or, without a reason, of its end.

    Parameters
    ----------
    gold
        How many known items they saw, and how many of these they had right, if that is why; owners are told then.
    """
    body: dict[str, Any] = {"person": person_id, "blocked": bool(reason), "reason": reason}
    if gold is not None:
        seen, right = gold
        due = job.options.gold_min_accuracy
        body["gold"] = {names.SEEN: seen, names.ACCURACY: round(right / seen, 4), names.DUE: due}
    return entries.waiting(job.name, "person", body, now=now)


def _change(portal: Portal, job: Job, person_id: str, change: dict[str, Any], reason: str) -> None:
    person = Update(keys.person(job.name, person_id), set=change, exists=True)
    try:
        portal.table.transact([person, told(job, person_id, reason, now=portal.clock())])
    except ConditionError:
        raise PortalError("no-person", f"{job.name} knows no such person.", 404) from None

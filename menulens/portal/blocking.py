"""An owner gives someone no more work of a job, or work again; what the person said stays as it is."""

from __future__ import annotations

from menulens.portal import keys, work
from menulens.portal.context import Portal
from menulens.portal.model import Job, Person, PortalError
from menulens.portal.table import ConditionError, Update

BY_OWNER = "owner"


def block(portal: Portal, job: Job, person_id: str, reason: str = "") -> Person:
    """Block a person; their leases go to others.

    Raises
    ------
    PortalError
        If the job does not know the person.
    """
    told = f"{BY_OWNER}: {reason}" if reason else BY_OWNER
    _change(
        portal,
        job,
        Update(keys.person(job.name, person_id), set={"blocked": True, "blocked_reason": told}, exists=True),
    )
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
    _change(portal, job, Update(keys.person(job.name, person_id), set=anew, exists=True))
    return work.person_of(portal, job.name, person_id)


def _change(portal: Portal, job: Job, change: Update) -> None:
    try:
        portal.table.write(change)
    except ConditionError:
        raise PortalError("no-person", f"{job.name} knows no such person.", 404) from None

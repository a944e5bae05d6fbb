"""Someone gets no more work of a job, or work again; what the person said stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from menulens.core import keys as names
from menulens.labeling import adaptive
from menulens.portal import entries, keys, work
from menulens.portal.context import Portal
from menulens.portal.model import Job, Person, PortalError
from menulens.portal.settling import Skills
from menulens.portal.table import ConditionError, Update, Write

BY_OWNER = "owner"
CHANGED_AT = "changed_at"
"""When somebody was last blocked or let go on: what is known of people is to be looked at again."""


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

    What their answers tell blocks them no more.

    Raises
    ------
    PortalError
        If the job does not know the person.
    """
    anew = {"blocked": False, "blocked_reason": None, "gold_seen": 0, "gold_right": 0, "kept": True}
    _change(portal, job, person_id, anew, "")
    return work.person_of(portal, job.name, person_id)


def block_who_tell_little(portal: Portal, job: Job, found: Skills, compared: Mapping[str, int]) -> int:
    """Block people whose answers tell little beside the others', as the job's options say; return how many.

    Whom an owner let go on is left alone, and so is of whom little is known. Never so many are blocked that an item
    could no longer get all the answers it may need.

    Parameters
    ----------
    found
        What people's answers are worth.
    compared
        How many of each person's labels there is something to compare with.
    """
    priors = found.priors_of(len(job.categories))
    worths = {person: adaptive.worth(skill, priors) for person, skill in found.people.items()}
    asked = [one for one in work.people(portal, job.name) if one.answered and not one.blocked]
    judged = {one.id: compared.get(one.id, 0) for one in asked if one.id in worths and not one.kept}
    spare = len(asked) - job.options.max_answers
    little = adaptive.telling_little(worths, judged, least=job.options.least_worth, spare=spare)
    return sum(_block_for(portal, job, person, share) for person, share in little.items())


def _block_for(portal: Portal, job: Job, person_id: str, share: float) -> bool:
    """Block a person who tells so little; not one who is blocked, or whom an owner let go on, meanwhile."""
    reason = f"{names.WORTH}: {share:.0%}"
    changed = Update(
        keys.person(job.name, person_id),
        set={"blocked": True, "blocked_reason": reason},
        unless={"blocked": True, "kept": True},
        exists=True,
    )
    try:
        portal.table.transact([changed, *told(job, person_id, reason, now=portal.clock(), worth=share)])
    except ConditionError:
        return False
    work.release_all(portal, job, person_id)
    return True


def told(
    job: Job,
    person_id: str,
    reason: str,
    *,
    now: float,
    gold: tuple[int, int] | None = None,
    worth: float | None = None,
) -> tuple[Write, ...]:
    """Return the writes that tell the log, and the next refit, of a block, or, without a reason, of its end.

    Parameters
    ----------
    gold
        How many known items they saw, and how many of these they had right, if that is why; owners are told then.
    worth
        What their answers tell, as a share of what people's tell on average, if that is why; owners are told then.
    """
    body: dict[str, Any] = {"person": person_id, "blocked": bool(reason), "reason": reason}
    if gold is not None:
        seen, right = gold
        due = job.options.gold_min_accuracy
        body["gold"] = {names.SEEN: seen, names.ACCURACY: round(right / seen, 4), names.DUE: due}
    if worth is not None:
        body["worth"] = {names.WORTH: round(worth, 4), names.DUE: job.options.least_worth}
    return entries.waiting(job.name, "person", body, now=now), Update(keys.skills(job.name), set={CHANGED_AT: now})


def _change(portal: Portal, job: Job, person_id: str, change: dict[str, Any], reason: str) -> None:
    person = Update(keys.person(job.name, person_id), set=change, exists=True)
    try:
        portal.table.transact([person, *told(job, person_id, reason, now=portal.clock())])
    except ConditionError:
        raise PortalError("no-person", f"{job.name} knows no such person.", 404) from None

"""Answers: each is one transaction, known by its id, so that it counts once however often it is sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from menulens.portal import blocking, entries, keys
from menulens.portal import skills as skills_
from menulens.portal.context import Portal
from menulens.portal.model import Answer, Item, Job, Person, PortalError, iso
from menulens.portal.settling import counts, freed, judged, wanted
from menulens.portal.table import ConditionError, Put, TableError, Update, Write

MOST_AT_ONCE: Final = 50
_ATTEMPTS: Final = 25

Status = Literal["accepted", "duplicate", "rejected"]


@dataclass(frozen=True, slots=True)
class Who:
    """Who answers: the subject of their token, what they are called, and who signed the token."""

    id: str
    name: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an answer; ``accepted`` and ``duplicate`` both mean that it is kept, once."""

    id: str
    status: Status
    code: str = ""
    message: str = ""
    settled: bool = False


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def record(portal: Portal, job: Job, who: Who, given: Sequence[Answer]) -> list[Result]:
    """Record answers, one after the other.

    Parameters
    ----------
    given
        Answers as a device sent them; person and our times are filled in here.

    Returns
    -------
    list of Result
        One for each, in order. An accepted answer is in the table and will be in the log, whatever happens next.

    Raises
    ------
    PortalError
        If there are too many at once.
    TableError
        If the table can't be written; answers before the one that failed are recorded, and may be sent again.
    """
    if len(given) > MOST_AT_ONCE:
        raise PortalError("too-many", f"{len(given)} answers were sent at once; {MOST_AT_ONCE} are allowed.")
    return [_record(portal, job, who, answer) for answer in given]


def _record(portal: Portal, job: Job, who: Who, sent: Answer) -> Result:
    answer = replace(sent, person=who.id, issuer=who.issuer)
    try:
        _check(job, answer)
        for _ in range(_ATTEMPTS):
            done = _attempt(portal, job, who, answer)
            if done is not None:
                return done
    except _RefusedError as refused:
        return Result(answer.id, "rejected", refused.code, str(refused))
    raise TableError(f"{answer.id}: item {answer.item} was changed by others {_ATTEMPTS} times; send it again.")


def _check(job: Job, answer: Answer) -> None:
    known = range(len(job.categories))
    if answer.kind in ("label", "hard") and answer.category not in known:
        raise _RefusedError("no-category", "This category is not asked for.")
    if answer.second is not None and (answer.kind != "hard" or answer.second not in known):
        raise _RefusedError("no-category", "A second choice goes with 'hard to say' and is one of the categories.")
    if answer.kind == "report" and answer.problem is None:
        raise _RefusedError("no-problem", "A report says what is wrong: broken or improper.")


def _attempt(portal: Portal, job: Job, who: Who, sent: Answer) -> Result | None:
    """Try once; None if the item was changed meanwhile."""
    answer_key, person_key = keys.answer(job.name, sent.id), keys.person(job.name, who.id)
    wanted_keys = [answer_key, person_key]
    if len(sent.item) == 7 and sent.item.isdecimal():
        wanted_keys.append(keys.item(job.name, sent.item))
    found = portal.table.get_many(wanted_keys)
    if answer_key in found:
        return _again(found[answer_key], sent)
    person = Person.from_json({**found.get(person_key, {}), "id": who.id, "job": job.name})
    entry = found.get(wanted_keys[2]) if len(wanted_keys) > 2 else None
    it = None if entry is None else Item.from_json(entry)
    if it is None or who.id not in it.leases:
        raise _RefusedError("no-item", "There is no such task for you.")
    if not person.may_answer:
        raise _RefusedError("blocked", "You get no more work of this job; ask its owner.")
    before = _before(it, who.id, sent)
    now = portal.clock()
    answer = replace(sent, leased_at=iso(it.leases[who.id][0]), recorded_at=iso(now))
    after = freed(it, judged(it.with_(answers={**it.answers, who.id: answer}), job, skills_.current(portal, job.name)))
    blocked = _blocked(job, person, it, before, answer)
    gold = _gold_sum(person, it, before, answer)
    told_of = blocking.told(job, who.id, blocked, now=now, gold=gold) if blocked else ()
    try:
        portal.table.transact(
            [
                Put(answer_key, _stored(answer, after), new=True),
                _item_write(job, it, after, now),
                entries.waiting(job.name, "answer", _told(answer, after), now=now, entry_id=answer.id),
                _person_write(who, it, before, answer, now=now, blocked=blocked),
                Update(
                    keys.counter(job.name, keys.shard(who.id + it.id)),
                    add={"answers": 1, **{name: by for name, by in counts(it, after).items() if by}},
                ),
                *told_of,
            ],
            # The same attempt sent twice by the client's own retries is done once; another attempt has another token.
            token=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{job.name}/{answer.id}/{it.version}/{answer.recorded_at}")),
        )
    except ConditionError as error:
        if 0 in error.failed:
            return _again(portal.table.get(answer_key) or {}, sent)
        return None
    return Result(answer.id, "accepted", settled=after.state != "open" and it.state == "open")


def _again(stored: Mapping[str, Any], sent: Answer) -> Result:
    """Answer for an id that is there: a duplicate of the same answer, or another one under its id."""
    if stored.get("person") != sent.person or stored.get("item") != sent.item:
        raise _RefusedError("id-taken", "Another answer has this id; make a new one.")
    return Result(sent.id, "duplicate")


def _before(it: Item, person: str, answer: Answer) -> Answer | None:
    """Return the answer that this one takes the place of."""
    before = it.answers.get(person)
    if answer.replaces:
        if before is None or before.id != answer.replaces:
            raise _RefusedError("not-replaceable", "The answer to take back is not the one that counts.")
        return before
    if before is not None:
        raise _RefusedError("answered", "You have answered this task already; the first answer counts.")
    return None


def _blocked(job: Job, person: Person, it: Item, before: Answer | None, answer: Answer) -> str:
    """Return why a person gets no more work after this answer; empty if they do."""
    seen, right = _gold_sum(person, it, before, answer)
    options = job.options
    if person.blocked or it.gold is None or seen < options.gold_min_seen or right >= options.gold_min_accuracy * seen:
        return ""
    return f"gold: {right} of {seen} right"


def _gold_sum(person: Person, it: Item, before: Answer | None, answer: Answer) -> tuple[int, int]:
    """Return how many gold items a person has seen after an answer, and how many were right."""
    seen, right = _gold_change(it, before, answer)
    return person.gold_seen + seen, person.gold_right + right


def _gold_change(it: Item, before: Answer | None, answer: Answer) -> tuple[int, int]:
    """Return by how much an answer changes how many gold items were seen, and how many were right."""

    def told(one: Answer | None) -> tuple[int, int]:
        labeled = one is not None and one.kind == "label"
        return (1, int(one.category == it.gold)) if labeled and one is not None else (0, 0)

    if it.gold is None:
        return 0, 0
    (seen_before, right_before), (seen, right) = told(before), told(answer)
    return seen - seen_before, right - right_before


def _item_write(job: Job, it: Item, after: Item, now: float) -> Write:
    changed = after.to_json()
    fields = ("answers", "leases", "state", "label", "posterior", "settler", "reason", "version")
    queue = keys.queue_of(after, wanted=wanted(after, job.options), now=now)
    return Update(
        keys.item(job.name, it.id),
        set={name: changed[name] for name in fields} | queue,
        when={"version": it.version},
    )


def _person_write(who: Who, it: Item, before: Answer | None, answer: Answer, *, now: float, blocked: str) -> Write:
    seen, right = _gold_change(it, before, answer)
    answered = (answer.kind != "skip") - (before is not None and before.kind != "skip")
    numbers = {"answered": answered, "gold_seen": seen, "gold_right": right}
    setting: dict[str, Any] = {"last_at": iso(now), "name": who.name or None}
    if not who.name:
        del setting["name"]
    if blocked:
        setting |= {"blocked": True, "blocked_reason": blocked}
    return Update(
        keys.person(it.job, who.id),
        set=setting,
        add={name: by for name, by in numbers.items() if by},
        take={"held": frozenset({it.id})},
        unless={"blocked": True} if blocked else None,  # by another device of theirs: told once
    )


def _stored(answer: Answer, after: Item) -> dict[str, Any]:
    return answer.to_json() | {"v": after.version}


def _told(answer: Answer, after: Item) -> dict[str, Any]:
    """Return what the log keeps: the answer, and what it made of the item."""
    said = {name: value for name, value in answer.to_json().items() if value not in (None, "")}
    return said | {"v": after.version, "state": after.state, "reason": after.reason, "settler": after.settler}


def mine(portal: Portal, job: Job, person_id: str) -> tuple[int, int, int]:
    """Return how many items a person has answered, how many are open, and how many there are."""
    person_key = keys.person(job.name, person_id)
    counters = [keys.counter(job.name, shard) for shard in range(keys.SHARDS)]
    found = portal.table.get_many([person_key, *counters])
    done = sum(int(found[key].get("done", 0)) for key in counters if key in found)
    return int(found.get(person_key, {}).get("answered", 0)), max(0, job.asked - done), job.asked

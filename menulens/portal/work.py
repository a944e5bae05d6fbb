"""Leases: an item is kept for a person for a while; their own come first, gold items among them unseen.

Of the first items in the queues a person gets those where their answer tells more than another's would.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from menulens.labeling import adaptive
from menulens.portal import keys
from menulens.portal import skills as skills_
from menulens.portal.context import Portal
from menulens.portal.model import TAKES_WORK, Item, Job, Person, iso
from menulens.portal.settling import wanted
from menulens.portal.table import SK, ConditionError, Update

MOST_LEASED: Final = 10
MOST_HELD: Final = 40
"""Items that a person may hold: what their devices keep for a ride without a network."""

_LOOKED_AT: Final = 100
"""Candidates read for a person whose answers are known well enough to choose by: what one read of the table gives."""
_AT_LEAST: Final = 4
"""Candidates read for each item that is wanted, whoever asks: others may be faster with some."""
_TRIES: Final = 3
_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Leased:
    """What a person got.

    Attributes
    ----------
    items
        Items with a lease of theirs.
    person
        What the job knows of them.
    """

    items: tuple[Item, ...]
    person: Person


def person_of(portal: Portal, job: str, person_id: str) -> Person:
    """Return what a job knows of a person; of a new one nothing."""
    found = portal.table.get(keys.person(job, person_id))
    return Person(person_id, job) if found is None else Person.from_json({**found, "id": person_id, "job": job})


def people(portal: Portal, job: str) -> list[Person]:
    """Return everyone who has had work of a job."""
    return [Person.from_json({**entry, "id": entry[SK], "job": job}) for entry in portal.table.query(f"people#{job}")]


def lease(
    portal: Portal, job: Job, person_id: str, *, limit: int, have: Collection[str] = (), name: str = ""
) -> Leased:
    """Give a person up to ``limit`` items.

    Parameters
    ----------
    limit
        1 to 10.
    have
        Ids of items that this device has; they are not given again, but stay leased.
    name
        Shown to owners.

    Returns
    -------
    Leased
        Without items where the job hands out none, the person is blocked, or nothing is left for them.
    """
    person = person_of(portal, job.name, person_id)
    if job.state not in TAKES_WORK or person.blocked:
        return Leased((), person)
    now = portal.clock()
    taken, stale = _theirs(portal, job, person, now=now, limit=limit, have=have)
    if stale:
        _forget(portal, job, person, stale)
    room = min(limit - len(taken), MOST_HELD - (len(person.held) - len(stale)))
    if room > 0:
        known = {*have, *person.held, *(it.id for it in taken)}
        fresh = _Fresh(portal, job, person, now=now, known=known, name=name)
        gold = sum(_random.random() < job.options.gold_share for _ in range(room))
        taken += fresh.gold(gold) if gold else []
        taken += fresh.work(room - sum(it.gold is not None for it in taken))
        _random.shuffle(taken)
    return Leased(tuple(taken), person)


def _forget(portal: Portal, job: Job, person: Person, stale: frozenset[str]) -> None:
    """Take names from a person's entry, unless it was changed since it was read: the next request does it then."""
    as_read: dict[str, Any] = {"when": {"last_at": person.last_at}} if person.last_at else {"absent": ["last_at"]}
    try:
        portal.table.write(Update(keys.person(job.name, person.id), take={"held": stale}, **as_read))
    except ConditionError:
        return


def release(portal: Portal, job: Job, person_id: str, item_ids: Iterable[str]) -> int:
    """Take back leases of a person; what they answer later is still theirs. Return how many were running."""
    ids = list(dict.fromkeys(item_ids))
    ended = sum(_end(portal, job, person_id, item_id) for item_id in ids if item_id.isdecimal() and len(item_id) == 7)
    held = person_of(portal, job.name, person_id).held.intersection(ids)
    if held:
        portal.table.write(Update(keys.person(job.name, person_id), take={"held": held}))
    return ended


def release_all(portal: Portal, job: Job, person_id: str) -> int:
    """Take back all leases of a person who left; return how many were running."""
    return release(portal, job, person_id, person_of(portal, job.name, person_id).held)


def _end(portal: Portal, job: Job, person_id: str, item_id: str) -> bool:
    for _ in range(_TRIES):
        entry = portal.table.get(keys.item(job.name, item_id))
        it = None if entry is None else Item.from_json(entry)
        now = portal.clock()
        if it is None or person_id not in it.holders(now):
            return False
        changed = it.with_(leases={**it.leases, person_id: (it.leases[person_id][0], 0.0)})
        if _write(portal, job, it, changed, now):
            return True
    return False


def _theirs(
    portal: Portal, job: Job, person: Person, *, now: float, limit: int, have: Collection[str]
) -> tuple[list[Item], frozenset[str]]:
    """Return held items that are still theirs, and ids that are not."""
    held = sorted(person.held)
    entries = portal.table.get_many(keys.item(job.name, item_id) for item_id in held)
    found = {entry[SK]: Item.from_json(entry) for entry in entries.values()}
    mine: list[Item] = []
    stale: set[str] = set()
    for item_id in held:
        it = found.get(item_id)
        if it is None or person.id not in it.holders(now) or not (it.state == "open" or it.gold is not None):
            stale.add(item_id)
        elif item_id not in have and len(mine) < limit:
            # A new lease for what is shown again; a device's own are as long as they were.
            renewed = it.with_(leases={**it.leases, person.id: (it.leases[person.id][0], now + _span(job))})
            if _write(portal, job, it, renewed, now):
                mine.append(renewed)
    return mine, frozenset(stale)


class _Fresh:
    """Looks for items that a person has not had."""

    def __init__(self, portal: Portal, job: Job, person: Person, *, now: float, known: set[str], name: str) -> None:
        self._portal, self._job, self._person, self._now, self._name = portal, job, person, now, name
        self._known = known
        self._skills = skills_.current(portal, job.name)
        self._skill = self._skills.people.get(person.id)

    def gold(self, limit: int) -> list[Item]:
        """Return gold items that they have not seen, any of them."""
        marked = [entry[SK] for entry in self._portal.table.query(keys.gold(self._job.name)[0])]
        unseen = [one for one in marked if one not in self._person.gold_given and one not in self._known]
        return self._take(_random.sample(unseen, min(limit, len(unseen))), limit, given="gold_given")

    def work(self, limit: int) -> list[Item]:
        """Return items by priority: free ones first, then those whose leases ran out."""
        taken: list[Item] = []
        count = self._job.queues
        first = _random.randrange(count)
        shards = [(first + step) % count for step in range(count)]
        for queue in chain(self._queues(shards, expired=False), self._queues(shards, expired=True)):
            while len(taken) < limit and (ids := list(islice(queue, self._looked_at(limit - len(taken))))):
                taken += self._take(ids, limit - len(taken))
            if len(taken) >= limit:
                break
        return taken

    def _looked_at(self, wanted_: int) -> int:
        return max(_LOOKED_AT if self._skill is not None else 0, wanted_ * _AT_LEAST)

    def _queues(self, shards: Iterable[int], *, expired: bool) -> Iterator[Iterator[str]]:
        queue_of = keys.held_queue if expired else keys.open_queue
        below = iso(self._now) if expired else ""
        for shard in shards:
            found = self._portal.table.queued(queue_of(self._job.name, shard), below=below, without=self._person.id)
            yield (entry[SK] for entry in found if entry[SK] not in self._known)

    def _take(self, ids: list[str], limit: int, *, given: str = "") -> list[Item]:
        """Lease up to ``limit`` of some items.

        An item names the person in the same transaction in which the person's entry names the item: what one request
        leases, another of the same person can't take for a name without a lease.
        """
        job, person = self._job, self._person
        entries = self._portal.table.get_many(keys.item(job.name, item_id) for item_id in ids)
        found = {entry[SK]: Item.from_json(entry) for entry in entries.values()}
        free = [found[one] for one in ids if one in found and self._is_free(found[one])]
        if not given:
            free.sort(key=self._rank)  # stable: of equals the first in the queue
        del free[limit:]
        taken = [it.with_(leases={**it.leases, person.id: (self._now, self._now + _span(job))}) for it in free]
        self._known |= {it.id for it in taken}
        if not taken or self._write(free, taken, given):
            return taken
        # Others were faster with some of them: take what is left one by one.
        return [after for it, after in zip(free, taken, strict=True) if self._write([it], [after], given)]

    def _write(self, before: Sequence[Item], after: Sequence[Item], given: str) -> bool:
        """Write leases of items, all or none; none if one of the items was changed meanwhile."""
        names = frozenset(it.id for it in after)
        person = Update(
            keys.person(self._job.name, self._person.id),
            set={"name": self._name or self._person.name, "last_at": iso(self._now)},
            add={"held": names, **({given: names} if given else {})},
        )
        leases = [_lease(self._job, was, it, self._now) for was, it in zip(before, after, strict=True)]
        try:
            self._portal.table.transact([person, *leases])
        except ConditionError:
            return False
        return True

    def _rank(self, it: Item) -> tuple[int, float]:
        """Return what items are ordered by: the owner's priority, then how well they suit the person."""
        if self._skill is None:
            return it.priority, 0.0
        priors = self._skills.priors_of(len(self._job.categories))
        beliefs = adaptive.posteriors(it.labels(), self._skills.people, priors)
        return it.priority, -adaptive.edge(beliefs, self._skill)

    def _is_free(self, it: Item) -> bool:
        if self._person.id in it.answers:
            return False
        if it.gold is not None:
            return True
        others = [one for one in it.holders(self._now) if one != self._person.id]
        return it.state == "open" and len(others) < wanted(it, self._job.options)


def _span(job: Job) -> float:
    return float(job.options.lease_seconds)


def _lease(job: Job, before: Item, after: Item, now: float) -> Update:
    """Return the write of an item's leases."""
    queue = keys.queue_of(after, wanted=wanted(after, job.options), now=now)
    change = {"leases": {person: list(span) for person, span in after.leases.items()}, "version": after.version}
    return Update(keys.item(job.name, after.id), set=change | queue, when={"version": before.version})


def _write(portal: Portal, job: Job, before: Item, after: Item, now: float) -> bool:
    """Write an item's leases, unless it was changed meanwhile."""
    try:
        portal.table.write(_lease(job, before, after, now))
    except ConditionError:
        return False
    return True

"""What an owner looks at: items with all that was said of them, those that wait for a decision, those in dispute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from menulens.labeling import adaptive
from menulens.portal import keys, reading
from menulens.portal.context import Portal
from menulens.portal.model import Item, Job, Person, PortalError, item_id
from menulens.portal.settling import Skills
from menulens.portal.stats import Stats
from menulens.portal.table import SK

MOST_SHOWN: Final = 50

LOOKING_SECONDS: Final = 5.0
"""Looking for items stops after so long, and the next request goes on with it: a person sees that it does."""

Signed = Callable[[str], str]
"""Turns the key of a display copy into an address that only this owner can open, for a while."""


def queue(portal: Portal, job: Job, limit: int, skip: Iterable[str] = ()) -> list[Item]:
    """Return items that wait for an owner, longest waiting first.

    Parameters
    ----------
    skip
        Ids that the owner has before them already, or leaves for later.
    """
    left_out = set(skip)
    waiting = (entry[SK] for entry in portal.table.queued(keys.review_queue(job.name)) if entry[SK] not in left_out)
    # The index may be a moment old: what was decided meanwhile is no longer in review.
    return [item for item in many(portal, job, islice(waiting, 2 * limit)) if item.state == "review"][:limit]


def many(portal: Portal, job: Job, ids: Iterable[str]) -> list[Item]:
    """Return items as they are now, in the order of their ids as given; ids without an item are left out."""
    wanted = [keys.item(job.name, one) for one in ids]
    found = portal.table.get_many(wanted)
    return [Item.from_json(found[key]) for key in wanted if key in found]


def disputed(portal: Portal, job: Job, stats: Stats, limit: int, after: int = 0) -> tuple[list[Item], int]:
    """Return items whose answers differ, least certain first, and how many there are in all."""
    ids = [one for _, one in stats.disputed[after : after + limit]]
    return many(portal, job, ids), len(stats.disputed)


def browse(
    portal: Portal, job: Job, wanted: Callable[[Mapping[str, Any]], bool], limit: int, after: str = ""
) -> tuple[list[Item], str | None]:
    """Return some items by id, and the id after which the next ones begin; None if that was all.

    Fewer, or none, where they are so rare that looking takes longer than a request may.

    Parameters
    ----------
    wanted
        Tells whether an item is looked for, by its entry in the table.
    after
        What the page before said comes next; empty for the first one.
    """
    began = time.monotonic()
    found: list[Item] = []
    first, end = (int(after) + 1) // keys.CHUNK if after else 0, reading.chunks(job)
    for chunk in range(first, end):
        for entry in portal.table.query(keys.items(job.name, chunk), after=after if chunk == first else ""):
            if not wanted(entry):
                continue
            if len(found) == limit:
                return found, found[-1].id
            found.append(Item.from_json(entry))
        if chunk + 1 < end and time.monotonic() - began > LOOKING_SECONDS:
            return found, item_id((chunk + 1) * keys.CHUNK - 1)
    return found, None


def view(item: Item, job: Job, people: Mapping[str, Person], signed: Signed, skills: Skills) -> dict[str, Any]:
    """Return an item with all that was said of it, for an owner's eyes."""
    named = {one.index: one.key for one in job.categories}
    answers = sorted(item.answers.values(), key=lambda answer: (answer.recorded_at, answer.id))
    return {
        "item": item.id,
        "version": item.version,
        "state": item.state,
        "reason": item.reason,
        "photo": signed(item.display) if item.display else None,
        "width": item.width,
        "height": item.height,
        "text": item.text or None,
        "context": dict(item.context),
        "lines": len(item.lines),
        "category": None if item.label is None else named.get(item.label),
        "confidence": item.posterior,
        "settler": item.settler,
        "gold": None if item.gold is None else named.get(item.gold),
        "beliefs": _beliefs(item, job, skills),
        "answers": [
            {
                "person": answer.person,
                "name": (people[answer.person].name if answer.person in people else "") or answer.person,
                "kind": answer.kind,
                "category": None if answer.category is None else named.get(answer.category),
                "second": None if answer.second is None else named.get(answer.second),
                "problem": answer.problem,
                "seconds": answer.shown_ms / 1000 if answer.shown_ms else None,
                "at": answer.recorded_at or answer.at,
            }
            for answer in answers
        ],
    }


def _beliefs(item: Item, job: Job, skills: Skills) -> list[dict[str, Any]]:
    """Return the categories that the answers make likely, likeliest first."""
    labels = item.labels()
    if not labels:
        return []
    shares = adaptive.posteriors(labels, skills.people, skills.priors_of(len(job.categories)))
    ranked = sorted(zip(job.categories, shares, strict=True), key=lambda pair: (-pair[1], pair[0].index))
    return [{"category": one.key, "share": share} for one, share in ranked if share >= 0.01]


def category_index(job: Job, key: str) -> int:
    """Return the index of a category by its key.

    Raises
    ------
    PortalError
        If the job has no such category.
    """
    category = job.category(key)
    if category is None:
        there = ", ".join(one.key for one in job.categories)
        raise PortalError("no-category", f"{key!r} is no category of {job.name}; there are: {there}.", 404)
    return category.index


def item_of(portal: Portal, job: Job, name: str, version: int | None = None) -> Item:
    """Return an item; with ``version`` only if nobody has changed it since the owner saw it.

    Raises
    ------
    PortalError
        If there is no such item, or it has changed.
    """
    item = reading.get_item(portal, job.name, name)
    if version is not None and item.version != version:
        raise PortalError("changed", "Someone has answered or decided meanwhile; look at it again.", 409)
    return item

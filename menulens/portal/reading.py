"""What the table knows of jobs and items, as it is now."""

from __future__ import annotations

import re
from collections.abc import Iterable

from menulens.portal import keys
from menulens.portal.context import Portal
from menulens.portal.model import Item, Job, PortalError, Progress
from menulens.portal.table import SK, Update, Write


def get(portal: Portal, name: str) -> Job:
    """Return a job as it is now.

    Raises
    ------
    PortalError
        If there is no such job.
    """
    found = portal.table.get(keys.meta(name))
    if found is None:
        raise PortalError("no-job", "There is no such job.", 404)
    return Job.from_json(found)


def find(portal: Portal, name: str) -> Job | None:
    """Return a job, None if there is none of this name."""
    found = portal.table.get(keys.meta(name))
    return None if found is None else Job.from_json(found)


def list_jobs(portal: Portal) -> list[Job]:
    """Return all jobs, by name."""
    listed = [keys.meta(entry[SK]) for entry in portal.table.query(keys.listed()[0])]
    found = portal.table.get_many(listed)
    return [Job.from_json(found[key]) for key in listed if key in found]


def items(portal: Portal, job: Job) -> Iterable[Item]:
    """Yield all items of a job, by id, as each is when it is read."""
    for chunk in range(chunks(job)):
        yield from items_of(portal, job, chunk)


def chunks(job: Job) -> int:
    """Return into how many chunks a job's items are divided."""
    return -(-job.lines // keys.CHUNK)


def items_of(portal: Portal, job: Job, chunk: int) -> Iterable[Item]:
    """Yield the items of a chunk, by id."""
    for entry in portal.table.query(keys.items(job.name, chunk)):
        yield Item.from_json(entry)


def get_item(portal: Portal, job: str, item_id: str) -> Item:
    """Return an item as it is now.

    Raises
    ------
    PortalError
        If the job has no such item.
    """
    found = portal.table.get(keys.item(job, item_id)) if re.fullmatch(r"\d{7}", item_id) else None
    if found is None:
        raise PortalError("no-item", "There is no such task.", 404)
    return Item.from_json(found)


def progress(portal: Portal, job: Job) -> Progress:
    """Return how far a job is."""
    shards = portal.table.get_many(keys.counter(job.name, shard) for shard in range(keys.SHARDS)).values()
    done, review, answers = (sum(one.get(name, 0) for one in shards) for name in ("done", "review", "answers"))
    return Progress(job.asked, done, review, answers)


def count(it: Item, **more: int) -> list[Write]:
    """Return the write that adds to a job's counters (``done``, ``review``, ``answers``); none if nothing changes."""
    changes = {name: number for name, number in more.items() if number}
    return [Update(keys.counter(it.job, keys.shard(it.id)), add=changes)] if changes else []

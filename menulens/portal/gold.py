"""Gold items: photos whose category the owner knows; they are mixed in unseen and measure people."""

from __future__ import annotations

from menulens.portal import keys, review
from menulens.portal.context import Portal
from menulens.portal.model import Item, Job
from menulens.portal.table import SK


def known_items(portal: Portal, job: Job) -> list[Item]:
    """Return a job's gold items, by id."""
    ids = [entry[SK] for entry in portal.table.query(keys.gold(job.name)[0])]
    return [item for item in review.many(portal, job, ids) if item.gold is not None]


def right_and_wrong(item: Item) -> tuple[int, int]:
    """Return how many people said what a gold item is, and how many something else."""
    labels = list(item.labels().values())
    right = sum(label == item.gold for label in labels)
    return right, len(labels) - right

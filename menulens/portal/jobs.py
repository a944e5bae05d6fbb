"""Jobs, from their opening to their end, in one place: what others of the portal and its callers use."""

from __future__ import annotations

from menulens.portal.categories import add_category, change_category
from menulens.portal.lifecycle import LABELING_FINISHED, conclude, nudge, pause, reopen, resume, stop
from menulens.portal.opening import add_items, create, open_job
from menulens.portal.reading import chunks, count, find, get, get_item, items, items_of, list_jobs, progress

rename_category = change_category

__all__ = [
    "LABELING_FINISHED",
    "add_category",
    "add_items",
    "change_category",
    "chunks",
    "conclude",
    "count",
    "create",
    "find",
    "get",
    "get_item",
    "items",
    "items_of",
    "list_jobs",
    "nudge",
    "open_job",
    "pause",
    "progress",
    "rename_category",
    "reopen",
    "resume",
    "stop",
]

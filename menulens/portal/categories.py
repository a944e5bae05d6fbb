"""Categories may be added and renamed while a job runs: answers keep the index, and the index keeps its meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from menulens.portal import entries, keys
from menulens.portal.context import Portal
from menulens.portal.model import Category, Job, PortalError
from menulens.portal.reading import get
from menulens.portal.table import ConditionError, TableError, Update

_CATEGORY_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ATTEMPTS: Final = 20


def add_category(portal: Portal, name: str, category: Category) -> Job:
    """Add a category at the end; its index is new."""

    def changed(job: Job) -> tuple[Job, Category]:
        added = replace(category, index=len(job.categories))
        return replace(job, categories=(*job.categories, added)), added

    return _change_categories(portal, name, changed)


def change_category(portal: Portal, name: str, key: str, /, **changes: Any) -> Job:
    """Rename a category or change what is said of it; answers keep its index and so their meaning.

    Parameters
    ----------
    changes
        Fields of :class:`Category` other than ``index``.
    """

    def changed(job: Job) -> tuple[Job, Category]:
        old = job.category(key)
        if old is None:
            raise PortalError("no-category", f"{key!r} is no category of {name}.", 404)
        renamed = changes.get("key", old.key) != old.key
        former = tuple(dict.fromkeys([*old.former, *([old.key] if renamed else [])]))
        new = replace(old, **{**changes, "index": old.index, "former": former})
        return replace(job, categories=tuple(new if one is old else one for one in job.categories)), new

    return _change_categories(portal, name, changed)


def _change_categories(portal: Portal, name: str, changed: Callable[[Job], tuple[Job, Category]]) -> Job:
    for _ in range(_ATTEMPTS):
        job = get(portal, name)
        new, category = changed(job)
        check(new.categories)
        try:
            portal.table.transact(
                [
                    Update(
                        keys.meta(name),
                        set={"categories": [one.to_json() for one in new.categories]},
                        add={"version": 1},
                        when={"version": job.version},
                    ),
                    entries.waiting(name, "category", category.to_json(), now=portal.clock()),
                ]
            )
        except ConditionError:
            continue
        return replace(new, version=job.version + 1)
    raise TableError(f"{name}: its categories were changed by others {_ATTEMPTS} times; try again.")


def check(categories: Sequence[Category]) -> None:
    """Refuse categories that can't be asked.

    Raises
    ------
    PortalError
        If there are fewer than two, one lacks a name, or a key stands twice.
    """
    if len(categories) < 2:
        raise PortalError("categories", "At least two categories are due.")
    for one in categories:
        if not _CATEGORY_KEY.fullmatch(one.key):
            raise PortalError("categories", f"{one.key!r}: a category's key has small letters, digits, _ and -.")
        if not (one.ja.strip() and one.en.strip()):
            raise PortalError("categories", f"{one.key}: a name in Japanese and one in English are due.")
    for one in categories:
        others = {key for other in categories if other is not one for key in (other.key, *other.former)}
        if one.key in others:
            raise PortalError("categories", f"{one.key}: another category has or had this key; choose another.", 409)

"""What an owner (or a model) decides of an item: each is one transaction, and in the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from menulens.portal import entries, intake, keys, lifecycle
from menulens.portal import skills as skills_
from menulens.portal.context import Portal
from menulens.portal.entries import Kind
from menulens.portal.model import ENDED, Item, Job, PortalError, item_id
from menulens.portal.reading import count, get, get_item
from menulens.portal.settling import Skills, counts, freed, judged, wanted
from menulens.portal.table import ConditionError, Delete, Put, TableError, Update, Write

_ATTEMPTS: Final = 25
_MOST_SPLIT: Final = 40
"""Lines that leave a group in one transaction."""
_OF_OWNERS: Final[frozenset[Kind]] = frozenset({"review", "gold"})


def decide(
    portal: Portal,
    name: str,
    item: str,
    *,
    by: str,
    label: int | None = None,
    reject: str = "",
    back: bool = False,
) -> Item:
    """Decide an item for good: give its label, reject it, or ask people again (``back``: its answers are void).

    Parameters
    ----------
    by
        The owner.
    label
        Category index.
    reject
        Why its lines get no label.

    Raises
    ------
    PortalError
        If not exactly one of the three is given, the item or category is not there, or the job to ask has ended.
    """
    if (label is not None) + bool(reject) + back != 1:
        raise PortalError("decision", "A label, a reason to reject it, or asking again: one of the three is due.")

    def changed(job: Job, it: Item) -> Item:
        if it.gold is not None:
            raise PortalError("gold", f"{it.id} is a gold item; unmark it first.", 409)
        if back:
            return it.with_(
                state="open",
                label=None,
                posterior=None,
                settler=None,
                reason="",
                answers={},
                # Who had answered does not hold it any more.
                leases={one: (begin, 0.0 if one in it.answers else end) for one, (begin, end) in it.leases.items()},
            )
        if label is None:
            return it.with_(state="settled", label=None, posterior=None, settler="owner", reason=f"rejected: {reject}")
        return it.with_(state="settled", label=_category(job, label), posterior=1.0, settler="owner", reason="")

    return _change(portal, name, item, "review", changed, told={"by": by, "void": back})


def set_gold(portal: Portal, name: str, item: str, *, by: str, label: int) -> Item:
    """Mark an item as known: it is its label's, and measures people unseen; earlier answers do not measure."""

    def changed(job: Job, it: Item) -> Item:
        return it.with_(
            gold=_category(job, label), state="settled", label=label, posterior=1.0, settler="gold", reason=""
        )

    def more(it: Item) -> list[Write]:
        return [Put(keys.gold(name, it.id), {"label": label, "by": by})]

    return _change(portal, name, item, "gold", changed, told={"by": by}, more=more)


def unset_gold(portal: Portal, name: str, item: str, *, by: str) -> Item:
    """Unmark an item: its answers count again.

    Raises
    ------
    PortalError
        If they do not settle it, and the job that would go on asking has ended.
    """

    def changed(job: Job, it: Item) -> Item:
        bare = it.with_(gold=None, state="open", label=None, posterior=None, settler=None, reason="")
        return judged(bare, job, skills_.current(portal, name))

    def more(it: Item) -> list[Write]:
        return [Delete(keys.gold(name, it.id))]

    return _change(portal, name, item, "gold", changed, told={"by": by}, more=more)


def label_by_machine(portal: Portal, name: str, item: str, *, model: str, label: int, posterior: float) -> Item | None:
    """Settle an open item by a model's label; None (and nothing done) if people, an owner or gold settle it."""

    def changed(job: Job, it: Item) -> Item:
        if it.state != "open" or it.probe or it.gold is not None or it.heard():
            raise _NotNeededError
        return it.with_(state="settled", label=_category(job, label), posterior=posterior, settler="machine", reason="")

    try:
        return _change(portal, name, item, "machine", changed, told={"by": model})
    except _NotNeededError:
        return None


def withdraw_machine_label(portal: Portal, name: str, item: str, *, model: str) -> Item | None:
    """Ask people about an item that a model had labeled; None if a model does not settle it."""

    def changed(job: Job, it: Item) -> Item:
        if it.settler != "machine":
            raise _NotNeededError
        bare = it.with_(state="open", label=None, posterior=None, settler=None, reason="")
        return judged(bare, job, skills_.current(portal, name))

    try:
        return _change(portal, name, item, "machine", changed, told={"by": model})
    except _NotNeededError:
        return None


def rejudge(portal: Portal, name: str, item: str, skills: Skills) -> Item | None:
    """Judge an item's answers anew with what is known of people now; None if that changes nothing."""

    def changed(job: Job, it: Item) -> Item:
        after = judged(it.with_(), job, skills)
        if job.state in ENDED or (after.state, after.reason) == (it.state, it.reason):
            raise _NotNeededError
        return after

    try:
        return _change(portal, name, item, "judged", changed, told={})
    except _NotNeededError:
        return None


def prioritise(portal: Portal, name: str, item: str, *, priority: int, probe: bool | None = None) -> Item:
    """Set when an item is asked (0 first, 99 last), and whether it is a probe that only people may label.

    The output does not depend on it, so the log does not tell of it.
    """
    for _ in range(_ATTEMPTS):
        job, it = get(portal, name), get_item(portal, name, item)
        after = it.with_(priority=priority, probe=it.probe if probe is None else probe)
        fields = {"priority": after.priority, "probe": after.probe, "version": after.version}
        queue = keys.queue_of(after, wanted=wanted(after, job.options), now=portal.clock())
        try:
            portal.table.write(Update(keys.item(name, item), set=fields | queue, when={"version": it.version}))
        except ConditionError:
            continue
        return after
    raise TableError(f"{item}: the item was changed by others {_ATTEMPTS} times; try again.")


def split_group(portal: Portal, name: str, item: str, *, by: str, apart: Sequence[Sequence[int]]) -> list[Item]:
    """Take lines out of a group; each list of them becomes an item of its own, which nobody has answered.

    Parameters
    ----------
    apart
        Lines that leave, as they go together.

    Returns
    -------
    list of Item
        The group that stays, then the new items.

    Raises
    ------
    PortalError
        If a line is not in the group, is named twice, is the leader, too many leave at once, or the job has ended.
    """
    for _ in range(_ATTEMPTS):
        job, it = get(portal, name), get_item(portal, name, item)
        _check_asks(job)
        leaving = [line for lines in apart for line in lines]
        if not leaving or len(leaving) > _MOST_SPLIT or len(set(leaving)) < len(leaving):
            raise PortalError("lines", f"1 to {_MOST_SPLIT} lines, each once, can leave a group at once.")
        if not set(leaving) <= set(it.lines[1:]):
            raise PortalError("lines", f"{item} leads the lines {list(it.lines)}; others than {it.lines[0]} can leave.")
        stays = it.with_(lines=tuple(line for line in it.lines if line not in leaving))
        new = _apart(portal, job, [sorted(lines) for lines in apart if lines])
        now = portal.clock()
        as_read = {"lines": job.lines, "state": job.state}
        body = {
            "item": item,
            "v": stays.version,
            "by": by,
            "lines": list(stays.lines),
            "new": [{"item": one.id, "lines": list(one.lines)} for one in new],
        }
        try:
            portal.table.transact(
                [
                    Update(
                        keys.item(name, item),
                        set={"lines": list(stays.lines), "version": stays.version},
                        when={"version": it.version},
                    ),
                    Update(keys.meta(name), add={"asked": len(new), "version": 1}, when=as_read),
                    entries.waiting(name, "group", body, now=now),
                    *(
                        Put(keys.item(name, one.id), one.to_json() | keys.queue_of(one, wanted=1, now=now), new=True)
                        for one in new
                    ),
                ]
            )
        except ConditionError:
            continue
        return [stays, *new]
    raise TableError(f"{item}: the group was changed by others {_ATTEMPTS} times; try again.")


class _NotNeededError(Exception):
    """The item is not as the change needs it."""


def _apart(portal: Portal, job: Job, groups: Sequence[Sequence[int]]) -> list[Item]:
    """Return an item of each group's lines as it would be if its first line had never been grouped."""
    leaders = {item_id(lines[0]) for lines in groups}
    alone: dict[str, Item] = {}
    for part in job.parts:
        if any(part.first_line <= lines[0] < part.first_line + part.lines for lines in groups):
            read = intake.read(
                portal.storage.read_bytes(part.manifest),
                portal.storage.read_bytes(part.display) if part.display else b"",
                job=job.name,
                attribute=job.attribute,
                first_line=part.first_line,
                context_keys=job.options.context_keys,
                grouped=False,
            )
            alone |= {it.id: it for it in read.items if it.id in leaders}
    return [replace(alone[item_id(lines[0])], lines=tuple(lines), queues=job.queues) for lines in groups]


def _check_asks(job: Job) -> None:
    """Refuse what has people asked where nobody is asked any more."""
    if job.state in ENDED:
        raise PortalError("ended", f"{job.name} has ended and asks nobody; reopen it first.", 409)


def _category(job: Job, label: int) -> int:
    if not 0 <= label < len(job.categories):
        raise PortalError("no-category", f"{job.name} has no category {label}.", 404)
    return label


def _change(
    portal: Portal,
    name: str,
    item: str,
    kind: Kind,
    changed: Callable[[Job, Item], Item],
    *,
    told: dict[str, Any],
    more: Callable[[Item], list[Write]] | None = None,
) -> Item:
    for _ in range(_ATTEMPTS):
        job, it = get(portal, name), get_item(portal, name, item)
        after = freed(it, changed(job, it))
        if after.state == "open":
            _check_asks(job)
        now = portal.clock()
        body = {
            "item": item,
            "v": after.version,
            "state": after.state,
            "reason": after.reason,
            "settler": after.settler,
            "label": after.label,
            "posterior": after.posterior,
            "gold": after.gold,
            **told,
        }
        whole = after.to_json()
        fields = ("answers", "state", "label", "posterior", "settler", "reason", "gold", "leases", "version")
        queue = keys.queue_of(after, wanted=wanted(after, job.options), now=now)
        try:
            portal.table.transact(
                [
                    Update(
                        keys.item(name, item),
                        set={field: whole[field] for field in fields} | queue,
                        when={"version": it.version},
                    ),
                    entries.waiting(name, kind, body, now=now),
                    *count(it, **counts(it, after)),
                    *((lifecycle.decided(job, now),) if kind in _OF_OWNERS else ()),
                    *(more(after) if more else ()),
                ]
            )
        except ConditionError:
            continue
        return after
    raise TableError(f"{item}: the item was changed by others {_ATTEMPTS} times; try again.")

"""Near-duplicate photos that are labeled together, as an owner sees them before splitting some off."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from menulens.core.keys import SOURCE_REF
from menulens.portal import intake, review
from menulens.portal.context import Portal
from menulens.portal.model import InputPart, Item, Job, PortalError


def page(
    portal: Portal, job: Job, signed: Callable[[str], str], *, after: str, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return some groups by id, and the id after which the next page begins; None if that was all.

    Parameters
    ----------
    signed
        Turns the key of a display copy into an address.
    """
    found, following = review.browse(portal, job, lambda entry: len(entry.get("lines", ())) > 1, limit, after)
    return [view(portal, job, item, signed) for item in found], following


def leaving(item: Item, lines: list[int]) -> tuple[int, ...]:
    """Return the lines that leave a group, sorted.

    Raises
    ------
    PortalError
        If one is not in it, or is the one that is shown.
    """
    strangers = sorted(set(lines) - set(item.lines))
    if strangers:
        raise PortalError("no-line", f"Line {strangers[0]} is not in the group of {item.id}.", 404)
    if item.lines[0] in lines:
        raise PortalError("leader", f"Line {item.lines[0]} is shown for the group; split the others off.", 409)
    return tuple(sorted(set(lines)))


def view(portal: Portal, job: Job, item: Item, signed: Callable[[str], str]) -> dict[str, Any]:
    """Return a group as its owner sees it."""
    known = sources(portal, job, item.lines)
    return {
        "item": item.id,
        "version": item.version,
        "state": item.state,
        "category": None if item.label is None else job.categories[item.label].key,
        "lines": [
            {"line": line, "source": known[line][0], "photo": signed(known[line][1]) if known[line][1] else None}
            for line in item.lines
        ],
    }


def sources(portal: Portal, job: Job, lines: tuple[int, ...]) -> dict[int, tuple[str, str]]:
    """Return source and key of the display copy (empty if it has none) of lines."""
    found: dict[int, tuple[str, str]] = {}
    for part in job.parts:
        inside = [line for line in lines if part.first_line <= line < part.first_line + part.lines]
        if inside:
            every = _read(_Place(portal, part))
            found |= {line: every[line - part.first_line] for line in inside}
    return found


class _Place:
    """A part of a job's input: known by its hashes, so that one read serves as long as the process lives."""

    def __init__(self, portal: Portal, part: InputPart) -> None:
        self.portal, self.part = portal, part
        self._identity = (part.manifest, part.sha256, part.display, part.display_sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and other._identity == self._identity

    def __hash__(self) -> int:
        return hash(self._identity)


@lru_cache(maxsize=8)
def _read(place: _Place) -> list[tuple[str, str]]:
    storage, part = place.portal.storage, place.part
    shown: dict[int, str] = {}
    if part.display:
        for raw in intake.split_lines(storage.read_bytes(part.display)):
            told = intake.parse(raw)
            shown[int(told["line"])] = str(told.get("display", ""))
    return [
        (str(value.get(SOURCE_REF) or value.get(intake.SOURCE) or ""), shown.get(number, ""))
        for number, value in enumerate(
            intake.parse(raw) for raw in intake.split_lines(storage.read_bytes(part.manifest))
        )
    ]

"""What a log says: jobs, items and answers read again from its lines, and from nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from menulens.core.keys import SOURCE_REF
from menulens.portal import intake
from menulens.portal.intake import Line
from menulens.portal.model import Category, InputPart, Item, ItemState, JobOptions, PortalError, Settler

Read = Callable[[str], bytes]

OF_ITEMS: Final = ("answer", "review", "gold", "machine", "judged")
"""Kinds of entries that tell of one item, with its version and its state after them."""


@dataclass(slots=True)
class Told:
    """What the log tells of one item.

    Attributes
    ----------
    answers
        The answer that counts of each person, as the log has it, with ``at``, the time of its line.
    said_at
        Time of the line that gave the item its outcome.
    label, posterior
        An owner's, a gold item's or a machine's; people's follow from all answers together.
    """

    item: Item
    state: ItemState = "open"
    reason: str = ""
    settler: Settler | None = None
    label: int | None = None
    posterior: float | None = None
    gold: int | None = None
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    said_at: str = ""

    def labels(self) -> dict[str, int]:
        """Return the votes: person to category index."""
        return {person: one["category"] for person, one in self.answers.items() if one["kind"] == "label"}


@dataclass(slots=True)
class Ledger:
    """A job as its log has it.

    Attributes
    ----------
    photos
        Where the photos of its lines are.
    failed_at
        When lines that nobody is asked about came in.
    blocked
        Who gets no more work, and why.
    seq
        Number of the last line read; -1 if none.
    """

    job: str
    attribute: str = ""
    kind: str = "photo"
    state: str = "creating"
    categories: list[Category] = field(default_factory=list)
    options: JobOptions = field(default_factory=JobOptions)
    lines: list[Line] = field(default_factory=list)
    items: dict[str, Told] = field(default_factory=dict)
    photos: set[str] = field(default_factory=set)
    failed_at: dict[int, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    seq: int = -1
    digest: str = ""

    @property
    def answers(self) -> int:
        """Answers that count."""
        return sum(len(told.answers) for told in self.items.values())


def replay(job: str, lines: Iterable[bytes], read: Read, *, through: int | None = None) -> Ledger:
    """Read a log.

    Parameters
    ----------
    lines
        The log's lines, in order.
    read
        Returns the bytes of an input that the log names.
    through
        Number of the last line to read; all if None.

    Raises
    ------
    PortalError
        If an input is not the one that the log has the hash of.
    """
    ledger = Ledger(job)
    found: dict[str, list[dict[str, Any]]] = {}
    for raw in lines:
        line = json.loads(raw)
        if through is not None and line["seq"] > through:
            break
        ledger.seq, ledger.digest = line["seq"], hashlib.sha256(raw).hexdigest()
        found.setdefault(line["kind"], []).append(line)
    # What an entry speaks of may come after it in the log: the outbox is read page after page while it is written to.
    for line in found.get("job", ()):
        body = line["body"]
        ledger.attribute, ledger.kind = body["attribute"], body["kind"]
        ledger.categories = [Category.from_json(one) for one in body["categories"]]
        ledger.options = JobOptions.from_json(body["options"])
    for line in sorted(found.get("items", ()), key=_first_line):
        _take_part(ledger, line, read)
    for line in found.get("category", ()):
        category = Category.from_json(line["body"])
        ledger.categories[category.index : category.index + 1] = [category]
    for line in found.get("group", ()):
        _split(ledger, line["at"], line["body"])
    for line in found.get("state", ()):
        ledger.state = line["body"]["state"]
    for line in sorted(found.get("person", ()), key=_time):
        ledger.blocked.pop(line["body"]["person"], None)
        if line["body"]["blocked"]:
            ledger.blocked[line["body"]["person"]] = line["body"]["reason"]
    # The entries of an item are in the order of its versions, wherever they are in the log.
    for line in sorted((line for kind in OF_ITEMS for line in found.get(kind, ())), key=_version):
        _apply(ledger.items[line["body"]["item"]], line)
    return ledger


def _first_line(line: Mapping[str, Any]) -> int:
    first: int = line["body"]["first_line"]
    return first


def _time(line: Mapping[str, Any]) -> str:
    at: str = line["at"]
    return at


def _version(line: Mapping[str, Any]) -> int:
    version: int = line["body"]["v"]
    return version


def _apply(told: Told, line: Mapping[str, Any]) -> None:
    kind, body = line["kind"], line["body"]
    told.state, told.reason, told.settler = body["state"], body.get("reason", ""), body.get("settler")
    if kind == "answer":
        told.answers[body["person"]] = body
        if told.settler in ("owner", "machine", "gold"):
            return  # the outcome was there before this answer
    elif kind == "judged":
        return  # the same answers, looked at again: the outcome's time is theirs
    elif kind == "gold":
        told.gold = body.get("gold")
    else:
        told.label, told.posterior = body.get("label"), body.get("posterior")
        if body.get("void"):
            told.answers.clear()
    told.said_at = line["at"]


def _take_part(ledger: Ledger, line: Mapping[str, Any], read: Read) -> None:
    part = InputPart.from_json(line["body"])
    contents = []
    for place, sha256 in ((part.manifest, part.sha256), (part.display, part.display_sha256)):
        content = read(place) if place else b""
        if place and hashlib.sha256(content).hexdigest() != sha256:
            raise PortalError("input-changed", f"{place}: its bytes are not those that the log has the hash of.")
        contents.append(content)
    made = intake.read(
        contents[0],
        contents[1],
        job=ledger.job,
        attribute=ledger.attribute,
        first_line=part.first_line,
        known=ledger.photos,
    )
    ledger.lines.extend(made.lines)
    ledger.photos.update(ref for one in made.lines if isinstance(ref := intake.parse(one.raw).get(SOURCE_REF), str))
    ledger.failed_at |= {one.number: line["at"] for one in made.lines if one.failure}
    ledger.items.update({it.id: Told(it) for it in made.items})


def _split(ledger: Ledger, at: str, body: Mapping[str, Any]) -> None:
    """Take lines out of a group; each becomes an item of its own."""
    whole = ledger.items[body["item"]]
    whole.item = replace(whole.item, lines=tuple(body["lines"]))
    for new in body["new"]:
        ledger.items[new["item"]] = Told(replace(whole.item, id=new["item"], lines=tuple(new["lines"])), said_at=at)

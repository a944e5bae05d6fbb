"""What all formats have in common: an item, what people said of it, and what only its old tool understands.

Every reader returns an :class:`Imported`: records in = records out + rejects, each reject with its reason and its text
as it came. What a record's old tool says beyond our words is in ``carried``, and its writer puts it back.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["label", "hard", "skip", "report"]
KINDS: Final = ("label", "hard", "skip", "report")
PROBLEMS: Final = ("broken", "improper")
SOURCE_REF: Final = "source-ref"
SOURCE: Final = "source"
MOST_BYTES: Final = 512 << 20
MOST_RECORDS: Final = 1_000_000
_NAMESPACE: Final = uuid.UUID("5f0c2f3e-6f4e-5d0a-9b1c-6d656e756c65")


class ExchangeError(Exception):
    """A file that can't be read or written as what it is said to be; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What one person said of an item.

    Attributes
    ----------
    id
        A UUID; the same answer has the same one each time its file is read.
    person
        As the tool it comes from names the person.
    at
        When, in ISO 8601, as the tool wrote it; None if it does not say.
    """

    id: str
    person: str
    kind: Kind
    category: str | None = None
    second: str | None = None
    problem: str | None = None
    at: str | None = None
    shown_ms: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the answer without what it does not say."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def from_json(cls, value: Any) -> GivenAnswer:
        """Read an answer.

        Raises
        ------
        ExchangeError
            If it is none.
        """
        if not isinstance(value, dict) or not set(value) <= set(cls.__slots__):
            raise ExchangeError(f"an answer has the keys {', '.join(cls.__slots__)}, not {value!r:.200}")
        texts = ("id", "person", "kind", "category", "second", "problem", "at")
        if any(not isinstance(value.get(name), str | None) for name in texts) or value.get("kind") not in KINDS:
            raise ExchangeError(f"an answer has texts, and one of the kinds {', '.join(KINDS)}, not {value!r:.200}")
        shown = value.get("shown_ms")
        if "id" not in value or "person" not in value or isinstance(shown, bool) or not isinstance(shown, int | None):
            raise ExchangeError(f"an answer has an id, a person and whole milliseconds, not {value!r:.200}")
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Label:
    """What came out for an item: a category's key, how sure (0..1), and whether people said so."""

    category: str
    confidence: float | None = None
    human: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the label."""
        return {"category": self.category, "confidence": self.confidence, "human": self.human}

    @classmethod
    def from_json(cls, value: Any) -> Label:
        """Read a label.

        Raises
        ------
        ExchangeError
            If it is none.
        """
        if not isinstance(value, dict) or not isinstance(value.get("category"), str):
            raise ExchangeError(f"a label has a category, not {value!r:.200}")
        confidence = value.get("confidence")
        if isinstance(confidence, bool) or not isinstance(confidence, int | float | None):
            raise ExchangeError(f"a label's confidence is a number, not {confidence!r:.200}")
        return cls(value["category"], confidence, value.get("human") is not False)


@dataclass(frozen=True, slots=True)
class Record:
    """One item.

    Attributes
    ----------
    source
        The photo's place (``s3://…``), or the text itself.
    attributes
        The manifest line's other keys.
    gold
        The category that the item is known to be of; None if it is not known.
    carried
        What the format it came from says, as that format says it; it has the key ``format``.
    """

    source: str
    kind: Literal["photo", "text"] = "photo"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[GivenAnswer, ...] = ()
    label: Label | None = None
    gold: str | None = None
    carried: Mapping[str, Any] | None = None

    def line(self) -> dict[str, Any]:
        """Return the item as a line of an input manifest."""
        return {SOURCE_REF if self.kind == "photo" else SOURCE: self.source, **self.attributes}

    def to_json(self) -> dict[str, Any]:
        """Return the record."""
        return {
            "source": self.source,
            "kind": self.kind,
            "attributes": dict(self.attributes),
            "answers": [answer.to_json() for answer in self.answers],
            "label": self.label and self.label.to_json(),
            "gold": self.gold,
            "carried": self.carried,
        }

    @classmethod
    def from_json(cls, value: Any) -> Record:
        """Read a record.

        Raises
        ------
        ExchangeError
            If it is none.
        """
        if not isinstance(value, dict) or not isinstance(value.get("source"), str):
            raise ExchangeError("a record is an object with a source")
        kind, attributes = value.get("kind"), value.get("attributes", {})
        answers, carried = value.get("answers", []), value.get("carried")
        if kind not in ("photo", "text") or not isinstance(attributes, dict) or not isinstance(answers, list):
            raise ExchangeError("a record has a kind (photo or text), attributes and answers")
        if not isinstance(carried, dict | None) or not isinstance(value.get("gold"), str | None):
            raise ExchangeError("what a record carries is an object; its gold is a category's key")
        label = value.get("label")
        return cls(
            source=value["source"],
            kind=kind,
            attributes=attributes,
            answers=tuple(GivenAnswer.from_json(answer) for answer in answers),
            label=None if label is None else Label.from_json(label),
            gold=value.get("gold"),
            carried=carried,
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """What was not taken: its number (from 1), why, and its text as it came."""

    number: int
    code: str
    reason: str
    original: str

    def to_json(self) -> dict[str, Any]:
        """Return the reject as cleaning writes its own."""
        return {"line": self.number, "code": self.code, "reason": self.reason, "original": self.original}


@dataclass(slots=True)
class Imported:
    """What a file held.

    Attributes
    ----------
    notes
        What is carried along but says nothing here, by reason: as ``several-choices``.
    columns
        Of a table: its columns in order, so that a table written from the records has them again.
    """

    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    columns: tuple[str, ...] = ()

    def reject(self, number: int, code: str, reason: str, original: str) -> None:
        """Note what is not taken."""
        self.rejects.append(Reject(number, code, reason, original))

    @property
    def read(self) -> int:
        """Records that came in."""
        return len(self.records) + len(self.rejects)


class CategoryNames:
    """Finds a category by what another tool calls it: its key, its Japanese or English name, or a name given for it.

    Parameters
    ----------
    categories
        (key, Japanese name, English name), in the order of their label index.
    also
        Other tool's name to key.
    """

    def __init__(self, categories: Iterable[Sequence[str]], also: Mapping[str, str] | None = None) -> None:
        rows = [tuple(row) for row in categories]
        self.keys = tuple(row[0] for row in rows)
        self.shown = {row[0]: row[1:] for row in rows}
        found: dict[str, set[str]] = {}
        for key, *named in rows:
            for name in named:
                found.setdefault(_folded(name), set()).add(key)
        # A name that two categories have names neither; a key beats any name, and what the caller says beats both.
        self._known = {name: next(iter(keys)) for name, keys in found.items() if len(keys) == 1}
        self._known |= {_folded(key): key for key in self.keys}
        for name, key in (also or {}).items():
            if key not in self.keys:
                raise ExchangeError(
                    f"{name!r} is to be {key!r}, which is no category; there are: {', '.join(self.keys)}."
                )
            self._known[_folded(name)] = key

    def find(self, name: Any) -> str | None:
        """Return the key of the category that a name means; None if it means none."""
        if not isinstance(name, str):
            return None
        if name in self.keys:
            return name
        return self._known.get(_folded(name))


@dataclass(frozen=True, slots=True)
class Places:
    """Turns the places that another tool knows into ours, and tells which it can't.

    Parameters
    ----------
    moved
        Other tool's prefix to ours: ``{"https://cdn.example.com/": "s3://bucket/photos/"}``; the longest counts.
    """

    moved: Mapping[str, str] = field(default_factory=dict)

    def ours(self, place: str) -> str | None:
        """Return a photo's place in S3; None if it has none."""
        known = [prefix for prefix in self.moved if place.startswith(prefix)]
        if known:
            longest = max(known, key=len)
            place = self.moved[longest] + place[len(longest) :]
        return place if re.fullmatch(r"s3://[^/\s]+/.+", place, re.DOTALL) and not place.endswith("/") else None


def stable_id(*parts: str) -> str:
    """Return a UUID that is the same for the same texts."""
    return str(uuid.uuid5(_NAMESPACE, "\0".join(part.encode("utf-8", "surrogatepass").hex() for part in parts)))


def is_uuid(value: Any) -> bool:
    """Tell whether a value is a UUID in its usual spelling."""
    if not isinstance(value, str):
        return False
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False


def milliseconds(seconds: Any) -> int | None:
    """Return a number of seconds that another tool wrote in milliseconds; None for what is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return None
    return round(seconds * 1000)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()

"""What an owner decides of a job: its categories, how people are asked, what it says to them, its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

MOST_ANSWERS: Final = 9
"""People who may be asked about one item, as in Ground Truth."""


class PortalError(Exception):
    """Something that can't be done; ``code`` is for programs, the message for people.

    Parameters
    ----------
    status
        The HTTP status that fits.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(frozen=True, slots=True)
class Category:
    """One thing to pick; an answer keeps its ``index``, so its key and names may change.

    Attributes
    ----------
    example
        Key of a display copy that shows the category; empty if none.
    former
        Keys that it had: a device without a network may still send one.
    """

    key: str
    ja: str
    en: str
    trains: bool = True
    emoji: str = ""
    hint_ja: str = ""
    hint_en: str = ""
    index: int = 0
    example: str = ""
    former: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return plain(self) | {"former": list(self.former)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form; keys that are not ours are left out."""
        given = known(cls, value)
        return cls(**given | {"former": tuple(given.get("former", ()))})


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How people are asked.

    Attributes
    ----------
    confidence
        Posterior at which no more people are asked about an item.
    min_answers, max_answers
        How many people are asked at least and at most, 1 to 9.
    team
        How many people there are to ask; 0: nobody knows. An item that all have had who may still answer is asked about
        no more.
    hard_answers
        "Hard to say" from so many people sends an item to review.
    gold_share
        Share of tasks that are gold items, while there are some unseen.
    gold_min_accuracy, gold_min_seen
        Who has seen ``gold_min_seen`` gold items and is right in fewer than this share gets no more work.
    least_worth
        Whose answers tell less than this share of what people's answers tell on average gets no more work, while there
        are ``max_answers`` others; 0: everybody goes on.
    lease_seconds
        How long an item is kept for a person.
    context_keys
        Keys of the manifest's lines that are shown beside the photo.
    """

    confidence: float = 0.95
    min_answers: int = 1
    max_answers: int = 3
    team: int = 0
    hard_answers: int = 2
    gold_share: float = 0.05
    gold_min_accuracy: float = 0.7
    gold_min_seen: int = 8
    least_worth: float = 0.8
    lease_seconds: int = 900
    context_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.min_answers <= self.max_answers <= MOST_ANSWERS:
            raise PortalError(
                "options",
                f"min_answers is {self.min_answers} and max_answers {self.max_answers}; "
                f"due: 1 <= min_answers <= max_answers <= {MOST_ANSWERS}.",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return plain(self) | {"context_keys": list(self.context_keys)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form; keys that are not ours are left out, keys that are missing get their defaults."""
        given = known(cls, value)
        if "context_keys" in given:
            given["context_keys"] = tuple(given["context_keys"])
        return cls(**given)


@dataclass(frozen=True, slots=True)
class InputPart:
    """One input manifest of a job, kept beside the log under its hash.

    Attributes
    ----------
    manifest, sha256
        Where the copy is (``s3://…``), and the hash of its bytes.
    source
        Where it was copied from.
    display, display_sha256
        The same of the index of display copies; empty for a job without.
    first_line, lines
        Place of its first line among all lines of the job, and how many lines it has.
    """

    manifest: str
    sha256: str
    display: str
    display_sha256: str
    first_line: int
    lines: int
    source: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return plain(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(**known(cls, value))


@dataclass(frozen=True, slots=True)
class Texts:
    """What a job says to people."""

    title_ja: str = ""
    title_en: str = ""
    question_ja: str = ""
    question_en: str = ""
    rules_ja: str = ""
    rules_en: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return plain(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(**known(cls, value))


def plain(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name."""
    return {one.name: getattr(value, one.name) for one in fields(value)}


def known(cls: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some values that a dataclass has fields for."""
    return {one.name: value[one.name] for one in fields(cls) if one.name in value}

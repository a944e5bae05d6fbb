"""The portal's things: a job, its items, what people answer; each frozen, each with its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from menulens.core import keys
from menulens.portal.options import MOST_ANSWERS, Category, InputPart, JobOptions, PortalError, Texts, plain
from menulens.portal.options import known as read_known

__all__ = [
    "ENDED",
    "MOST_ANSWERS",
    "TAKES_WORK",
    "Answer",
    "AnswerKind",
    "Category",
    "InputPart",
    "Item",
    "ItemState",
    "Job",
    "JobKind",
    "JobOptions",
    "JobState",
    "OutputBy",
    "Person",
    "PortalError",
    "Problem",
    "Progress",
    "Settler",
    "Texts",
    "iso",
    "item_id",
    "seconds",
]

JobState = Literal["creating", "open", "paused", "stopped", "complete"]
JobKind = Literal["photo", "text"]
ItemState = Literal["open", "settled", "review"]
AnswerKind = Literal["label", "hard", "skip", "report"]
Problem = Literal["broken", "improper"]
Settler = Literal["people", "owner", "machine", "gold"]
OutputBy = Literal["portal", "caller"]

TAKES_WORK: Final[frozenset[JobState]] = frozenset({"open"})
ENDED: Final[frozenset[JobState]] = frozenset({"stopped", "complete"})


def iso(seconds: float) -> str:
    """Return a time (seconds since 1970) as ISO 8601 with microseconds and ``Z``; such texts sort as times do."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(text: str) -> float:
    """Return the seconds since 1970 of a time that :func:`iso` wrote."""
    return datetime.fromisoformat(text).timestamp()


def item_id(line: int) -> str:
    """Return the id of the item that a manifest line leads; ids sort as lines do."""
    return f"{line:07d}"


@dataclass(frozen=True, slots=True)
class Job:
    """A labeling job.

    Attributes
    ----------
    attribute
        The label attribute of its output.
    asked
        Items to ask about: near-duplicates count once, failed and passed lines not at all.
    lines
        Lines of its input manifests.
    photo_key
        Secret that signs photo tokens; never leaves the API.
    task_tokens
        What state machines wait with.
    output
        Who makes the job's output: the portal, or a caller who reads the table, and for whom the end is no event.
    queues
        Into how many queues its items go; more when it grows, never fewer.
    finished_seq
        Last log line that the output was made of; -1 before there is any.
    finish_due
        The job has ended and its output is still to be written, or who waits to be told.
    """

    name: str
    state: JobState
    kind: JobKind
    attribute: str
    categories: tuple[Category, ...]
    options: JobOptions = field(default_factory=JobOptions)
    texts: Texts = field(default_factory=Texts)
    parts: tuple[InputPart, ...] = ()
    lines: int = 0
    asked: int = 0
    created_at: str = ""
    photo_key: str = ""
    task_tokens: frozenset[str] = frozenset()
    output: OutputBy = "portal"
    queues: int = 1
    finished_seq: int = -1
    finish_due: bool = False
    version: int = 0

    def category(self, key: str) -> Category | None:
        """Return the category that has a key now, or had it before."""
        now = next((one for one in self.categories if one.key == key), None)
        return now or next((one for one in self.categories if key in one.former), None)

    def to_json(self) -> dict[str, Any]:
        """Return the form that the table keeps."""
        return plain(self) | {
            "categories": [one.to_json() for one in self.categories],
            "options": self.options.to_json(),
            "texts": self.texts.to_json(),
            "parts": [one.to_json() for one in self.parts],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the form that the table keeps."""
        known = read_known(cls, value)
        known["categories"] = tuple(Category.from_json(one) for one in known["categories"])
        known["options"] = JobOptions.from_json(known["options"])
        known["texts"] = Texts.from_json(known["texts"])
        known["task_tokens"] = frozenset(known.get("task_tokens", ()))
        known["parts"] = tuple(InputPart.from_json(one) for one in known["parts"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person said of one item.

    Attributes
    ----------
    id
        Made by the person's device; the same id is the same answer.
    category, second
        Category indices: the label (or first choice), and the second choice of ``hard``.
    replaces
        Id of the person's earlier answer that this one takes the place of; empty if none.
    leased_at, recorded_at
        When the item was handed out and when the answer came in (our clock); ``at`` is the device's clock.
    """

    id: str
    item: str
    person: str
    kind: AnswerKind
    category: int | None = None
    second: int | None = None
    problem: Problem | None = None
    replaces: str = ""
    shown_ms: int = 0
    at: str = ""
    leased_at: str = ""
    recorded_at: str = ""
    issuer: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return plain(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form; keys that are not ours are left out."""
        return cls(**read_known(cls, value))


@dataclass(frozen=True, slots=True)
class Item:
    """One thing shown: a manifest line, or a group of near-duplicate lines.

    Attributes
    ----------
    lines
        Lines of the job that get its label, the leader first.
    answers
        The answer that counts of each person.
    leases
        Person to (begin, end) of the last lease, in seconds since 1970.
    label, posterior, settler, reason
        The outcome so far: category index, its probability, whose it is; why it is in review.
    gold
        Known category index; answers measure people and do not count.
    priority
        0 to 99; lower is asked first.
    queues
        As the job's when the item came in: into how many queues its items went. Never more than the job's now.
    version
        Rises with each write; the log's entries of an item are in its order.
    """

    id: str
    job: str
    lines: tuple[int, ...]
    state: ItemState = "open"
    display: str = ""
    width: int = 0
    height: int = 0
    text: str = ""
    context: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    leases: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    label: int | None = None
    posterior: float | None = None
    settler: Settler | None = None
    reason: str = ""
    gold: int | None = None
    priority: int = 50
    probe: bool = False
    queues: int = 1
    version: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the form that the table keeps."""
        return plain(self) | {
            "lines": list(self.lines),
            "context": dict(self.context),
            "answers": {person: answer.to_json() for person, answer in self.answers.items()},
            "leases": {person: list(span) for person, span in self.leases.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the form that the table keeps."""
        known = read_known(cls, value)
        known["lines"] = tuple(known["lines"])
        known["answers"] = {person: Answer.from_json(one) for person, one in known.get("answers", {}).items()}
        known["leases"] = {person: (float(a), float(b)) for person, (a, b) in known.get("leases", {}).items()}
        return cls(**known)

    def labels(self) -> dict[str, int]:
        """Return the votes: person to category index."""
        return {
            person: answer.category
            for person, answer in self.answers.items()
            if answer.kind == "label" and answer.category is not None
        }

    def heard(self) -> int:
        """Return how many people have said something of it: a label, or that it is hard to say."""
        return sum(answer.kind in ("label", "hard") for answer in self.answers.values())

    def holders(self, now: float) -> list[str]:
        """Return who holds a lease and has not answered."""
        return [person for person, (_, end) in self.leases.items() if end > now and person not in self.answers]

    def with_(self, **changes: Any) -> Item:
        """Return a copy with changes and the next version."""
        return replace(self, version=self.version + 1, **changes)


@dataclass(frozen=True, slots=True)
class Person:
    """What a job knows of a person.

    Attributes
    ----------
    answered
        Items that they have labeled, called hard or reported.
    held
        Items that may be leased to them; the items' own leases are the truth.
    kept
        An owner let them go on; what their answers tell is no reason any more.
    """

    id: str
    job: str
    name: str = ""
    answered: int = 0
    gold_seen: int = 0
    gold_right: int = 0
    blocked: bool = False
    blocked_reason: str = ""
    kept: bool = False
    held: frozenset[str] = frozenset()
    gold_given: frozenset[str] = frozenset()
    last_at: str = ""

    @property
    def may_answer(self) -> bool:
        """Whether answers to what they have count; who only tells little gets nothing new, and may finish that."""
        return not self.blocked or self.blocked_reason.startswith(f"{keys.WORTH}:")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the form that the table keeps."""
        known = read_known(cls, value)
        for name in ("held", "gold_given"):
            known[name] = frozenset(known.get(name, ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    total
        Items to ask about.
    done
        Items that need no more people (settled or in review).
    review
        Items of ``done`` that wait for an owner.
    answers
        Answers recorded.
    """

    total: int
    done: int
    review: int
    answers: int

    @property
    def open(self) -> int:
        """Items that still need people."""
        return max(0, self.total - self.done)

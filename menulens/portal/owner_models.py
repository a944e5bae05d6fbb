"""What the owner's API gives, as its OpenAPI document tells it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Done(BaseModel):
    """A job's state after a change."""

    job: str
    state: str


class Started(BaseModel):
    """An execution that was started."""

    execution: str


class Released(BaseModel):
    """How many leases were handed back."""

    released: int


class Blocked(BaseModel):
    """Whether a person gets work of a job."""

    job: str
    person: str
    blocked: bool
    reason: str


class CategoryView(BaseModel):
    """A category as annotators see it."""

    index: int
    key: str
    ja: str
    en: str
    trains: bool
    emoji: str
    hint_ja: str
    hint_en: str


class Categories(BaseModel):
    """A job's categories, by index."""

    categories: list[CategoryView]


class JobRow(BaseModel):
    """A job in the list."""

    job: str
    state: str
    kind: str
    title_ja: str
    title_en: str
    created_at: str
    total: int
    done: int
    open: int
    review: int
    answers: int


class Jobs(BaseModel):
    """All jobs, the newest first."""

    jobs: list[JobRow]


class Said(BaseModel):
    """An answer in an owner's view."""

    person: str
    name: str
    kind: Literal["label", "hard", "skip", "report"]
    category: str | None
    second: str | None
    problem: str | None
    seconds: float | None
    at: str


class Belief(BaseModel):
    """How likely a category is, given the answers."""

    category: str
    share: float


class ItemView(BaseModel):
    """An item with all that was said of it."""

    item: str
    version: int
    state: str
    reason: str
    photo: str | None
    width: int
    height: int
    text: str | None
    context: dict[str, str]
    lines: int
    category: str | None
    confidence: float | None
    settler: str | None
    gold: str | None
    beliefs: list[Belief]
    answers: list[Said]


class Items(BaseModel):
    """Items, how many there are in all (-1: not counted), and the id after which the next page begins (None: all)."""

    items: list[ItemView]
    total: int
    next: str | None


class Decided(BaseModel):
    """An item after a decision, and how many wait."""

    item: ItemView
    review: int


class Example(BaseModel):
    """An item that shows a category."""

    item: str
    photo: str | None
    text: str | None
    confidence: float | None


class CategoryCount(BaseModel):
    """How many items and lines a category has, and some of them."""

    category: str
    items: int
    lines: int
    examples: list[Example]


class Agreement(BaseModel):
    """Krippendorff's alpha with its confidence interval, None where there is too little to tell."""

    alpha: float | None
    low: float | None
    high: float | None
    items: int
    answers: int


class Annotator(BaseModel):
    """A person's row."""

    person: str
    name: str
    answers: int
    labels: int
    hard: int
    reports: int
    agreed: int
    compared: int
    agreement: float | None
    gold_seen: int
    gold_right: int
    gold_accuracy: float | None
    median_seconds: float | None
    held: int
    blocked: bool
    blocked_reason: str
    last_at: str
    idle_seconds: float | None


class Confusion(BaseModel):
    """Two categories that people take for each other."""

    one: str
    other: str
    items: int


class Overview(BaseModel):
    """Progress, pace and time left; ``hours`` are the answers of each of the last 24 hours, the oldest first."""

    total: int
    done: int
    open: int
    review: int
    answers: int
    lines: int
    groups: int
    settlers: dict[str, int]
    answers_per_hour: float
    hours: list[int]
    answers_left: float
    seconds_left: float | None
    answers_per_item: float | None


class Addition(BaseModel):
    """Photos on their way into a job: asked + rejected + had + left = records, ready and unusable are of the asked."""

    id: str
    what: str
    state: Literal["waiting", "running", "done", "failed"]
    at: str
    records: int
    had: int
    left: int
    asked: int
    ready: int
    rejected: int
    unusable: int
    items: int
    message: str


class JobView(BaseModel):
    """A job with all that its owner wants to know."""

    job: str
    state: str
    kind: str
    title_ja: str
    title_en: str
    question_ja: str
    question_en: str
    created_at: str
    categories: list[CategoryView]
    options: dict[str, float | int | list[str]]
    progress: Overview
    counts: list[CategoryCount]
    agreement: Agreement
    annotators: list[Annotator]
    confusions: list[Confusion]
    disagreements: int
    gold: int
    additions: list[Addition]


class Reject(BaseModel):
    """A photo that nobody is asked about."""

    stage: Literal["input", "display"]
    source: str
    code: str
    reason: str


class Rejects(BaseModel):
    """Photos that nobody is asked about."""

    rejects: list[Reject]
    total: int
    codes: dict[str, int]


class Line(BaseModel):
    """A line of a group."""

    line: int
    source: str
    photo: str | None


class Group(BaseModel):
    """Photos that nearly agree and are labeled together; the first is the one that is shown."""

    item: str
    version: int
    state: str
    category: str | None
    lines: list[Line]


class Groups(BaseModel):
    """Groups, and the id after which the next page begins (None: that was all)."""

    groups: list[Group]
    next: str | None


class Finding(BaseModel):
    """What is wrong with the log, and where."""

    problem: Literal["changed", "missing", "inserted", "unknown", "unreadable"]
    segment: str
    line: int
    message: str


class Verified(BaseModel):
    """Whether the log is as it was written."""

    intact: bool
    lines: int
    segments: int
    findings: list[Finding]

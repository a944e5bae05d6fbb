"""What the annotators' API takes and gives: the shapes that its OpenAPI document tells of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

ItemId = Annotated[str, Field(pattern=r"^[0-9]{7}$")]
AnswerId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
CategoryKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


def _whole(value: Any) -> Any:
    """Return a number without a fraction as an integer: in JSON, 2.0 is 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)


class Body(BaseModel):
    """A JSON object with the keys that are told, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LeaseRequest(Body):
    """How many tasks, and which ones the device has."""

    limit: Annotated[int, Field(ge=1, le=10), _WHOLE]
    have: Annotated[list[ItemId], Field(max_length=100)] = []


class ReleaseRequest(Body):
    """Tasks that are handed back."""

    items: Annotated[list[ItemId], Field(min_length=1, max_length=100)]


class GivenAnswer(Body):
    """One answer; ``id`` is the device's own, and the same id is the same answer.

    ``shown_ms`` is kept as a day at most.
    """

    id: AnswerId
    item: ItemId
    kind: Literal["label", "hard", "skip", "report"]
    category: CategoryKey | None = None
    second: CategoryKey | None = None
    problem: Literal["broken", "improper"] | None = None
    replaces: AnswerId | None = None
    shown_ms: Annotated[int, Field(ge=0), _WHOLE] = 0
    at: Annotated[str, Field(max_length=40)] = ""


class CodeRequest(Body):
    """What an authenticator app shows."""

    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]


class AnswersRequest(Body):
    """Answers in the order in which they were given."""

    answers: Annotated[list[GivenAnswer], Field(min_length=1, max_length=50)]


class PersonBody(Body):
    """Who is signed in."""

    id: str
    name: str
    owner: bool


class JobSummary(Body):
    """A job on the list."""

    job: str
    title_ja: str
    title_en: str
    state: str
    open: int
    total: int
    mine: int


class Me(Body):
    """Who is signed in, and the jobs that take answers."""

    person: PersonBody
    jobs: list[JobSummary]


class CategoryBody(Body):
    """A category to pick; ``example`` is the path of a photo."""

    index: int
    key: str
    ja: str
    en: str
    emoji: str
    hint_ja: str
    hint_en: str
    trains: bool
    example: str | None


class JobBody(Body):
    """What a job asks; ``version`` is another after each change of it."""

    job: str
    version: int
    state: str
    kind: Literal["photo", "text"]
    title_ja: str
    title_en: str
    question_ja: str
    question_en: str
    rules_ja: str
    rules_en: str
    categories: list[CategoryBody]
    context_keys: list[str]


class Task(Body):
    """One thing to answer: a photo's path or a text, what is known of it, and how many alike it stands for."""

    item: str
    photo: str | None
    width: int
    height: int
    text: str | None
    context: dict[str, str]
    together: int
    lease_ends: str


class LeaseAnswer(Body):
    """Tasks, how far the job is, and its version: where it is another, what the job asks has changed.

    ``now`` is the time by which leases end: a device's own clock may be hours off.
    """

    tasks: list[Task]
    now: str
    version: int
    state: str
    mine: int
    open: int
    total: int
    blocked: bool


class AnswerResult(Body):
    """What became of an answer: ``accepted`` and ``duplicate`` are both kept, once."""

    id: str
    status: Literal["accepted", "duplicate", "rejected"]
    code: str | None = None
    message: str | None = None


class AnswersAnswer(Body):
    """What became of each answer, in order, and how far the job is."""

    results: list[AnswerResult]
    mine: int
    open: int
    total: int
    state: str


class Nothing(Body):
    """An empty object."""


class Health(Body):
    """The API is there."""

    ok: bool


class ErrorDetail(Body):
    """A word for programs, and a sentence for people; ``share`` is how far a count is that is under way, 0 to 1."""

    code: str
    message: str
    share: float | None = None


class ErrorBody(Body):
    """What went wrong."""

    error: ErrorDetail


class SecondFactorBody(Body):
    """Whether a person signs in with an authenticator app's codes as well."""

    on: bool


class EnrolmentBody(Body):
    """What an authenticator app is given: typed, as a link, or as the rows of a QR code (1 is dark)."""

    secret: str
    address: str
    squares: list[str]

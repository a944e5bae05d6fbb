"""What a labeling job knows of the lines of its manifest, and of who answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["waiting", "open", "answered", "labeled", "passed", "skipped", "failed"]
ENDED: frozenset[State] = frozenset({"labeled", "passed", "skipped", "failed"})


@dataclass(frozen=True)
class Worker:
    """Who answers: the Cognito subject, and the token's issuer."""

    sub: str
    issuer: str

    @property
    def pool(self) -> str:
        """ID of the user pool that signed the token."""
        return self.issuer.rpartition("/")[2]


@dataclass(frozen=True)
class Given:
    """One answer; times in seconds since 1970."""

    worker: Worker
    answer: str
    accepted_at: float
    submitted_at: float


@dataclass
class Item:
    """One line of the input manifest.

    ``waiting`` for pre-annotation, ``open`` to workers, ``answered`` by enough of them, ``labeled``; ``passed``: it had
    a label before; ``skipped``: pre-annotation said that nobody need look; ``failed``: with a reason.
    """

    index: int
    line: str
    data: dict[str, Any]
    state: State = "waiting"
    task_input: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Given] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)

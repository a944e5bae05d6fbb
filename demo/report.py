"""Turn what a run of the chain left behind into one HTML page: no script, nothing loaded, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader

from demo.labeling import Effort
from menulens.search.contact_sheet import TEMPLATES as SEARCH_TEMPLATES
from menulens.search.contact_sheet import Strip, environment

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the run: when it began (seconds after the start) and how long it took."""

    name: str
    start: float
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """A photo or line that went no further."""

    what: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Person:
    """An annotator's work; ``planned`` is the error rate it was given (None for a person)."""

    name: str
    answered: int
    wrong: int
    planned: float | None = None

    @property
    def error_rate(self) -> float:
        """Wrong answers per answer."""
        return self.wrong / self.answered if self.answered else 0.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its 95 % interval."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True)
class Outcome:
    """Everything that the page shows, as read from what the stages wrote."""

    composed: bool
    stages: Sequence[Stage]
    photos: int
    photo_rejects: Sequence[Reject]
    card: Mapping[str, Any]
    line_rejects: Sequence[Reject]
    evaluation: Mapping[str, Any]
    model_version: str
    backbone: str
    vectors: int
    vector_width: int
    vector_rejects: Sequence[Reject] = ()
    people: Sequence[Person] = ()
    effort: Effort | None = None
    consensus_right: int = 0
    consensus_all: int = 0
    strips: Sequence[Strip] = ()
    alike: Sequence[Bar] = ()
    alike_elsewhere: Sequence[Bar] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)
    labeled_by: str = "people"

    @property
    def seconds(self) -> float:
        """From the first stage's start to the last one's end."""
        return max((stage.start + stage.seconds for stage in self.stages), default=0.0)

    @property
    def answers(self) -> int:
        """Answers that annotators gave."""
        return self.effort.answers if self.effort else sum(person.answered for person in self.people)


def figures(evaluation: Mapping[str, Any]) -> list[Bar]:
    """Return the model's balanced accuracy and its baselines', the model first."""
    low, high = evaluation["balanced_accuracy_ci"]
    bars = [Bar("this model", evaluation["balanced_accuracy"], low, high, ours=True)]
    names = {
        "colour_histogram": "colour histogram, 5 nearest",
        "random_weights": "random weights, 5 nearest",
        "majority": "always the largest category",
    }
    for key, baseline in evaluation.get("baselines", {}).items():
        if isinstance(baseline, Mapping):
            value = baseline["balanced_accuracy"]
            low, high = baseline.get("balanced_accuracy_ci", (value, value))
        else:
            value = low = high = float(baseline)
        bars.append(Bar(names.get(key, key.replace("_", " ")), value, low, high))
    return bars


def interval(bar: Bar) -> str:
    """Return a figure's interval as text; nothing for what is known exactly."""
    return f"[{bar.low:.3f}, {bar.high:.3f}]" if bar.high > bar.low else ""


def matrix(evaluation: Mapping[str, Any]) -> list[tuple[str, list[tuple[int, float]], float | None]]:
    """Return one row per true class: its name, (count, share of the row) per predicted class, and its recall."""
    rows = []
    for name, counts in zip(evaluation["classes"], evaluation["confusion"], strict=True):
        total = sum(counts)
        shares = [(count, count / total if total else 0.0) for count in counts]
        rows.append((name, shares, evaluation["recall"].get(name)))
    return rows


def render(outcome: Outcome) -> str:
    """Return the page."""
    page = environment().overlay(loader=ChoiceLoader([FileSystemLoader(TEMPLATES), FileSystemLoader(SEARCH_TEMPLATES)]))
    page.filters |= {"duration": duration, "interval": interval}
    return page.get_template("report.html.jinja").render(
        run=outcome,
        bars=figures(outcome.evaluation),
        matrix=matrix(outcome.evaluation),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def duration(seconds: float) -> str:
    """Return a time span as people say it: ``8.2 s``, ``3 min 05 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"

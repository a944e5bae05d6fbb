"""How a job is going: one pass over its items, and what an owner wants to know falls out."""

from __future__ import annotations

import statistics
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from menulens.portal.model import Answer, Item, Job, Person, Progress, seconds

HOUR: Final = 3600.0
SHOWN_HOURS: Final = 24
EXAMPLES: Final = 6
IMPORT_SECONDS: Final = 5.0
LEAST_SPAN: Final = 60.0
"""A rate is told over a minute at least: two answers in the first second are not 7,200 an hour."""


@dataclass(slots=True)
class Voice:
    """What one person did in a job.

    Attributes
    ----------
    with_others, agreed
        Their labels on items that others have labeled too and that have an outcome, and how many of these are it.
    shown_ms
        How long each item was looked at.
    """

    answers: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    with_others: int = 0
    agreed: int = 0
    shown_ms: list[int] = field(default_factory=list)
    last_at: str = ""


@dataclass(slots=True)
class Stats:
    """What one pass over a job's items found.

    Attributes
    ----------
    votes
        (item, person, category index) of every label that counts, gold items left out: what agreement is made of.
    counts, examples
        By category index: items whose outcome it is, and some of them.
    settlers
        Whose the outcomes are: people, owner, machine, gold.
    pairs
        (lower, higher category index) to items where one person said one and another said the other.
    times
        When each answer that counts came in, in seconds since 1970.
    leases
        When each person's leases of items that they may still answer end or ended, in seconds since 1970.
    """

    items: int = 0
    votes: list[tuple[str, str, int]] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    settlers: Counter[str] = field(default_factory=Counter)
    lines: Counter[int] = field(default_factory=Counter)
    examples: dict[int, list[Item]] = field(default_factory=lambda: defaultdict(list))
    voices: dict[str, Voice] = field(default_factory=lambda: defaultdict(Voice))
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    leases: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    disputed: list[tuple[float, str]] = field(default_factory=list)
    settled_by_people: int = 0
    answers_of_settled: int = 0
    answers_of_open: int = 0
    open: int = 0
    in_groups: int = 0


def look(items: Iterable[Item], since: str = "", into: Stats | None = None) -> Stats:
    """Go through items once.

    Parameters
    ----------
    since
        When the job began (ISO 8601). Answers that were given before came with an import, and tell nothing of the pace.
    into
        What was found in other items of the job; these are added to it.
    """
    stats = Stats() if into is None else into
    for item in items:
        stats.items += 1
        stats.in_groups += len(item.lines) > 1
        _outcome(stats, item)
        if item.state == "open" or item.gold is not None:
            for person, (_, end) in item.leases.items():
                if person not in item.answers:
                    stats.leases[person].append(end)
        labels = item.labels()
        for person, answer in item.answers.items():
            _voice(stats.voices[person], answer, item, labels)
            if answer.recorded_at and not _imported(answer, since):
                stats.times.append(seconds(answer.recorded_at))
        if item.gold is not None:
            continue
        stats.votes += [(item.id, person, label) for person, label in labels.items()]
        said = sorted(set(labels.values()))
        stats.pairs.update(combinations(said, 2))
        if len(said) > 1:
            stats.disputed.append((item.posterior if item.posterior is not None else 0.0, item.id))
    stats.disputed.sort()
    return stats


def _imported(answer: Answer, since: str) -> bool:
    """Tell whether an answer came with an import: given before the job began, and handed out only as it was recorded.

    A device whose clock is slow says the first of its answers as well, but takes its time.
    """
    if not answer.at or answer.at >= since or not answer.leased_at:
        return False
    return seconds(answer.recorded_at) - seconds(answer.leased_at) < IMPORT_SECONDS


def _outcome(stats: Stats, item: Item) -> None:
    if item.state == "settled":
        stats.settlers[item.settler or "people"] += 1
        if item.settler == "people":
            stats.settled_by_people += 1
            stats.answers_of_settled += item.heard()
        if item.label is not None:
            stats.counts[item.label] += 1
            stats.lines[item.label] += len(item.lines)
            _example(stats.examples[item.label], item)
    elif item.state == "open":
        stats.open += 1
        stats.answers_of_open += item.heard()


def _example(found: list[Item], item: Item) -> None:
    """Keep a few of the items, drawn by their ids: the same ones each time, from all over the job."""
    found.append(item)
    if len(found) > EXAMPLES:
        found.remove(max(found, key=lambda one: zlib.crc32(one.id.encode())))


def _voice(voice: Voice, answer: Answer, item: Item, labels: Mapping[str, int]) -> None:
    voice.answers += 1
    voice.kinds[answer.kind] += 1
    voice.last_at = max(voice.last_at, answer.recorded_at)
    if answer.shown_ms > 0:
        voice.shown_ms.append(answer.shown_ms)
    others = len(labels) > 1 or (len(labels) == 1 and item.settler == "owner")
    if answer.kind == "label" and item.gold is None and item.state == "settled" and item.label is not None and others:
        voice.with_others += 1
        voice.agreed += answer.category == item.label


def rate(times: Sequence[float], now: float) -> float:
    """Return answers per hour over the last hour, or since the first answer if that is less; 0 without any."""
    recent = [time for time in times if time > now - HOUR]
    if not recent:
        return 0.0
    span = HOUR if min(times) <= now - HOUR else max(LEAST_SPAN, now - min(times))
    return len(recent) * HOUR / span


def by_hour(times: Sequence[float], now: float) -> list[int]:
    """Return the answers of each of the last hours, the oldest first."""
    counts = [0] * SHOWN_HOURS
    for time in times:
        ago = int((now - time) // HOUR)
        if 0 <= ago < SHOWN_HOURS:
            counts[SHOWN_HOURS - 1 - ago] += 1
    return counts


def answers_left(stats: Stats, job: Job) -> float:
    """Return how many answers the open items are likely to need: as many each as the settled ones did, less what is in.

    Before anything is settled each is thought to need the least plus one, up to the most.
    """
    options = job.options
    if stats.settled_by_people:
        each = stats.answers_of_settled / stats.settled_by_people
    else:
        each = float(min(options.min_answers + 1, options.max_answers))
    return max(float(stats.open), stats.open * each - stats.answers_of_open) if stats.open else 0.0


def seconds_left(stats: Stats, job: Job, now: float) -> float | None:
    """Return how long the open items take at the rate of now; None while nobody answers."""
    pace = rate(stats.times, now)
    if not stats.open:
        return 0.0
    return answers_left(stats, job) / pace * HOUR if pace else None


def annotators(stats: Stats, known: Iterable[Person], now: float) -> list[dict[str, Any]]:
    """Return a row for each person, who answered most first.

    Shares are None where there is nothing to share: nobody is 0 % right in no gold items.
    """
    rows = []
    found = {person.id: person for person in known}
    for person_id in {*found, *stats.voices}:
        voice = stats.voices.get(person_id, Voice())
        person = found.get(person_id) or Person(person_id, "")
        rows.append(
            {
                "person": person_id,
                "name": person.name or person_id,
                "answers": voice.answers,
                "labels": voice.kinds["label"],
                "hard": voice.kinds["hard"],
                "reports": voice.kinds["report"],
                "agreed": voice.agreed,
                "compared": voice.with_others,
                "agreement": voice.agreed / voice.with_others if voice.with_others else None,
                "gold_seen": person.gold_seen,
                "gold_right": person.gold_right,
                "gold_accuracy": person.gold_right / person.gold_seen if person.gold_seen else None,
                "median_seconds": statistics.median(voice.shown_ms) / 1000 if voice.shown_ms else None,
                "held": _held(stats, person, now),
                "blocked": person.blocked,
                "blocked_reason": person.blocked_reason,
                "last_at": max(voice.last_at, person.last_at),
                "idle_seconds": _idle(max(voice.last_at, person.last_at), now),
            }
        )
    return sorted(rows, key=lambda row: (-row["answers"], row["person"]))


def _held(stats: Stats, person: Person, now: float) -> int:
    """Return how many items a person holds: their entry has those as well whose leases ran out.

    Since the pass some may have been answered or handed back, which their entry knows.
    """
    return min(len(person.held), sum(end > now for end in stats.leases.get(person.id, ())))


def _idle(last_at: str, now: float) -> float | None:
    return max(0.0, now - seconds(last_at)) if last_at else None


def overview(stats: Stats, job: Job, progress: Progress, now: float) -> dict[str, Any]:
    """Return progress, pace and time left."""
    return {
        "total": progress.total,
        "done": progress.done,
        "open": progress.open,
        "review": progress.review,
        "answers": progress.answers,
        "lines": job.lines,
        "groups": stats.in_groups,
        "settlers": dict(stats.settlers),
        "answers_per_hour": rate(stats.times, now),
        "hours": by_hour(stats.times, now),
        "answers_left": answers_left(stats, job),
        "seconds_left": seconds_left(stats, job, now),
        "answers_per_item": stats.answers_of_settled / stats.settled_by_people if stats.settled_by_people else None,
    }


def confused(stats: Stats, job: Job) -> list[dict[str, Any]]:
    """Return which two categories people take for each other, most often first."""
    named = {one.index: one.key for one in job.categories}
    return [
        {"one": named[low], "other": named[high], "items": count}
        for (low, high), count in sorted(stats.pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    ]

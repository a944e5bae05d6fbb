"""Whether a log is what was written: finds lines that were changed, taken out or put in, and names them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from menulens.portal import entries, keys, log
from menulens.portal.context import Portal

Problem = Literal["changed", "missing", "inserted", "unknown", "unreadable"]
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line (or run of lines) that is not as it was written.

    Attributes
    ----------
    segment
        The segment that holds it, or in which it would be.
    seq
        Its number; the first one of a run.
    """

    problem: Problem
    segment: str
    seq: int
    message: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was found; ``value`` is empty where it is no line of a log."""

    segment: str
    place: int
    raw: bytes
    value: dict[str, Any]

    @property
    def seq(self) -> int:
        """The number that it gives itself; -1 if none."""
        seq = self.value.get("seq")
        return seq if isinstance(seq, int) else -1


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found.

    Attributes
    ----------
    lines, segments
        How many were read.
    findings
        Empty if all is well.
    """

    lines: int
    segments: int
    findings: tuple[Finding, ...]


def verify(portal: Portal, job: str) -> Verified:
    """Check a job's log: its chain, the end that the table knows, and each answer against the table."""
    # The end first: the log may grow meanwhile, and what was noted before the segments were listed is among them.
    head = _noted_end(portal, job)
    names = log.segments(portal, job)
    intact = _intact(portal, job, names, head)
    if intact is not None:
        return Verified(intact, len(names), ())
    # Which of its lines is wrong, a log tells with all of them side by side.
    found = [line for name in names for line in parse(name, log.read_segment(portal, job, name))]
    findings = [*check(found, head), *_unknown(portal, job, found)]
    return Verified(len(found), len(names), tuple(findings))


def _intact(portal: Portal, job: str, names: Sequence[str], head: tuple[int, str] | None) -> int | None:
    """Return how many lines a log has that is as it was written, holding one segment at a time; None of any other."""
    count, before = 0, None
    for name in names:
        lines = parse(name, log.read_segment(portal, job, name))
        noted = head if head is not None and count <= head[0] < count + len(lines) else None
        if check(lines, noted, before) or any(_unknown(portal, job, lines)):
            return None
        count += len(lines)
        before = max(lines, key=lambda one: one.seq, default=before)
        if before is not None and before.seq != count - 1:
            return None
    return None if head is not None and head[0] >= count else count


def noted_lines(portal: Portal, job: str) -> int:
    """Return how many lines a log had when the table last noted its end; a moment later it may have more."""
    end = _noted_end(portal, job)
    return end[0] + 1 if end else 0


def _noted_end(portal: Portal, job: str) -> tuple[int, str] | None:
    """Return number and hash of the last line that the table knows of."""
    known = portal.table.get(keys.head(job))
    return (known["seq"], known["digest"]) if known else None


def parse(segment: str, lines: Sequence[bytes]) -> list[Line]:
    """Return the lines of a segment."""
    return [Line(segment, place, raw, _value(raw)) for place, raw in enumerate(lines)]


def check(found: Sequence[Line], head: tuple[int, str] | None = None, before: Line | None = None) -> list[Finding]:
    """Check lines in order.

    Parameters
    ----------
    head
        Number and hash of a line that must be there, as it was noted elsewhere when it was written.
    before
        The line that stands before them; None: they are the log's first.
    """
    findings = [
        Finding("unreadable", one.segment, -1, _told(one, "is no line of a log")) for one in found if not one.value
    ]
    kept, inserted = _without_inserted([one for one in found if one.value], head)
    findings += inserted
    blamed: set[int] = set()
    for place, line in enumerate(kept):
        due = 0 if before is None else before.seq + 1
        prev = entries.FIRST_PREV if before is None else entries.digest(before.raw)
        if line.seq > due:
            what = f"line {due} is missing" if line.seq == due + 1 else f"lines {due} to {line.seq - 1} are missing"
            findings.append(Finding("missing", line.segment, due, f"{what} before line {line.seq} of {line.segment}."))
        elif line.value["prev"] != prev:
            # Of two neighbours that do not fit, the one that its other neighbour does not vouch for was changed.
            changed = before if before is not None and _vouched(kept, place, head) else line
            if changed.seq not in blamed:
                blamed.add(changed.seq)
                findings.append(Finding("changed", changed.segment, changed.seq, _told(changed, "was changed")))
        if entries.canonical(line.value).encode() != line.raw and line.seq not in blamed:
            blamed.add(line.seq)
            findings.append(Finding("changed", line.segment, line.seq, _told(line, "was written anew")))
        before = line
    findings += _end(kept, head, blamed)
    return sorted(findings, key=lambda one: (one.seq, one.problem))


def _without_inserted(found: Sequence[Line], head: tuple[int, str] | None) -> tuple[list[Line], list[Finding]]:
    """Leave out lines whose number another line has; of two the one stays that the line after it vouches for."""
    numbered: dict[int, list[Line]] = {}
    for line in found:
        numbered.setdefault(line.seq, []).append(line)
    kept, findings = [], []
    for seq, lines in sorted(numbered.items()):
        vouchers = {one.value.get("prev") for one in numbered.get(seq + 1, ())}
        if head is not None and head[0] == seq:
            vouchers.add(head[1])
        real = next((one for one in lines if entries.digest(one.raw) in vouchers), lines[0])
        kept.append(real)
        findings += [
            Finding("inserted", one.segment, seq, _told(one, "was put in")) for one in lines if one is not real
        ]
    return kept, findings


def _vouched(kept: Sequence[Line], place: int, head: tuple[int, str] | None) -> bool:
    """Tell whether what follows a line, or the noted end, holds its hash."""
    digest = entries.digest(kept[place].raw)
    if place + 1 < len(kept):
        return bool(kept[place + 1].value["prev"] == digest)
    return head is not None and head == (kept[place].seq, digest)


def _end(kept: Sequence[Line], head: tuple[int, str] | None, blamed: set[int]) -> Iterator[Finding]:
    if head is None:
        return
    seq, digest = head
    last = kept[-1] if kept else None
    due = 0 if last is None else last.seq + 1
    if due <= seq:
        segment = log.segment_name(due) if last is None else last.segment
        what = f"line {due} is missing" if due == seq else f"lines {due} to {seq} are missing"
        yield Finding("missing", segment, due, f"{what} at the end of the log.")
        return
    noted = next((one for one in kept if one.seq == seq), None)
    if noted is not None and entries.digest(noted.raw) != digest and seq not in blamed:
        yield Finding("changed", noted.segment, seq, _told(noted, "is not the one that was noted when it was written"))


def _unknown(portal: Portal, job: str, found: Sequence[Line]) -> Iterator[Finding]:
    """Yield answers that the table never took."""
    answers = iter([one for one in found if one.value.get("kind") == "answer"])
    while batch := list(islice(answers, _AT_ONCE)):
        stored = portal.table.get_many(keys.answer(job, one.value["id"]) for one in batch)
        for one in batch:
            if keys.answer(job, one.value["id"]) not in stored:
                yield Finding("unknown", one.segment, one.seq, _told(one, "is an answer that nobody gave"))


def _value(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    if not isinstance(value, dict) or not {"seq", "prev", "kind", "id", "body"} <= value.keys():
        return {}
    return value


def _told(line: Line, what: str) -> str:
    number = f"line {line.seq}" if line.value else f"row {line.place + 1}"
    return f"{number} of segment {line.segment} {what}."

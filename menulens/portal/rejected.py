"""Photos that nobody is asked about, and why: what was turned away unseen, and lines that a job can't show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from menulens.core.keys import REJECTS, SOURCE_REF
from menulens.labeling import layout
from menulens.portal import additions, intake
from menulens.portal.context import Portal
from menulens.portal.model import Job


def rejects(portal: Portal, job: Job) -> Iterator[dict[str, Any]]:
    """Yield every photo that is not asked about: ``source``, ``code``, ``reason`` and ``stage`` (input or display)."""
    before = f"{layout.inputs(portal.labels_bucket, job.name)}/{REJECTS}"
    yield from _turned_away(portal, before)
    again: set[tuple[str, str]] = set()  # who adds the same folder twice is told of a photo once
    for place in additions.rejects(portal, job.name):
        for told in _turned_away(portal, place):
            if (told["source"], told["code"]) not in again:
                again.add((told["source"], told["code"]))
                yield told
    known: set[str] = set()
    for part in job.parts:
        shown = portal.storage.read_bytes(part.display) if part.display else b""
        read = intake.read(
            portal.storage.read_bytes(part.manifest),
            shown,
            job=job.name,
            attribute=job.attribute,
            first_line=part.first_line,
            known=frozenset(known),
        )
        for line in read.lines:
            source = intake.parse(line.raw).get(SOURCE_REF)
            known.add(str(source))
            if line.failure:
                code, _, reason = line.failure.partition(": ")
                yield _told("display", source or line.raw.decode("utf-8", "replace"), {"code": code, "reason": reason})


def _turned_away(portal: Portal, place: str) -> Iterator[dict[str, Any]]:
    if portal.storage.exists(place):
        for raw in portal.storage.lines(place):
            told = intake.parse(raw)
            original = str(told.get("original", ""))
            yield _told("input", intake.parse(original.encode()).get(SOURCE_REF) or original, told)


def page(portal: Portal, job: Job, after: int, limit: int) -> dict[str, Any]:
    """Return some rejects, how many there are in all, and how many of each code."""
    every = list(rejects(portal, job))
    return {
        "rejects": list(islice(every, after, after + limit)),
        "total": len(every),
        "codes": dict(sorted(Counter(one["code"] for one in every).items())),
    }


def _told(stage: str, source: Any, told: dict[str, Any]) -> dict[str, Any]:
    text = source if isinstance(source, str) else json.dumps(source, ensure_ascii=False)
    return {
        "stage": stage,
        "source": text[:1000],
        "code": str(told.get("code", "unusable")),
        "reason": str(told.get("reason", ""))[:1000],
    }

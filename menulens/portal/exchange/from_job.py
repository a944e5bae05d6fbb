"""A job as records: one for each line of its input, with what people said and what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.portal import intake, jobs
from menulens.portal.context import Portal
from menulens.portal.exchange import strict_json
from menulens.portal.exchange.records import SOURCE, CategoryNames, ExchangeError, GivenAnswer, Label, Record
from menulens.portal.model import Answer, Item, Job

IMPORTS: Final = "imports/"
RECORDS: Final = "records.jsonl"
MANIFEST: Final = "input.manifest"


def place(labels_bucket: str, job: str, name: str) -> str:
    """Return where a file of a job's import is."""
    return f"s3://{labels_bucket}/{IMPORTS}{job}/{name}"


def names_of(job: Job, also: Mapping[str, str] | None = None) -> CategoryNames:
    """Return what a job's categories are called."""
    return CategoryNames([(one.key, one.ja, one.en) for one in job.categories], also)


def read(portal: Portal, job: Job) -> Iterator[Record]:
    """Yield every line of a job as a record, in order; what was imported with it carries what its old tool said.

    Answers stand with the line that people were shown; the other lines of a group have its label.
    """
    by_line: dict[int, Item] = {}
    for item in jobs.items(portal, job):
        by_line |= dict.fromkeys(item.lines, item)
    imported = dict(_imported(portal, job))
    known: set[str] = set()
    for part in job.parts:
        shown = portal.storage.read_bytes(part.display) if part.display else b""
        lines = intake.read(
            portal.storage.read_bytes(part.manifest),
            shown,
            job=job.name,
            attribute=job.attribute,
            first_line=part.first_line,
            known=frozenset(known),
        ).lines
        for line in lines:
            value = intake.parse(line.raw)
            known.add(str(value.get(SOURCE_REF)))
            record = _record(job, line.raw, by_line.get(line.number), line.number)
            if record is not None:
                before = imported.pop(record.source, None)
                yield record if before is None else replace(record, carried=before.carried)


def _record(job: Job, raw: bytes, item: Item | None, number: int) -> Record | None:
    """Return a line as a record; None for a line that is none, which nobody can be shown and no other tool can hold."""
    value = intake.parse(raw)
    source = value.get(SOURCE_REF, value.get(SOURCE))
    if not isinstance(source, str):
        return None
    taken = (SOURCE_REF, SOURCE, job.attribute, job.attribute + METADATA_SUFFIX)
    record = Record(
        source=source,
        kind="photo" if SOURCE_REF in value else "text",
        attributes={name: one for name, one in value.items() if name not in taken},
    )
    if item is None:
        return replace(record, label=_passed(job, value))
    settled = item.state == "settled" and item.label is not None
    label = Label(job.categories[item.label or 0].key, item.posterior, item.settler != "machine") if settled else None
    if item.lines[0] != number:
        return replace(record, label=label)
    answers = sorted(item.answers.values(), key=lambda one: (one.recorded_at, one.id))
    gold = None if item.gold is None else job.categories[item.gold].key
    return replace(record, label=label, gold=gold, answers=tuple(_answer(job, one) for one in answers))


def _passed(job: Job, value: Mapping[str, Any]) -> Label | None:
    """Return the label that a line came with."""
    metadata = value.get(job.attribute + METADATA_SUFFIX)
    told = metadata if isinstance(metadata, dict) else {}
    name, sure = told.get("class-name"), told.get("confidence")
    if value.get(job.attribute) is None or not isinstance(name, str):
        return None
    return Label(name, sure if isinstance(sure, int | float) else None, told.get("human-annotated") != "no")


def _answer(job: Job, answer: Answer) -> GivenAnswer:
    def key(index: int | None) -> str | None:
        return None if index is None else job.categories[index].key

    return GivenAnswer(
        id=answer.id,
        person=answer.person,
        kind=answer.kind,
        category=key(answer.category),
        second=key(answer.second),
        problem=answer.problem,
        at=answer.at or answer.recorded_at or None,
        shown_ms=answer.shown_ms or None,
    )


def _imported(portal: Portal, job: Job) -> Iterator[tuple[str, Record]]:
    """Yield what was imported for a job, by source."""
    at = place(portal.labels_bucket, job.name, RECORDS)
    if not portal.storage.exists(at):
        return
    for number, raw in enumerate(portal.storage.lines(at), 1):
        try:
            record = Record.from_json(strict_json.loads(raw.decode("utf-8"), at))
        except (ExchangeError, strict_json.FaultyValueError, UnicodeDecodeError) as error:
            raise ExchangeError(f"{at}: line {number:,} was not written by an import: {error}") from None
        yield record.source, record

"""``menulens label import`` and ``export``: labels from and to other tools."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from menulens.cli._label_app import FAILURES, Environment, JobName, err, fail, out
from menulens.cli._label_cloud import Labeling, open_labeling
from menulens.portal import jobs
from menulens.portal.exchange import csv_table, from_job, ground_truth, into_job, label_studio
from menulens.portal.exchange.records import MOST_BYTES, CategoryNames, ExchangeError, Imported, Places, Record
from menulens.settings import settings_of
from menulens.storage import Storage, is_s3, join


class Format(StrEnum):
    """Files of which tool."""

    LABEL_STUDIO = "label-studio"
    CSV = "csv"
    GROUND_TRUTH = "ground-truth"


_SHOWN_REJECTS: Final = 10
_FAILURES = (*FAILURES, ExchangeError, OSError)
_NOTES: Final = {
    "several-choices": "annotations with several choices",
    "no-choice": "annotations without a choice",
    "other-control": "regions of other kinds (boxes, texts)",
    "unknown-category": "choices that are no category here (--name-of 'THEIRS=ours' gives one a meaning)",
    "prediction": "predictions",
    "gold-disagrees": "items whose ground truths disagree",
    "other-file": "files that are no worker's response",
    "unreadable-response": "worker responses that are no JSON",
    "unreadable-annotation": "annotations that are no JSON object",
    "unreadable-annotations": "tasks whose annotations are no list",
    "unreadable-predictions": "tasks whose predictions are no list",
}


def import_labels(  # noqa: PLR0917 (typer reads the options from the signature)
    source: Annotated[
        str, typer.Argument(help="A file (.json, .csv), or the folder of a Ground Truth job: or s3://….")
    ],
    name: Annotated[str | None, typer.Option(help="The new job's name; the file's if not given.")] = None,
    into: Annotated[str | None, typer.Option(help="A job that is there: its items get the answers.")] = None,
    kind: Annotated[Format | None, typer.Option("--format", help="By the file's ending if not given.")] = None,
    moved: Annotated[
        list[str] | None,
        typer.Option(help="THEIRS=OURS, where photos went: https://cdn.example.com/=s3://bucket/photos/"),
    ] = None,
    name_of: Annotated[list[str] | None, typer.Option(help="THEIRS=ours: what a choice of theirs means.")] = None,
    source_column: Annotated[str | None, typer.Option(help="Column (or key of data) with the photo or text.")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column (or name of the Choices control) that counts.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file that is no UTF-8, as cp932.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the file, say what is in it, and stop.")] = False,
    environment: Environment = "local",
) -> None:
    """Make a labeling job of another tool's file, with the answers that it holds; the rest of the file is kept.

    The same import again goes on where one was broken off: no answer counts twice.
    """
    try:
        if name is not None and into is not None:
            raise ExchangeError("--name is for a new job, --into for one that is there; only one of them is due.")
        also, places = _pairs(name_of, "--name-of"), Places(_pairs(moved, "--moved"))
        settings = settings_of(environment)
        names = CategoryNames([(one.key, one.ja, one.en) for one in settings.categories], also)
        labeling = None if dry_run and not is_s3(source) else open_labeling(environment)
        storage = labeling.portal.storage if labeling else Storage()
        kind = kind or _kind(source)
        if kind is Format.GROUND_TRUTH:
            found = _read_job(source, ground_truth.Reading(names, settings.labeling.label_attribute), storage)
        elif kind is Format.CSV:
            reading = csv_table.Reading(names, places, source_column, label_column, encoding)
            found = csv_table.read(_content(source, storage), reading, source)
        else:
            studio = label_studio.Reading(names, places, source_column, control=label_column)
            found = label_studio.read(_content(source, storage), studio, source)
        _tell(found)
        if labeling is None or dry_run:
            return
        if not found.records:
            raise ExchangeError(f"{source}: nothing in it can be taken; nothing was imported.")
        job_name = into or name or _name_from(source)
        _bring_in(labeling, job_name, found, is_new=into is None)
    except _FAILURES as error:
        raise fail(error, into) from None


def _bring_in(labeling: Labeling, name: str, found: Imported, *, is_new: bool) -> None:
    portal = labeling.portal
    if is_new:
        is_there = jobs.find(portal, name) is not None
        if is_there and not into_job.is_kept(portal, name, found):
            raise ExchangeError(
                f"There is a job {name} of other photos or texts; nothing was imported. Give the new job another name "
                f"(--name NAME), or give that one's items these answers (--into {name})."
            )
        manifest = into_job.keep(portal, name, found)
        if not is_there:
            with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=err) as progress:
                task = progress.add_task("Opening the job", total=None)
                execution = labeling.start("label", {"manifest": manifest, "job_name": name})
                labeling.opened(execution, lambda text: progress.update(task, description=text))
    job = jobs.get(portal, name)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("Recording answers", total=len(found.records))
        by = f"cli:{getpass.getuser()}"
        done = into_job.record(portal, job, found.records, by, lambda number: progress.update(task, completed=number))
    out.print(
        f"{name}: {done.accepted:,} answers recorded, {done.duplicate:,} were there before, {done.gold:,} items marked "
        f"as known"
    )
    for code, count in sorted(done.reasons.items()):
        out.print(f"  {count:,} answers not taken: {escape(code)}")
    if done.absent:
        out.print(f"  {done.absent:,} records are not asked about in {escape(name)} (labeled before, or turned away)")


def export_labels(
    job: JobName,
    target: Annotated[str, typer.Argument(help="Where it goes: a file, or a folder for ground-truth.")],
    kind: Annotated[Format | None, typer.Option("--format", help="By the file's ending if not given.")] = None,
    environment: Environment = "local",
) -> None:
    """Write a job's items, answers and labels for another tool."""
    try:
        portal = open_labeling(environment).portal
        found = jobs.get(portal, job)
        records = list(from_job.read(portal, found))
        kind = kind or _kind(target)
        files: Iterable[tuple[str, Iterable[bytes]]]
        if kind is Format.GROUND_TRUTH:
            written = ground_truth.write(records, found.attribute, from_job.names_of(found))
            files = ((join(target, path), [content]) for path, content in written)
        elif kind is Format.CSV:
            files = [(target, csv_table.write(records, _columns(records)))]
        else:
            files = [(target, label_studio.write(records))]
        for place, parts in files:
            with portal.storage.writer(place) as writer:
                for part in parts:
                    writer.write(part)
        if kind is Format.LABEL_STUDIO:
            config = label_studio.labeling_config(from_job.names_of(found), found.kind)
            portal.storage.write_text(f"{target}.config.xml", config, "application/xml")
            out.print(f"The labeling configuration for Label Studio: {target}.config.xml", markup=False, soft_wrap=True)
    except _FAILURES as error:
        raise fail(error, job) from None
    answers = sum(len(record.answers) for record in records)
    out.print(f"{len(records):,} items with {answers:,} answers: {target}", markup=False, soft_wrap=True)


def _columns(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the columns of the tables that records came from, in order."""
    seen: dict[str, None] = {}
    for record in records:
        carried = record.carried or {}
        if carried.get("format") == csv_table.FORMAT:
            seen |= dict.fromkeys(carried["row"])
    return tuple(seen)


def _read_job(folder: str, reading: ground_truth.Reading, storage: Storage) -> Imported:
    """Read what a Ground Truth job left: its folder, or its output manifest alone."""
    if folder.endswith(".manifest"):
        return ground_truth.read(storage.lines(folder), [], reading, folder)
    base = folder.rstrip("/")
    responses = (
        (f"{ground_truth.RESPONSES}{item.uri.partition(ground_truth.RESPONSES)[2]}", storage.read_bytes(item.uri))
        for item in storage.list(join(base, ground_truth.RESPONSES) + "/")
    )
    manifest = join(base, "manifests/output/output.manifest")
    return ground_truth.read(storage.lines(manifest), responses, reading, manifest)


def _content(source: str, storage: Storage) -> bytes:
    size = storage.size(source)
    if size > MOST_BYTES:
        raise ExchangeError(f"{source}: {size:,} bytes; up to {MOST_BYTES:,} are read. Divide the file.")
    return storage.read_bytes(source)


def _kind(place: str) -> Format:
    ending = place.rpartition(".")[2].lower()
    if ending in ("csv", "tsv", "txt"):
        return Format.CSV
    if ending in ("json", "jsonl"):
        return Format.LABEL_STUDIO
    name = place.rstrip("/").rpartition("/")[2]
    if place.endswith(("/", ".manifest")) or "." not in name or Path(place).is_dir():
        return Format.GROUND_TRUTH
    raise ExchangeError(f"{place}: its ending tells no format; say it: --format {'|'.join(Format)}.")


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for one in given or []:
        theirs, equals, ours = one.rpartition("=")
        if not (theirs and equals and ours):
            raise ExchangeError(f"{option} {one}: THEIRS=OURS is due.")
        pairs[theirs] = ours
    return pairs


def _name_from(source: str) -> str:
    stem = Path(source.rstrip("/")).stem
    plain = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:63].rstrip("-")
    if not plain:
        raise ExchangeError(f"{source}: no job name follows from it; give one: --name NAME.")
    return plain


def _tell(found: Imported) -> None:
    """Say what a file holds, what is turned away, and what is carried along."""
    answers = sum(len(record.answers) for record in found.records)
    golden = sum(record.gold is not None for record in found.records)
    labeled = sum(record.label is not None for record in found.records)
    out.print(
        f"{found.read:,} records: {len(found.records):,} taken with {answers:,} answers, {labeled:,} labels and "
        f"{golden:,} known; {len(found.rejects):,} turned away"
    )
    if found.rejects:
        table = Table("line", "why", title_justify="left")
        for reject in found.rejects[:_SHOWN_REJECTS]:
            table.add_row(f"{reject.number:,}", escape(reject.reason))
        out.print(table)
    if any(reject.code == "not-in-s3" for reject in found.rejects):
        out.print("Where photos went: --moved https://cdn.example.com/=s3://bucket/photos/", soft_wrap=True)
    for code, count in sorted(found.notes.items()):
        if count:
            out.print(f"Kept for the way back, not used here: {count:,} {_NOTES.get(code, code)}", markup=False)

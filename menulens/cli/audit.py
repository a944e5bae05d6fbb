"""``menulens label audit``: labels that are likely wrong become a review job, and its corrections a new dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from menulens.cli._label_app import FAILURES, Environment, JobName, fail, out
from menulens.cli._label_cloud import open_labeling
from menulens.cli._photos import open_room
from menulens.cli.automate import ModelVersion, groups_of, vectors_of
from menulens.cloud import CloudError
from menulens.portal import reading
from menulens.portal.model import Job

if TYPE_CHECKING:
    from menulens.portal.audits import Corrected, Found

SHOWN = 20


def audit(  # noqa: PLR0917 (typer reads the options from the signature)
    job: JobName,
    limit: Annotated[int, typer.Option(min=1, help="Review so many labels at most.")] = 200,
    look: Annotated[bool, typer.Option("--look", help="Only show the labels; open no job.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="JOB is a review: make a dataset of its corrections, and tell what changed.")
    ] = False,
    model_version: ModelVersion = None,
    environment: Environment = "local",
) -> None:
    """Find labels that are likely wrong, and have people look at them again."""
    # cleanlab and scikit-learn take seconds to import; help is to come fast.
    from menulens.labeling.prediction import TooFewLabelsError  # noqa: PLC0415
    from menulens.portal import audits  # noqa: PLC0415

    try:
        labeling = open_labeling(environment)
        if apply:
            corrected = audits.apply(labeling.portal, job)
            _show_changes(reading.get(labeling.portal, corrected.job), corrected)
            if corrected.changes:
                told = labeling.ended(labeling.start("clean", {"manifest": corrected.manifest}))
                out.print(f"Dataset: {told.get('dataset_uri', told)}", soft_wrap=True)
            return
        stored = open_room(environment).vectors(model_version)
        found = audits.look(labeling.portal, job, vectors_of(stored), group_of=groups_of(labeling.cloud))
        _show_suspects(reading.get(labeling.portal, job), found)
        if look or not found.suspects:
            return
        review = audits.open_review(labeling.portal, job, found.suspects[:limit])
        out.print(
            f"Opened {review.name}: {review.asked:,} photos to look at again. When people have:\n"
            f"  menulens label audit {review.name} --apply -e {environment}",
            soft_wrap=True,
        )
    except (*FAILURES, CloudError, TooFewLabelsError) as error:
        raise fail(error, job) from None


def _show_suspects(job: Job, found: Found) -> None:
    out.print(f"{job.name}: {len(found.suspects):,} of {found.looked:,} labels are likely wrong.")
    if found.without_vector:
        out.print(f"{found.without_vector:,} labeled items have no vector and were not looked at.")
    table = Table("item", "label", "likely", "quality", box=None)
    for one in found.suspects[:SHOWN]:
        table.add_row(one.name, _key(job, one.given), _key(job, one.likely), f"{one.quality:.3f}")
    if found.suspects:
        out.print(table)


def _show_changes(job: Job, corrected: Corrected) -> None:
    from menulens.labeling.audit import between  # noqa: PLC0415

    out.print(
        f"{corrected.reviewed:,} labels of {corrected.job} were looked at again, {len(corrected.changes):,} changed, "
        f"{corrected.unanswered:,} are not settled yet."
    )
    table = Table("from", "to", "photos", box=None)
    for before, after, count in between(corrected.changes):
        table.add_row(_key(job, before), _key(job, after), str(count))
    if corrected.changes:
        out.print(table)
    for one in corrected.changes[:SHOWN]:
        out.print(escape(f"{one.name}: {_key(job, one.before)} → {_key(job, one.after)}"), soft_wrap=True)
    out.print(f"All labels: {corrected.manifest}", soft_wrap=True)


def _key(job: Job, index: int | None) -> str:
    return "none" if index is None else job.categories[index].key

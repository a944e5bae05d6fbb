"""``menulens label add``: more photos for a job that runs."""

from __future__ import annotations

from typing import Annotated

import typer

from menulens.cli._label_app import FAILURES, Environment, JobName, fail, out
from menulens.cli._label_cloud import LabelingError, open_labeling
from menulens.portal import adding
from menulens.portal.sandbox import DecoderError
from menulens.settings import settings_of
from menulens.storage import is_s3


def add(
    job: JobName,
    photos: Annotated[str | None, typer.Argument(help="Prefix of the photos, as photos/tanuki/ or s3://….")] = None,
    manifest: Annotated[str | None, typer.Option(help="A manifest instead of a prefix: s3://….")] = None,
    environment: Environment = "local",
) -> None:
    """Add photos to a job; those that it has are left out."""
    try:
        if (photos is None) == (manifest is None):
            raise LabelingError("Either a prefix of photos or --manifest is due.")
        labeling = open_labeling(environment)
        bucket = labeling.cloud.bucket("photos")
        place = photos if photos is None or is_s3(photos) else f"s3://{bucket}/{photos}"
        added = adding.add(
            labeling.portal,
            job,
            settings=settings_of(environment).model_dump(mode="json"),
            photo_bucket=bucket,
            photos=place,
            manifest=manifest,
        )
        if not added.records:
            raise LabelingError(f"No photo lies under {place}." if manifest is None else f"{manifest} has no lines.")
        out.print(f"{added.job.name}: {added.asked:,} added, {added.items:,} to ask about; {added.had:,} were in it")
        if added.left:
            out.print(f"{added.left:,} are left for the same call again")
        if added.rejected:
            out.print(f"{added.rejected:,} can't be used" + (f": {added.rejects}" if added.rejects else ""))
    except (*FAILURES, DecoderError) as error:
        raise fail(error, job) from None

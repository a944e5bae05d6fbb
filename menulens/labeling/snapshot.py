"""The labels of a running job, as they are now."""

from __future__ import annotations

from menulens.labeling import layout
from menulens.labeling.jobs import Job, LabelingJobError, output_manifest
from menulens.labeling.merge import Merged, Stored, merge
from menulens.storage import Storage, is_s3, parse_s3_uri

MANIFEST_ENDING = ".manifest"


def take(job: Job, earlier: str | None, storage: Storage) -> Merged:
    """Return what a job has labeled up to now: one line for each photo that was asked, labeled or not.

    A running job leaves a manifest for each iteration; they are laid over the job's input, oldest first. For a job that
    has ended its output manifest counts. Labels that the job was resumed with come first.

    Raises
    ------
    LabelingJobError
        If nobody has labeled anything yet.
    """
    if job.running:
        return of_iterations(job, earlier, storage)
    return _laid_over([output_manifest(job, storage)], job, earlier, storage)


def of_iterations(job: Job, earlier: str | None, storage: Storage) -> Merged:
    """Return what the manifests of a job's iterations hold, whether it runs or not, laid over the job's input.

    Raises
    ------
    LabelingJobError
        If they hold no label.
    """
    # Who started a job elsewhere may have kept its input where we may not read; what has no label is left out then.
    ours = is_s3(job.input_manifest) and parse_s3_uri(job.input_manifest).bucket == parse_s3_uri(job.output).bucket
    asked = [job.input_manifest] if ours else []
    return _laid_over([*asked, *_iterations(job, storage)], job, earlier, storage)


def _laid_over(parts: list[str], job: Job, earlier: str | None, storage: Storage) -> Merged:
    all_parts = [earlier, *parts] if earlier else parts
    merged = merge([Stored(storage, part) for part in all_parts], job.label_attribute)
    if not merged.labeled:
        raise LabelingJobError(
            f"{job.name}: no photo is labeled yet (the job is {job.status}); start again when annotators have answered."
        )
    return merged


def _iterations(job: Job, storage: Storage) -> list[str]:
    found = [
        item
        for folder in layout.intermediate_folders(job.output)
        for item in storage.list(folder)
        if item.key.endswith(MANIFEST_ENDING)
    ]
    return [item.uri for item in sorted(found, key=lambda item: (item.modified, item.key))]

"""From a labeling job's name to the labels that cleaning reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from menulens.core import keys
from menulens.labeling import jobs, layout
from menulens.labeling.jobs import Finder, Job, LabelingJobError
from menulens.labeling.snapshot import of_iterations
from menulens.storage import Storage


def locate(
    name: str,
    *,
    label_attribute: str,
    labels_bucket: str,
    expected_input: str | None,
    made_from: str | None,
    creation_error: Mapping[str, str] | None,
    providers: Sequence[Finder],
    storage: Storage,
    for_dataset: bool = False,
) -> dict[str, Any]:
    """Return where a labeling job's labels are.

    Parameters
    ----------
    label_attribute
        The environment's. A job of another attribute is another team's.
    expected_input
        The input manifest that the job must have been made from; None if any will do.
    made_from
        The digest of what must lie there; another execution may have written its own under the same name.
    creation_error
        What Step Functions caught (``Error``, ``Cause``) when it made the job or waited for it; None if nothing.
    providers
        Where jobs are looked for, in this order.
    for_dataset
        The labels are to become a dataset: those of texts can't, and are left alone as another team's are.

    Returns
    -------
    dict
        ``job_name``, ``job_status``, ``name`` (for the dataset), ``ours`` (its labels are this environment's),
        ``ready`` (nothing more comes in), ``wait_seconds``, ``manifest`` (None until ready), ``earlier_manifest``
        (labels that the job was resumed with, or None) and ``reason``.

    Raises
    ------
    LabelingJobError
        If there is no such job, if it was made from another input, or if it left no labels.
    """
    try:
        job = jobs.describe(name, *providers)
    except LabelingJobError:
        if creation_error:
            raise LabelingJobError(f"{name}: the labeling job could not be made: {_cause(creation_error)}") from None
        raise
    if expected_input is not None and job.input_manifest != expected_input:
        raise LabelingJobError(
            f"{name}: a labeling job of this name was made from {job.input_manifest}, not from {expected_input}; "
            "choose another job_name, or leave it out and the name follows from the photos."
        )
    if made_from is not None:
        jobs.require_made_from(name, made_from, labels_bucket, storage)
    answer = {
        keys.JOB_NAME: job.name,
        keys.JOB_STATUS: job.status,
        keys.NAME: jobs.dataset_name(job.name),
        keys.OURS: job.label_attribute == label_attribute and jobs.lies_in(job, labels_bucket),
        keys.READY: not job.running,
        keys.WAIT_SECONDS: job.wait_seconds,
        keys.MANIFEST: None,
        keys.EARLIER_MANIFEST: None,
        keys.REASON: job.reason,
    }
    if not answer[keys.OURS]:
        answer[keys.REASON] = (
            f"The job labels {job.label_attribute!r} into {job.output}; here {label_attribute!r} in "
            f"s3://{labels_bucket}/ is cleaned."
        )
    elif for_dataset and job.kind != "photo":
        answer[keys.OURS] = False
        answer[keys.REASON] = f"The job is about {job.kind}s; datasets are made of photos."
    elif answer[keys.READY]:
        answer[keys.EARLIER_MANIFEST] = jobs.earlier_manifest(job.name, labels_bucket, storage)
        answer[keys.MANIFEST] = _what_it_left(
            job, labels_bucket, storage, resumed=answer[keys.EARLIER_MANIFEST] is not None
        )
    return answer


def require_readable(job: Job, labels_bucket: str) -> None:
    """Refuse a job whose output our functions may not read.

    Raises
    ------
    LabelingJobError
        If the job writes elsewhere.
    """
    if not jobs.lies_in(job, labels_bucket):
        raise LabelingJobError(
            f"{job.name}: the labeling job writes to {job.output}; allowed: s3://{labels_bucket}/. "
            "Copy its manifest there and start clean with it."
        )


def _what_it_left(job: Job, labels_bucket: str, storage: Storage, *, resumed: bool) -> str | None:
    try:
        return jobs.output_manifest(job, storage)
    except LabelingJobError:
        # A job that failed may have labels that no output manifest holds yet; a resumed one goes on with the earlier.
        try:
            return _rescued(job, labels_bucket, storage)
        except LabelingJobError:
            if resumed:
                return None
        raise


def _rescued(job: Job, labels_bucket: str, storage: Storage) -> str:
    """Write the output manifest that a failed job did not come to write, from its iterations."""
    place = layout.rescued_manifest(labels_bucket, job.name)
    of_iterations(job, None, storage).write(place, storage)
    return place


def _cause(error: Mapping[str, str]) -> str:
    cause = error.get("Cause", "")
    try:
        message = json.loads(cause)
    except ValueError:
        return f"{error.get('Error', '')}: {cause}"
    return str(message.get("FailureReason", message.get("errorMessage", cause))) if isinstance(message, dict) else cause

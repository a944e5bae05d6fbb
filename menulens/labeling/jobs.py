"""Labeling jobs: where each leaves its labels, whatever became of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from menulens.labeling import layout
from menulens.storage import Storage, join, parse_s3_uri

LONGEST_DATASET_NAME: Final = 40
RUNNING: Final = frozenset({"Initializing", "InProgress", "Stopping"})
_NOT_FOUND: Final = frozenset({"ResourceNotFound", "ResourceNotFoundException", "ValidationException"})


class LabelingJobError(Exception):
    """A labeling job that is not there or left nothing to go on with; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a labeling job is and how far it came.

    Attributes
    ----------
    output
        Folder of what the job wrote: ``s3://…/<job>``.
    manifest
        Its output manifest, as the service names it; None where it names none.
    age
        Seconds since it was created.
    kind
        ``photo`` or ``text``: what people were asked about.
    """

    name: str
    status: str
    label_attribute: str
    input_manifest: str
    output: str
    manifest: str | None
    reason: str
    age: float
    kind: str = "photo"

    @property
    def running(self) -> bool:
        """Whether labels still come in."""
        return self.status in RUNNING

    @property
    def wait_seconds(self) -> int:
        """How long to wait before looking again: the older the job, the longer, so that 30 days are few looks."""
        return int(min(1_200, max(5, self.age / 20)))


def dataset_name(job_name: str) -> str:
    """Return the first part of the id of the dataset that a job's labels become."""
    return job_name[:LONGEST_DATASET_NAME].rstrip("-")


Finder = Callable[[str], Job | None]
"""Looks for a job of this name where one provider keeps its jobs."""


def find(name: str, *providers: Finder) -> Job | None:
    """Ask the providers for a job, one after the other; None if none has it."""
    return next((job for ask in providers if (job := ask(name)) is not None), None)


def describe(name: str, *providers: Finder) -> Job:
    """Ask the providers for a job that is due.

    Raises
    ------
    LabelingJobError
        If none has such a job.
    """
    job = find(name, *providers)
    if job is None:
        raise LabelingJobError(f"{name}: there is no labeling job of this name.")
    return job


def ground_truth(sagemaker: Any) -> Finder:
    """Return what looks for jobs of SageMaker Ground Truth."""
    return lambda name: _in_ground_truth(name, sagemaker)


def _in_ground_truth(name: str, sagemaker: Any) -> Job | None:
    try:
        found = sagemaker.describe_labeling_job(LabelingJobName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOT_FOUND:
            return None
        raise
    created: datetime = found["CreationTime"]
    return Job(
        name=found["LabelingJobName"],
        status=found["LabelingJobStatus"],
        label_attribute=found.get("LabelAttributeName", ""),
        input_manifest=found["InputConfig"].get("DataSource", {}).get("S3DataSource", {}).get("ManifestS3Uri", ""),
        output=join(found["OutputConfig"]["S3OutputPath"], found["LabelingJobName"]),
        manifest=found.get("LabelingJobOutput", {}).get("OutputDatasetS3Uri") or None,
        reason=found.get("FailureReason", ""),
        age=max(0.0, time.time() - created.timestamp()),
    )


def output_manifest(job: Job, storage: Storage) -> str:
    """Return the manifest that a job left, complete or not.

    Raises
    ------
    LabelingJobError
        If the job left none.
    """
    rescued = layout.rescued_manifest(parse_s3_uri(job.output).bucket, job.name)
    for candidate in (job.manifest, layout.output_manifest(job.output), rescued):
        if candidate and storage.exists(candidate):
            return candidate
    reason = f" Its reason: {job.reason}" if job.reason else ""
    raise LabelingJobError(f"{job.name}: the labeling job is {job.status} and left no output manifest.{reason}")


def lies_in(job: Job, labels_bucket: str) -> bool:
    """Tell whether a job writes where our functions may read."""
    return parse_s3_uri(job.output).bucket == labels_bucket


def card(name: str, labels_bucket: str, storage: Storage) -> Mapping[str, Any] | None:
    """Return the card of a job that our ``label`` machine made; None for a job made elsewhere."""
    place = layout.input_card(labels_bucket, name)
    if not storage.exists(place):
        return None
    made: Mapping[str, Any] = storage.read_json(place)
    return made


def made_from(given: Mapping[str, Any]) -> str:
    """Return a digest of what a card says that a job was made from: what is asked, and the labels from before."""
    return hashlib.sha256(f"{given['sha256']} {given['earlier_manifest']}".encode()).hexdigest()


def require_made_from(name: str, due: str, labels_bucket: str, storage: Storage) -> None:
    """Refuse a name under which other inputs lie: its job's labels would be taken for those of others.

    Raises
    ------
    LabelingJobError
        If what lies there has another digest (:func:`made_from`) than ``due``, or there is nothing.
    """
    given = card(name, labels_bucket, storage)
    if given is None or made_from(given) != due:
        raise LabelingJobError(
            f"{name}: a labeling job of this name was made from other photos or other labels from before; choose "
            "another job_name, or leave it out and the name follows from the photos."
        )


def earlier_manifest(name: str, labels_bucket: str, storage: Storage) -> str | None:
    """Return the manifest of labels that a job was resumed with, if it was."""
    made = card(name, labels_bucket, storage)
    return made["earlier_manifest"] if made else None

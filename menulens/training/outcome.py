"""What became of a SageMaker job whose state in a state machine ended with an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from menulens.core import keys
from menulens.training.registry import is_missing

Kind = Literal["training", "transform"]
Outcome = Literal["Completed", "AlreadyRunning", "Failed"]

COMPLETED: Final = "Completed"
UNUSABLE: Final = frozenset({"Failed", "Stopped"})
MOST_ATTEMPTS: Final = 99
_OURS: Final = "ResourceInUse"


class TooManyAttemptsError(Exception):
    """A job that failed so often that no further name is tried."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that exists."""

    name: str
    status: str
    failure: str


def look(sagemaker: Any, kind: Kind, name: str) -> Job | None:
    """Return a job, or none if there is none of this name."""
    try:
        if kind == "training":
            told = sagemaker.describe_training_job(TrainingJobName=name)
            status = told["TrainingJobStatus"]
        else:
            told = sagemaker.describe_transform_job(TransformJobName=name)
            status = told["TransformJobStatus"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return Job(name, status, str(told.get("FailureReason", "")))


def next_attempt(
    sagemaker: Any, kind: Kind, name: str, counts: Callable[[Job], bool] = lambda _: True
) -> tuple[str, Job | None]:
    """Return the name to use for this work, and the job that has it already.

    A job that failed or was stopped keeps its name for ever, so that another try takes ``<name>-r2``, ``<name>-r3``
    and so on; the same work started twice while it runs, or after it completed, meets the job that is there.

    Parameters
    ----------
    counts
        Whether a job that runs or completed is still of use; if not, the work gets the next name.
    """
    for attempt in range(1, MOST_ATTEMPTS + 1):
        candidate = name if attempt == 1 else f"{name}-r{attempt}"
        job = look(sagemaker, kind, candidate)
        if job is None or (job.status not in UNUSABLE and counts(job)):
            return candidate, job
    raise TooManyAttemptsError(
        f"{name}: failed or stopped {MOST_ATTEMPTS} times. Its last failure stands in the SageMaker console; "
        "change the data or the settings, and the work gets another name."
    )


def outcome(sagemaker: Any, kind: Kind, name: str, error: dict[str, str]) -> dict[str, str]:
    """Say how to go on after the state that ran a job caught an error.

    Parameters
    ----------
    error
        What Step Functions caught: ``Error`` and ``Cause``.

    Returns
    -------
    dict
        ``job_status``: Completed, AlreadyRunning (another execution waits for it) or Failed; ``reason`` in words.
    """
    job = look(sagemaker, kind, name)
    said = error.get("Cause") or error.get("Error", "unknown error")
    if job is None:
        return _answer("Failed", f"The {kind} job {name} was not started: {said}")
    if job.status == COMPLETED:
        return _answer("Completed", f"The {kind} job {name} had completed already.")
    if job.status in UNUSABLE:
        why = job.failure or ("it was stopped" if job.status == "Stopped" else said)
        return _answer("Failed", f"The {kind} job {name} {job.status.lower()}: {why}")
    if _OURS in error.get("Error", "") or _OURS in said:
        return _answer("AlreadyRunning", f"The {kind} job {name} is running; the execution that started it goes on.")
    return _answer("Failed", f"Waiting for the {kind} job {name} ({job.status}) broke off: {said}")


def _answer(status: Outcome, reason: str) -> dict[str, str]:
    return {keys.JOB_STATUS: status, keys.REASON: reason}

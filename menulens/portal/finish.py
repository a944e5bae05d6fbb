"""A job's end, and a look in between: the log is sealed, the output is made of it, who waits is told."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from botocore.exceptions import ClientError

from menulens.core import keys as names
from menulens.labeling import jobs as labeling_jobs
from menulens.labeling import layout
from menulens.labeling.merge import Stored, merge
from menulens.portal import keys, log
from menulens.portal.context import Portal
from menulens.portal.model import ENDED, Job, JobState
from menulens.portal.output import Output
from menulens.portal.reading import get
from menulens.portal.rebuild import Rebuilt, rebuild
from menulens.portal.table import ConditionError, Update

_STATUS: Final[dict[JobState, str]] = {
    "creating": "Initializing",
    "open": "InProgress",
    "paused": "InProgress",
    "stopped": "Stopped",
    "complete": "Completed",
}
_NOBODY_WAITS: Final = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})


def finish(portal: Portal, name: str) -> dict[str, Any]:
    """Write the output of a job that ended, and tell who waits for it; again does nothing new.

    Returns
    -------
    dict
        ``job_name``, ``job_status`` and, unless the job was reopened meanwhile, ``manifest`` and ``count`` of labels.
    """
    job = get(portal, name)
    answer: dict[str, Any] = {names.JOB_NAME: name, names.JOB_STATUS: _STATUS[job.state]}
    if job.state not in ENDED:
        return answer
    output = Output(portal.storage, portal.labels_bucket, name)
    answer[names.MANIFEST] = output.manifest
    if job.finish_due:
        log.seal(portal, name)
        made = rebuild(portal, name)
        output.write(made)
        answer[names.COUNT], seq = made.labeled, made.ledger.seq
    elif job.task_tokens:
        # Someone began to wait for a job that had ended before.
        answer[names.COUNT], seq = portal.storage.read_json(output.card)["labeled"], job.finished_seq
    else:
        return answer
    _tell(portal, job, answer)
    try:
        portal.table.write(
            Update(keys.meta(name), set={"finished_seq": seq}, remove=["finish_due"], when={"version": job.version})
        )
    except ConditionError:
        return answer  # changed meanwhile: whoever changed it ends it again
    return answer


def snapshot(portal: Portal, name: str) -> dict[str, Any]:
    """Write the labels of a job as they are now, and go on.

    Returns
    -------
    dict
        ``job_name``, ``job_status``, ``manifest`` (with the labels that the job was resumed with), ``name`` (for the
        dataset), ``count`` of labels.

    Raises
    ------
    LabelingJobError
        If nothing is labeled yet.
    """
    job = get(portal, name)
    log.seal(portal, name)
    made = rebuild(portal, name)
    output = Output(portal.storage, portal.labels_bucket, name)
    if job.state not in ENDED:
        output.write_intermediate(made)
    earlier = labeling_jobs.earlier_manifest(name, portal.labels_bucket, portal.storage)
    ours = made.manifest.split(b"\n")[:-1]
    if earlier is None:
        content, labeled = made.manifest, _labeled(made)
    else:
        merged = merge([Stored(portal.storage, earlier), ours], job.attribute)
        content, labeled = b"".join(line + b"\n" for line in merged), merged.labeled
    if not labeled:
        raise labeling_jobs.LabelingJobError(
            f"{name}: nothing is labeled yet (the job is {_STATUS[job.state]}); start again when people have answered."
        )
    place = layout.snapshot_manifest(portal.labels_bucket, name, hashlib.sha256(content).hexdigest())
    portal.storage.write_bytes(place, content, "application/octet-stream")
    return {
        names.JOB_NAME: name,
        names.JOB_STATUS: _STATUS[job.state],
        names.MANIFEST: place,
        names.NAME: labeling_jobs.dataset_name(name),
        names.COUNT: labeled,
    }


def _labeled(made: Rebuilt) -> int:
    return made.labeled + sum(line.passed for line in made.ledger.lines)


def _tell(portal: Portal, job: Job, answer: dict[str, Any]) -> None:
    """Wake the state machines that wait; where none does, tell everyone that there are labels."""
    woken = 0
    for token in sorted(job.task_tokens):
        try:
            portal.step_functions.send_task_success(taskToken=token, output=json.dumps(answer, ensure_ascii=False))
            woken += 1
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOBODY_WAITS:
                raise
    if not woken and job.finish_due:
        # The job was reopened, or its state machine is gone.
        told = {names.JOB_NAME: job.name, "manifest_uri": answer[names.MANIFEST], "unattended": True}
        portal.emit(names.LABELS_READY, told)
    if job.task_tokens:
        portal.table.write(Update(keys.meta(job.name), take={"task_tokens": job.task_tokens}))

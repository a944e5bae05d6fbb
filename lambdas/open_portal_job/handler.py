"""Open the portal's job that the execution waits for; whoever ends the job answers the task token."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.labeling.jobs import require_made_from
from menulens.portal import context, jobs
from menulens.portal.model import ENDED


def handler(event: dict[str, Any], context_: object) -> None:
    portal = context.deployed_portal(boto3)
    # Making display copies takes a while: another execution may have taken the name meanwhile.
    require_made_from(event[keys.JOB_NAME], event[keys.MADE_FROM], portal.labels_bucket, portal.storage)
    job = jobs.open_job(
        portal,
        deployed.settings(),
        name=event[keys.JOB_NAME],
        manifest=event[keys.INPUT_MANIFEST],
        display=event[keys.DISPLAY_INDEX],
        task_token=event[keys.TASK_TOKEN],
    )
    if job.state in ENDED:
        # It was there, and over, before this execution asked: its end is told once more, for the new token.
        portal.emit(jobs.LABELING_FINISHED, {keys.JOB_NAME: job.name})

"""Step of add: make photos ready, and hand them to a job that runs."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.portal import adding
from menulens.portal.context import deployed_portal

MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"  # set by Lambda, in MiB
MOST_AT_ONCE = 4_000  # at five a second, which large photos take, in the 15 minutes of a function


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    added = adding.add(
        deployed_portal(boto3),
        event[keys.JOB_NAME],
        settings=deployed.settings(),
        photo_bucket=deployed.variable(deployed.PHOTOS_BUCKET),
        photos=event[keys.PHOTOS],
        manifest=event[keys.MANIFEST],
        addition=event[keys.ADDITION],
        memory_bytes=int(os.environ[MEMORY_VARIABLE]) << 20 if MEMORY_VARIABLE in os.environ else None,
        most=MOST_AT_ONCE,
    )
    return {keys.ENVIRONMENT: event[keys.ENVIRONMENT], **{**asdict(added), "job": added.job.name}}

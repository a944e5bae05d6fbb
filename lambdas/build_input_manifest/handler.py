"""Collect the photos to ask about, and write what the labeling job is given."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from menulens.core import deployed, keys
from menulens.labeling import input_manifest
from menulens.portal import providers
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    # One connection for each thread that reads headers, and retries that slow down when S3 asks for it.
    config = Config(max_pool_connections=input_manifest.THREADS + 2, retries={"mode": "adaptive", "max_attempts": 10})
    made = input_manifest.prepare(
        photos=event[keys.PHOTOS],
        manifest=event[keys.MANIFEST],
        job_name=event[keys.JOB_NAME],
        resume_from=event[keys.RESUME_FROM],
        max_photos=event[keys.MAX_PHOTOS],
        settings=deployed.settings(),
        photo_bucket=deployed.variable(deployed.PHOTOS_BUCKET),
        labels_bucket=deployed.variable(deployed.LABELS_BUCKET),
        providers=providers.of(boto3),
        storage=Storage(boto3.client("s3", config=config)),
    )
    return {keys.ENVIRONMENT: event[keys.ENVIRONMENT], **made}

"""Keep a running job's labels as they are now."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.labeling import jobs, layout, locate, snapshot
from menulens.portal import described, finish
from menulens.portal.context import deployed_portal
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    portal = deployed_portal(boto3)
    name = event[keys.JOB_NAME]
    job = described.describe(portal, name)
    if job is None:
        return {**event, **_of_ground_truth(name), keys.JOB_KIND: "photo"}
    return {**event, **finish.snapshot(portal, name), keys.JOB_KIND: job.kind}


def _of_ground_truth(name: str) -> dict[str, Any]:
    bucket = deployed.variable(deployed.LABELS_BUCKET)
    storage = Storage(boto3.client("s3"))
    job = jobs.describe(name, jobs.ground_truth(boto3.client("sagemaker")))
    locate.require_readable(job, bucket)
    merged = snapshot.take(job, jobs.earlier_manifest(job.name, bucket, storage), storage)
    place = layout.snapshot_manifest(bucket, job.name, merged.sha256)
    merged.write(place, storage)
    return {
        keys.MANIFEST: place,
        keys.NAME: jobs.dataset_name(job.name),
        keys.JOB_STATUS: job.status,
        keys.COUNT: merged.labeled,
    }

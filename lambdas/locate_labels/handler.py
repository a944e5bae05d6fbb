"""Find the manifest that a labeling job left, whatever became of the job."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.labeling import locate
from menulens.portal import providers
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    for_dataset = keys.JOB_NAME not in event  # the machine clean asks by labeling_job
    found = locate.locate(
        event[keys.LABELING_JOB] if for_dataset else event[keys.JOB_NAME],
        label_attribute=deployed.settings()["labeling"]["label_attribute"],
        labels_bucket=deployed.variable(deployed.LABELS_BUCKET),
        expected_input=event.get(keys.INPUT_MANIFEST),
        made_from=event.get(keys.MADE_FROM),
        creation_error=event.get(keys.JOB_ERROR),
        providers=providers.of(boto3),
        storage=Storage(boto3.client("s3")),
        for_dataset=for_dataset,
    )
    return {**event, **found, keys.NAME: event.get(keys.NAME) or found[keys.NAME]}

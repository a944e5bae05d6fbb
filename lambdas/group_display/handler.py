"""Step of label: join the chunks' parts to the job's index, with photos that show the same thing in groups."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.portal import display_groups
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    joined = display_groups.join(
        Storage(boto3.client("s3")),
        bucket=deployed.variable(deployed.LABELS_BUCKET),
        job=event[keys.JOB_NAME],
        parts=event[keys.COUNT],
        lines=event[keys.LINES],
        most_apart=deployed.settings()["portal"]["near_duplicate_bits"],
    )
    return {
        keys.DISPLAY_INDEX: joined.uri,
        keys.COUNT: joined.items,
        keys.LINES: joined.records,
        "rejected": joined.rejected,
        "reasons": joined.reasons,
    }

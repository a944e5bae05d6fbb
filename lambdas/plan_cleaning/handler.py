"""Step of clean: one function, or many parts."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.labeling import parts
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return parts.plan(
        Storage(boto3.client("s3")),
        event[keys.MANIFEST],
        parts.work_folder(deployed.variable(deployed.DATASETS_BUCKET), event["execution"]),
        one_function_bytes=int(deployed.variable(parts.ONE_FUNCTION_VARIABLE)),
        part_bytes=int(deployed.variable(parts.PART_VARIABLE)),
    )

"""Step of clean: put the parts together, the card last."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed
from menulens.core.manifest import DATASET_MARK
from menulens.core.partition import Part, publish_parts
from menulens.labeling.parts import answer
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    cleaned = publish_parts(
        Storage(boto3.client("s3")),
        [Part.from_json(part) for part in event["parts"]],
        event["work"],
        f"s3://{deployed.variable(deployed.DATASETS_BUCKET)}/{DATASET_MARK}",
        reindexed=sum(event["reindexed"]),
    )
    return answer(event, cleaned)

"""Step of clean: settle doubles and the split over all parts."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.core.partition import Part, join_parts
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    rules = deployed.cleaning_rules(deployed.settings(), deployed.variable(deployed.PHOTOS_BUCKET))
    card = join_parts(
        Storage(boto3.client("s3")),
        event[keys.MANIFEST],
        rules,
        [Part.from_json(part) for part in event["parts"]],
        event["work"],
        name=event[keys.NAME],
        reindex=event[keys.REINDEX],
    )
    return {key: card[key] for key in (keys.DATASET, "kept", "rejected")}

"""Step of clean: judge the lines of one part."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.core.partition import Part, scan_part
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> int:
    rules = deployed.cleaning_rules(deployed.settings(), deployed.variable(deployed.PHOTOS_BUCKET))
    scanned = scan_part(
        Storage(boto3.client("s3")),
        event[keys.MANIFEST],
        rules,
        Part.from_json(event["part"]),
        event["work"],
        reindex=event[keys.REINDEX],
    )
    # A number alone: the answers of all parts share the state's 256 KiB.
    return int(scanned["lines"])

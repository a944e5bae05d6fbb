"""Bring the labels of a resumed job together with those of the jobs before it."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.labeling import layout
from menulens.labeling.merge import Stored, merge
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    storage = Storage(boto3.client("s3"))
    # A job that was given nothing to ask has no manifest of its own: all photos had labels before.
    parts = [part for part in (event[keys.EARLIER_MANIFEST], event[keys.MANIFEST]) if part]
    merged = merge([Stored(storage, part) for part in parts], deployed.settings()["labeling"]["label_attribute"])
    place = layout.merged_manifest(deployed.variable(deployed.LABELS_BUCKET), event[keys.JOB_NAME])
    merged.write(place, storage)
    return {**event, keys.MANIFEST: place, keys.COUNT: len(merged)}

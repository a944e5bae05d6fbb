"""Step of label: cut the input manifest into chunks, whose photos are made ready one chunk a function."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import keys
from menulens.portal import display_index
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    chunks = display_index.plan(Storage(boto3.client("s3")), event[keys.INPUT_MANIFEST])
    return {
        keys.COUNT: len(chunks),
        keys.LINES: chunks[-1].end if chunks else 0,
        keys.CHUNKS: [chunk.to_json() for chunk in chunks],
    }

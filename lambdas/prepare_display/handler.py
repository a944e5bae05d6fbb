"""Step of label: make the display copies of one chunk's photos."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config

from menulens.core import deployed, keys
from menulens.portal import display
from menulens.portal.decoding import Caps
from menulens.portal.display_index import Chunk
from menulens.portal.sandbox import Decoders
from menulens.storage import Storage

MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"  # set by Lambda, in MiB


def handler(event: dict[str, Any], context: object) -> int:
    settings = deployed.settings()
    photos, portal = settings["photos"], settings["portal"]
    caps = Caps(photos["max_bytes"], photos["max_pixels"], portal["display_pixels"], portal["display_quality"])
    place = display.Place(
        manifest=event[keys.INPUT_MANIFEST],
        job=event[keys.JOB_NAME],
        photos=f"s3://{deployed.variable(deployed.PHOTOS_BUCKET)}/{photos['prefix']}",
        labels_bucket=deployed.variable(deployed.LABELS_BUCKET),
    )
    memory = int(os.environ[MEMORY_VARIABLE]) << 20 if MEMORY_VARIABLE in os.environ else None
    config = Config(max_pool_connections=display.THREADS + 2, retries={"mode": "adaptive", "max_attempts": 10})
    with Decoders(display.at_once(caps, memory), caps) as decoders:
        prepared = display.prepare(
            Chunk.from_json(event[keys.CHUNK]),
            place,
            caps,
            decoders=decoders,
            storage=Storage(boto3.client("s3", config=config)),
            context_keys=portal["context_keys"],
        )
    # A number alone: the answers of all chunks share the state's 256 KiB.
    return prepared.records

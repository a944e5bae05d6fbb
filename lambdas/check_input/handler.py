"""The first state of every machine: check the input, fill in what was left out."""

from __future__ import annotations

from typing import Any

from menulens.core import deployed, inputs

ROOMS = {
    "photos": deployed.PHOTOS_BUCKET,
    "labels": deployed.LABELS_BUCKET,
    "datasets": deployed.DATASETS_BUCKET,
    "models": deployed.MODELS_BUCKET,
    "vectors": deployed.VECTORS_BUCKET,
}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    settings = deployed.settings()
    buckets = {room: deployed.variable(name) for room, name in ROOMS.items()}
    return inputs.check(event["machine"], event["input"], inputs.place_of(settings, buckets))

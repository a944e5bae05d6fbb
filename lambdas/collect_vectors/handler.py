"""Step of vectorise: the transform job's answers → shards, rejects and the plan's card."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.search.collect import collect
from menulens.search.layout import Layout
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    layout = Layout(deployed.variable(deployed.VECTORS_BUCKET), event[keys.MODEL_VERSION], event["plan"])
    collected = collect(Storage(boto3.client("s3")), layout, model_package=event[keys.MODEL_PACKAGE])
    return {
        keys.COUNT: collected.vectors,
        "rejected": collected.rejected,
        "total": event["total"] + collected.vectors,
    }

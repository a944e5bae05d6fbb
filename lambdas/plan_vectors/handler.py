"""Step of vectorise: which photos still need a vector."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.search.vectorise import Rooms, plan_round

# What is left must do for the page being read, the plan being written and the answer.
MILLISECONDS_TO_END = 120_000


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    rooms = Rooms(
        environment=deployed.variable("ENVIRONMENT"),
        photos_bucket=deployed.variable(deployed.PHOTOS_BUCKET),
        vectors_bucket=deployed.variable(deployed.VECTORS_BUCKET),
    )
    return plan_round(
        event[keys.PHOTOS],
        event[keys.MODEL_PACKAGE],
        rooms,
        deployed.settings(),
        s3=boto3.client("s3"),
        sagemaker=boto3.client("sagemaker"),
        after=event["cursor"],
        out_of_time=lambda: context.get_remaining_time_in_millis() < MILLISECONDS_TO_END,
    )

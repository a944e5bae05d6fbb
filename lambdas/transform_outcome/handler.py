"""Step of vectorise: what became of the job whose state ended with an error."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.training.outcome import outcome


def handler(event: dict[str, Any], context: object) -> dict[str, str]:
    return outcome(boto3.client("sagemaker"), "transform", event["transform_job"], event["error"])

"""Step of deploy: model package → what the endpoint is made of, and what to do next."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.serving.deployment import prepare


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    environment = deployed.variable("ENVIRONMENT")
    return prepare(event[keys.MODEL_PACKAGE], environment, deployed.settings(), boto3.client("sagemaker"))

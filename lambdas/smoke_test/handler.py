"""Step of deploy: does the endpoint answer as it should?"""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import keys
from menulens.serving.smoke import smoke_test


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return smoke_test(boto3.client("sagemaker-runtime"), event[keys.ENDPOINT], event[keys.MODEL_VERSION])

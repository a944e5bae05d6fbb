"""Step of train: evaluation → may the model be registered, and why."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys, names
from menulens.storage import Storage
from menulens.training.candidate import weigh


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return weigh(
        event[keys.TRAINING_JOB],
        event[keys.DATASET],
        gate=deployed.settings()["gate"],
        group=names.model_package_group(deployed.variable("ENVIRONMENT")),
        storage=Storage(boto3.client("s3")),
        sagemaker=boto3.client("sagemaker"),
    )

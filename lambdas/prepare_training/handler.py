"""Step of train: dataset → everything that its training job is given."""

from __future__ import annotations

import os
from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.storage import Storage
from menulens.training.prepare import Place, prepare


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    place = Place(
        environment=deployed.variable("ENVIRONMENT"),
        region=os.environ["AWS_REGION"],
        datasets_bucket=deployed.variable(deployed.DATASETS_BUCKET),
        models_bucket=deployed.variable(deployed.MODELS_BUCKET),
        source_uri=deployed.variable("TRAINING_SOURCE"),
        image=deployed.variable("TRAINING_IMAGE"),
    )
    return prepare(
        event[keys.DATASET], place, deployed.settings(), Storage(boto3.client("s3")), boto3.client("sagemaker")
    )

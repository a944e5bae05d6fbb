"""The containers: AWS's own images for TensorFlow, found by the SageMaker SDK without a call to AWS."""

from __future__ import annotations

from functools import cache

from sagemaker.core import image_uris

from menulens.settings import Settings

TRAINING_VERSION = "2.21"
SERVING_VERSION = "2.20"  # the newest that AWS serves; a model that 2.21 wrote loads in it, and a test says so
PYTHON = "py312"


def training_image(settings: Settings) -> str:
    """Return the container that trains."""
    return _image(settings.region, settings.training.instance_type, "training", TRAINING_VERSION)


def serving_image(settings: Settings) -> str:
    """Return the container that serves, and that runs transform jobs."""
    return _image(settings.region, settings.serving.instance_type, "inference", SERVING_VERSION)


@cache
def _image(region: str, instance_type: str, scope: str, version: str) -> str:
    return str(
        image_uris.retrieve(
            "tensorflow",
            region=region,
            version=version,
            py_version=PYTHON if scope == "training" else None,
            instance_type=instance_type,
            image_scope=scope,
        )
    )

"""Things in the cloud that steps find there."""

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image

from menulens.core import names
from menulens.search.collect import OUT
from menulens.search.layout import Layout, pack_file
from menulens.storage import Storage
from menulens.training import registry

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20-gpu-py312"


def any_jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def any_group(sagemaker: Any, environment: str) -> str:
    group = names.model_package_group(environment)
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    return group


def any_package(sagemaker: Any, group: str, job: str, status: str = "Approved", models: str = "models") -> str:
    return str(
        sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelPackageDescription=registry.description(job),
            InferenceSpecification={
                "Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{models}/training/{job}/output/model.tar.gz"}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelApprovalStatus=status,
            CustomerMetadataProperties={registry.TRAINING_JOB_KEY: job, registry.DATASET_KEY: "menu-0123456789ab"},
        )["ModelPackageArn"]
    )


def any_dataset(storage: Storage, bucket: str, folder: str, **changes: Any) -> str:
    card = {
        "format": 1,
        "dataset": folder,
        "label_attribute": "menu-category",
        "classes": ["meal", "drink"],
        "label_to_class": {"0": 0, "2": 1},
        "counts": {"train": {"meal": 40, "drink": 30}, "eval": {"meal": 10, "drink": 8}},
        **changes,
    }
    storage.write_json(f"s3://{bucket}/{folder}/card.json", card)
    return folder


def any_backbone(storage: Storage, bucket: str, name: str = "efficientnet_lite0") -> str:
    sha256 = "ab" * 32
    storage.write_json(f"s3://{bucket}/backbones/{name}/current.json", {"name": name, "sha256": sha256})
    return sha256


def answer_packs(storage: Storage, layout: Layout, width: int = 4, refuse: frozenset[str] = frozenset()) -> None:
    """Write what a transform job of a model answers: a vector a photo, the photo's first bytes deciding it."""
    for item in list(storage.list(layout.packs)):
        lines = []
        for line in storage.lines(item.uri):
            asked = json.loads(line)
            lines.append(json.dumps(any_line(asked, layout.model_version, width, refuse)))
        number = int(item.key.rsplit("-", 1)[1].partition(".")[0])
        storage.write_text(layout.answers + pack_file(number) + OUT, "\n".join(lines) + "\n")


def any_line(asked: dict[str, str], model_version: str, width: int, refuse: frozenset[str]) -> dict[str, Any]:
    if asked["id"] in refuse:
        return {"id": asked["id"], "error": "not decodable"}
    seed = sum(base64.b64decode(asked["b64"]))
    vector = np.random.default_rng(seed).normal(size=width)
    vector = (vector / np.linalg.norm(vector)).astype("<f4")
    return {
        "id": asked["id"],
        "vector_b64": base64.b64encode(vector.tobytes()).decode(),
        "category": "meal",
        "confidence": 0.75,
        "model_version": model_version,
    }

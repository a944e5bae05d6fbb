import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menulens.settings import load_settings
from menulens.training.prepare import Backbone, Place, job_name

CONFIG = Path(__file__).resolve().parents[3] / "config" / "local.toml"
PLACE = Place("local", "us-east-1", "datasets", "models", "s3://assets/0123.tar.gz", "host/tensorflow-training:2.21")
BACKBONE = Backbone("efficientnet_lite0", "a" * 64, "s3://models/backbones/efficientnet_lite0/a/")
DATASET = "menu-2026-0123456789ab"


def any_settings(**training: Any) -> dict[str, Any]:
    settings = load_settings(CONFIG).model_dump(mode="json")
    return {**settings, "training": {**settings["training"], **training}}


def should_name_the_same_work_the_same() -> None:
    name = job_name(DATASET, PLACE, any_settings(), BACKBONE)
    assert name == job_name(DATASET, PLACE, any_settings(), BACKBONE)
    assert re.fullmatch(r"menulens-local-menu-2026-0123456789ab-[0-9a-f]{8}", name)


@pytest.mark.parametrize(
    ("place", "settings", "backbone"),
    [
        (PLACE, any_settings(epochs=3), BACKBONE),
        (PLACE, any_settings(learning_rate=0.5), BACKBONE),
        (PLACE, any_settings(), replace(BACKBONE, sha256="b" * 64)),
        (replace(PLACE, source_uri="s3://assets/4567.tar.gz"), any_settings(), BACKBONE),
        (replace(PLACE, image="host/tensorflow-training:2.22"), any_settings(), BACKBONE),
    ],
)
def should_name_it_otherwise_when_the_model_would_be_another(
    place: Place, settings: dict[str, Any], backbone: Backbone
) -> None:
    assert job_name(DATASET, place, settings, backbone) != job_name(DATASET, PLACE, any_settings(), BACKBONE)


@pytest.mark.parametrize("where", [{"instance_type": "ml.g6.xlarge"}, {"volume_gb": 99}, {"max_hours": 2}])
def should_keep_the_name_when_only_the_machine_changes(where: dict[str, Any]) -> None:
    assert job_name(DATASET, PLACE, any_settings(**where), BACKBONE) == job_name(
        DATASET, PLACE, any_settings(), BACKBONE
    )


@given(
    environment=st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True),
    label=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?", fullmatch=True),
)
def should_leave_room_for_another_attempt_in_a_name_that_sagemaker_takes(environment: str, label: str) -> None:
    place = replace(PLACE, environment=environment.rstrip("-"))
    name = job_name(f"{label}-0123456789ab", place, any_settings(), BACKBONE) + "-r99"
    assert len(name) <= 63
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)

"""What a deployed function knows of its environment: ``settings.json`` beside the handler, and variables."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Final

from menulens.core.rules import Category, CleaningRules

SETTINGS_FILE: Final = "settings.json"

PHOTOS_BUCKET: Final = "PHOTOS_BUCKET"
LABELS_BUCKET: Final = "LABELS_BUCKET"
DATASETS_BUCKET: Final = "DATASETS_BUCKET"
MODELS_BUCKET: Final = "MODELS_BUCKET"
VECTORS_BUCKET: Final = "VECTORS_BUCKET"
ANSWERS_BUCKET: Final = "ANSWERS_BUCKET"
PAGE_BUCKET: Final = "PAGE_BUCKET"
LABELING_TABLE: Final = "LABELING_TABLE"
ANNOTATORS_GROUP: Final = "ANNOTATORS_GROUP"
OWNERS_GROUP: Final = "OWNERS_GROUP"
USER_POOL_ID: Final = "USER_POOL_ID"
NEW_WORK_TOPIC: Final = "NEW_WORK_TOPIC"
OWNERS_TOPIC: Final = "OWNERS_TOPIC"
ALARMS_TOPIC: Final = "ALARMS_TOPIC"
PORTAL_ADDRESS: Final = "PORTAL_ADDRESS"


class NotDeployedError(Exception):
    """A function runs without what its deployment gives it."""


@cache
def settings() -> dict[str, Any]:
    """Return the environment's settings, as :meth:`menulens.settings.Settings.model_dump` wrote them.

    The package ``menulens`` lies beside ``settings.json`` in the asset.
    """
    path = Path(__file__).resolve().parents[2] / SETTINGS_FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotDeployedError(f"{path}: missing. It is written when the function is packaged.") from None
    return values


def variable(name: str) -> str:
    """Return an environment variable of the function."""
    try:
        return os.environ[name]
    except KeyError:
        raise NotDeployedError(f"{name}: the function has no such environment variable; its step sets it.") from None


def cleaning_rules(values: dict[str, Any], photo_bucket: str) -> CleaningRules:
    """Return the cleaning rules of an environment; equal to ``Settings.cleaning_rules``."""
    return CleaningRules(
        label_attribute=values["labeling"]["label_attribute"],
        categories=tuple(Category(category["key"], category["trains"]) for category in values["categories"]),
        photo_bucket=photo_bucket,
        photo_prefix=values["photos"]["prefix"],
        eval_share=values["split"]["eval_share"],
        min_per_category=values["split"]["min_per_category"],
        group_pattern=values["split"]["group_pattern"],
    )

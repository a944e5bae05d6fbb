"""Make a dataset of an augmented manifest."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.core.manifest import DATASET_MARK, clean
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    rules = deployed.cleaning_rules(deployed.settings(), deployed.variable(deployed.PHOTOS_BUCKET))
    cleaned = clean(
        event[keys.MANIFEST],
        rules,
        f"s3://{deployed.variable(deployed.DATASETS_BUCKET)}/{DATASET_MARK}",
        store=Storage(boto3.client("s3")),
        name=event[keys.NAME],
        reindex=event[keys.REINDEX],
    )
    return {
        keys.ENVIRONMENT: event[keys.ENVIRONMENT],
        keys.MANIFEST: event[keys.MANIFEST],
        keys.DATASET: cleaned.dataset,
        keys.DATASET_URI: f"{cleaned.folder}/",
        "kept": cleaned.card["kept"],
        "rejected": cleaned.card["rejected"],
        "reasons": cleaned.card["reasons"],
    }

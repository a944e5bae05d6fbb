"""Step of vectorise: one pack of photos as the JSON lines that the transform job reads."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import deployed, keys
from menulens.search.layout import Layout
from menulens.search.packs import write_pack
from menulens.storage import Storage


def handler(event: dict[str, Any], context: object) -> int:
    s3 = boto3.client("s3")
    pack = event["pack"]
    packed = write_pack(
        s3,
        Storage(s3),
        photos_bucket=deployed.variable(deployed.PHOTOS_BUCKET),
        layout=Layout(deployed.variable(deployed.VECTORS_BUCKET), event[keys.MODEL_VERSION], event["plan"]),
        number=pack["number"],
        first=pack["first"],
        last=pack["last"],
        caps=deployed.settings()["photos"],
    )
    # 1 if any photo is in the pack: the machine asks its packs' answers for a 1, and ASL's functions take no true.
    return int(packed.photos > 0)

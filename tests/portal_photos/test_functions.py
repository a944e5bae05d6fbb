"""The three functions, as packaged: each in an interpreter that has its asset and what the runtime brings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore
import dateutil
import jmespath
import pytest
import s3transfer
import six
import urllib3

from menulens.local.config import ACCOUNT
from menulens.portal import display_index
from menulens.settings import Settings, settings_of
from menulens.storage import Storage
from stacks import packaging
from tests.unit.portal_photos.generators import files

JOB = "menulens-local-labels-1"
RUNTIME = (boto3, botocore, dateutil, jmespath, s3transfer, six, urllib3)
PROGRAM = """
import json, sys
sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry] + sys.argv[1:3]
from handler import handler
print(json.dumps(handler(json.loads(sys.argv[3]), None)))
"""
Call = Callable[[str, dict[str, Any]], Any]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_of("local")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with nothing but boto3 and what it needs."""
    folder = tmp_path_factory.mktemp("runtime")
    for module in RUNTIME:
        place = Path(module.__file__ or "")
        source = place.parent if place.name == "__init__.py" else place
        (folder / source.name).symlink_to(source)
    return folder


@pytest.fixture
def call(
    port: int, buckets: tuple[str, str], settings: Settings, runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Call:
    def run(step: str, event: dict[str, Any]) -> Any:
        asset = tmp_path_factory.mktemp(step)
        packaging.assemble_lambda(step, settings, asset)
        environment = {
            "PATH": os.defpath,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": ACCOUNT,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008",
            "PHOTOS_BUCKET": buckets[0],
            "LABELS_BUCKET": buckets[1],
        }
        done = subprocess.run(
            [sys.executable, "-I", "-c", PROGRAM, str(asset), str(runtime), json.dumps(event)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def should_lead_from_a_manifest_to_its_index(call: Call, s3: Any, buckets: tuple[str, str]) -> None:
    storage, (photos, labels) = Storage(s3), buckets
    image = files.any_image((800, 600))
    contents = [
        files.encoded(image),
        b"",
        files.any_jpeg((640, 480), 3),
        files.encoded(image.resize((400, 300)), "PNG"),
    ]
    lines = []
    for number in range(130):
        uri = f"s3://{photos}/photos/{number:03d}.jpg"
        storage.write_bytes(uri, contents[number % len(contents)])
        lines.append(json.dumps({"source-ref": uri, "genre": "和食", "other": 1}, ensure_ascii=False))
    manifest = f"s3://{labels}/inputs/{JOB}/input.manifest"
    storage.write_text(manifest, "\n".join(lines) + "\n")

    plan = call("plan_display", {"input_manifest": manifest})
    assert (plan["count"], plan["lines"]) == (2, 130)
    done = [
        call("prepare_display", {"job_name": JOB, "input_manifest": manifest, "chunk": chunk})
        for chunk in plan["chunks"]
    ]
    assert done == [100, 30]
    answer = call("group_display", {"job_name": JOB, "count": plan["count"], "lines": plan["lines"]})
    assert answer == {
        "display_index": f"s3://{labels}/inputs/{JOB}/display.jsonl",
        "count": 2,
        "lines": 130,
        "rejected": 33,
        "reasons": {"empty": 33},
    }
    records = list(display_index.read(storage, answer["display_index"]))
    assert [record["line"] for record in records] == list(range(130))
    assert [record.get("group") for record in records[-4:]] == [2, 0, 0, None]
    assert records[0]["context"] == {"genre": "和食"}
    assert storage.size(f"s3://{labels}/{records[0]['display']}") > 1000

"""One local cloud without stacks for all tests of this folder, on free ports and in a folder of its own."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from menulens.local.cloud_state import CloudState
from menulens.local.config import ACCOUNT
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop

ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/jobs"


@dataclass(unsafe_hash=True)
class Room:
    """A running local cloud."""

    state: CloudState
    port: int
    labeling_url: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=ACCOUNT,
            config=Config(retries={"max_attempts": 1}, proxies={}, parameter_validation=False),
        )


def any_name(prefix: str = "any") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def wait_until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return what a function gives once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := what():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def any_archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


SERVING = '''
"""A small model container: answers with the model's text and what it got."""
import argparse, http.server, json, os, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--model-dir"), parser.add_argument("--port", type=int)
given = parser.parse_args()
model = pathlib.Path(given.model_dir, "model.txt").read_text()
if model == "broken":
    raise SystemExit("this model can't be loaded")
if model == "new":
    time.sleep(1)  # as long as one is loaded, an endpoint that changes to it is seen to be updating

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            os._exit(3)
        if body == b"slow":
            time.sleep(3)
        if body.startswith(b"bad"):
            return self.answer(415, b"no such type")
        attributes = self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        told = {"model": model, "pid": os.getpid(), "type": self.headers["Content-Type"],
                "accept": self.headers["Accept"],
                "body": body.decode("latin-1"), "env": os.environ.get("SHADE", "")}
        self.answer(200, (json.dumps(told) + "\\n").encode(), X_Amzn_SageMaker_Custom_Attributes=attributes)
    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", given.port), Handler).serve_forever()
'''


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("cloud")
    modules = tmp_path_factory.mktemp("modules")
    (modules / "small_serving.py").write_text(SERVING)
    launcher = modules / "python"  # an interpreter that finds the small container's module
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH="{modules}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    settings = {
        "MENULENS_SERVING_PYTHON": str(launcher),
        "MENULENS_SERVING_MODULE": "small_serving",
        "MENULENS_TRAINING_PYTHON": sys.executable,
        "MENULENS_STOP_GRACE": "2",
        "MENULENS_START_TIMEOUT": "20",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    state = CloudState(folder)
    try:
        record = start_server(state, port=free_port())
        yield Room(state, record.port, f"http://127.0.0.1:{record.labeling_port}")
    finally:
        stop(state)
        state.clear()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture(scope="session")
def sagemaker(cloud: Room) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture(scope="session")
def s3(cloud: Room) -> Any:
    return cloud.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = any_name("bucket")
    s3.create_bucket(Bucket=name)
    return name


@dataclass
class Training:
    """Starts training jobs with small programs."""

    s3: Any
    sagemaker: Any
    bucket: str

    def request(self, program: str, **more: Any) -> dict[str, Any]:
        self.s3.put_object(Bucket=self.bucket, Key="source.tar.gz", Body=any_archive({"train.py": program}))
        return {
            "TrainingJobName": any_name("training"),
            "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "Pipe"},
            "RoleArn": ROLE,
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://{self.bucket}/source.tar.gz",
                "epochs": "2",
                "classes": '["meal", "drink"]',
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/training/"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **more,
        }

    def start(self, program: str, **more: Any) -> str:
        request = self.request(program, **more)
        self.sagemaker.create_training_job(**request)
        return str(request["TrainingJobName"])

    def ended(self, name: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job = self.sagemaker.describe_training_job(TrainingJobName=name)
            return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        ended: dict[str, Any] = wait_until(look)
        return ended

    def augmented_channel(self, lines: list[dict[str, Any]], attributes: list[str], **more: Any) -> dict[str, Any]:
        key = f"{any_name('manifest')}.manifest"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body="".join(json.dumps(line) + "\n" for line in lines))
        return {
            "ChannelName": "train",
            "InputMode": "Pipe",
            "RecordWrapperType": "RecordIO",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "AugmentedManifestFile",
                    "S3Uri": f"s3://{self.bucket}/{key}",
                    "AttributeNames": attributes,
                }
            },
            **more,
        }


@pytest.fixture
def training(s3: Any, sagemaker: Any, bucket: str) -> Training:
    return Training(s3, sagemaker, bucket)


@pytest.fixture(scope="session")
def project_path() -> Path:
    return Path(__file__).resolve().parents[2]

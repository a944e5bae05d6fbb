"""``menulens experiment``: one training job by the SageMaker SDK, beside the state machine."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator

import pytest

from menulens.core import keys
from tests.end_to_end.cloud import Site


@pytest.fixture(scope="module")
def dataset(site: Site) -> Iterator[str]:
    """A small dataset, cleaned from a manifest in the inbox; no training follows."""
    with site.deaf("train", to=keys.DATASET_READY):
        before = site.known("clean")
        site.put("datasets", "inbox/experiment.manifest", _manifest(site).encode())
        yield site.output(site.triggered("clean", before))[keys.DATASET]


def _manifest(site: Site) -> str:
    attribute, settings = site.cloud.settings.labeling.label_attribute, site.cloud.settings
    order = [category.key for category in settings.categories]
    lines = []
    for key in sorted(site.keys("photos", "photos/")):
        uri = f"s3://{site.cloud.bucket('photos')}/{key}"
        category = site.truth.get(hashlib.sha256(site.read(uri)).hexdigest(), "not-for-training")
        if category != "not-for-training":
            metadata = {
                "class-name": category,
                "confidence": 1,
                "type": "groundtruth/image-classification",
                "job-name": "labeling-job/for-an-experiment",
                "human-annotated": "yes",
                "creation-date": "2026-11-02T00:00:00.000000",
            }
            line = {"source-ref": uri, attribute: order.index(category), f"{attribute}-metadata": metadata}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(lines)


@pytest.fixture
def way_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What the command sends to anywhere but this machine: its proxy is a socket that only listens."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    heard.append(connection.recv(4096))

        threading.Thread(target=listen, daemon=True).start()
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield heard
        server.shutdown(socket.SHUT_RDWR)


def should_train_by_the_sdk_with_settings_of_its_own(site: Site, dataset: str, way_out: list[bytes]) -> None:
    executions = site.known("train")
    told = site.menulens(
        "experiment", "--dataset", dataset, "--set", "epochs=1", "--set", "head_epochs=2", "--set", "image_size=96"
    )
    assert told.returncode == 0, told.stderr
    assert way_out == []
    name, _, status = told.stdout.splitlines()[0].partition(": ")
    assert status == "Completed"
    assert "pass the gate: " in " ".join(told.stdout.split())

    job = site.cloud.client("sagemaker").describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed"
    assert {key: job["HyperParameters"][key] for key in ("epochs", "head_epochs", "image_size")} == {
        "epochs": "1",
        "head_epochs": "2",
        "image_size": "96",
    }
    train = next(one for one in job["InputDataConfig"] if one["ChannelName"] == "train")
    source = train["DataSource"]["S3DataSource"]
    assert (train["InputMode"], train["RecordWrapperType"]) == ("Pipe", "RecordIO")
    assert source["S3DataType"] == "AugmentedManifestFile"
    assert source["AttributeNames"] == ["source-ref", site.cloud.settings.labeling.label_attribute]
    assert {one["Name"] for one in job["AlgorithmSpecification"]["MetricDefinitions"]} >= {"loss", "accuracy"}

    archive = site.read(job["ModelArtifacts"]["S3ModelArtifacts"])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = next(one for one in tar.getmembers() if one.name.removeprefix("./") == "code/model.json")
        model = json.load(tar.extractfile(member) or io.BytesIO())
    assert (model["model_version"], model["dataset"], model["image_size"]) == (name, dataset, 96)
    assert site.known("train") == executions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "epochs=-1"], "training.epochs"),
        (["--set", "colour=red"], "keys: "),
        (["--dataset", "nothing-like-it"], "card.json is missing"),
        (["--set", "backbone=resnet"], "menulens backbone stage resnet"),
    ],
)
def should_say_what_is_wrong_before_anything_starts(
    site: Site, dataset: str, arguments: list[str], message: str
) -> None:
    jobs = len(site.cloud.client("sagemaker").list_training_jobs()["TrainingJobSummaries"])
    told = site.menulens("experiment", "--dataset", dataset, *arguments)
    assert told.returncode == 1
    assert message in told.stderr
    assert len(site.cloud.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == jobs

"""Training when it goes wrong: a challenger that is no good, a container that is killed."""

from __future__ import annotations

import hashlib
import json
import random
import signal
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from menulens.core import keys
from tests.end_to_end.cloud import Site, wait_for


@pytest.fixture(scope="module")
def labeled_lines(site: Site) -> list[dict[str, Any]]:
    """Lines of an augmented manifest, made from the truth of the pictures."""
    attribute, settings = site.cloud.settings.labeling.label_attribute, site.cloud.settings
    order = [category.key for category in settings.categories]
    lines = []
    for key in sorted(site.keys("photos", "photos/")):
        category = site.truth.get(_digest(site, key), "not-for-training")
        if category != "not-for-training":
            lines.append(
                {
                    "source-ref": f"s3://{site.cloud.bucket('photos')}/{key}",
                    attribute: order.index(category),
                    f"{attribute}-metadata": {
                        "class-name": category,
                        "confidence": 1,
                        "type": "groundtruth/image-classification",
                        "job-name": "labeling-job/by-hand",
                        "human-annotated": "yes",
                        "creation-date": "2026-11-01T00:00:00.000000",
                    },
                }
            )
    return lines


def _digest(site: Site, key: str) -> str:
    return hashlib.sha256(site.read(f"s3://{site.cloud.bucket('photos')}/{key}")).hexdigest()


def _dropped(site: Site, name: str, lines: list[dict[str, Any]]) -> str:
    """Drop a manifest into the inbox; return the training execution that follows."""
    before = site.known("train")
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    site.put("datasets", f"inbox/{name}.manifest", text.encode())
    return site.triggered("train", before)


def _champion(site: Site) -> str | None:
    packages = site.cloud.client("sagemaker").list_model_packages(
        ModelPackageGroupName="menulens-local-classifier", ModelApprovalStatus="Approved", SortBy="CreationTime",
        SortOrder="Descending",
    )["ModelPackageSummaryList"]  # fmt: skip
    return packages[0]["ModelPackageArn"] if packages else None


@dataclass(frozen=True)
class Challenge:
    """A training on guessed labels that was killed, then started again; and what stood before it."""

    champion: str | None
    deployments: list[str]
    killed: dict[str, Any]
    again: dict[str, Any]


@pytest.fixture(scope="module")
def challenge(site: Site, labeled_lines: list[dict[str, Any]]) -> Challenge:
    champion, deployments = _champion(site), site.known("deploy")
    execution = _dropped(site, "guessed", _guessed(site, labeled_lines))
    victim = wait_for("the training process", lambda: _training_process(site), 90)
    victim.send_signal(signal.SIGKILL)
    killed = site.ended(execution)
    dataset = json.loads(killed["input"])[keys.DATASET]
    return Challenge(champion, deployments, killed, site.output(site.start("train", dataset=dataset), 300))


def _guessed(site: Site, labeled_lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines with their labels shuffled."""
    attribute = site.cloud.settings.labeling.label_attribute
    rng, answers = random.Random(5), [line[attribute] for line in labeled_lines]
    rng.shuffle(answers)
    order = [category.key for category in site.cloud.settings.categories]
    return [
        {
            **line,
            attribute: label,
            f"{attribute}-metadata": {**line[f"{attribute}-metadata"], "class-name": order[label]},
        }
        for line, label in zip(labeled_lines, answers, strict=True)
    ]


def should_fail_with_the_reason_when_training_is_killed_and_succeed_when_started_again(challenge: Challenge) -> None:
    assert challenge.killed["status"] == "FAILED"
    cause = challenge.killed["cause"]
    assert "SIGKILL" in cause or "137" in cause or "-9" in cause
    assert challenge.again[keys.TRAINING_JOB]
    assert keys.PASSED in challenge.again


def should_keep_the_champion_when_the_challenger_is_no_good(site: Site, challenge: Challenge) -> None:
    assert challenge.again[keys.PASSED] is False
    assert "accuracy" in challenge.again[keys.REASON]
    assert _champion(site) == challenge.champion
    assert site.known("deploy") == challenge.deployments


def _training_process(site: Site) -> psutil.Process | None:
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if "train.py" in command and str(site.state.resolve()) in command + str(process.environ()):
                return process
        except psutil.Error:
            continue
    return None

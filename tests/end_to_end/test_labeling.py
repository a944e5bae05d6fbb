"""Labeling in pieces: a stop, a resumption, a snapshot of a running job, a manifest from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from menulens.core import keys
from tests.end_to_end.cloud import Site, wait_for


@pytest.fixture(autouse=True, scope="module")
def _without_training(site: Site) -> Iterator[None]:
    """What these tests label is not trained on: training has tests of its own."""
    site.rule("train", listens_for=keys.DATASET_READY, on=False)
    yield
    site.rule("train", listens_for=keys.DATASET_READY, on=True)


def _running(site: Site, job: str) -> bool:
    sagemaker = site.cloud.client("sagemaker")
    try:
        return bool(sagemaker.describe_labeling_job(LabelingJobName=job)["LabelingJobStatus"] == "InProgress")
    except sagemaker.exceptions.ClientError:
        return False


def _labeled(site: Site, uri: str) -> dict[str, str]:
    attribute = site.cloud.settings.labeling.label_attribute
    return {
        line["source-ref"]: line[f"{attribute}-metadata"]["class-name"] for line in site.lines(uri) if attribute in line
    }


def should_snapshot_stop_and_resume_without_loss(site: Site) -> None:
    label = site.start("label", photos="photos/", job_name="in-pieces", max_photos=140)
    wait_for("the job runs", lambda: _running(site, "in-pieces"), 90)
    asked = len(site.lines(f"s3://{site.cloud.bucket('labels')}/inputs/in-pieces/input.manifest"))
    site.label("in-pieces", at_most=asked - 12)

    snapshot = site.output(site.start("snapshot", job_name="in-pieces"))
    card = site.card(snapshot["cleaned"][keys.DATASET])
    assert card["source"]["lines"] == card["kept"] + card["rejected"]
    assert site.labeling_job("in-pieces")["LabelingJobStatus"] == "InProgress"

    site.cloud.client("sagemaker").stop_labeling_job(LabelingJobName="in-pieces")
    stopped = site.output(label)
    first = _labeled(site, site.labeling_job("in-pieces")["LabelingJobOutput"]["OutputDatasetS3Uri"])
    assert 0 < len(first) < asked
    assert site.card(stopped["cleaned"][keys.DATASET])["reasons"]["unlabeled"] == asked - len(first)

    resumed = site.start("label", resume_from="in-pieces", job_name="the-rest")
    wait_for("the job runs", lambda: _running(site, "the-rest"), 90)
    answers = site.label("the-rest")
    assert answers == (asked - len(first)) * site.cloud.settings.labeling.workers_per_photo, (
        "a labeled photo was asked again"
    )
    merged = site.output(resumed)
    card = site.card(merged["cleaned"][keys.DATASET])
    assert card["source"]["lines"] == asked
    assert "unlabeled" not in card["reasons"]
    final = _labeled(site, card["source"]["uri"])
    assert len(final) == asked
    assert first.items() <= final.items()


@pytest.fixture(scope="module")
def made_by_us(site: Site) -> dict[str, Any]:
    """A labeling job as our machine asks for it; it is stopped at once."""
    site.start("label", photos="photos/", job_name="pattern", max_photos=90)
    wait_for("the job runs", lambda: _running(site, "pattern"), 90)
    site.cloud.client("sagemaker").stop_labeling_job(LabelingJobName="pattern")
    return site.labeling_job("pattern")


def should_clean_a_job_that_was_started_elsewhere(site: Site, made_by_us: dict[str, Any]) -> None:
    request = {
        key: made_by_us[key]
        for key in (
            "LabelAttributeName", "OutputConfig", "RoleArn", "LabelCategoryConfigS3Uri", "StoppingConditions",
            "HumanTaskConfig",
        )
        if key in made_by_us
    }  # fmt: skip
    manifest = f"s3://{site.cloud.bucket('labels')}/by-hand/input.manifest"
    asked = site.read(made_by_us["InputConfig"]["DataSource"]["S3DataSource"]["ManifestS3Uri"])
    site.put("labels", "by-hand/input.manifest", asked)
    site.cloud.client("sagemaker").create_labeling_job(
        LabelingJobName="by-hand", InputConfig={"DataSource": {"S3DataSource": {"ManifestS3Uri": manifest}}}, **request
    )
    wait_for("the job runs", lambda: _running(site, "by-hand"), 60)
    site.label("by-hand")
    output = site.output(wait_for("its event starts clean", lambda: _cleaning_of(site, "by-hand"), 60))
    card = site.card(output[keys.DATASET])
    assert card["source"]["lines"] == 90
    assert card["kept"] > 0


def _cleaning_of(site: Site, job: str) -> str | None:
    states = site.cloud.client("stepfunctions")
    for execution in site.executions("clean"):
        if f"/{job}" in states.describe_execution(executionArn=execution["executionArn"])["input"]:
            return str(execution["executionArn"])
    return None

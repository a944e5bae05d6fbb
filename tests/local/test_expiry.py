"""A labeling job whose time is over, on a clock that the test moves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from menulens.local.config import LocalConfig
from menulens.local.context import Context
from menulens.local.events import Events
from menulens.local.service import SageMaker
from menulens.portal import jobs
from tests.local.conftest import Room
from tests.local.crowd import Crowd, gather

DAY = 24 * 3600.0


@dataclass
class MovedClock:
    """Runs as the machine's does, and can be put forward."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Service:
    """A SageMaker service of this process, on the S3, table and people of a running local cloud."""

    service: SageMaker
    events: list[tuple[str, list[str], dict[str, Any]]] = field(default_factory=list)

    def create_labeling_job(self, **request: Any) -> Any:
        return self.service.call("CreateLabelingJob", request)

    def describe_labeling_job(self, **request: Any) -> Any:
        return self.service.call("DescribeLabelingJob", request)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def crowd(cloud: Room, bucket: str, clock: MovedClock, tmp_path: Path) -> Iterator[Crowd]:
    there = gather(cloud, bucket)
    events: list[tuple[str, list[str], dict[str, Any]]] = []
    context = Context(
        LocalConfig(state=tmp_path, port=cloud.port, labeling_port=1),
        Events(lambda _source, kind, resources, detail: events.append((kind, resources, detail))),
        clock,
    )
    service = SageMaker(context)
    workforce, team = "people", there.team_arn.rpartition("/")[2]
    service.workforces.workforces[workforce] = there.sagemaker.describe_workforce(WorkforceName=workforce)["Workforce"]
    service.workforces.teams[team] = there.sagemaker.describe_workteam(WorkteamName=team)["Workteam"]
    yield replace(there, sagemaker=Service(service, events))
    service.close()


@pytest.mark.parametrize(
    ("given", "lifetime"),
    [({"TaskAvailabilityLifetimeInSeconds": 3600}, 3600.0), ({}, 30 * DAY)],
    ids=["set", "30days"],
)
def should_fail_with_what_was_labeled_when_its_time_is_over(
    crowd: Crowd, clock: MovedClock, given: dict[str, Any], lifetime: float
) -> None:
    people = [crowd.person(), crowd.person()]
    job = crowd.start(3, **given)
    for person in people:
        (task,) = [task for task in person.tasks(job) if task.lines == (1,)]
        assert person.answer(task, "drink").status == "accepted"
    clock.ahead = lifetime - 300
    crowd.counted(job, 1)
    assert crowd.sagemaker.describe_labeling_job(LabelingJobName=job)["LabelingJobStatus"] == "InProgress"

    clock.ahead = lifetime + 1
    expired = crowd.status(job)

    assert expired["LabelingJobStatus"] == "Failed"
    assert f"expired: TaskAvailabilityLifetimeInSeconds ({lifetime:.0f})" in expired["FailureReason"]
    assert "2 of 3 objects have no label" in expired["FailureReason"]
    assert (expired["LabelCounters"]["TotalLabeled"], expired["LabelCounters"]["Unlabeled"]) == (1, 2)
    assert expired["LabelingJobOutput"]["OutputDatasetS3Uri"].endswith(f"/{job}/manifests/output/output.manifest")
    first, labeled, last = crowd.manifest(job)
    assert (list(first), list(last)) == (["source-ref"], ["source-ref"])
    assert labeled["category-metadata"]["class-name"] == "drink"
    assert crowd.manifest(job, "annotations/intermediate/1/annotations.manifest") == [first, labeled, last]
    assert jobs.get(crowd.portal, job).state == "stopped"
    assert people[0].tasks(job) == []
    told = [(resources, detail["LabelingJobStatus"]) for _, resources, detail in crowd.sagemaker.events]
    assert told[-1] == ([expired["LabelingJobArn"]], "Failed")

"""Labeling jobs of the local cloud, answered by people in the portal."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from menulens.local.config import ACCOUNT
from menulens.local.consolidation import Consolidator
from menulens.portal import jobs, work
from tests.local.conftest import ROLE, Room, any_name, wait_until
from tests.local.crowd import Crowd, gather, label_all


@pytest.fixture
def crowd(cloud: Room, bucket: str) -> Crowd:
    return gather(cloud, bucket)


def should_have_one_workforce_in_a_region(crowd: Crowd) -> None:
    config = {"UserPool": "us-east-1_other", "ClientId": "other"}
    with pytest.raises(ClientError, match="ResourceLimitExceeded"):
        crowd.sagemaker.create_workforce(WorkforceName="more", CognitoConfig=config)


def should_label_a_job_and_write_ground_truths_output(crowd: Crowd, s3: Any) -> None:
    people = [crowd.person(), crowd.person()]
    job = crowd.start(3)
    label_all(people, job, lambda _, task: "drink" if task.lines == (1,) else "meal")
    done = crowd.status(job)
    assert done["LabelingJobStatus"] == "Completed"
    assert done["LabelCounters"] == {
        "TotalLabeled": 3,
        "HumanLabeled": 3,
        "MachineLabeled": 0,
        "FailedNonRetryableError": 0,
        "Unlabeled": 0,
    }
    assert done["LabelingJobOutput"]["OutputDatasetS3Uri"].endswith(f"/jobs/{job}/manifests/output/output.manifest")
    lines = crowd.manifest(job)
    assert [line["category"] for line in lines] == [0, 1, 0]
    metadata = lines[1]["category-metadata"]
    assert metadata["class-name"] == "drink"
    assert 0.5 < metadata["confidence"] < 1
    assert metadata["type"] == "groundtruth/image-classification"
    assert (metadata["job-name"], metadata["human-annotated"]) == (f"labeling-job/{job}", "yes")
    keys = [
        item["Key"] for item in s3.list_objects_v2(Bucket=crowd.bucket, Prefix=f"jobs/{job}/annotations/")["Contents"]
    ]
    for part in ("worker-response/iteration-1/0/", "consolidated-annotation/consolidation-response/", "intermediate/"):
        assert any(part in key for key in keys), part


def should_ask_as_many_people_as_the_job_wants_whatever_they_say(crowd: Crowd) -> None:
    people = [crowd.person() for _ in range(4)]
    job = crowd.start(1, NumberOfHumanWorkersPerDataObject=3)
    for person, said in zip(people, ("meal", "drink", "not-for-training"), strict=False):
        (task,) = person.tasks(job)
        assert task.display.startswith("display/")
        assert person.answer(task, said).status == "accepted"
    assert people[3].tasks(job) == []
    assert crowd.status(job)["LabelingJobStatus"] == "Completed"


def should_keep_places_for_those_who_hold_them(crowd: Crowd) -> None:
    people = [crowd.person() for _ in range(3)]
    job = crowd.start(1, TaskTimeLimitInSeconds=30)
    assert [len(person.tasks(job)) for person in people] == [1, 1, 0]
    assert jobs.get(crowd.portal, job).options.lease_seconds == 30
    crowd.end(job)


def should_write_the_running_jobs_manifest_and_stop_with_what_is_labeled(crowd: Crowd) -> None:
    people = [crowd.person(), crowd.person()]
    job = crowd.start(3)
    for person in people:
        (task,) = [task for task in person.tasks(job) if task.lines == (0,)]
        assert person.answer(task, "meal").status == "accepted"
    path = "annotations/intermediate/1/annotations.manifest"

    def half_done() -> bool:
        try:
            return sum("category" in line for line in crowd.manifest(job, path)) == 1
        except ClientError:
            return False

    wait_until(half_done)
    assert crowd.sagemaker.describe_labeling_job(LabelingJobName=job)["LabelingJobStatus"] == "InProgress"
    stopped = crowd.end(job)
    assert stopped["LabelingJobStatus"] == "Stopped"
    assert jobs.get(crowd.portal, job).state == "stopped"
    lines = crowd.manifest(job)
    assert ["category" in line for line in lines] == [True, False, False]
    assert list(lines[1]) == ["source-ref"]
    chained = crowd.start(3, [json.dumps(line) for line in lines])
    assert {task.lines for task in people[0].tasks(chained)} == {(0,), (1,)}
    label_all(people, chained, lambda *_: "drink")
    assert crowd.status(chained)["LabelingJobStatus"] == "Completed"
    again = crowd.manifest(chained)
    assert again[0] == lines[0]
    assert [line["category"] for line in again] == [0, 1, 1]


def should_stop_when_an_owner_stops_it_in_the_portal_and_wait_while_it_is_paused(crowd: Crowd) -> None:
    job = crowd.start(2)
    jobs.pause(crowd.portal, job)
    person = crowd.person()
    assert person.tasks(job) == []
    assert crowd.sagemaker.describe_labeling_job(LabelingJobName=job)["LabelingJobStatus"] == "InProgress"
    jobs.resume(crowd.portal, job)
    assert len(person.tasks(job)) == 2
    jobs.stop(crowd.portal, job)
    assert crowd.status(job)["LabelingJobStatus"] == "Stopped"
    assert not jobs.get(crowd.portal, job).finish_due  # the output is the labeling job's, not the portal's


def should_count_hard_ones_by_their_first_choice_and_fail_what_a_person_reports(crowd: Crowd) -> None:
    people = [crowd.person(), crowd.person()]
    job = crowd.start(2)
    for person in people:
        for task in person.tasks(job):
            if task.lines == (0,):
                person.answer(task, "drink", kind="hard", second=0)
            else:
                person.answer(task, "", kind="report", problem="broken")
    done = crowd.status(job)
    assert done["LabelingJobStatus"] == "Completed"
    hard, reported = crowd.manifest(job)
    assert hard["category"] == 1
    assert reported["category-metadata"]["failure-reason"] == "reported by a person: broken"
    assert done["LabelCounters"]["FailedNonRetryableError"] == 1


def should_fail_an_object_that_can_not_be_shown_and_ask_about_the_others(crowd: Crowd) -> None:
    lines = crowd.put_photos(1)
    crowd.s3.put_object(Bucket=crowd.bucket, Key="photos/page.jpg", Body=b"<script>alert(1)</script>")
    for name in ("page", "gone"):
        lines.append(json.dumps({"source-ref": f"s3://{crowd.bucket}/photos/{name}.jpg"}))
    job = crowd.start(1, lines)
    people = [crowd.person(), crowd.person()]
    assert [task.lines for task in people[0].tasks(job)] == [(0,)]
    label_all(people, job, lambda *_: "meal")
    assert crowd.status(job)["LabelCounters"]["FailedNonRetryableError"] == 2
    good, page, gone = crowd.manifest(job)
    assert good["category"] == 0
    assert "category" not in page
    assert "missing" in gone["category-metadata"]["failure-reason"]


def should_take_no_lifetime_under_a_minute(crowd: Crowd) -> None:
    job = crowd.start(1, TaskAvailabilityLifetimeInSeconds=60)
    described = crowd.sagemaker.describe_labeling_job(LabelingJobName=job)
    assert described["HumanTaskConfig"]["TaskAvailabilityLifetimeInSeconds"] == 60
    with pytest.raises(ClientError, match="taskAvailabilityLifetimeInSeconds"):
        crowd.sagemaker.create_labeling_job(**crowd.request(any_name(), TaskAvailabilityLifetimeInSeconds=5))
    crowd.end(job)


@pytest.mark.parametrize(
    ("line", "reason"),
    [("{broken", "line 2 .* is no JSON"), ('{"photo": "x"}', "neither source-ref nor source"), ("", "has no objects")],
)
def should_fail_on_a_manifest_that_can_not_be_used(crowd: Crowd, line: str, reason: str) -> None:
    name = any_name("labels")
    crowd.end(crowd.start(1))
    crowd.put_manifest(name, [*crowd.put_photos(1), line] if line else [""])
    crowd.sagemaker.create_labeling_job(**crowd.request(name))
    job = crowd.status(name)
    assert job["LabelingJobStatus"] == "Failed"
    assert re.search(reason, job["FailureReason"])


def should_refuse_jobs_that_ground_truth_refuses(crowd: Crowd) -> None:
    job = crowd.start(1)
    for change, code, said in (
        ({"LabelingJobName": job.upper()}, "ResourceInUse", "ignoring case"),
        ({"LabelAttributeName": "category-metadata"}, "ValidationException", "-metadata"),
        ({"LabelAttributeName": "photo-ref"}, "ValidationException", "-ref"),
        ({"LabelCategoryConfigS3Uri": "http://x"}, "ValidationException", "labelCategoryConfigS3Uri"),
    ):
        request = {**crowd.request(any_name("labels")), **change}
        with pytest.raises(ClientError) as error:
            crowd.sagemaker.create_labeling_job(**request)
        assert error.value.response["Error"]["Code"] == code
        assert said in error.value.response["Error"]["Message"]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        crowd.sagemaker.describe_labeling_job(LabelingJobName="nobody")
    other = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:workteam/private-crowd/nobody"
    with pytest.raises(ClientError, match="does not exist"):
        crowd.sagemaker.create_labeling_job(**crowd.request(any_name("labels"), WorkteamArn=other))


FUNCTIONS = """
import json
import boto3

def pre(event, context):
    assert event["version"] == "2018-10-16" and event["labelingJobArn"]
    ref = event["dataObject"]["source-ref"]
    if ref.endswith("1.png"):
        return {"taskInput": {"taskObject": ref}, "isHumanAnnotationRequired": "false"}
    if ref.endswith("2.png"):
        raise ValueError("this photo is too dark")
    return {"taskInput": {"taskObject": ref, "hint": "look closely"}, "isHumanAnnotationRequired": "true"}

def acs(event, context):
    bucket, _, key = event["payload"]["s3Uri"].removeprefix("s3://").partition("/")
    asked = json.loads(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    name = event["labelAttributeName"]
    return [
        {
            "datasetObjectId": one["datasetObjectId"],
            "consolidatedAnnotation": {
                "content": {
                    name: len(one["annotations"]),
                    name + "-metadata": {"said": json.loads(one["annotations"][0]["annotationData"]["content"])},
                }
            },
        }
        for one in asked
    ]
"""


def _function(cloud: Room, handler: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("functions.py", FUNCTIONS)
    made = cloud.client("lambda").create_function(
        FunctionName=any_name(handler),
        Runtime="python3.13",
        Role=ROLE,
        Handler=f"functions.{handler}",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=20,
    )
    return str(made["FunctionArn"])


def should_call_functions_of_ones_own(crowd: Crowd, cloud: Room) -> None:
    people = [crowd.person(), crowd.person()]
    job = crowd.start(
        3,
        PreHumanTaskLambdaArn=_function(cloud, "pre"),
        AnnotationConsolidationConfig={"AnnotationConsolidationLambdaArn": _function(cloud, "acs")},
    )
    (task,) = people[0].tasks(job)
    assert task.context == {"hint": "look closely"}
    work.release(crowd.portal, jobs.get(crowd.portal, job), people[0].name, [task.id])
    label_all(people, job, lambda *_: "drink")
    done = crowd.status(job)
    assert done["LabelingJobStatus"] == "Completed", done.get("FailureReason")
    assert (done["LabelCounters"]["TotalLabeled"], done["LabelCounters"]["FailedNonRetryableError"]) == (1, 1)
    labeled, skipped, failed = crowd.manifest(job)
    assert labeled["category"] == 2
    assert labeled["category-metadata"]["said"] == {"crowd-image-classifier": {"label": "drink"}}
    assert list(skipped) == ["source-ref"]
    assert "category" not in failed
    assert "too dark" in failed["category-metadata"]["failure-reason"]


def should_trust_those_more_who_agreed_with_the_others_before() -> None:
    consolidator = Consolidator(["meal", "drink"])
    for _ in range(10):
        assert consolidator.consolidate({"good": "meal", "fine": "meal", "bad": "drink"})[0] == "meal"
    assert consolidator.accuracy("bad") < 0.5 < consolidator.accuracy("good")
    label, confidence = consolidator.consolidate({"good": "drink", "bad": "meal"})
    assert label == "drink"
    assert confidence > 0.9

"""Labeling jobs of the local cloud, answered over HTTP by people who sign in through Cognito."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from menulens.local.config import ACCOUNT
from menulens.local.consolidation import Consolidator
from menulens.local.labeling_store import Item, TaskError, TaskStore, Worker
from tests.local.conftest import ROLE, Room, any_name, wait_until

PASSWORD = "Str0ng-pass!word"
CATEGORIES = ["meal", "drink", "not-for-training"]
PRE = "arn:aws:lambda:us-east-1:432418664414:function:PRE-ImageMultiClass"
ACS = "arn:aws:lambda:us-east-1:432418664414:function:ACS-ImageMultiClass"


def any_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\1\2\3")) + chunk(b"IEND", b"")
    )


@dataclass
class Person:
    url: str
    name: str
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=20)

    def sign_in(self, password: str, new_password: str | None = None) -> httpx.Response:
        body = {"username": self.name, "password": password}
        if new_password:
            body["new_password"] = new_password
        answer = self.client.post("/api/sign-in", json=body)
        if token := answer.json().get("token"):
            self.client.cookies.clear()
            self.client.headers["Authorization"] = f"Bearer {token}"
        return answer

    def tasks(self, limit: int = 20) -> list[dict[str, Any]]:
        return list(self.client.get("/api/tasks", params={"limit": limit}).json()["tasks"])

    def answer(self, task: dict[str, Any], answer: str) -> httpx.Response:
        return self.client.post(f"/api/tasks/{task['id']}", json={"answer": answer})


@dataclass
class Crowd:
    """A work team with people, and labeling jobs for it."""

    s3: Any
    sagemaker: Any
    cognito: Any
    url: str
    pool: str
    team_arn: str
    bucket: str = ""

    def person(self, *, member: bool = True) -> Person:
        name = f"{any_name('person')}@example.com"
        self.cognito.admin_create_user(
            UserPoolId=self.pool, Username=name, TemporaryPassword="First-pass1!", MessageAction="SUPPRESS"
        )
        if member:
            self.cognito.admin_add_user_to_group(UserPoolId=self.pool, Username=name, GroupName="annotators")
        person = Person(self.url, name)
        assert person.sign_in("First-pass1!").json() == {"challenge": "NEW_PASSWORD_REQUIRED"}
        assert "token" in person.sign_in("First-pass1!", PASSWORD).json()
        return person

    def start(self, photos: int = 3, lines: list[str] | None = None, **human: Any) -> str:
        name = any_name("labels")
        for number in range(photos):
            self.s3.put_object(Bucket=self.bucket, Key=f"photos/{number}.png", Body=any_png())
        refs = lines or [
            json.dumps({"source-ref": f"s3://{self.bucket}/photos/{number}.png"}) for number in range(photos)
        ]
        self.s3.put_object(
            Bucket=self.bucket, Key=f"inputs/{name}/input.manifest", Body="".join(line + "\n" for line in refs)
        )
        labels = {"document-version": "2018-11-28", "labels": [{"label": label} for label in CATEGORIES]}
        self.s3.put_object(Bucket=self.bucket, Key="categories.json", Body=json.dumps(labels))
        self.s3.put_object(Bucket=self.bucket, Key="template.html", Body="<p>")
        self.sagemaker.create_labeling_job(**self.request(name, **human))
        self.status(name, "InProgress")
        return name

    def request(self, name: str, **human: Any) -> dict[str, Any]:
        return {
            "LabelingJobName": name,
            "LabelAttributeName": "category",
            "InputConfig": {
                "DataSource": {"S3DataSource": {"ManifestS3Uri": f"s3://{self.bucket}/inputs/{name}/input.manifest"}}
            },
            "OutputConfig": {"S3OutputPath": f"s3://{self.bucket}/jobs/"},
            "RoleArn": ROLE,
            "LabelCategoryConfigS3Uri": f"s3://{self.bucket}/categories.json",
            "HumanTaskConfig": {
                "WorkteamArn": self.team_arn,
                "UiConfig": {"UiTemplateS3Uri": f"s3://{self.bucket}/template.html"},
                "PreHumanTaskLambdaArn": PRE,
                "TaskTitle": "What is this?",
                "TaskDescription": "Pick one",
                "NumberOfHumanWorkersPerDataObject": 2,
                "TaskTimeLimitInSeconds": 300,
                "AnnotationConsolidationConfig": {"AnnotationConsolidationLambdaArn": ACS},
                **human,
            },
        }

    def status(self, name: str, *wanted: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job = self.sagemaker.describe_labeling_job(LabelingJobName=name)
            return job if job["LabelingJobStatus"] in (wanted or ("Completed", "Stopped", "Failed")) else None

        found: dict[str, Any] = wait_until(look)
        return found

    def manifest(self, name: str, path: str = "manifests/output/output.manifest") -> list[dict[str, Any]]:
        body = self.s3.get_object(Bucket=self.bucket, Key=f"jobs/{name}/{path}")["Body"].read().decode()
        return [json.loads(line) for line in body.splitlines()]


@pytest.fixture(scope="session")
def crowd_without_bucket(cloud: Room, s3: Any, sagemaker: Any) -> Crowd:
    cognito = cloud.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="client", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    )["UserPoolClient"]["ClientId"]
    cognito.create_group(UserPoolId=pool, GroupName="annotators")
    sagemaker.create_workforce(WorkforceName="people", CognitoConfig={"UserPool": pool, "ClientId": client})
    with pytest.raises(ClientError, match="ResourceLimitExceeded"):
        sagemaker.create_workforce(WorkforceName="more", CognitoConfig={"UserPool": pool, "ClientId": client})
    definition = {"UserPool": pool, "UserGroup": "annotators", "ClientId": client}
    team = sagemaker.create_workteam(
        WorkteamName="team",
        WorkforceName="people",
        Description="everyone",
        MemberDefinitions=[{"CognitoMemberDefinition": definition}],
    )["WorkteamArn"]
    return Crowd(s3, sagemaker, cognito, cloud.labeling_url, pool, team)


@pytest.fixture
def crowd(crowd_without_bucket: Crowd, bucket: str) -> Crowd:
    crowd_without_bucket.bucket = bucket
    return crowd_without_bucket


def _label_all(people: list[Person], job: str, choose: Callable[[Person, dict[str, Any]], str]) -> None:
    for person in people:
        for task in person.tasks():
            if task["job"] == job:
                assert person.answer(task, choose(person, task)).json() == {"accepted": True}


def should_label_a_job_and_write_ground_truths_output(crowd: Crowd, s3: Any) -> None:
    people = [crowd.person(), crowd.person()]
    job = crowd.start(3)
    _label_all(people, job, lambda _, task: "drink" if task["id"].endswith(".1") else "meal")
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


def should_never_ask_a_person_twice_and_count_a_repeated_answer_once(crowd: Crowd) -> None:
    first, second = crowd.person(), crowd.person()
    job = crowd.start(1)
    task = first.tasks()[0]
    assert first.answer(task, "meal").status_code == 200
    assert first.answer(task, "meal").status_code == 200
    assert first.answer(task, "drink").status_code == 409
    assert [item for item in first.tasks() if item["job"] == job] == []
    journal = crowd.sagemaker and first.client.get("/api/status").json()["jobs"][0]
    assert journal["mine"] == 1
    assert second.answer(second.tasks()[0], "no such thing").status_code == 400
    assert second.answer(second.tasks()[0], "meal").status_code == 200
    assert crowd.status(job)["LabelingJobStatus"] == "Completed"


def should_keep_places_for_those_who_hold_them(crowd: Crowd) -> None:
    people = [crowd.person() for _ in range(3)]
    job = crowd.start(1, TaskTimeLimitInSeconds=30)
    counts = [len([task for task in person.tasks() if task["job"] == job]) for person in people]
    assert counts == [1, 1, 0]
    crowd.sagemaker.stop_labeling_job(LabelingJobName=job)
    crowd.status(job)


def should_write_the_running_jobs_manifest_and_stop_with_what_is_labeled(crowd: Crowd) -> None:
    people = [crowd.person(), crowd.person()]
    job = crowd.start(3)
    for person in people:
        assert person.answer(person.tasks()[0], "meal").status_code == 200
    path = "annotations/intermediate/1/annotations.manifest"

    def half_done() -> bool:
        try:
            return sum("category" in line for line in crowd.manifest(job, path)) == 1
        except ClientError:
            return False

    wait_until(half_done)
    assert crowd.sagemaker.describe_labeling_job(LabelingJobName=job)["LabelingJobStatus"] == "InProgress"
    crowd.sagemaker.stop_labeling_job(LabelingJobName=job)
    stopped = crowd.status(job)
    assert stopped["LabelingJobStatus"] == "Stopped"
    lines = crowd.manifest(job)
    assert ["category" in line for line in lines] == [True, False, False]
    assert list(lines[1]) == ["source-ref"]
    chained = crowd.start(3, [json.dumps(line) for line in lines])
    left = [task for task in people[0].tasks() if task["job"] == chained]
    assert [task["id"].rpartition(".")[2] for task in left] == ["1", "2"]
    _label_all(people, chained, lambda *_: "drink")
    assert crowd.status(chained)["LabelingJobStatus"] == "Completed"
    assert crowd.manifest(chained)[0] == lines[0]


def should_fail_with_output_when_its_time_is_over(crowd: Crowd) -> None:
    job = crowd.start(2, TaskAvailabilityLifetimeInSeconds=60)
    expired = crowd.sagemaker.describe_labeling_job(LabelingJobName=job)
    assert expired["HumanTaskConfig"]["TaskAvailabilityLifetimeInSeconds"] == 60
    with pytest.raises(ClientError, match="taskAvailabilityLifetimeInSeconds"):
        crowd.sagemaker.create_labeling_job(**crowd.request(any_name(), TaskAvailabilityLifetimeInSeconds=5))
    crowd.sagemaker.stop_labeling_job(LabelingJobName=job)
    crowd.status(job)


def should_let_only_members_of_the_team_label(crowd: Crowd) -> None:
    job = crowd.start(1)
    stranger, member = crowd.person(member=False), crowd.person()
    assert stranger.tasks() == []
    task = member.tasks()[0]
    assert stranger.answer(task, "meal").status_code == 404
    assert stranger.client.get(task["photo_url"]).status_code == 404
    nobody = Person(crowd.url, "nobody")
    assert nobody.client.get("/api/tasks").status_code == 401
    assert nobody.sign_in("wrong").status_code == 401
    header, body, signature = member.client.headers["Authorization"].removeprefix("Bearer ").split(".")
    nobody.client.headers["Authorization"] = f"Bearer {header}.{body}.{signature[:-8]}AAAAAAAA"
    assert nobody.client.get("/api/tasks").status_code == 401
    crowd.sagemaker.stop_labeling_job(LabelingJobName=job)
    crowd.status(job)


def should_show_photos_to_those_who_hold_the_task_with_strict_headers(crowd: Crowd) -> None:
    job = crowd.start(2)
    person = crowd.person()
    task = person.tasks()[0]
    photo = person.client.get(task["photo_url"])
    assert (photo.headers["content-type"], photo.content) == ("image/png", any_png())
    crowd.s3.put_object(Bucket=crowd.bucket, Key="photos/1.png", Body=b"<script>alert(1)</script>")
    assert person.client.get(person.tasks()[1]["photo_url"]).status_code == 415
    page = person.client.get("/")
    assert "<script>" not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert person.client.get("/", headers={"Host": "evil.example"}).status_code == 400
    crowd.sagemaker.stop_labeling_job(LabelingJobName=job)
    crowd.status(job)


@pytest.mark.parametrize(
    ("line", "reason"),
    [("{broken", "line 2 .* is no JSON"), ('{"photo": "x"}', "neither source-ref nor source"), ("", "has no objects")],
)
def should_fail_on_a_manifest_that_can_not_be_used(crowd: Crowd, line: str, reason: str) -> None:
    name = any_name("labels")
    good = json.dumps({"source-ref": f"s3://{crowd.bucket}/photos/0.png"})
    text = f"{good}\n{line}\n" if line else "\n"
    crowd.start(1)
    crowd.s3.put_object(Bucket=crowd.bucket, Key=f"inputs/{name}/input.manifest", Body=text)
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
    task = wait_until(lambda: [task for task in people[0].tasks() if task["job"] == job])[0]
    assert task["task"]["hint"] == "look closely"
    _label_all(people, job, lambda *_: "drink")
    done = crowd.status(job)
    assert done["LabelingJobStatus"] == "Completed", done.get("FailureReason")
    assert (done["LabelCounters"]["TotalLabeled"], done["LabelCounters"]["FailedNonRetryableError"]) == (1, 1)
    labeled, skipped, failed = crowd.manifest(job)
    assert labeled["category"] == 2
    assert labeled["category-metadata"]["said"] == {"crowd-image-classifier": {"label": "drink"}}
    assert list(skipped) == ["source-ref"]
    assert "category" not in failed
    assert "too dark" in failed["category-metadata"]["failure-reason"]


def any_worker(name: str = "a") -> Worker:
    return Worker(sub=name, name=name, issuer="issuer", pool="pool", groups=frozenset({"annotators"}))


def any_store(path: Path, clock: Callable[[], float], workers: int = 1) -> TaskStore:
    items = [Item(0, "{}", {})]
    store = TaskStore(
        items, journal=path, workers_per_item=workers, lease_seconds=60, choices=["meal", "drink"], clock=clock
    )
    store.open(items[0], {})
    return store


def should_give_a_task_to_another_when_its_time_is_over(tmp_path: Path) -> None:
    now = [1000.0]
    store = any_store(tmp_path / "answers.jsonl", lambda: now[0])
    slow, quick = any_worker("slow"), any_worker("quick")
    assert len(store.lease(slow, 5)) == 1
    assert store.lease(quick, 5) == []
    now[0] += 61
    assert len(store.lease(quick, 5)) == 1
    with pytest.raises(TaskError, match="someone else has it now"):
        store.answer(slow, 0, "meal")
    store.answer(quick, 0, "drink")
    assert store.items[0].state == "answered"


def should_have_an_answer_on_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    store = any_store(path, lambda: 1000.0)
    store.lease(any_worker(), 1)
    store.answer(any_worker(), 0, "meal")
    entry = json.loads(path.read_text())
    assert (entry["item"], entry["worker"], entry["answer"]) == (0, "a", "meal")


def should_not_take_an_answer_that_can_not_be_written(tmp_path: Path) -> None:
    store = any_store(tmp_path / "answers.jsonl", lambda: 1000.0)
    store.lease(any_worker(), 1)
    store._journal.close()
    with pytest.raises(ValueError, match="closed file"):
        store.answer(any_worker(), 0, "meal")
    assert store.items[0].answers == {}


def should_trust_those_more_who_agreed_with_the_others_before() -> None:
    consolidator = Consolidator(["meal", "drink"])
    for _ in range(10):
        assert consolidator.consolidate({"good": "meal", "fine": "meal", "bad": "drink"})[0] == "meal"
    assert consolidator.accuracy("bad") < 0.5 < consolidator.accuracy("good")
    label, confidence = consolidator.consolidate({"good": "drink", "bad": "meal"})
    assert label == "drink"
    assert confidence > 0.9

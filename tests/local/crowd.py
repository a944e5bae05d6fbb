"""People who label on a local cloud without stacks: a portal's table and buckets, and labeling jobs in it."""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from menulens.core import names
from menulens.local.config import ACCOUNT, LocalConfig
from menulens.local.portal_jobs import portal_of
from menulens.portal import answers, jobs, work
from menulens.portal.context import Portal
from menulens.portal.model import Answer
from menulens.portal.model import Item as Task
from menulens.portal.table import definition
from tests.local.conftest import ROLE, Room, any_name, wait_until

CATEGORIES = ["meal", "drink", "not-for-training"]
PRE = "arn:aws:lambda:us-east-1:432418664414:function:PRE-ImageMultiClass"
ACS = "arn:aws:lambda:us-east-1:432418664414:function:ACS-ImageMultiClass"
ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_people"


def any_png(shade: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = 64
    rows = b"".join(b"\0" + bytes((shade * 37 + row, row * 3 % 256, shade)) * side for row in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@dataclass
class Person:
    """Someone with work in the portal."""

    portal: Portal
    name: str

    def tasks(self, job: str, limit: int = 10) -> list[Task]:
        return list(work.lease(self.portal, jobs.get(self.portal, job), self.name, limit=limit).items)

    def answer(self, task: Task, category: str, **more: Any) -> answers.Result:
        job = jobs.get(self.portal, task.job)
        known = job.category(category)
        given: dict[str, Any] = {"kind": "label", "category": known.index if known else None, **more}
        answer = Answer(id=str(uuid.uuid4()), item=task.id, person="", **given)
        return answers.record(self.portal, job, answers.Who(self.name, self.name, ISSUER), [answer])[0]


@dataclass
class Crowd:
    """A work team with people, and labeling jobs for it."""

    s3: Any
    sagemaker: Any
    portal: Portal
    team_arn: str
    bucket: str = ""

    def person(self, name: str = "") -> Person:
        return Person(self.portal, name or str(uuid.uuid4()))

    def put_photos(self, count: int) -> list[str]:
        for number in range(count):
            self.s3.put_object(Bucket=self.bucket, Key=f"photos/{number}.png", Body=any_png(number))
        return [json.dumps({"source-ref": f"s3://{self.bucket}/photos/{number}.png"}) for number in range(count)]

    def put_manifest(self, name: str, lines: list[str]) -> str:
        key = f"inputs/{name}/input.manifest"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body="".join(line + "\n" for line in lines))
        return f"s3://{self.bucket}/{key}"

    def start(self, photos: int = 3, lines: list[str] | None = None, **human: Any) -> str:
        name = any_name("labels")
        refs = self.put_photos(photos)
        self.put_manifest(name, refs if lines is None else lines)
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

    def counted(self, name: str, labeled: int) -> None:
        """Wait until a running job says that so many objects are labeled."""

        def look() -> bool:
            counters = self.sagemaker.describe_labeling_job(LabelingJobName=name)["LabelCounters"]
            return bool(counters["TotalLabeled"] == labeled)

        wait_until(look)

    def end(self, name: str) -> dict[str, Any]:
        self.sagemaker.stop_labeling_job(LabelingJobName=name)
        return self.status(name)

    def manifest(self, name: str, path: str = "manifests/output/output.manifest") -> list[dict[str, Any]]:
        body = self.s3.get_object(Bucket=self.bucket, Key=f"jobs/{name}/{path}")["Body"].read().decode()
        return [json.loads(line) for line in body.splitlines()]


def label_all(people: list[Person], job: str, choose: Callable[[Person, Task], str]) -> None:
    for person in people:
        while tasks := person.tasks(job):
            for task in tasks:
                assert person.answer(task, choose(person, task)).status == "accepted"


@cache
def _gathered(port: int, cloud: Room) -> Crowd:
    portal = portal_of(LocalConfig(state=Path(), port=port, labeling_port=1))
    cloud.client("dynamodb").create_table(**definition(portal.table.name))
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
    for room in ("answers", "labels"):
        s3.create_bucket(Bucket=names.bucket("local", room, ACCOUNT, "us-east-1"))
    cognito = cloud.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="client")["UserPoolClient"]["ClientId"]
    cognito.create_group(UserPoolId=pool, GroupName="annotators")
    sagemaker.create_workforce(WorkforceName="people", CognitoConfig={"UserPool": pool, "ClientId": client})
    definition_ = {"UserPool": pool, "UserGroup": "annotators", "ClientId": client}
    team = sagemaker.create_workteam(
        WorkteamName="team",
        WorkforceName="people",
        Description="everyone",
        MemberDefinitions=[{"CognitoMemberDefinition": definition_}],
    )["WorkteamArn"]
    return Crowd(s3, sagemaker, portal, team)


def gather(cloud: Room, bucket: str = "") -> Crowd:
    """Make what a portal stands on, and a work team; once for a cloud."""
    crowd = _gathered(cloud.port, cloud)
    return replace(crowd, bucket=bucket or crowd.portal.labels_bucket)

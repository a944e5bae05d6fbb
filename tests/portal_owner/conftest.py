"""A portal on a real table and real buckets of a local cloud without stacks, and jobs in it."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import boto3
import pytest
from botocore.config import Config
from PIL import Image

from menulens.local.cloud_state import CloudState
from menulens.local.config import ACCOUNT
from menulens.local.lifecycle import cloud_description
from menulens.portal import answers, jobs, keys, owner_api
from menulens.portal.context import Portal, portal_of
from menulens.portal.model import Answer, Category, Item, Job, JobOptions, Texts
from menulens.portal.table import Update, definition

REGION = "us-east-1"
OWNERS = "menulens-test-owners"
CATEGORIES = (
    Category("meal", "料理", "Meal", emoji="🍛"),
    Category("sweets", "スイーツ", "Sweets", emoji="🍰"),
    Category("drink", "飲み物", "Drink", emoji="🥤"),
    Category("not-for-training", "学習に使わない", "Not for training", trains=False, emoji="🚫"),
)


class Session:
    """Clients of a local cloud."""

    def __init__(self, port: int, state: Path) -> None:
        self._port, self.state = port, state

    def client(self, service: str, config: Config | None = None) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self._port}",
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=ACCOUNT,
            config=Config(proxies={}).merge(config or Config()),
        )


@pytest.fixture(scope="session")
def session(bare_cloud: CloudState, port: int) -> Session:
    record = bare_cloud.running()
    assert record
    bare_cloud.note_ready(cloud_description(record, REGION))
    return Session(port, bare_cloud.folder)


@pytest.fixture(scope="session")
def portal(session: Session) -> Portal:
    name = f"labeling-{uuid.uuid4().hex[:8]}"
    request = definition(name)
    session.client("dynamodb").create_table(**request)
    s3 = session.client("s3")
    buckets = [f"{room}-{uuid.uuid4().hex[:8]}" for room in ("answers", "labels")]
    for bucket in buckets:
        s3.create_bucket(Bucket=bucket)
    return portal_of(session, environment="test", table=name, answers_bucket=buckets[0], labels_bucket=buckets[1])


_numbers = itertools.count(1)


def any_photo(number: int, width: int = 320, height: int = 240) -> bytes:
    """Return a JPEG that no other number gives."""
    picture = Image.new("RGB", (width, height), ((number * 67) % 256, (number * 131) % 256, (number * 29) % 256))
    picture.putpixel((number % width, number // width), (255, 255, 255))
    out = io.BytesIO()
    picture.save(out, "JPEG")
    return out.getvalue()


@dataclass
class Maker:
    """Makes jobs whose photos have display copies."""

    portal: Portal

    def job(
        self,
        count: int = 6,
        *,
        groups: Mapping[int, int] | None = None,
        rejects: Mapping[int, tuple[str, str]] | None = None,
        photo: Callable[[int], bytes] = any_photo,
        lines: list[dict[str, Any]] | None = None,
        genre: Callable[[int], str] = lambda _: "そば",
        **options: Any,
    ) -> Job:
        """Open a job.

        Parameters
        ----------
        groups
            Line to its leader's line.
        rejects
            Line to (code, reason) of photos that can't be shown.
        """
        name = f"job-{next(_numbers)}-{uuid.uuid4().hex[:6]}"
        folder = f"s3://{self.portal.labels_bucket}/inputs/{name}"
        given = lines or [
            {"source-ref": f"s3://photos/photos/そば処/{name}-{line}.jpg", "genre": genre(line)}
            for line in range(count)
        ]
        display = []
        for line, value in enumerate(given):
            content = photo(line)
            sha = hashlib.sha256(content).hexdigest()
            told: dict[str, Any] = {
                "line": line,
                "source_ref": value.get("source-ref"),
                "context": {"genre": genre(line)},
            }
            if rejects and line in rejects:
                display.append({**told, "reject": dict(zip(("code", "reason"), rejects[line], strict=True))})
                continue
            key = f"display/{sha[:2]}/{sha}.jpg"
            self.portal.storage.write_bytes(f"s3://{self.portal.labels_bucket}/{key}", content, "image/jpeg")
            group = (groups or {}).get(line, line)
            display.append({**told, "display": key, "width": 320, "height": 240, "sha256": sha, "group": group})
        for file, rows in (("input.manifest", given), ("display.jsonl", display)):
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            self.portal.storage.write_text(f"{folder}/{file}", text)
        return jobs.create(
            self.portal,
            name=name,
            manifest=f"{folder}/input.manifest",
            display=f"{folder}/display.jsonl",
            attribute="menu-category",
            categories=CATEGORIES,
            options=JobOptions(**{"gold_share": 0.0, **options}),
            texts=Texts(title_ja="秋のメニュー", title_en="Autumn menu"),
        )

    def answer(self, job: Job, person: str, item: str, category: str | None = None, **more: Any) -> Item:
        """Have a person say something of an item, as the page has them."""
        job = jobs.get(self.portal, job.name)
        self.hand(job, person, item)
        index = None if category is None else next(one.index for one in job.categories if one.key == category)
        given = Answer(
            id=str(uuid.uuid4()), item=item, person="", kind=more.pop("kind", "label"), category=index,
            shown_ms=more.pop("shown_ms", 1500), **more,
        )  # fmt: skip
        [result] = answers.record(self.portal, job, answers.Who(person, person.title()), [given])
        assert result.status == "accepted", result
        return jobs.get_item(self.portal, job.name, item)

    def hand(self, job: Job, person: str, item: str) -> None:
        """Lease one item to a person, whatever the queue would have given them."""
        it = jobs.get_item(self.portal, job.name, item)
        if person in it.leases:
            return
        now = self.portal.clock()
        leases = {**it.leases, person: (now, now + 900)}
        self.portal.table.write(
            Update(
                keys.item(job.name, item),
                set={"leases": {one: list(span) for one, span in leases.items()}, "version": it.version + 1},
                when={"version": it.version},
            )
        )


@pytest.fixture
def make(portal: Portal) -> Maker:
    return Maker(portal)


@dataclass
class Api:
    """Calls the owner's API as API Gateway does."""

    portal: Portal
    groups: str = f"[{OWNERS}]"
    person: str = "owner-1"
    started: list[tuple[str, Any]] = field(default_factory=list)
    names: Callable[[], Mapping[str, str]] = dict

    def event(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        claims = {"sub": self.person, "username": "owner", "cognito:groups": self.groups, "token_use": "access"}
        return {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": quote(path),
            "rawQueryString": urlencode(query),
            "queryStringParameters": {name: str(value) for name, value in query.items()},
            "headers": {"content-type": "application/json"},
            "requestContext": {
                "http": {"method": method, "path": path},
                "stage": "$default",
                "authorizer": {"jwt": {"claims": claims}},
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        answer = self.answer(self.event(method, path, body, **query))
        return int(answer["statusCode"]), json.loads(answer["body"])

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        def start(machine: str, given: Any) -> str:
            self.started.append((machine, given))
            return f"arn:aws:states:us-east-1:{ACCOUNT}:execution:{machine}:1"

        return owner_api.answer(event, None, self.portal, owners=OWNERS, start=start, names=self.names)

    def get(self, path: str, **query: Any) -> Any:
        status, body = self.call("GET", f"/api/owner/jobs{path}", **query)
        assert status == 200, (status, body)
        return body

    def post(self, path: str, body: Any = None, method: str = "POST") -> Any:
        status, answer = self.call(method, f"/api/owner/jobs{path}", {} if body is None else body)
        assert status == 200, (status, answer)
        return answer

    def refused(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        status, answer = self.call(method, f"/api/owner/jobs{path}", body, **query)
        return status, answer["error"]["code"]


@pytest.fixture
def api(portal: Portal) -> Api:
    return Api(portal)

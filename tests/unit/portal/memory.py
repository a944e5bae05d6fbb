"""A portal in this process: MiniStack's own DynamoDB without its server, and objects in a dict."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from ministack.services import dynamodb

from menulens.portal.context import Portal
from menulens.portal.table import Table, definition
from menulens.storage import Storage


class Database:
    """MiniStack's DynamoDB, called as boto3's client is; each has tokens of transactions of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(dynamodb, f"_{name}")

        def call(**request: Any) -> Any:
            if token := request.pop("ClientRequestToken", ""):
                request["ClientRequestToken"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._name}/{token}"))
            # As through HTTP: what is sent and what comes back are texts of their own.
            status, _, body = function(json.loads(json.dumps(request)))
            answer = json.loads(body)
            if status < 400:
                return answer
            code = str(answer["__type"]).rpartition("#")[2]
            raise ClientError({"Error": {"Code": code, "Message": answer.get("message", "")}, **answer}, name)

        return call


class Objects:
    """As much of S3 as the log and its readers use."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def put_object(self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        if IfNoneMatch == "*" and (Bucket, Key) in self.kept:
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": ""}}, "PutObject")
        self.kept[Bucket, Key] = bytes(Body)
        return {}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if (Bucket, Key) not in self.kept:
            raise ClientError({"Error": {"Code": "404", "Message": ""}}, "HeadObject")
        data = self.kept[Bucket, Key]
        return {"ContentLength": len(data), "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}

    def get_object(self, Bucket: str, Key: str, Range: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        first, _, last = Range.removeprefix("bytes=").partition("-")
        return {"Body": io.BytesIO(self.kept[Bucket, Key][int(first) : int(last) + 1])}

    def get_paginator(self, _: str) -> Objects:
        return self

    def paginate(self, Bucket: str, Prefix: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:  # noqa: N803
        found = sorted(key for bucket, key in self.kept if bucket == Bucket and key.startswith(Prefix))
        yield {
            "Contents": [
                {
                    "Key": key,
                    "Size": len(self.kept[Bucket, key]),
                    "ETag": '""',
                    "LastModified": datetime.now(UTC),
                }
                for key in found
                if key > StartAfter
            ]
        }


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.001  # nothing takes no time at all
        return self.now


def any_portal(clock: Callable[[], float] | None = None) -> Portal:
    name = f"any-{uuid.uuid4().hex[:10]}"
    database, objects = Database(name), Objects()
    database.create_table(**definition(name))
    return Portal(
        environment="any",
        table=Table(database, name),
        storage=Storage(objects),
        s3=objects,
        answers_bucket="answers",
        labels_bucket="labels",
        clock=clock or Clock(),
    )

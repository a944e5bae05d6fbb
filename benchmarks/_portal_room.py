"""A portal of its own on a local cloud: a table, two buckets, a job; and the variables that its functions read."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import boto3

from menulens.local.config import ACCOUNT
from menulens.portal import jobs, table
from menulens.portal.context import Portal, portal_of
from menulens.portal.model import Category, Job, JobOptions

REGION: Final = "us-east-1"
ANNOTATORS: Final = "annotators"
OWNERS: Final = "owners"
CATEGORIES: Final = (
    Category("meal", "料理", "Meal"),
    Category("drink", "飲み物", "Drink"),
    Category("sweets", "スイーツ", "Sweets"),
    Category("not-for-training", "学習に使わない", "Not for training", trains=False),
)


@dataclass(frozen=True, slots=True)
class Session:
    """Makes clients of a local cloud."""

    port: int

    def client(self, service: str, config: Any = None) -> Any:
        """Return a client."""
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=ACCOUNT,
            config=config,
        )


@dataclass(frozen=True, slots=True)
class Room:
    """A portal, and how to reach it from another process."""

    port: int
    portal: Portal

    def variables(self) -> dict[str, str]:
        """Return the environment of a function of this portal."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": ACCOUNT,
            "ENVIRONMENT": self.portal.environment,
            "LABELING_TABLE": self.portal.table.name,
            "ANSWERS_BUCKET": self.portal.answers_bucket,
            "LABELS_BUCKET": self.portal.labels_bucket,
            "ANNOTATORS_GROUP": ANNOTATORS,
            "OWNERS_GROUP": OWNERS,
        }

    def write(self, key: str, lines: Sequence[dict[str, Any] | str]) -> str:
        """Write a JSON Lines file into the labels bucket and return where it is."""
        texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
        place = f"s3://{self.portal.labels_bucket}/{key}"
        self.portal.storage.write_text(place, "".join(text + "\n" for text in texts))
        return place

    def job(
        self,
        items: int = 12,
        *,
        options: JobOptions | None = None,
        categories: Sequence[Category] = CATEGORIES,
        **more: Any,
    ) -> Job:
        """Open a job about so many photos."""
        name = f"job-{uuid.uuid4().hex[:12]}"
        lines: list[dict[str, Any] | str] = [{"source-ref": photo(place)} for place in range(items)]
        return jobs.create(
            self.portal,
            name=name,
            manifest=self.write(f"inputs/{name}/input.manifest", lines),
            attribute="menu-category",
            categories=categories,
            options=options or JobOptions(gold_share=0.0),
            **more,
        )

    def at(self, seconds: float) -> Room:
        """Return the same portal with a clock that stands so many seconds from now."""
        clock = self.portal.clock
        return replace(self, portal=replace(self.portal, clock=lambda: clock() + seconds))


def photo(place: int) -> str:
    """Return where a photo lies."""
    return f"s3://photos-of-nobody/photos/r{place % 7}/{place:06d}.jpg"


def portal_on(session: Any, environment: str) -> Portal:
    """Return a portal of an environment, its names as short as tests need them."""
    return portal_of(
        session,
        environment=environment,
        table=f"menulens-{environment}-labeling",
        answers_bucket=f"menulens-{environment}-answers",
        labels_bucket=f"menulens-{environment}-labels",
    )


def any_room(port: int) -> Room:
    """Make a portal on the local cloud behind a port."""
    session = Session(port)
    portal = portal_on(session, f"t{uuid.uuid4().hex[:10]}")
    session.client("dynamodb").create_table(**table.definition(portal.table.name))
    for bucket in (portal.answers_bucket, portal.labels_bucket):
        portal.s3.create_bucket(Bucket=bucket)
    return Room(port, portal)

"""Where annotators work: the deployed portal of the local cloud, or its contract in memory; tests see no difference."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

from playwright.sync_api import Page

from tests.browser.contract_server import ContractServer, Job

RULES = {
    "question_ja": "この写真はどれですか？",
    "question_en": "What does this photo show?",
    "rules_ja": "写真の主役で選んでください。",
    "rules_en": "Go by what the photo is about.",
}
CATEGORIES = (
    ("meal", "料理", "Meal", "🍛", "主菜、丼、めん", "Main dishes, bowls, noodles"),
    ("sweets", "スイーツ", "Sweets", "🍰", "ケーキ、アイス、和菓子", "Cake, ice cream, wagashi"),
    ("drink", "飲み物", "Drink", "🍹", "お茶、コーヒー、酒", "Tea, coffee, alcohol"),
    ("fruit", "果物", "Fruit", "🍓", "果物そのもの", "Fruit as it is"),
    ("vegetable", "野菜", "Vegetable", "🥕", "調理していない野菜", "Vegetables, not cooked"),
    ("not-for-training", "学習に使わない", "Not for training", "🚫", "料理が写っていない", "No food in it"),
)


@dataclass(frozen=True)
class Photo:
    """One picture, what its manifest line says beside it, and a name for what near duplicates have in common."""

    content: bytes
    context: Mapping[str, str] = field(default_factory=dict)
    scene: str = ""


class Desk(Protocol):
    """Opens jobs, lets a person sign in, and tells which answers count."""

    url: str

    def photos(self, photos: Sequence[Photo]) -> str:
        """Open a job with photos; return its name."""

    def texts(self, texts: Sequence[str]) -> str:
        """Open a job with texts; return its name."""

    def sign_in(self, page: Page) -> None:
        """Go through the hosted sign-in; the page has just been sent there."""

    def answers(self, job: str) -> list[dict[str, Any]]:
        """Return every answer that was recorded, in the order of its recording, once each."""


def categories(**names: str) -> list[dict[str, Any]]:
    """Return the categories; ``names`` gives one another English name."""
    return [
        {
            "index": place,
            "key": key,
            "ja": ja,
            "en": names.get(key, en),
            "emoji": emoji,
            "hint_ja": hint_ja,
            "hint_en": hint_en,
            "trains": key != "not-for-training",
        }
        for place, (key, ja, en, emoji, hint_ja, hint_en) in enumerate(CATEGORIES)
    ]


class ContractDesk:
    """The contract's server in memory."""

    def __init__(self, server: ContractServer) -> None:
        self.server = server
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """The portal's address."""
        return self.server.url

    def photos(self, photos: Sequence[Photo], **more: Any) -> str:
        """Open a job; photos of one scene are one item. ``more`` goes into the definition."""
        together: dict[str, dict[str, Any]] = {}
        for photo in photos:
            scene = photo.scene or hashlib.sha256(photo.content).hexdigest()
            item = together.setdefault(scene, {"bytes": photo.content, "context": dict(photo.context), "together": 0})
            item["together"] += 1
        return self._open("photo", list(together.values()), more)

    def texts(self, texts: Sequence[str]) -> str:
        """Open a job with texts."""
        return self._open("text", [{"text": text} for text in texts], {"context_keys": []})

    def _open(self, kind: str, items: list[dict[str, Any]], more: Mapping[str, Any]) -> str:
        name = f"job-{next(self._numbers)}"
        numbered = [{"item": f"{place:07d}", **item} for place, item in enumerate(items)]
        definition = {"kind": kind, "categories": categories(), "context_keys": ["genre", "menu-text"], **RULES, **more}
        titles = {"title_ja": f"作業 {name}", "title_en": f"Job {name}"}
        self.server.jobs[name] = Job(name, definition, numbered, titles)
        return name

    def sign_in(self, page: Page) -> None:
        """The contract's sign-in asks nothing."""

    def answers(self, job: str) -> list[dict[str, Any]]:
        """Return the accepted answers."""
        items = {item["item"] for item in self.server.jobs[job].items}
        return [one for one in self.server.accepted.values() if one["job"] == job and one["item"] in items]


class CloudDesk:
    """The deployed portal; jobs come in as operators bring them, through the label state machine."""

    def __init__(self, site: Any, username: str = "aki@example.com") -> None:
        self._site = site
        self._username = username
        self._password = f"Aa1-{secrets.token_urlsafe(12)}"
        self.url: str = site.description["labeling_url"]
        pools = site.cloud.client("cognito-idp")
        pool = pools.list_user_pools(MaxResults=10)["UserPools"][0]["Id"]
        pools.admin_set_user_password(UserPoolId=pool, Username=username, Password=self._password, Permanent=True)
        self._numbers = itertools.count(1)

    def photos(self, photos: Sequence[Photo]) -> str:
        """Upload photos, write their manifest, start the label state machine and wait until the job is open."""
        number = next(self._numbers)
        bucket = self._site.cloud.bucket("photos")
        lines = []
        for place, photo in enumerate(photos):
            key = f"photos/browser-{number}/{place:04d}.jpg"
            self._site.put("photos", key, photo.content)
            lines.append({"source-ref": f"s3://{bucket}/{key}", **photo.context})
        return self._open(number, lines)

    def texts(self, texts: Sequence[str]) -> str:
        """Open a job with texts."""
        return self._open(next(self._numbers), [{"source": text} for text in texts])

    def _open(self, number: int, lines: list[dict[str, Any]]) -> str:
        from tests.end_to_end.cloud import wait_for  # noqa: PLC0415  # the deployed portal alone needs it

        name, key = f"browser-{number}", f"browser/{number}.manifest"
        self._site.put("labels", key, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
        uri = f"s3://{self._site.cloud.bucket('labels')}/{key}"
        execution = self._site.start("label", manifest=uri, job_name=name)
        wait_for(f"{name} is open", lambda: self._is_open(name, execution), 120)
        return name

    def _is_open(self, name: str, execution: str) -> bool:
        from menulens.portal import reading  # noqa: PLC0415

        told = self._site.cloud.client("stepfunctions").describe_execution(executionArn=execution)
        assert told["status"] == "RUNNING", f"{execution}: {told['status']}: {told.get('cause')}"
        job = reading.find(self._portal(), name)
        return job is not None and job.state == "open"

    def _portal(self) -> Any:
        from menulens.core import names  # noqa: PLC0415
        from menulens.portal.context import portal_of  # noqa: PLC0415

        cloud, environment = self._site.cloud, self._site.cloud.settings.environment
        return portal_of(
            SimpleNamespace(client=partial(cloud.session.client, endpoint_url=cloud.endpoint_url)),
            environment=environment,
            table=names.labeling_table(environment),
            answers_bucket=cloud.bucket("answers"),
            labels_bucket=cloud.bucket("labels"),
        )

    def sign_in(self, page: Page) -> None:
        """Fill in the hosted sign-in's form."""
        page.locator('input[name="username"]').fill(self._username)
        page.locator('input[name="password"]').fill(self._password)
        page.locator('input[name="password"]').press("Enter")

    def answers(self, job: str) -> list[dict[str, Any]]:
        """Return the answers that the log holds after sealing: what the manifest is made of."""
        from menulens.portal import log, reading  # noqa: PLC0415

        portal = self._portal()
        log.seal(portal, job)
        keys = [category.key for category in reading.get(portal, job).categories]
        told = [json.loads(line) for line in log.lines(portal, job)]
        return [_plain(line["body"], keys) for line in told if line["kind"] == "answer"]


def _plain(body: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return a recorded answer as the page gave it: categories by their keys."""
    named = {name: keys[body[name]] for name in ("category", "second") if body.get(name) is not None}
    given = {name: body[name] for name in ("id", "item", "kind", "problem", "replaces", "shown_ms") if body.get(name)}
    return {"shown_ms": 0, **given, **named}

"""What an operator and a team would do, over the same interfaces: start executions, sign in, answer, wait."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx

from demo.labeling import output_manifest, shown_truth
from menulens.client.portal import PortalClient, label
from menulens.cloud import Cloud
from menulens.core import names
from menulens.portal import work
from menulens.settings import CONFIG_VARIABLE

MENULENS = [str(Path(sys.executable).parent / "menulens")]
PASSWORD = "Correct-horse-7-battery"
Found = TypeVar("Found")
LEASED = 10  # items at once, the API's most
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class TooSlowError(Exception):
    """Something that had to happen did not happen in time."""


def wait_for(what: str, look: Callable[[], Found | None], seconds: float = 240.0) -> Found:
    """Look again and again until there is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TooSlowError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.3)
    return found


@dataclass
class Site:
    """A deployed local cloud, seen from outside."""

    cloud: Cloud
    state: Path
    description: dict[str, Any]
    truth: dict[str, str] = field(default_factory=dict)
    """SHA-256 of a photo to its category."""
    categories: dict[str, str] = field(default_factory=dict)
    """Key of a photo to its category."""

    # --- state machines ------------------------------------------------------------------------
    def start(self, machine: names.Machine, **given: Any) -> str:
        """Start an execution as from the console; return its ARN."""
        states = self.cloud.client("stepfunctions")
        started = states.start_execution(stateMachineArn=self.cloud.state_machine_arn(machine), input=json.dumps(given))
        return str(started["executionArn"])

    def ended(self, execution: str, seconds: float = 240.0) -> dict[str, Any]:
        """Wait for an execution's end."""
        states = self.cloud.client("stepfunctions")

        def look() -> dict[str, Any] | None:
            told: dict[str, Any] = states.describe_execution(executionArn=execution)
            return told if told["status"] in ENDED else None

        return wait_for(execution, look, seconds)

    def output(self, execution: str, seconds: float = 240.0) -> dict[str, Any]:
        """Wait for an execution to succeed; return its output."""
        told = self.ended(execution, seconds)
        assert told["status"] == "SUCCEEDED", f"{execution}: {told['status']}: {told.get('error')}: {told.get('cause')}"
        answer: dict[str, Any] = json.loads(told["output"])
        return answer

    def executions(self, machine: names.Machine) -> list[dict[str, Any]]:
        """Return a machine's executions, the newest first."""
        states = self.cloud.client("stepfunctions")
        found: list[dict[str, Any]] = states.list_executions(stateMachineArn=self.cloud.state_machine_arn(machine))[
            "executions"
        ]
        return sorted(found, key=lambda one: one["startDate"], reverse=True)

    def triggered(self, machine: names.Machine, before: Iterable[str], seconds: float = 60.0) -> str:
        """Wait for an execution that an event started; ``before`` are the ARNs that were there already."""
        known = set(before)

        def look() -> str | None:
            fresh = [one["executionArn"] for one in self.executions(machine) if one["executionArn"] not in known]
            return fresh[-1] if fresh else None

        return wait_for(f"an event starts {machine}", look, seconds)

    def known(self, machine: names.Machine) -> list[str]:
        """Return the ARNs of a machine's executions up to now."""
        return [one["executionArn"] for one in self.executions(machine)]

    @contextmanager
    def deaf(self, target: names.Machine, to: str) -> Iterator[None]:
        """Let a machine not start on an event as long as the block lasts."""
        events = self.cloud.client("events")
        rules = [
            rule["Name"]
            for rule in events.list_rules()["Rules"]
            if to in rule.get("EventPattern", "")
            and any(
                one["Arn"] == self.cloud.state_machine_arn(target)
                for one in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            )
        ]
        assert rules, f"no rule starts {target} on {to}"
        for name in rules:
            events.disable_rule(Name=name)
        try:
            yield
        finally:
            for name in rules:
                events.enable_rule(Name=name)

    # --- storage -------------------------------------------------------------------------------
    def put(self, room: names.Room, key: str, body: bytes) -> None:
        """Write an object."""
        self.cloud.client("s3").put_object(Bucket=self.cloud.bucket(room), Key=key, Body=body)

    def read(self, uri: str) -> bytes:
        """Read an object by its URI."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def lines(self, uri: str) -> list[dict[str, Any]]:
        """Read JSON lines."""
        return [json.loads(line) for line in self.read(uri).splitlines()]

    def keys(self, room: names.Room, prefix: str) -> list[str]:
        """List keys."""
        pages = self.cloud.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.cloud.bucket(room), Prefix=prefix)
        return [item["Key"] for page in found for item in page.get("Contents", ())]

    def card(self, dataset: str) -> dict[str, Any]:
        """Read a dataset's card."""
        card: dict[str, Any] = json.loads(self.read(f"s3://{self.cloud.bucket('datasets')}/{dataset}/card.json"))
        return card

    # --- people --------------------------------------------------------------------------------
    @property
    def portal_url(self) -> str:
        """Address of the labeling portal."""
        return str(self.description["labeling_url"])

    @property
    def pool(self) -> str:
        """The user pool that everyone is in."""
        pools = self.cloud.client("cognito-idp").list_user_pools(MaxResults=10)["UserPools"]
        return str(pools[0]["Id"])

    def sign_in(self, person: str) -> PortalClient:
        """Return a person of the settings on a device of their own, signed in through the hosted pages."""
        self.cloud.client("cognito-idp").admin_set_user_password(
            UserPoolId=self.pool, Username=person, Password=PASSWORD, Permanent=True
        )
        return PortalClient.signed_in(self.portal_url, person, PASSWORD)

    @cached_property
    def members(self) -> list[PortalClient]:
        """All annotators of the settings, signed in once."""
        return [self.sign_in(member) for member in self.cloud.settings.labeling.members]

    @cached_property
    def owner(self) -> PortalClient:
        """The owner of the settings."""
        return self.sign_in(self.cloud.settings.labeling.owners[0])

    def job(self, name: str) -> dict[str, Any]:
        """Return a labeling job as its owner sees it in the list; empty while there is none."""
        found = [row for row in self.owner.get("/api/owner/jobs")["jobs"] if row["job"] == name]
        return found[0] if found else {}

    def open_job(self, name: str) -> dict[str, Any]:
        """Wait until people can label a job."""
        return wait_for(f"{name} is open", lambda: job if (job := self.job(name)).get("state") == "open" else None, 120)

    def shown(self, job: str) -> dict[str, str]:
        """Return what each display copy of a job shows, by its SHA-256."""
        # Tests upload photos of their own; whatever these show, nobody trains on it.
        return shown_truth(self.cloud, job, defaultdict(lambda: "not-for-training", self.categories))

    def answers(
        self, person: PortalClient, job: str, truth: dict[str, str], limit: int = 10, seen: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Lease some tasks as a person, look at their photos, and return truthful answers.

        ``seen`` holds what items show: their photos are not looked at again.
        """
        seen = {} if seen is None else seen
        tasks = person.lease(job, limit).tasks
        for task in tasks:
            if task.item not in seen:
                seen[task.item] = truth[hashlib.sha256(person.photo(task.photo or "")).hexdigest()]
        return [label(task.item, seen[task.item]) for task in tasks]

    def label(self, job: str, *, until: int | None = None, leave: int = 0, seconds: float = 240.0) -> int:
        """Answer truthfully, as every member in turn, until the job has ended or ``until`` of its items are done.

        More may be done then: items with one answer are, all at once, when people are known well enough. ``leave`` open
        items nobody answers.

        Returns how many answers were accepted.
        """
        with self._held(job, leave) as people:
            return self._label(job, people, until, seconds)

    @contextmanager
    def _held(self, job: str, items: int) -> Iterator[Sequence[PortalClient]]:
        """Let some members hold items as long as the block lasts, so that no one else gets them; give who is left."""
        held: list[list[str]] = []
        for place in range(0, items, LEASED):
            if place % work.MOST_HELD == 0:
                held.append([])
            limit = min(LEASED, items - place)
            held[-1] += [task.item for task in self.members[len(held) - 1].lease(job, limit, held[-1]).tasks]
        assert sum(map(len, held)) == items, f"{job} has fewer open items"
        try:
            yield self.members[len(held) :]
        finally:
            for person, theirs in zip(self.members, held, strict=False):
                person.release(job, theirs)

    def _label(self, job: str, people: Sequence[PortalClient], until: int | None, seconds: float) -> int:
        truth, seen, accepted, deadline = self.shown(job), dict[str, str](), 0, time.monotonic() + seconds
        while True:
            asked = 0
            for person in people:
                assert time.monotonic() < deadline, f"{job}: labeling takes longer than {seconds:.0f} s"
                limit = LEASED if until is None else min(LEASED, until - self.job(job)["done"])
                if limit <= 0:
                    return accepted
                if answers := self.answers(person, job, truth, limit, seen):
                    asked += len(answers)
                    accepted += sum(one["status"] == "accepted" for one in person.record(job, answers))
            if not asked:
                if until is None and self.job(job)["state"] in ("complete", "stopped"):
                    return accepted
                time.sleep(0.3)

    def labels(self, job: str) -> str:
        """Return where a job's output manifest is."""
        return output_manifest(self.cloud, job)

    def labeled(self, uri: str) -> dict[str, str]:
        """Return the labels of a manifest by photo."""
        attribute = self.cloud.settings.labeling.label_attribute
        return {
            line["source-ref"]: line[f"{attribute}-metadata"]["class-name"]
            for line in self.lines(uri)
            if attribute in line
        }

    def mail_to(self, address: str) -> str:
        """Return the newest mail that was sent to an address."""
        sent = httpx.get(f"{self.description['endpoint_url']}/_ministack/ses/messages", trust_env=False, timeout=20)
        mails = [mail for some in sent.json()["messages"].values() for mail in some if address in mail["To"]]
        return str(mails[-1]["BodyHtml"] or mails[-1]["BodyText"])

    # --- the command line ------------------------------------------------------------------------
    def menulens(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the ``menulens`` command."""
        return run_menulens(self.state, *arguments)


def config_of(state: Path) -> Path:
    """Return the folder of a local cloud's settings."""
    return state.parent / "config"


def run_menulens(state: Path, *arguments: str, seconds: float = 400.0) -> subprocess.CompletedProcess[str]:
    """Run the ``menulens`` command with a state folder and settings of its own."""
    own = {"MENULENS_STATE": str(state), "COLUMNS": "160"}
    environment = {CONFIG_VARIABLE: str(config_of(state)), **os.environ, **own}
    return subprocess.run(
        [*MENULENS, *arguments], env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )

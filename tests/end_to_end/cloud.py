"""What an operator and a team would do, over the same interfaces: start executions, sign in, answer, wait."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from menulens.cloud import Cloud
from menulens.core import names

MENULENS = [str(Path(sys.executable).parent / "menulens")]
PASSWORD = "Correct-horse-7-battery"
Found = TypeVar("Found")
NO_DISH = "not-for-training"
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

    def rule(self, target: names.Machine, *, listens_for: str, on: bool) -> None:
        """Switch the rules that start a machine on an event on or off."""
        events = self.cloud.client("events")
        switched = 0
        for rule in events.list_rules()["Rules"]:
            targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            to_machine = any(one["Arn"] == self.cloud.state_machine_arn(target) for one in targets)
            if to_machine and listens_for in rule.get("EventPattern", ""):
                (events.enable_rule if on else events.disable_rule)(Name=rule["Name"])
                switched += 1
        assert switched, f"no rule starts {target} on {listens_for}"

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
    def sign_in(self, member: str) -> httpx.Client:
        """Return a signed-in client of the labeling page."""
        pools = self.cloud.client("cognito-idp")
        pool = pools.list_user_pools(MaxResults=10)["UserPools"][0]["Id"]
        pools.admin_set_user_password(UserPoolId=pool, Username=member, Password=PASSWORD, Permanent=True)
        client = httpx.Client(base_url=self.description["labeling_url"], timeout=60)
        answer = client.post("/api/sign-in", json={"username": member, "password": PASSWORD})
        assert answer.status_code == httpx.codes.OK, answer.text
        client.headers["authorization"] = f"Bearer {answer.json()['token']}"
        return client

    def label(self, job: str, *, at_most: int | None = None, seconds: float = 180.0) -> int:
        """Answer truthfully, as every member in turn, until the job has ended or ``at_most`` photos are labeled by all.

        Returns how many answers were accepted.
        """
        people = [self.sign_in(member) for member in self.cloud.settings.labeling.members]
        wanted = self.cloud.settings.labeling.workers_per_photo
        answered, deadline = 0, time.monotonic() + seconds
        while at_most is None or answered < at_most * wanted:
            assert time.monotonic() < deadline, f"{job}: labeling takes longer than {seconds:.0f} s"
            asked = 0
            for person in people[:wanted] if at_most is not None else people:
                for task in person.get("/api/tasks", params={"limit": 5}).json()["tasks"]:
                    if task["job"] != job:
                        continue
                    asked += 1
                    photo = person.get(task["photo_url"]).content
                    said = self.truth.get(hashlib.sha256(photo).hexdigest(), NO_DISH)
                    answered += person.post(f"/api/tasks/{task['id']}", json={"answer": said}).is_success
            if self.labeling_job(job)["LabelingJobStatus"] in ("Completed", "Stopped", "Failed"):
                break
            if not asked:
                time.sleep(0.3)
        for person in people:
            person.close()
        return answered

    def labeling_job(self, name: str) -> dict[str, Any]:
        """Describe a labeling job."""
        told: dict[str, Any] = self.cloud.client("sagemaker").describe_labeling_job(LabelingJobName=name)
        return told

    # --- the command line ------------------------------------------------------------------------
    def menulens(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the ``menulens`` command."""
        return run_menulens(self.state, *arguments)


def run_menulens(state: Path, *arguments: str, seconds: float = 400.0) -> subprocess.CompletedProcess[str]:
    """Run the ``menulens`` command with a state folder of its own."""
    environment = {**os.environ, "MENULENS_STATE": str(state), "COLUMNS": "160"}
    return subprocess.run(
        [*MENULENS, *arguments], env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )

"""Watch the chain work: the demo starts one execution, and everything after it follows from events."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from menulens.cloud import Cloud
from menulens.core import names

POLL_SECONDS = 0.5
APPEAR_SECONDS = 120.0
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
_EPOCH = re.compile(r'"phase": "(head|fine-tune)", "epoch"')


class StageError(Exception):
    """A stage of the chain failed; the message says which, why, and where its log is."""


@dataclass(frozen=True)
class Execution:
    """An execution of a state machine that has ended well."""

    machine: names.Machine
    arn: str
    began: datetime
    ended: datetime
    output: dict[str, Any]


@dataclass(frozen=True)
class Look:
    """How far a running stage is: ``done`` of ``total`` (None: not known), and what it is doing."""

    done: float = 0.0
    total: float | None = None
    doing: str = ""


Tell = Callable[[Look], None]


@dataclass
class Watcher:
    """Looks at one environment's executions and jobs since a moment."""

    cloud: Cloud
    since: datetime
    state: Path

    def executions(self, machine: names.Machine) -> list[dict[str, Any]]:
        """Return a machine's executions since then, the newest first."""
        states = self.cloud.client("stepfunctions")
        found = states.list_executions(stateMachineArn=self.cloud.state_machine_arn(machine), maxResults=20)
        return [one for one in found["executions"] if one["startDate"] >= self.since]

    def wait(self, machine: names.Machine, look: Callable[[], Look], tell: Tell, patience: float) -> Execution:
        """Wait for a machine's executions to begin and to end; return the one that did the work.

        Raises
        ------
        StageError
            If none begins in time, it does not end in time, or it fails.
        """
        began = time.monotonic()
        while not (found := self.executions(machine)):
            if time.monotonic() - began > APPEAR_SECONDS:
                raise StageError(
                    f"{machine}: nothing started it within {APPEAR_SECONDS:.0f} s; the event before it, or its rule, "
                    f"is missing. Server log: {self.state / 'server.log'}"
                )
            tell(Look(doing="waiting for its event"))
            time.sleep(POLL_SECONDS)
        states = self.cloud.client("stepfunctions")
        while any(one["status"] not in ENDED for one in found):
            if time.monotonic() - began > patience:
                raise StageError(
                    f"{machine}: not ended after {patience:.0f} s; its execution is {found[-1]['executionArn']}. "
                    f"Server log: {self.state / 'server.log'}"
                )
            tell(look())
            time.sleep(POLL_SECONDS)
            found = self.executions(machine)
        if (failure := self.failed(machine)) is not None:
            raise StageError(failure)
        # An event may come twice; the execution that found the work done already is the short one.
        main = max(found, key=lambda one: one["stopDate"] - one["startDate"])
        told = states.describe_execution(executionArn=main["executionArn"])
        output = json.loads(told.get("output") or "{}")
        return Execution(machine, main["executionArn"], told["startDate"], told["stopDate"], output)

    def failed(self, machine: names.Machine) -> str | None:
        """Return what became of a machine's execution if it has failed already."""
        for one in self.executions(machine):
            if one["status"] in ENDED and one["status"] != "SUCCEEDED":
                return self._failure(
                    machine, self.cloud.client("stepfunctions").describe_execution(executionArn=one["executionArn"])
                )
        return None

    def training_job(self) -> dict[str, Any] | None:
        """Return the training job of this run, as described; None before it is there."""
        sagemaker = self.cloud.client("sagemaker")
        jobs = sagemaker.list_training_jobs(SortBy="CreationTime", SortOrder="Descending")["TrainingJobSummaries"]
        recent = [job for job in jobs if job["CreationTime"] >= self.since]
        if not recent:
            return None
        described: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=recent[0]["TrainingJobName"])
        return described

    def training(self, epochs: int) -> Look:
        """Tell how far training is, from its status and its log."""
        job = self.training_job()
        if job is None:
            return Look(doing="preparing")
        done = min(sum(bool(_EPOCH.search(line)) for line in self._log(job["TrainingJobName"])), epochs)
        return Look(done, epochs, f"{str(job['SecondaryStatus']).lower()}, epoch {done} of {epochs} done")

    def serving(self) -> Look:
        """Tell what the endpoint is doing."""
        try:
            told = self.cloud.client("sagemaker").describe_endpoint(
                EndpointName=names.endpoint(self.cloud.settings.environment)
            )
        except ClientError:
            return Look(doing="preparing")
        return Look(doing=f"endpoint {told['EndpointStatus'].lower()}")

    def vectorising(self) -> Look:
        """Tell what the transform job is doing."""
        jobs = self.cloud.client("sagemaker").list_transform_jobs(SortBy="CreationTime", SortOrder="Descending")
        recent = [job for job in jobs["TransformJobSummaries"] if job["CreationTime"] >= self.since]
        if not recent:
            return Look(doing="packing photos")
        return Look(doing=f"transform job {recent[0]['TransformJobStatus'].lower()}")

    def _log(self, job: str) -> list[str]:
        """Return a training job's log lines, as CloudWatch Logs has them."""
        logs = self.cloud.client("logs")
        lines: list[str] = []
        try:
            group = "/aws/sagemaker/TrainingJobs"
            for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=job)["logStreams"]:
                name = stream["logStreamName"]
                token: str | None = None
                while True:
                    more: dict[str, str] = {} if token is None else {"nextToken": token}
                    page = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True, **more)
                    lines += [event["message"] for event in page["events"]]
                    if not page["events"] or page["nextForwardToken"] == token:
                        break
                    token = page["nextForwardToken"]
        except ClientError:
            return lines  # no log yet
        return lines

    def _failure(self, machine: str, told: dict[str, Any]) -> str:
        cause = str(told.get("cause") or "no cause given")
        try:
            parsed = json.loads(cause)
            cause = str(parsed.get("FailureReason") or parsed.get("errorMessage") or cause)
        except (ValueError, AttributeError):
            pass  # plain text is what it is
        where = "menulens local logs, " + str(self.state / "server.log")
        return f"{machine}: {told['status']}: {told.get('error') or 'no error name'}: {cause[-1500:]}\nLogs: {where}"

"""What the commands of ``menulens label`` work with: the portal and the state machines of an environment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from menulens.cloud import Cloud, connect
from menulens.core import names
from menulens.portal import jobs, members, work
from menulens.portal.context import Portal, portal_of
from menulens.portal.model import Job, Person
from menulens.settings import settings_of

_LOOK_SECONDS: Final = 0.5


class LabelingError(Exception):
    """An execution that did not do what was asked; the message has its reason."""


class _Session:
    """Gives the portal its clients from a cloud, with the portal's own configuration."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def client(self, service: str, config: Config | None = None) -> Any:
        return self._cloud.session.client(service, endpoint_url=self._cloud.endpoint_url, config=config)


@dataclass(frozen=True)
class Labeling:
    """The labeling of one environment."""

    cloud: Cloud
    portal: Portal

    def addresses(self) -> Mapping[str, str]:
        """Return the e-mail addresses of members and owners, by id; none where the user pool can't be read."""
        environment = self.cloud.settings.environment
        client, name = self.cloud.client("cognito-idp"), f"{names.prefix(environment)}-annotators"
        try:
            pages = client.get_paginator("list_user_pools").paginate(MaxResults=60)
            pool = next((one["Id"] for page in pages for one in page["UserPools"] if one["Name"] == name), None)
        except (BotoCoreError, ClientError):
            pool = None  # a role without this permission sees ids
        groups = [names.annotators(environment), names.owners(environment)]
        return members.Names(client, pool, groups) if pool else {}

    def start(self, machine: names.Machine, given: Mapping[str, Any]) -> str:
        """Start a state machine and return the execution's ARN."""
        started = self.cloud.client("stepfunctions").start_execution(
            stateMachineArn=self.cloud.state_machine_arn(machine), input=json.dumps(given, ensure_ascii=False)
        )
        return str(started["executionArn"])

    def people(self, job: str) -> list[Person]:
        """Return everybody who has had work of a job, called by their addresses."""
        called = self.addresses()
        known = work.people(self.portal, job)
        return [replace(one, name=called.get(one.id) or one.name) for one in known]

    def opened(self, execution: str, told: Callable[[str], None]) -> Job:
        """Wait until an execution of ``label`` has opened its job, and return it.

        Raises
        ------
        LabelingError
            If it ends without one.
        """
        while True:
            state = self.cloud.client("stepfunctions").describe_execution(executionArn=execution)
            name = self._job_name(execution)
            job = jobs.find(self.portal, name) if name else None
            if job is not None and job.state != "creating":
                return job
            if state["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                raise LabelingError(self._reason(state))
            if name:
                told(f"Making display copies for {name}")
            time.sleep(_LOOK_SECONDS)

    def ended(self, execution: str) -> dict[str, Any]:
        """Wait for an execution's end and return its output.

        Raises
        ------
        LabelingError
            If it fails.
        """
        while True:
            state = self.cloud.client("stepfunctions").describe_execution(executionArn=execution)
            if state["status"] == "SUCCEEDED":
                answer = json.loads(state["output"])
                return answer if isinstance(answer, dict) else {}
            if state["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                raise LabelingError(self._reason(state))
            time.sleep(_LOOK_SECONDS)

    def _job_name(self, execution: str) -> str:
        """Return the job's name as the execution's states know it by now; empty before."""
        pages = self.cloud.client("stepfunctions").get_paginator("get_execution_history")
        for page in pages.paginate(executionArn=execution, includeExecutionData=True):
            for event in page["events"]:
                text = event.get("stateExitedEventDetails", {}).get("output")
                value = json.loads(text) if text else {}
                name = value.get("job_name") if isinstance(value, dict) else None
                if isinstance(name, str) and name:
                    return name
        return ""

    @staticmethod
    def _reason(state: Mapping[str, Any]) -> str:
        cause = state.get("cause") or state.get("output") or ""
        try:
            told = json.loads(cause)
        except ValueError:
            told = {}
        message = told.get("errorMessage", cause) if isinstance(told, dict) else cause
        return f"The execution ended {state['status'].lower()}: {state.get('error', '')} {message}".strip()


def open_labeling(environment: str) -> Labeling:
    """Return the labeling of an environment.

    Raises
    ------
    menulens.cloud.CloudError
        If the environment is ``local`` and no local cloud is up.
    """
    cloud = connect(settings_of(environment))
    portal = portal_of(
        _Session(cloud),
        environment=environment,
        table=names.labeling_table(environment),
        answers_bucket=cloud.bucket("answers"),
        labels_bucket=cloud.bucket("labels"),
    )
    return Labeling(cloud, portal)

"""Where the verbs run: the local cloud for the environment ``local``, an AWS account for every other."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from menulens.core import names
from menulens.settings import Settings

LOCAL_ENVIRONMENT = "local"
LOCAL_STATE = Path(os.environ.get("MENULENS_STATE", ".menulens"))
STATE_VARIABLE = "MENULENS_STATE"  # an environment variable that names another state folder


class CloudError(Exception):
    """The cloud that a command needs can't be reached; the message says what to do."""


@dataclass(frozen=True)
class Cloud:
    """One environment in one cloud: clients, and the names of what is deployed there."""

    settings: Settings
    session: boto3.Session
    endpoint_url: str | None

    @cache  # noqa: B019 (a Cloud lives as long as the command)
    def client(self, service: str) -> Any:
        """Return a boto3 client for a service."""
        config = Config(retries={"mode": "standard", "max_attempts": 5})
        if self.endpoint_url:
            config = config.merge(Config(proxies={}))  # the local cloud is on this machine, where no proxy leads
        return self.session.client(service, endpoint_url=self.endpoint_url, config=config)

    @cached_property
    def account(self) -> str:
        """The account's number."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def bucket(self, room: names.Room) -> str:
        """Return the bucket of a room; the photo bucket may be an imported one."""
        if room == "photos" and self.settings.photos.bucket:
            return self.settings.photos.bucket
        return names.bucket(self.settings.environment, room, self.account, self.settings.region)

    def state_machine_arn(self, machine: names.Machine) -> str:
        """Return the ARN of a state machine."""
        return names.state_machine_arn(self.settings.environment, machine, self.account, self.settings.region)


def connect(settings: Settings) -> Cloud:
    """Return the cloud of an environment.

    Raises
    ------
    CloudError
        If the environment is ``local`` and no local cloud is up.
    """
    if settings.environment != LOCAL_ENVIRONMENT:
        return Cloud(settings, boto3.Session(region_name=settings.region), None)
    try:
        state = json.loads((Path(os.environ.get(STATE_VARIABLE, LOCAL_STATE)) / "cloud.json").read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        raise CloudError("No local cloud is up here. Start one: menulens local up") from None
    session = boto3.Session(
        aws_access_key_id=state["access_key"], aws_secret_access_key=state["access_key"], region_name=settings.region
    )
    return Cloud(settings, session, state["endpoint_url"])

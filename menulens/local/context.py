"""What every part of the SageMaker service shares."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from menulens.local.config import LocalConfig
from menulens.local.errors import invalid
from menulens.local.events import Events

Params = dict[str, Any]
Operation = Callable[[Params], Params]


class Tags:
    """Tags of every resource, by ARN."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, str]] = {}

    def set(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        """Add tags, given as a list of Key and Value."""
        self._tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags or ()})

    def of(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource."""
        return dict(self._tags.get(arn, {}))

    def listed(self, arn: str) -> list[dict[str, str]]:
        """Return the tags of a resource as a list of Key and Value."""
        return [{"Key": key, "Value": value} for key, value in self.of(arn).items()]

    def drop(self, arn: str) -> None:
        """Forget a deleted resource."""
        self._tags.pop(arn, None)

    def operations(self) -> dict[str, Operation]:
        """Return the operations on tags."""
        return {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def _known(self, params: Params) -> dict[str, str]:
        arn = params["ResourceArn"]
        if arn not in self._tags:
            raise invalid(f"Could not find resource {arn!r}.")
        return self._tags[arn]

    def _add(self, params: Params) -> Params:
        self._known(params)
        self.set(params["ResourceArn"], params["Tags"])
        return {"Tags": self.listed(params["ResourceArn"])}

    def _list(self, params: Params) -> Params:
        self._known(params)
        return {"Tags": self.listed(params["ResourceArn"])}

    def _delete(self, params: Params) -> Params:
        tags = self._known(params)
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}


class Context:
    """Settings, events, tags, a clock in seconds since 1970, and one lock over all records."""

    def __init__(self, config: LocalConfig, events: Events, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.events = events
        self.clock = clock
        self.tags = Tags()
        self.lock = threading.RLock()
        self.ending = threading.Event()  # the cloud goes down: supervisors stop what they watch

    def folder(self, *parts: str) -> Path:
        """Return a folder under the state folder, made when missing."""
        path = self.config.state.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

"""What every function of the portal is given: the table, the buckets, the event bus, the clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.config import Config

from menulens.core import deployed, keys
from menulens.portal.table import Table
from menulens.storage import Storage

LABELING_TABLE: Final = "LABELING_TABLE"
ANSWERS_BUCKET: Final = "ANSWERS_BUCKET"
ENVIRONMENT: Final = "ENVIRONMENT"

# Short: a person waits. What is sent twice by a retry is written once, by the conditions of its writes.
CLIENT_CONFIG: Final = Config(
    connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 4}, max_pool_connections=32
)


@dataclass(frozen=True, slots=True)
class Portal:
    """The portal of one environment.

    Attributes
    ----------
    s3
        The client behind ``storage``, for conditional writes.
    events, step_functions
        Clients; None where nobody listens.
    clock
        Seconds since 1970.
    """

    environment: str
    table: Table
    storage: Storage
    s3: Any
    answers_bucket: str
    labels_bucket: str
    events: Any = None
    step_functions: Any = None
    clock: Callable[[], float] = field(default=time.time)

    def emit(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Tell the default event bus; what listens does the work of an event once, however often it comes.

        Raises
        ------
        RuntimeError
            If the bus refuses the event.
        """
        if self.events is None:
            return
        body = {keys.ENVIRONMENT: self.environment, **detail}
        answer = self.events.put_events(
            Entries=[{"Source": keys.EVENT_SOURCE, "DetailType": kind, "Detail": json.dumps(body, ensure_ascii=False)}]
        )
        if answer.get("FailedEntryCount"):
            raise RuntimeError(f"{kind}: the event bus refused the event: {answer['Entries']}")


def portal_of(session: Any, *, environment: str, table: str, answers_bucket: str, labels_bucket: str) -> Portal:
    """Return a portal through a boto3 session (or the module ``boto3``)."""
    s3 = session.client("s3", config=CLIENT_CONFIG)
    return Portal(
        environment=environment,
        table=Table(session.client("dynamodb", config=CLIENT_CONFIG), table),
        storage=Storage(s3),
        s3=s3,
        answers_bucket=answers_bucket,
        labels_bucket=labels_bucket,
        events=session.client("events", config=CLIENT_CONFIG),
        step_functions=session.client("stepfunctions", config=CLIENT_CONFIG),
    )


def deployed_portal(session: Any) -> Portal:
    """Return the portal that a function's environment variables name.

    They are ``ENVIRONMENT``, ``LABELING_TABLE``, ``ANSWERS_BUCKET`` and ``LABELS_BUCKET``.
    """
    return portal_of(
        session,
        environment=deployed.variable(ENVIRONMENT),
        table=deployed.variable(LABELING_TABLE),
        answers_bucket=deployed.variable(ANSWERS_BUCKET),
        labels_bucket=deployed.variable(deployed.LABELS_BUCKET),
    )

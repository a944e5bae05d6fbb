"""The life cycle that training, transform and labeling jobs share: one thread a job, statuses, events, stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from menulens.local.context import Context
from menulens.local.errors import JobFailedError, ServiceError

_log = logging.getLogger("menulens.local")
_REASON_LENGTH = 1024  # what FailureReason holds


def shorten(reason: str, limit: int = _REASON_LENGTH) -> str:
    """Return a reason that fits, keeping its start and its end: the end is where the error stands."""
    if len(reason) <= limit:
        return reason
    head = limit // 4
    return reason[:head] + " … " + reason[-(limit - head - 3) :]


class Job:
    """A running or ended job.

    Attributes
    ----------
    record
        What Describe answers; changed under the context's lock only.
    done
        Set when the job has ended, whatever the end.
    stopping
        Set when someone asked it to stop.
    """

    def __init__(self, context: Context, *, name: str, kind: str, arn: str, record: dict[str, Any]) -> None:
        self.context = context
        self.name = name
        self.arn = arn
        self.record = record
        self.status_key = f"{kind}JobStatus"
        self.done = threading.Event()
        self.stopping = threading.Event()
        self.created = time.time()

    @property
    def status(self) -> str:
        """Current status."""
        return str(self.record[self.status_key])

    def describe(self) -> dict[str, Any]:
        """Return a copy of the record."""
        with self.context.lock:
            return dict(self.record)

    def update(self, **values: Any) -> None:
        """Change the record; a value of None takes a member away."""
        with self.context.lock:
            for key, value in values.items():
                if value is None:
                    self.record.pop(key, None)
                else:
                    self.record[key] = value
            if "LastModifiedTime" in self.record:
                self.record["LastModifiedTime"] = time.time()

    def start(self, run: Callable[[], str], publish: Callable[[], None], kind: str) -> None:
        """Run the job in a thread of its own; ``run`` returns its last status."""
        thread = threading.Thread(target=self._run, args=(run, publish), daemon=True, name=f"{kind}-{self.name}")
        thread.start()

    def _run(self, run: Callable[[], str], publish: Callable[[], None]) -> None:
        reason: str | None = None
        try:
            status = run()
        except (JobFailedError, ServiceError) as error:
            status, reason = "Failed", str(error)
        except Exception as error:
            _log.exception("job %s", self.arn)
            status, reason = "Failed", f"InternalServerError: {type(error).__name__}: {error}"
        if reason is not None and self.stopping.is_set():
            status, reason = "Stopped", None
        self.finish(status, reason)
        publish()
        self.done.set()

    def finish(self, status: str, reason: str | None) -> None:
        """Set the last status; overridden where a job has more to say."""
        self.update(**{self.status_key: status}, FailureReason=shorten(reason) if reason else None)

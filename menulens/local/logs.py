"""Job output: a file under the state folder, and a stream in the emulator's CloudWatch Logs."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from menulens.local.config import LocalConfig

_SHIP_SECONDS = 0.5
_BATCH = 500
_log = logging.getLogger("menulens.local")


class JobLog:
    """One log stream, written as lines come in; a context manager that ships what is left when it ends."""

    def __init__(self, config: LocalConfig, *, group: str, stream: str, path: Path) -> None:
        self.group, self.stream, self.path = group, stream, path
        self._config = config
        self._pending: deque[tuple[int, str]] = deque()
        self._ended = threading.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._file_lock = threading.Lock()
        self._shipper = threading.Thread(target=self._ship_until_ended, daemon=True, name=f"log-{stream}")
        self._shipper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, line: str) -> None:
        """Append one line."""
        with self._file_lock:
            if not self._file.closed:
                self._file.write(line + "\n")
        self._pending.append((int(time.time() * 1000), line or " "))

    def close(self) -> None:
        """Ship the rest and close the file."""
        if not self._ended.is_set():
            self._ended.set()
            self._shipper.join(5.0)
            with self._file_lock:
                self._file.close()

    def _ship_until_ended(self) -> None:
        created = False
        while True:
            ended = self._ended.wait(_SHIP_SECONDS)
            try:
                if not created:
                    self._create()
                    created = True
                while self._pending:
                    self._ship(self._config.client("logs"))
            except (BotoCoreError, ClientError) as error:
                _log.warning("log stream %s/%s: %s", self.group, self.stream, error)
            if ended:
                return

    def _create(self) -> None:
        client = self._config.client("logs")
        for create, names in (
            (client.create_log_group, {"logGroupName": self.group}),
            (client.create_log_stream, {"logGroupName": self.group, "logStreamName": self.stream}),
        ):
            try:
                create(**names)
            except client.exceptions.ResourceAlreadyExistsException:
                continue

    def _ship(self, client: Any) -> None:
        batch = [self._pending.popleft() for _ in range(min(len(self._pending), _BATCH))]
        client.put_log_events(
            logGroupName=self.group,
            logStreamName=self.stream,
            logEvents=[{"timestamp": when, "message": line} for when, line in batch],
        )

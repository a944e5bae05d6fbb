"""A model container as a process: unpacks model.tar.gz, starts the serving program, waits for ``/ping``."""

from __future__ import annotations

import http.client
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from menulens.local import objects
from menulens.local.config import LocalConfig
from menulens.local.errors import JobFailedError
from menulens.local.processes import Child, describe_exit

_PING_SECONDS = 0.1
_REASON_TAIL = 500


@dataclass(frozen=True)
class Reply:
    """What a container answered."""

    status: int
    body: bytes
    content_type: str
    custom_attributes: str


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ModelServer:
    """One running container of a model.

    Parameters
    ----------
    container
        ``ModelDataUrl`` and ``Environment``.
    folder
        Where the archive is unpacked.
    on_line
        Gets the container's output.
    """

    def __init__(
        self, config: LocalConfig, container: dict[str, Any], folder: Path, on_line: Callable[[str], None]
    ) -> None:
        self._config = config
        self._container = container
        self._folder = folder
        self._on_line = on_line
        self._child: Child | None = None
        self._port = 0

    @property
    def pid(self) -> int | None:
        """Process id of the serving program."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        """Whether the serving program runs."""
        return self._child is not None and self._child.running

    def start(self, gave_up: Callable[[], bool] = lambda: False) -> None:
        """Unpack the model, start the program and wait until it answers ``/ping``.

        Raises
        ------
        JobFailedError
            If the archive can't be used, the program ends, or it does not answer in time.
        """
        if not self._config.serving_python.is_file():
            raise JobFailedError(
                f"ClientError: no serving interpreter at {self._config.serving_python}; make one (make setup), or name "
                "another in MENULENS_SERVING_PYTHON."
            )
        if not self._folder.exists():
            url = self._container.get("ModelDataUrl")
            if not url:
                raise JobFailedError("ClientError: the model has no ModelDataUrl.")
            objects.unpack(objects.read(self._config.client("s3"), url), self._folder, f"model data at {url}")
        self._port = free_port()
        command = [
            str(self._config.serving_python),
            "-m",
            self._config.serving_module,
            "--model-dir",
            str(self._folder),
            "--port",
            str(self._port),
        ]
        env = {
            **self._config.child_environment(),
            "PYTHONPATH": str(self._config.project),
            "SAGEMAKER_BIND_TO_PORT": str(self._port),
            **self._container.get("Environment", {}),
        }
        self._child = Child(command, cwd=self._config.project, env=env, on_line=self._on_line)
        self._await_ping(self._child, gave_up)

    def _await_ping(self, child: Child, gave_up: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._config.start_timeout
        while time.monotonic() < deadline:
            if (code := child.wait(_PING_SECONDS)) is not None:
                raise JobFailedError(
                    "The primary container for production variant did not pass the ping health check: "
                    f"it ended ({describe_exit(code)}). {child.error_tail(_REASON_TAIL)}"
                )
            if gave_up():
                self.stop()
                raise JobFailedError("It was stopped while it started.")
            if self.ping():
                return
        self.stop()
        raise JobFailedError(
            "The primary container for production variant did not pass the ping health check within "
            f"{self._config.start_timeout:.0f} s. {child.error_tail(_REASON_TAIL)}"
        )

    def ping(self) -> bool:
        """Return whether the program says it is well."""
        try:
            return self._request("GET", "/ping", b"", {}, timeout=5.0).status == 200
        except OSError:
            return False

    def invoke(
        self, body: bytes, *, content_type: str, accept: str, custom_attributes: str = "", timeout: float = 60.0
    ) -> Reply:
        """Send one request to ``/invocations``.

        Raises
        ------
        OSError
            If the program can't be reached, or does not answer in time.
        """
        headers = {
            "Content-Type": content_type or "application/octet-stream",
            **({"Accept": accept} if accept else {}),
            **({"X-Amzn-SageMaker-Custom-Attributes": custom_attributes} if custom_attributes else {}),
        }
        return self._request("POST", "/invocations", body, headers, timeout)

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str], timeout: float) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Reply(
                status=response.status,
                body=response.read(),
                content_type=response.getheader("Content-Type", "application/octet-stream"),
                custom_attributes=response.getheader("X-Amzn-SageMaker-Custom-Attributes", ""),
            )
        except http.client.HTTPException as error:
            raise OSError(f"no usable answer: {error!r}") from error
        finally:
            connection.close()

    def stop(self) -> None:
        """End the program."""
        if self._child is not None:
            self._child.stop(min(self._config.stop_grace, 5.0))

    def remove(self) -> None:
        """End the program and delete the unpacked model."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

"""A local cloud's S3 on a free port, and a proxy that cuts connections to it."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from menulens.local.config import ACCOUNT

ClientAt = Callable[[int], Any]


def any_client(port: int) -> Any:
    """Return an S3 client that does not try again by itself, so that what is tested does."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=ACCOUNT,
        config=Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="session")
def s3(port: int) -> Any:
    return any_client(port)


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"storage-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


class CuttingProxy:
    """Passes connections on to a port, and cuts the first ones after so many bytes of answers.

    Attributes
    ----------
    cuts
        Connections still to be cut.
    cut
        Connections that were.
    """

    def __init__(self, target: int, after: int) -> None:
        self._target, self._after = target, after
        self.cuts, self.cut = 0, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # shutdown() wakes the thread that waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        passed = 0
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
                passed += len(data)
                if answers and self.cuts and passed > self._after:
                    self.cuts -= 1
                    self.cut += 1
                    break
        except OSError:
            pass  # the other side is gone, which is what this proxy is for
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                end.close()


@pytest.fixture
def proxy(port: int) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(port, after=1 << 20)
    yield proxy
    proxy.close()

"""Starts menulens.local.serving with the serving environment's own TensorFlow."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = REPOSITORY / ".venv-serving/bin/python"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(model_dir: Path, log: Path) -> Iterator[str]:
    """Give the base URL of a server on a model archive; it has ended when the block ends."""
    assert PYTHON.exists(), f"{PYTHON} is missing: make setup"
    port = free_port()
    with log.open("wb") as output:
        command = [str(PYTHON), "-m", "menulens.local.serving", "--model-dir", str(model_dir), "--port", str(port)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        child = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=model_dir)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 120
        while True:
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            try:
                if requests.get(f"{url}/ping", timeout=2).status_code == 200:
                    break
            except requests.ConnectionError:
                time.sleep(0.2)
        yield url
    finally:
        child.terminate()
        child.wait(timeout=30)

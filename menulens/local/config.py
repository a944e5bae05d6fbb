"""What one local cloud is: its state folder, port, account, and the interpreters that its jobs run in."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "000000000000"
MARKER = "MENULENS_LOCAL_CLOUD"  # an environment variable that every process of a local cloud carries
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class LocalConfig:
    """Settings of one local cloud.

    Attributes
    ----------
    state
        Folder that holds everything this cloud writes.
    port, labeling_port
        Loopback ports of the AWS endpoint and of the labeling page.
    training_python, serving_python
        Interpreters of the training container and of the serving container.
    serving_module
        Module run as ``python -m <module> --model-dir DIR --port N``; answers ``/ping`` and ``/invocations``.
    stop_grace
        Seconds between SIGTERM and SIGKILL when a job is stopped.
    start_timeout
        Seconds that a model container has to answer its first ``/ping``.
    """

    state: Path
    port: int
    labeling_port: int
    region: str = "us-east-1"
    account: str = ACCOUNT
    project: Path = PROJECT
    training_python: Path = PROJECT / ".venv" / "bin" / "python"
    serving_python: Path = PROJECT / ".venv-serving" / "bin" / "python"
    serving_module: str = "menulens.local.serving"
    stop_grace: float = 20.0
    start_timeout: float = 120.0
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def endpoint_url(self) -> str:
        """URL of the AWS endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def labeling_url(self) -> str:
        """URL of the labeling page."""
        return f"http://127.0.0.1:{self.labeling_port}"

    def arn(self, kind: str, name: str) -> str:
        """Return a SageMaker ARN."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name}"

    def client(self, service: str) -> Any:
        """Return a boto3 client of this cloud, made once."""
        with self._lock:
            if service not in self._clients:
                session = boto3.Session(
                    aws_access_key_id=self.account, aws_secret_access_key=self.account, region_name=self.region
                )
                self._clients[service] = session.client(
                    service,
                    endpoint_url=self.endpoint_url,
                    config=Config(
                        max_pool_connections=32,
                        retries={"mode": "standard", "max_attempts": 3},
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[service]

    def child_environment(self) -> dict[str, str]:
        """Return the environment variables that every child process gets."""
        inherited = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", MARKER)
        return {
            **{name: os.environ[name] for name in inherited if name in os.environ},
            MARKER: str(self.state),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": self.account,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONUNBUFFERED": "1",
        }

    @classmethod
    def from_environment(cls) -> LocalConfig:
        """Read the settings that ``menulens local up`` passes to its server."""
        env = os.environ
        overrides: dict[str, Any] = {}
        for name in ("training_python", "serving_python"):
            if value := env.get(f"MENULENS_{name.upper()}"):
                overrides[name] = Path(value)
        if value := env.get("MENULENS_SERVING_MODULE"):
            overrides["serving_module"] = value
        for name in ("stop_grace", "start_timeout"):
            if value := env.get(f"MENULENS_{name.upper()}"):
                overrides[name] = float(value)
        return cls(
            state=Path(env["MENULENS_STATE"]).resolve(),
            port=int(env["GATEWAY_PORT"]),
            labeling_port=int(env["MENULENS_LABELING_PORT"]),
            region=env.get("MINISTACK_REGION", "us-east-1"),
            **overrides,
        )

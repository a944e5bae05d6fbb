"""Starting and ending a local cloud: the server, then the deployment with the real CDK CLI."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from menulens.cloud import LOCAL_ENVIRONMENT, CloudError
from menulens.local.cloud_state import CloudState, ServerRecord
from menulens.local.config import ACCOUNT, MARKER, PROJECT
from menulens.local.hosting import free_port

USUAL_PORT = 4566
_USUAL_LABELING_PORT = 4580
_START_SECONDS = 60.0
_START_ATTEMPTS = 3
_STOP_SECONDS = 12.0
_TAIL = 25
_DEPLOYED = re.compile(r"✅\s+(\S+)")
_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TERM",
    "LD_LIBRARY_PATH",
    "NODE_OPTIONS",
    "NODE_EXTRA_CA_CERTS",
    "MENULENS_CONFIG",
)
_SERVER_SETTINGS = (
    "MENULENS_TRAINING_PYTHON",
    "MENULENS_SERVING_PYTHON",
    "MENULENS_SERVING_MODULE",
    "MENULENS_STOP_GRACE",
    "MENULENS_START_TIMEOUT",
    "SFN_WAIT_SCALE",
    "LOG_LEVEL",
)

# What uv is told of the package index and the way there, as wheels for Lambda assets are installed while synthesizing;
# and where jsii unpacks the CDK.
_FOR_SYNTHESIS = re.compile(
    r"(UV|PIP|SSL_CERT|JSII_RUNTIME_PACKAGE_CACHE)_\w+|(https?|all)_proxy|(HTTPS?|ALL)_PROXY|XDG_CACHE_HOME"
)

Tell = Callable[[str], None]


class LocalCloudError(CloudError):
    """A local cloud that can't be started or deployed to; the message says why and what to do."""


def port_is_free(port: int) -> bool:
    """Return whether a loopback port can be bound."""
    import socket  # noqa: PLC0415 (one use)

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_port(wanted: int | None, usual: int) -> int:
    """Return the port asked for, the usual one, or a free one if the usual one is taken.

    Raises
    ------
    LocalCloudError
        If the port asked for is taken.
    """
    if wanted:
        if not port_is_free(wanted):
            raise LocalCloudError(f"Port {wanted} is taken. Leave --port away for a free one, or name another.")
        return wanted
    return usual if port_is_free(usual) else free_port()


def start_server(state: CloudState, *, port: int | None = None, region: str = "us-east-1") -> ServerRecord:
    """Start the server in the background and wait until it answers.

    A cloud that runs from the same folder must be ended first; what a dead one left is removed here.

    Raises
    ------
    LocalCloudError
        If it ends or does not answer in time; the message holds the end of its log.
    """
    if sys.platform != "linux":
        raise LocalCloudError(
            f"The local cloud runs on Linux; this is {platform.system()}. "
            "On Windows use WSL, on a Mac a Linux virtual machine or container."
        )
    state.end(_STOP_SECONDS)
    state.clear()
    (state.folder / "tmp").mkdir()
    (state.folder / "home").mkdir()
    for _ in range(_START_ATTEMPTS):
        gateway, labeling = choose_port(port, USUAL_PORT), choose_port(None, _USUAL_LABELING_PORT)
        record = _launch(state, gateway, labeling, region)
        if _becomes_ready(record):
            return record
        state.end(0.0)
        if port_is_free(gateway) and port_is_free(labeling):
            break  # the ports were not the reason: nobody took them between the choice and the start
    raise LocalCloudError(f"The local cloud did not start. The end of {state.server_log}:\n{_tail(state.server_log)}")


def _launch(state: CloudState, gateway: int, labeling: int, region: str) -> ServerRecord:
    with state.server_log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "menulens.local.server"],
            cwd=PROJECT,
            env=_server_environment(state, gateway, labeling, region),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record = ServerRecord(process.pid, psutil.Process(process.pid).create_time(), gateway, labeling)
    state.note_server(record)
    return record


def _becomes_ready(record: ServerRecord) -> bool:
    """Wait until the server itself answers: another one may have the port, and answer as well."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        process = record.process
        if process is None:
            return False
        with contextlib.suppress(psutil.Error):
            listening = {one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
            if {record.port, record.labeling_port} <= listening and _answers(
                f"http://127.0.0.1:{record.port}/_ministack/health"
            ):
                return True
        time.sleep(0.1)
    return False


def _server_environment(state: CloudState, port: int, labeling_port: int, region: str) -> dict[str, str]:
    given = {name: os.environ[name] for name in (*_INHERITED, *_SERVER_SETTINGS) if name in os.environ}
    return {
        "LOG_LEVEL": "WARNING",
        **given,
        "HOME": str(state.folder / "home"),
        "TMPDIR": str(state.folder / "tmp"),
        MARKER: str(state.folder),
        "MENULENS_STATE": str(state.folder),
        "MENULENS_LABELING_PORT": str(labeling_port),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "localhost",
        "MINISTACK_REGION": region,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": ACCOUNT,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2.0) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(path: Path, lines: int = _TAIL) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def stop(state: CloudState) -> int:
    """End a local cloud and everything it started; return how many processes there were."""
    return state.end(_STOP_SECONDS)


class Deployment:
    """Deploys the app to a running local cloud with the CDK CLI."""

    def __init__(self, state: CloudState, record: ServerRecord, region: str) -> None:
        self._state = state
        self._record = record
        self._region = region
        self._log = state.folder / "deploy.log"
        self._out = state.folder / "cdk.out"
        self._running: list[subprocess.Popen[str]] = []
        self._cancelled = False
        self._starting = threading.Lock()

    def synthesize(self) -> list[str]:
        """Synthesize the app and return the names of its stacks."""
        context = {"environment": LOCAL_ENVIRONMENT, "portal_address": self._record.labeling_url}
        given = [part for name, value in context.items() for part in ("-c", f"{name}={value}")]
        self._cdk(["synth", "--quiet", *given, "-o", str(self._out)], more=_synthesis_environment())
        manifest = json.loads((self._out / "manifest.json").read_text())
        return [
            name for name, artifact in manifest["artifacts"].items() if artifact["type"] == "aws:cloudformation:stack"
        ]

    def bootstrap(self) -> None:
        """Bootstrap the account, from a folder without an app: the CLI would synthesize one it finds."""
        self._cdk(["bootstrap", f"aws://{ACCOUNT}/{self._region}"], folder=self._state.folder / "home")

    def deploy(self, tell: Tell) -> None:
        """Deploy every stack; ``tell`` gets the name of each when it is done."""

        def watch(line: str) -> None:
            if match := _DEPLOYED.search(line):
                tell(match[1])

        self._cdk(["deploy", "--all", "--require-approval", "never", "-a", str(self._out), "--concurrency", "2"], watch)

    def cancel(self) -> None:
        """End what runs and let nothing more start, so that whoever waits for it goes on."""
        with self._starting:
            self._cancelled = True
            for process in self._running:
                if process.poll() is None:
                    process.kill()

    def stage_backbone(self, name: str) -> None:
        """Bring a backbone into the models bucket, in a process of its own: it imports TensorFlow."""
        code = "import sys; from menulens.cli import app; app(sys.argv[1:])"
        self._run([sys.executable, "-c", code, "backbone", "stage", name, "--environment", LOCAL_ENVIRONMENT])

    def _cdk(
        self,
        arguments: Sequence[str],
        watch: Tell = lambda _: None,
        folder: Path = PROJECT,
        more: Mapping[str, str] | None = None,
    ) -> None:
        cli = PROJECT / "node_modules" / ".bin" / "cdk"
        if not cli.exists():
            raise LocalCloudError(f"The CDK CLI is not installed at {cli}. Run: make setup")
        self._run([str(cli), *arguments, "--ci"], watch, folder, more)

    def _run(
        self,
        command: list[str],
        watch: Tell = lambda _: None,
        folder: Path = PROJECT,
        more: Mapping[str, str] | None = None,
    ) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            with self._starting:
                if self._cancelled:
                    raise LocalCloudError(f"{' '.join(command)} was not started: the deployment was cancelled.")
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**(more or {}), **self._environment()},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
                self._running.append(process)
            for line in process.stdout or ():
                log.write(line)
                watch(line)
            code = process.wait()
        if code:
            raise LocalCloudError(f"{' '.join(command)} failed. The end of {self._log}:\n{_tail(self._log)}")

    def _environment(self) -> dict[str, str]:
        given = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {
            **given,
            # The CLI caches access key → account in its home folder; one of a real account must never be used here.
            "HOME": str(self._state.folder / "home"),
            "TMPDIR": str(self._state.folder / "tmp"),
            MARKER: str(self._state.folder),
            "MENULENS_STATE": str(self._state.folder),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._record.port}",
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": ACCOUNT,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
            "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }


def _synthesis_environment() -> dict[str, str]:
    """Return what uv is told, and the caches of uv and jsii: they would look for them in the home folder given."""
    given = {name: value for name, value in os.environ.items() if _FOR_SYNTHESIS.fullmatch(name)}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = {
        "UV_CACHE_DIR": str(cache / "uv"),
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(cache / "aws" / "jsii" / "package-cache"),
    }
    return {**kept, **given}


def cloud_description(record: ServerRecord, region: str) -> dict[str, Any]:
    """Return what cloud.json says of a ready cloud."""
    return {
        "endpoint_url": f"http://127.0.0.1:{record.port}",
        "labeling_url": record.labeling_url,
        "region": region,
        "account": ACCOUNT,
        "access_key": ACCOUNT,
        "pid": record.pid,
        "started": record.started,
    }

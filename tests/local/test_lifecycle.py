"""Starting and ending a local cloud: nothing is left behind, and what a dead one left is replaced."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from menulens.cli import local
from menulens.local import ministack_hooks as hooks
from menulens.local.cloud_state import CloudState, ServerRecord
from menulens.local.config import MARKER
from menulens.local.errors import ServiceError
from menulens.local.hosting import free_port
from menulens.local.lifecycle import (
    Deployment,
    LocalCloudError,
    choose_port,
    cloud_description,
    port_is_free,
    start_server,
    stop,
)
from menulens.local.validation import validate
from tests.local.conftest import Room, Training, wait_until

SLEEPER = "import time\ntime.sleep(600)"


@pytest.fixture
def state(tmp_path: Path) -> CloudState:
    return CloudState(tmp_path / "state")


def _sleep_with_marker(state: CloudState) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SLEEPER], env={**os.environ, MARKER: str(state.folder)})


def should_start_nothing_any_more_once_it_is_cancelled(state: CloudState) -> None:
    state.folder.mkdir(parents=True)
    deployment = Deployment(state, ServerRecord(os.getpid(), 0.0, free_port(), free_port()), "us-east-1")
    deployment.cancel()
    with pytest.raises(LocalCloudError, match="was not started: the deployment was cancelled"):
        deployment.bootstrap()
    assert len((state.folder / "deploy.log").read_text().splitlines()) == 1, "what was due, and nothing of what it said"


def should_find_every_extension_point_of_ministack() -> None:
    hooks.check()


def should_name_an_extension_point_that_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("ministack.services.stepfunctions._SERVICE_DISPATCH")
    with pytest.raises(hooks.ExtensionPointError, match=r"_SERVICE_DISPATCH.*1\.5\.33"):
        hooks.check()


@pytest.mark.parametrize(
    "name",
    [
        "services.cloudfront._fetch_from_origin",
        "services.cognito._issue_auth_code_redirect",
        "services.cognito._fake_token",
        "services.stepfunctions._stop_execution",
    ],
)
def should_name_a_function_that_moved(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(f"ministack.{name}", lambda: None)
    with pytest.raises(hooks.ExtensionPointError, match=name.replace(".", r"\.")):
        hooks.check()


def should_pin_the_version_that_the_hooks_are_written_for() -> None:
    assert version("ministack") == hooks.VERSION


def should_leave_no_process_port_or_fifo_behind(state: CloudState) -> None:
    record = start_server(state)
    state.note_ready(cloud_description(record, "us-east-1"))
    assert state.cloud()
    orphan = _sleep_with_marker(state)
    jobs = state.folder / "jobs"
    jobs.mkdir(exist_ok=True)
    os.mkfifo(jobs / "train_0")
    assert stop(state) >= 2
    orphan.wait(5)
    assert not psutil.pid_exists(record.pid) or psutil.Process(record.pid).status() == psutil.STATUS_ZOMBIE
    assert port_is_free(record.port)
    assert port_is_free(record.labeling_port)
    assert state.fifos() == []
    assert state.processes() == []
    assert not state.cloud_file.exists()


def should_kill_a_server_that_does_not_end(state: CloudState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("menulens.local.lifecycle._STOP_SECONDS", 0.5)
    record = start_server(state)
    os.kill(record.pid, signal.SIGSTOP)
    stop(state)
    assert record.process is None
    assert port_is_free(record.port)


def should_replace_what_a_killed_cloud_left(state: CloudState) -> None:
    first = start_server(state)
    state.note_ready(cloud_description(first, "us-east-1"))
    os.kill(first.pid, signal.SIGKILL)
    orphan = _sleep_with_marker(state)
    psutil.wait_procs([psutil.Process(first.pid)], timeout=5)
    assert state.cloud() is None
    second = start_server(state)
    try:
        orphan.wait(5)
        assert second.pid != first.pid
        assert not state.cloud_file.exists()
    finally:
        stop(state)


def should_not_take_another_process_for_its_server(state: CloudState) -> None:
    state.folder.mkdir()
    bystander = subprocess.Popen([sys.executable, "-c", SLEEPER])
    try:
        state.note_server(ServerRecord(bystander.pid, started=time.time() - 86_400, port=1, labeling_port=2))
        assert state.running() is None
        stop(state)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def should_delete_only_what_it_made(state: CloudState) -> None:
    state.folder.mkdir()
    (state.folder / "diary.txt").write_text("mine")
    (state.folder / "jobs").mkdir()
    state.clear()
    assert [path.name for path in state.folder.iterdir()] == ["diary.txt"]


def should_find_another_port_when_the_usual_one_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert choose_port(None, port) != port
        with pytest.raises(LocalCloudError, match=f"Port {port} is taken"):
            choose_port(port, 4566)


def should_say_why_the_server_did_not_start(state: CloudState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENULENS_STOP_GRACE", "soon")
    with pytest.raises(LocalCloudError, match="could not convert string to float"):
        start_server(state)
    assert state.processes() == []


def should_refuse_members_that_the_service_model_does_not_have() -> None:
    with pytest.raises(ServiceError, match="Unknown member 'speed'"):
        validate("DescribeEndpoint", {"EndpointName": "a", "Speed": 1})


def should_read_no_half_written_state(state: CloudState) -> None:
    state.folder.mkdir()
    (state.folder / "server.json").write_text(json.dumps({"pid": 1})[:5])
    assert state.server() is None


def should_show_what_runs_and_what_it_said(cloud: Room, training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    record = cloud.state.running()
    assert record
    cloud.state.note_ready(cloud_description(record, "us-east-1"))
    name = training.start("print('seen by those who look')")
    training.ended(name)
    folder = ["--state", str(cloud.state.folder)]
    shown = CliRunner().invoke(local.app, ["status", *folder])
    assert shown.exit_code == 0, shown.output
    assert f"http://127.0.0.1:{record.port}" in shown.output
    assert "Completed" in shown.output

    def logged() -> bool:
        return "seen by those who look" in CliRunner().invoke(local.app, ["logs", name, *folder]).output

    wait_until(logged)
    nothing = CliRunner().invoke(local.app, ["logs", "no-such-job", *folder])
    assert "no-such-job" in str(nothing.exception)
    absent = CliRunner().invoke(local.app, ["status", "--state", str(cloud.state.folder / "nowhere")])
    assert "menulens local up" in str(absent.exception)


def should_end_everything_when_it_is_interrupted(state: CloudState) -> None:
    code = "import sys; from menulens.cli.local import app; app(sys.argv[1:])"
    command = [sys.executable, "-c", code, "up", "--state", str(state.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    record = wait_until(state.running)
    wait_until((state.folder / "deploy.log").exists)  # the CDK CLI runs
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 130, output
    assert state.processes() == []
    assert port_is_free(record.port)
    assert not state.cloud_file.exists()


def should_say_where_it_runs_on_a_machine_where_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LocalCloudError, match=r"runs on Linux.*WSL"):
        start_server(CloudState(tmp_path))

"""The state folder of a local cloud: who runs it, where it answers, and how every trace of it is found and removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from menulens.local.config import MARKER

_SERVER_FILE = "server.json"
_CLOUD_FILE = "cloud.json"
# What a local cloud makes below its state folder; nothing else there is ever deleted.
_OWNED = ("jobs", "endpoints", "tmp", "home", "cdk.out", "server.log", "deploy.log", _SERVER_FILE, _CLOUD_FILE)
_START_TOLERANCE = 1.0  # seconds between a process's start time and the one noted


@dataclass(frozen=True)
class ServerRecord:
    """A server process: a PID alone may be another process's by now, so its start time is noted as well."""

    pid: int
    started: float
    port: int
    labeling_port: int

    @property
    def labeling_url(self) -> str:
        """Address of the labeling portal, without a slash at the end."""
        return f"http://127.0.0.1:{self.labeling_port}"

    @property
    def process(self) -> psutil.Process | None:
        """The process, if it is still the one that was started."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _START_TOLERANCE
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


class CloudState:
    """The state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def cloud_file(self) -> Path:
        """File that is there while a local cloud is ready; commands read it."""
        return self.folder / _CLOUD_FILE

    @property
    def server_log(self) -> Path:
        """Output of the server."""
        return self.folder / "server.log"

    def server(self) -> ServerRecord | None:
        """Return what is noted of the server, running or not."""
        try:
            return ServerRecord(**json.loads((self.folder / _SERVER_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def running(self) -> ServerRecord | None:
        """Return the server if it runs."""
        record = self.server()
        return record if record and record.process else None

    def cloud(self) -> dict[str, object] | None:
        """Return cloud.json if it was written by the server that runs now."""
        record = self.running()
        try:
            cloud: dict[str, object] = json.loads(self.cloud_file.read_text())
        except (OSError, ValueError):
            return None
        return cloud if record and cloud.get("pid") == record.pid else None

    def note_server(self, record: ServerRecord) -> None:
        """Note a started server."""
        _write_whole(self.folder / _SERVER_FILE, json.dumps(asdict(record)))

    def note_ready(self, cloud: dict[str, object]) -> None:
        """Write cloud.json."""
        _write_whole(self.cloud_file, json.dumps(cloud, indent=2))

    def processes(self) -> list[psutil.Process]:
        """Return every process of this cloud but the one that asks: the server's tree, and what carries its marker."""
        found: dict[int, psutil.Process] = {}
        record = self.running()
        if record and (server := record.process):
            with contextlib.suppress(psutil.Error):
                for process in [server, *server.children(recursive=True)]:
                    found[process.pid] = process
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid not in found and process.environ().get(MARKER) == str(self.folder):
                    found[process.pid] = process
        found.pop(os.getpid(), None)
        return list(found.values())

    def fifos(self) -> list[Path]:
        """Return every FIFO below the state folder."""
        return [path for path in self.folder.rglob("*") if _is_fifo(path)]

    def end(self, grace: float) -> int:
        """End every process, the server by SIGTERM, what is left after ``grace`` s by SIGKILL; return how many."""
        processes = self.processes()
        record = self.running()
        server = record.process if record else None
        self.cloud_file.unlink(missing_ok=True)
        if server is not None:
            with contextlib.suppress(psutil.Error):
                server.terminate()
                server.wait(grace)
        left = [*processes, *self.processes()]  # once more: what was started meanwhile
        _kill(left)
        (self.folder / _SERVER_FILE).unlink(missing_ok=True)
        for fifo in self.fifos():
            fifo.unlink(missing_ok=True)
        return len({process.pid for process in left})

    def clear(self) -> None:
        """Delete what a former cloud left in the folder, and make the folder."""
        for name in _OWNED:
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)


def _kill(processes: Iterable[psutil.Process]) -> None:
    alive = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
            alive.append(process)
    psutil.wait_procs(alive, timeout=5.0)


def _is_fifo(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.lstat().st_mode)
    except OSError:
        return False


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader finds all of it or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)

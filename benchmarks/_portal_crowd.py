"""A crowd of simulated annotators against real API processes that are killed, over connections that break.

Each annotator does what the page does: leases tasks, sends each answer under an id of its own until it is acknowledged,
takes some back. Faults: requests whose answer is not waited for and that are sent again under the same id, taps sent
twice at once, people with two devices, leases that run out before the answer, kill -9 of API workers and of the sealer.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks._portal_room import ANNOTATORS, Room
from benchmarks._portal_worker import token_of
from menulens.local.hosting import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
API: Final = ROOT / "lambdas" / "portal_api" / "handler.py"
SEALER: Final = ROOT / "lambdas" / "seal_log" / "handler.py"
PATIENCE: Final = 30.0  # seconds for a request that is not broken off on purpose
KEYS: Final = ("meal", "drink", "sweets", "not-for-training")


@dataclass(frozen=True, slots=True)
class Faults:
    """How much goes wrong.

    Attributes
    ----------
    hung_up
        Share of answers whose first request is not waited for.
    double_tap
        Share of answers that are sent twice at once.
    two_devices
        Share of people with two devices at the same time.
    late
        Share of batches that are answered after their leases ran out.
    undo
        Share of answers that are taken back by another.
    kill_every
        Seconds between kills of a worker, and of the sealer.
    """

    hung_up: float = 0.05
    double_tap: float = 0.03
    two_devices: float = 0.2
    late: float = 0.01
    undo: float = 0.04
    kill_every: float = 4.0


@dataclass(slots=True)
class Tally:
    """What the annotators saw."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    lease_latencies: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, **faults: int) -> None:
        """Count faults."""
        with self.lock:
            self.faults.update(faults)


class Instance:
    """An instance of a function that comes back when it is killed."""

    def __init__(self, room: Room, *arguments: str) -> None:
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._portal_worker", *arguments],
            env={**os.environ, **room.variables(), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._id = self._next()

    def _next(self) -> int:
        assert self._keeper.stdout is not None
        return int(self._keeper.stdout.readline())

    def kill(self) -> None:
        """Kill -9 it; another takes its place."""
        os.kill(self._id, signal.SIGKILL)
        self._id = self._next()

    def stop(self) -> None:
        """Stop it for good."""
        self._keeper.send_signal(signal.SIGKILL)
        self._keeper.wait()
        os.kill(self._id, signal.SIGKILL)
        assert self._keeper.stdout is not None
        self._keeper.stdout.close()


class Workers:
    """The API's instances, each on its port."""

    def __init__(self, room: Room, count: int) -> None:
        self.ports = [free_port() for _ in range(count)]
        self._instances = [Instance(room, "api", str(API), str(port)) for port in self.ports]
        for port in self.ports:
            _wait_for(port)

    def kill_one(self, place: int) -> None:
        """Kill -9 an instance."""
        self._instances[place].kill()

    def stop(self) -> None:
        """Stop all."""
        for instance in self._instances:
            instance.stop()


@contextmanager
def calamity(workers: Workers, sealer: Instance, every: float, tally: Tally, seed: int) -> Iterator[None]:
    """Kill a worker and the sealer again and again."""
    over = threading.Event()
    chance = random.Random(seed)

    def kill() -> None:
        while not over.wait(every * chance.uniform(0.5, 1.5)):
            workers.kill_one(chance.randrange(len(workers.ports)))
            tally.note(workers_killed=1)
            if chance.random() < 0.5:
                sealer.kill()
                tally.note(sealers_killed=1)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Device:
    """One device of one person."""

    def __init__(self, person: str, ports: list[int], tally: Tally, seed: int) -> None:
        self._person, self._ports, self._tally = person, ports, tally
        self._chance = random.Random(seed)
        self._headers = {
            "Authorization": f"Bearer {token_of(person, ANNOTATORS)}",
            "Content-Type": "application/json",
        }
        self._connections: dict[int, http.client.HTTPConnection] = {}

    def call(self, method: str, path: str, body: Any, *, patience: float = PATIENCE) -> tuple[int, Any]:
        """Ask until something answers; connections that break are tried again elsewhere."""
        for _ in range(400):
            port = self._chance.choice(self._ports)
            connection = self._connections.pop(port, None) or http.client.HTTPConnection("127.0.0.1", port)
            connection.timeout = patience
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(patience)
                connection.request(method, path, json.dumps(body), self._headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self._tally.note(connections_broken=1)
                time.sleep(0.02)
                patience = PATIENCE
                continue
            self._connections[port] = connection
            if answer.status in (429, 500, 502, 503, 504):
                self._tally.note(**{f"status_{answer.status}": 1})
                time.sleep(min(1.0, float(answer.headers.get("Retry-After") or 0.1)))
                continue
            return answer.status, json.loads(content or b"null")
        raise AssertionError(f"{method} {path}: nobody answered")

    def send(self, job: str, answer: dict[str, Any], faults: Faults) -> str:
        """Send one answer until it is acknowledged, with faults on the way; return its status."""
        path, body = f"/api/jobs/{job}/answers", {"answers": [answer]}
        chance = self._chance.random()
        begun = time.monotonic()
        if chance < faults.hung_up:
            self._tally.note(hung_up=1)
            _, told = self.call("POST", path, body, patience=self._chance.uniform(0.0005, 0.03))
        elif chance < faults.hung_up + faults.double_tap:
            self._tally.note(double_taps=1)
            told = self._twice(path, body)
        else:
            _, told = self.call("POST", path, body)
            with self._tally.lock:
                self._tally.latencies.append(time.monotonic() - begun)
        [result] = told["results"]
        status: str = result["status"]
        with self._tally.lock:
            self._tally.statuses[status] += 1
            kept = self._tally.acknowledged if status != "rejected" else self._tally.rejected
            kept[result["id"]] = result.get("code") or status
        return status

    def _twice(self, path: str, body: Any) -> Any:
        other = Device(self._person, self._ports, self._tally, self._chance.randrange(1 << 30))
        thread = threading.Thread(target=other.call, args=("POST", path, body))
        thread.start()
        _, told = self.call("POST", path, body)
        thread.join()
        return told


def annotate(
    device: Device, job: str, faults: Faults, *, lease_seconds: float, enough: Callable[[], bool], seed: int
) -> None:
    """Label as a person does until there is enough, or nothing left."""
    chance = random.Random(seed)
    idle = 0
    while not enough() and idle < 20:
        begun = time.monotonic()
        status, told = device.call("POST", f"/api/jobs/{job}/leases", {"limit": 5, "have": []})
        with device._tally.lock:
            device._tally.lease_latencies.append(time.monotonic() - begun)
        if status != 200:
            device._tally.problems.append(f"lease: {status} {told}")
            return
        if told["state"] in ("complete", "stopped"):
            return
        idle = 0 if told["tasks"] else idle + 1
        if not told["tasks"]:
            time.sleep(0.2)
        if told["tasks"] and chance.random() < faults.late:
            device._tally.note(leases_run_out=len(told["tasks"]))
            time.sleep(lease_seconds * 1.2)
        for task in told["tasks"]:
            if enough():
                return
            _one(device, job, task["item"], faults, chance)


def _one(device: Device, job: str, item: str, faults: Faults, chance: random.Random) -> None:
    truth = int(item) % len(KEYS)
    label = KEYS[truth if chance.random() < 0.85 else chance.randrange(len(KEYS))]
    kind = chance.choices(("label", "hard", "skip", "report"), (96, 2, 1.5, 0.5))[0]
    answer: dict[str, Any] = {"id": _id(chance), "item": item, "kind": kind, "shown_ms": 800, "at": ""}
    if kind in ("label", "hard"):
        answer["category"] = label
    if kind == "report":
        answer["problem"] = "broken"
    if device.send(job, answer, faults) != "rejected" and chance.random() < faults.undo:
        device._tally.note(undone=1)
        instead = {"id": _id(chance), "item": item, "kind": "label", "category": KEYS[truth], "replaces": answer["id"]}
        device.send(job, instead, faults)


def run_crowd(
    room: Room, job: str, *, people: int, answers: int, workers: int, faults: Faults, lease_seconds: float, seed: int
) -> Tally:
    """Let a crowd label a job until so many answers are acknowledged."""
    tally = Tally()
    serving = Workers(room, workers)
    sealer = Instance(room, "seal", str(SEALER))
    chance = random.Random(seed)
    threads = []
    for place in range(people):
        person = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        for _ in range(2 if chance.random() < faults.two_devices else 1):
            device = Device(person, serving.ports, tally, chance.randrange(1 << 30))
            threads.append(
                threading.Thread(
                    target=_guarded,
                    args=(tally, device, job),
                    kwargs={
                        "faults": faults,
                        "lease_seconds": lease_seconds,
                        "enough": lambda: len(tally.acknowledged) >= answers,
                        "seed": chance.randrange(1 << 30),
                    },
                    name=f"person {place}",
                )
            )
    try:
        with calamity(serving, sealer, faults.kill_every, tally, seed):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        serving.stop()
        sealer.stop()
    tally.note(devices=len(threads))
    return tally


def _guarded(tally: Tally, device: Device, job: str, **given: Any) -> None:
    try:
        annotate(device, job, **given)
    except Exception as error:
        tally.problems.append(repr(error))
        raise


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _wait_for(port: int) -> None:
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError(f"no worker on port {port}")

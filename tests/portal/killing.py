"""Runs real code in a process that kills itself (-9) before or after one of its requests to AWS."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import boto3

from benchmarks._portal_room import ANNOTATORS, REGION, Room
from benchmarks._portal_worker import event_of, load, token_of
from menulens.portal import api, finish, jobs, log, sealing
from menulens.portal.context import Portal, deployed_portal
from menulens.portal.model import Category, Job, JobOptions

API = Path(__file__).resolve().parents[2] / "lambdas" / "portal_api" / "handler.py"
Moment = Literal["before", "after"]

# Read once, in the process that the others are forked from.
assert api
boto3.setup_default_session(region_name=REGION)
for service in ("dynamodb", "s3", "events", "stepfunctions"):
    boto3.client(service)

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Ran:
    """What a process did before its end: requests that it began, what it said, whether it was killed."""

    requests: list[str]
    said: list[Any]
    killed: bool


def run(room: Room, action: str, given: dict[str, Any], folder: Path, nth: int = 0, moment: Moment = "before") -> Ran:
    """Run an action; it is killed before or after its nth request (from 1), or not at all (0)."""
    record, said = folder / "requests", folder / "said"
    for file in (record, said):
        file.write_text("")
    process = _processes.Process(
        target=_child, args=(action, room.variables(), given, str(record), str(said), nth, moment)
    )
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), f"{action}: exit code {process.exitcode}"
    return Ran(
        record.read_text().splitlines(),
        [json.loads(line) for line in said.read_text().splitlines()],
        process.exitcode != 0,
    )


def _child(
    action: str, variables: dict[str, str], given: dict[str, Any], record: str, said: str, nth: int, moment: Moment
) -> None:
    os.environ.update(variables)
    begun = 0
    requests = os.open(record, os.O_WRONLY | os.O_APPEND)
    words = os.open(said, os.O_WRONLY | os.O_APPEND)

    def before(event_name: str, **_: Any) -> None:
        nonlocal begun
        begun += 1
        os.write(requests, f"{event_name.partition('.')[2]}\n".encode())
        if begun == nth and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)

    def after(**_: Any) -> None:
        if begun == nth and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    events = boto3.DEFAULT_SESSION.events
    events.register("before-send", before)
    events.register("response-received", after)
    ACTIONS[action](deployed_portal(boto3), given, lambda word: os.write(words, json.dumps(word).encode() + b"\n"))


def _answer(_: Portal, given: dict[str, Any], say: Callable[[Any], Any]) -> None:
    """What a device does: ask for more, then send one answer after the other."""
    handler = load(str(API))
    headers = {"authorization": f"Bearer {token_of(given['person'], ANNOTATORS)}", "content-type": "application/json"}

    def call(path: str, body: Any) -> Any:
        answer = handler(event_of("POST", f"/api/jobs/{given['job']}/{path}", headers, json.dumps(body).encode()), None)
        assert answer["statusCode"] == 200, answer
        return json.loads(answer["body"])

    call("leases", {"limit": given["limit"], "have": given["have"]})
    for one in given["answers"]:
        say(call("answers", {"answers": [one]})["results"][0])


def _seal(portal: Portal, given: dict[str, Any], say: Callable[[Any], Any]) -> None:
    log.MOST_LINES = given["most"]  # type: ignore[misc]
    say(log.seal(portal, given["job"]))


def _round(portal: Portal, given: dict[str, Any], say: Callable[[Any], Any]) -> None:
    say(sealing.seal_all(portal, [given["job"]]))


def _finish(portal: Portal, given: dict[str, Any], say: Callable[[Any], Any]) -> None:
    say(finish.finish(portal, given["job"]))


def _create(portal: Portal, given: dict[str, Any], say: Callable[[Any], Any]) -> None:
    say(create(portal, given).state)


def _add(portal: Portal, given: dict[str, Any], say: Callable[[Any], Any]) -> None:
    say(jobs.add_items(portal, given["job"], given["manifest"]).asked)


def create(portal: Portal, given: dict[str, Any]) -> Job:
    return jobs.create(
        portal,
        name=given["job"],
        manifest=given["manifest"],
        attribute="menu-category",
        categories=[Category("meal", "料理", "Meal"), Category("drink", "飲み物", "Drink")],
        options=JobOptions(gold_share=0.0),
    )


ACTIONS: dict[str, Callable[[Portal, dict[str, Any], Callable[[Any], Any]], None]] = {
    "answer": _answer,
    "seal": _seal,
    "round": _round,
    "finish": _finish,
    "create": _create,
    "add": _add,
}

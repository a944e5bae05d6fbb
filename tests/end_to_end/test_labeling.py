"""Labeling in pieces: pause, snapshot, stop, reopen and resume; two devices, killed workers, a first day."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape
from typing import Any

import psutil
import pytest

from menulens.client.portal import PortalClient, PortalClientError, label
from menulens.core import keys
from tests.end_to_end.cloud import PASSWORD, Site, wait_for
from tests.unit.portal_photos.generators.files import any_jpeg

_LIFETIME = 6.0  # seconds, of which a function's start takes some
_SWEEPS = 3


@pytest.fixture(autouse=True, scope="module")
def _without_training(site: Site) -> Iterator[None]:
    """What these tests label is not trained on: training has tests of its own."""
    with site.deaf("train", to=keys.DATASET_READY):
        yield


def _asked(site: Site, job: str) -> int:
    return len(site.lines(f"s3://{site.cloud.bucket('labels')}/inputs/{job}/input.manifest"))


def should_pause_snapshot_stop_and_reopen_one_job(site: Site) -> None:
    label_execution = site.start("label", photos="photos/", job_name="in-pieces", max_photos=140)
    total = site.open_job("in-pieces")["total"]
    person, desk = site.members[0], "/api/owner/jobs/in-pieces"
    held = site.answers(person, "in-pieces", site.shown("in-pieces"), 2)
    assert site.owner.post(f"{desk}/pause")["state"] == "paused"
    assert person.lease("in-pieces", 5).tasks == ()
    assert {one["status"] for one in person.record("in-pieces", held)} == {"accepted"}  # what was handed out counts
    assert site.owner.post(f"{desk}/resume")["state"] == "open"
    site.label("in-pieces", until=(total * 3) // 4, leave=total // 5)

    taken = site.output(site.owner.post(f"{desk}/snapshot")["execution"])
    card = site.card(taken["cleaned"][keys.DATASET])
    assert card["source"]["lines"] == card["kept"] + card["rejected"] == _asked(site, "in-pieces")
    assert site.job("in-pieces")["state"] == "open"
    done = site.job("in-pieces")["done"]
    site.label("in-pieces", until=done + 1, leave=total // 10)  # labeling goes on

    assert site.owner.post(f"{desk}/stop")["state"] == "stopped"
    stopped = site.output(label_execution)
    first = site.labeled(site.labels("in-pieces"))
    assert 0 < len(first) < _asked(site, "in-pieces")
    assert site.card(stopped["cleaned"][keys.DATASET])["reasons"]["unlabeled"] > 0

    before = site.known("clean")
    assert site.owner.post(f"{desk}/reopen")["state"] == "open"
    site.label("in-pieces")
    again = site.output(site.triggered("clean", before))
    final = site.labeled(site.labels("in-pieces"))
    assert len(final) > len(first)
    assert "unlabeled" not in site.card(again[keys.DATASET])["reasons"]
    verified = site.owner.get(f"{desk}/log/verify")
    assert verified["intact"], verified
    assert site.job("in-pieces")["answers"] <= verified["lines"]


def should_ask_only_what_is_missing_when_a_stopped_job_is_resumed_in_another(site: Site) -> None:
    stopped = site.start("label", photos="photos/", job_name="given-up", max_photos=140)
    total = site.open_job("given-up")["total"]
    site.label("given-up", until=(total * 3) // 4, leave=total // 5)
    site.owner.post("/api/owner/jobs/given-up/stop")
    site.output(stopped)
    first = site.labeled(site.labels("given-up"))
    assert first

    resumed = site.start("label", resume_from="given-up", job_name="the-rest")
    assert 0 < site.open_job("the-rest")["total"] < total
    site.label("the-rest")
    card = site.card(site.output(resumed)["cleaned"][keys.DATASET])
    assert card["source"]["lines"] == _asked(site, "given-up")
    assert "unlabeled" not in card["reasons"]
    final = site.labeled(card["source"]["uri"])
    assert first.items() <= final.items()


def should_add_photos_to_a_job_that_runs(site: Site) -> None:
    site.start("label", photos="photos/", job_name="growing", max_photos=20)
    total, desk = site.open_job("growing")["total"], "/api/owner/jobs/growing"
    for number, content in enumerate((any_jpeg((640, 480), 81), any_jpeg((640, 480), 82), b"<svg/>")):
        site.put("photos", f"photos/added-later/{number}.jpg", content)
    with pytest.raises(PortalClientError) as refused:
        site.owner.post(f"{desk}/photos", {"photos": "elsewhere/"})
    assert (refused.value.status, refused.value.code) == (404, "place")

    begun = site.owner.post(f"{desk}/photos", {"photos": "photos/added-later/"})

    def arrived() -> dict[str, Any] | None:
        told = next(one for one in site.owner.get(desk)["additions"] if one["id"] == begun["id"])
        assert told["state"] != "failed", told
        return told if told["state"] == "done" else None

    told = wait_for("photos are added", arrived)
    assert (told["records"], told["asked"], told["ready"], told["rejected"], told["items"]) == (3, 2, 2, 1, 2)
    assert site.job("growing")["total"] == total + 2
    assert site.owner.get(f"{desk}/rejects")["codes"]["wrong-type"] >= 1
    again = site.output(site.start("add", job_name="growing", photos="photos/added-later/"))
    assert (again["had"], again["asked"]) == (2, 0)
    site.owner.post(f"{desk}/stop")


@pytest.fixture(scope="module")
def running(site: Site) -> Iterator[str]:
    """A job that stays open."""
    site.start("label", photos="photos/", job_name="running", max_photos=90)
    site.open_job("running")
    yield "running"
    site.owner.post("/api/owner/jobs/running/stop")


def should_count_a_person_on_two_devices_once(site: Site, running: str) -> None:
    phone, desktop = site.members[1], site.sign_in(site.cloud.settings.labeling.members[1])
    first = phone.lease(running, 3).tasks
    second = desktop.lease(running, 3).tasks
    assert {task.item for task in first} == {task.item for task in second}  # theirs come first, on any device
    before = site.job(running)["answers"]
    one = label(first[0].item, "meal")
    assert [phone.record(running, [one])[0]["status"], desktop.record(running, [one])[0]["status"]] == [
        "accepted", "duplicate",
    ]  # fmt: skip
    (other,) = desktop.record(running, [label(first[0].item, "drink")])
    assert (other["status"], other["code"]) == ("rejected", "answered")
    assert site.job(running)["answers"] == before + 1
    taken_back = {**label(first[0].item, "sweets"), "replaces": one["id"]}
    assert desktop.record(running, [taken_back])[0]["status"] == "accepted"
    desktop.close()


def should_lose_and_double_nothing_when_functions_are_killed_while_people_answer(site: Site, running: str) -> None:
    truth, counted = site.shown(running), site.job(running)["answers"]
    enough, done = threading.Event(), threading.Event()

    def work(member: PortalClient) -> int:
        accepted, person = 0, replace(member, attempts=10)
        while not enough.is_set() and (given := site.answers(person, running, truth, 4)):
            for answer in given:
                # A worker that dies leaves an answer unknown; the client sends the same one again.
                (result,) = person.record(running, [answer])
                accepted += result["status"] in ("accepted", "duplicate")
        return accepted

    def kill() -> int:
        times = 0
        while not enough.is_set() and not done.wait(1.0):
            killed = 0
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    line = " ".join(process.cmdline())
                    ours = "_worker.py" in line and "portal-api" in line and str(site.state.resolve()) in line
                    # One that has just come up is let work for a while; else nobody would get anything done.
                    if ours and time.time() - process.create_time() > _LIFETIME:
                        process.kill()
                        killed += 1
            times += killed > 0
            if times == _SWEEPS:
                enough.set()
        return times

    with ThreadPoolExecutor(4) as pool:
        killing = pool.submit(kill)
        try:
            acknowledged = sum(pool.map(work, site.members[2:5]))
        finally:
            done.set()
        assert killing.result() >= _SWEEPS
    assert site.job(running)["answers"] == counted + acknowledged
    verified = site.owner.get(f"/api/owner/jobs/{running}/log/verify")
    assert verified["intact"], verified


def should_lead_an_invited_person_from_the_mail_to_the_first_task(site: Site, running: str) -> None:
    name, pools = f"mai-{uuid.uuid4().hex[:6]}@example.com", site.cloud.client("cognito-idp")
    made = pools.admin_create_user(
        UserPoolId=site.pool,
        Username=name,
        UserAttributes=[{"Name": "email", "Value": name}, {"Name": "email_verified", "Value": "true"}],
    )["User"]["Username"]
    mail = site.mail_to(name)
    assert f'href="{site.portal_url}/"' in mail
    temporary = re.search(r"temporary password (\S+) \(", mail)
    assert temporary is not None
    stranger = PortalClient.signed_in(site.portal_url, name, unescape(temporary[1]), PASSWORD)
    with contextlib.closing(stranger):
        assert running not in [row["job"] for row in _jobs(stranger)]
    pools.admin_add_user_to_group(UserPoolId=site.pool, Username=made, GroupName="menulens-local-annotators")
    with contextlib.closing(PortalClient.signed_in(site.portal_url, name, PASSWORD)) as mai:
        assert running in [row["job"] for row in _jobs(mai)]
        (task,) = mai.lease(running, 1).tasks
        assert mai.photo(task.photo or "").startswith(b"\xff\xd8\xff")
        mai.release(running, [task.item])


def _jobs(person: PortalClient) -> list[dict[str, object]]:
    answer = person.http.get(f"{person.origin}/api/me", headers={"Authorization": f"Bearer {person.tokens.access}"})
    return list(answer.json()["jobs"]) if answer.is_success else []


def should_tell_members_of_new_work_by_the_page(site: Site, running: str) -> None:
    wait_for("members are told", lambda: running in [row["job"] for row in site.members[0].jobs()], 30)

"""The annotators' API through its deployed handler: what it gives, and what it gives nobody."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from benchmarks._portal_room import ANNOTATORS, OWNERS, Room, photo
from benchmarks._portal_worker import event_of, load, token_of
from menulens.portal import callers, decisions, jobs, photos
from menulens.portal.model import JobOptions, PortalError
from tests.portal.killing import API
from tests.portal.people import Annotator, any_id

ONE = JobOptions(confidence=0.5, min_answers=1, max_answers=1, gold_share=0.0)
ENDLESS = 10**10  # seconds: a window that does not end while a test runs, whenever that is
COPY = f"display/ab/ab{'0' * 62}.jpg"
JPEG = b"\xff\xd8\xff\xe0 any photo \xff\xd9"


class Api:
    """Calls the handler as API Gateway does."""

    def __init__(self, handler: Callable[[dict[str, Any], Any], dict[str, Any]]) -> None:
        self._handler = handler

    def raw(
        self, method: str, path: str, body: Any = None, *, person: str = "", groups: tuple[str, ...] = (ANNOTATORS,)
    ) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        if person:
            headers["authorization"] = f"Bearer {token_of(person, *groups)}"
        content = body if isinstance(body, bytes) else (b"" if body is None else json.dumps(body).encode())
        answer = self._handler(event_of(method, path, headers, content), None)
        assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
        assert answer["headers"]["Content-Security-Policy"].startswith("default-src 'none'")
        return answer

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        answer = self.raw(method, path, body, **more)
        return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def api(room: Room) -> Iterator[Api]:
    before = dict(os.environ)
    os.environ.update(room.variables())
    boto3.setup_default_session()
    try:
        yield Api(load(str(API)))
    finally:
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()


def any_photo_job(room: Room, items: int = 4, **more: Any) -> Any:
    room.portal.storage.write_bytes(f"s3://{room.portal.labels_bucket}/{COPY}", JPEG)
    name = f"job-{any_id()[:8]}"
    lines: list[dict[str, Any] | str] = [{"source-ref": photo(n), "genre": "寿司"} for n in range(items)]
    rows: list[dict[str, Any] | str] = [
        {"line": n, "display": COPY, "width": 800, "height": 600, "context": {"genre": "寿司"}} for n in range(items)
    ]
    template = room.job(items=1)
    return jobs.create(
        room.portal,
        name=name,
        manifest=room.write(f"inputs/{name}/input.manifest", lines),
        display=room.write(f"inputs/{name}/display.jsonl", rows),
        attribute="menu-category",
        categories=template.categories,
        options=JobOptions(**{**ONE.to_json(), "context_keys": ("genre",), **more}),
    )


def should_lead_from_sign_in_to_an_answer(room: Room, api: Api) -> None:
    job = any_photo_job(room)
    person = any_id()
    assert api("GET", "/api/health") == (200, {"ok": True})
    status, me = api("GET", "/api/me", person=person)
    assert (status, me["person"]) == (200, {"id": person, "name": person, "owner": False})
    [mine] = [one for one in me["jobs"] if one["job"] == job.name]
    assert (mine["state"], mine["open"], mine["total"], mine["mine"]) == ("open", 4, 4, 0)
    status, told = api("GET", f"/api/jobs/{job.name}", person=person)
    assert [one["key"] for one in told["categories"]] == ["meal", "drink", "sweets", "not-for-training"]
    assert (told["kind"], told["context_keys"]) == ("photo", ["genre"])
    status, leased = api("POST", f"/api/jobs/{job.name}/leases", {"limit": 2, "have": []}, person=person)
    assert (status, len(leased["tasks"]), leased["blocked"]) == (200, 2, False)
    [task, other] = leased["tasks"]
    lasts = datetime.fromisoformat(task["lease_ends"]) - datetime.fromisoformat(leased["now"])
    assert timedelta(seconds=job.options.lease_seconds - 60) < lasts <= timedelta(seconds=job.options.lease_seconds)
    assert (task["width"], task["text"], task["context"], task["together"]) == (800, None, {"genre": "寿司"}, 1)
    shown = api.raw("GET", task["photo"], person=person)
    assert (shown["statusCode"], shown["headers"]["Content-Type"]) == (200, "image/jpeg")
    assert base64.b64decode(shown["body"]) == JPEG
    assert shown["headers"]["Cache-Control"] == "private, max-age=600"
    given = {"id": any_id(), "item": task["item"], "kind": "label", "category": "drink", "shown_ms": 900, "at": "x"}
    for status_due in ("accepted", "duplicate"):
        status, result = api("POST", f"/api/jobs/{job.name}/answers", {"answers": [given]}, person=person)
        assert (status, result["results"][0]["status"]) == (200, status_due)
        assert (result["mine"], result["open"], result["total"], result["state"]) == (1, 3, 4, "open")
    status, back = api("DELETE", f"/api/jobs/{job.name}/leases", {"items": [other["item"]]}, person=person)
    assert (status, back) == (200, {})


@pytest.mark.parametrize("shown", [86_400_001, 108_001_710, 10**30])
def should_take_an_answer_to_a_photo_that_was_in_view_for_days(room: Room, api: Api, shown: int) -> None:
    job = any_photo_job(room, items=1)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    given = {"id": any_id(), "item": it.id, "kind": "label", "category": "meal", "shown_ms": shown}
    status, result = api("POST", f"/api/jobs/{job.name}/answers", {"answers": [given]}, person=person.id)
    assert (status, result["results"][0]["status"]) == (200, "accepted")
    [kept] = jobs.get_item(room.portal, job.name, it.id).answers.values()
    assert kept.shown_ms == 86_400_000


def should_take_a_key_from_before_a_rename(room: Room, api: Api) -> None:
    job = any_photo_job(room, items=1)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    jobs.rename_category(room.portal, job.name, "drink", key="beverage")
    given = {"id": any_id(), "item": it.id, "kind": "label", "category": "drink"}
    status, result = api("POST", f"/api/jobs/{job.name}/answers", {"answers": [given]}, person=person.id)
    assert (status, result["results"][0]["status"]) == (200, "accepted")
    assert jobs.get_item(room.portal, job.name, it.id).label == 1


def should_refuse_answers_one_by_one(room: Room, api: Api) -> None:
    job = any_photo_job(room)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    good = {"id": any_id(), "item": it.id, "kind": "label", "category": "meal"}
    unknown = {"id": any_id(), "item": it.id, "kind": "label", "category": "no-such-thing"}
    status, told = api("POST", f"/api/jobs/{job.name}/answers", {"answers": [unknown, good]}, person=person.id)
    assert status == 200
    assert [one["status"] for one in told["results"]] == ["rejected", "accepted"]
    assert told["results"][0]["code"] == "no-category"


PATHS = (
    ("GET", "/api/me", None),
    ("GET", "/api/jobs/{job}", None),
    ("POST", "/api/jobs/{job}/leases", {"limit": 1, "have": []}),
    ("DELETE", "/api/jobs/{job}/leases", {"items": ["0000000"]}),
    ("POST", "/api/jobs/{job}/answers", {"answers": [{"id": any_id(), "item": "0000000", "kind": "skip"}]}),
    ("GET", "/api/photos/abc.def", None),
    ("GET", "/api/nowhere", None),
)


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
def should_let_nobody_in_who_is_not_of_the_team(room: Room, api: Api, method: str, path: str, body: Any) -> None:
    job = any_photo_job(room)
    path = path.format(job=job.name)
    assert api(method, path, body)[0] == 401
    status, told = api(method, path, body, person=any_id(), groups=("some-other-group", "menulens"))
    assert (status, told["error"]["code"]) == (403, "not-a-member")
    assert api(method, path, b"{", person=any_id(), groups=())[0] == 403, "before a body is looked at"


def should_let_owners_in(room: Room, api: Api) -> None:
    status, me = api("GET", "/api/me", person=any_id(), groups=(OWNERS, "x"))
    assert (status, me["person"]["owner"]) == (200, True)


def should_take_no_id_token(room: Room, api: Api) -> None:
    claims = {"sub": "any", "token_use": "id", "cognito:groups": [ANNOTATORS]}
    with pytest.raises(PortalError, match="access token"):
        callers.caller({"requestContext": {"authorizer": {"jwt": {"claims": claims}}}})


@pytest.mark.parametrize(("method", "path", "body"), PATHS[1:5])
def should_tell_nothing_of_a_job_that_is_not_there(room: Room, api: Api, method: str, path: str, body: Any) -> None:
    status, told = api(method, path.format(job="job-of-another"), body, person=any_id())
    assert (status, told["error"]["code"]) == (404, "no-job")


def should_tell_no_task_by_guessing_its_id(room: Room, api: Api) -> None:
    job, other = any_photo_job(room), any_photo_job(room)
    holder = Annotator(room, job.name)
    leased = holder.lease(4)
    stranger = any_id()
    answers = [{"id": any_id(), "item": it.id, "kind": "label", "category": "meal"} for it in leased]
    for name, person in ((job.name, stranger), (other.name, holder.id)):
        _, told = api("POST", f"/api/jobs/{name}/answers", {"answers": answers}, person=person)
        assert {one["code"] for one in told["results"]} == {"no-item"}
    assert jobs.progress(room.portal, job).answers == jobs.progress(room.portal, other).answers == 0


def should_show_a_photo_only_to_whom_its_token_is_for_and_only_for_a_while(room: Room, api: Api) -> None:
    job = any_photo_job(room)
    person = any_id()
    token = photos.token(room.portal, job, "0000000", person, COPY)
    assert api.raw("GET", f"/api/photos/{token}", person=person)["statusCode"] == 200
    body, _, signature = token.partition(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    stale = photos.token(room.at(-photos.SECONDS - 2).portal, job, "0000000", person, COPY)
    elsewhere = photos.token(room.portal, any_photo_job(room), "0000000", person, COPY).partition(".")[2]
    outside = photos.token(room.portal, job, "0000000", person, "inputs/secret.jpg")

    def forged(place: int, value: Any) -> str:
        changed = [*claims[:place], value, *claims[place + 1 :]]
        text = base64.urlsafe_b64encode(json.dumps(changed, separators=(",", ":")).encode()).rstrip(b"=").decode()
        return f"{text}.{signature}"

    tried = {
        "another person's": api("GET", f"/api/photos/{token}", person=any_id()),
        "another job's signature": api("GET", f"/api/photos/{body}.{elsewhere}", person=person),
        "no copy": api("GET", f"/api/photos/{outside}", person=person),
        "cut": api("GET", f"/api/photos/{token[:-1]}", person=person),
        "body alone": api("GET", f"/api/photos/{body}", person=person),
    }
    for place, value in ((0, "other"), (1, "0000001"), (2, any_id()), (3, COPY.replace("ab", "cd")), (4, 1 << 40)):
        tried[f"forged {place}"] = api("GET", f"/api/photos/{forged(place, value)}", person=person)
    codes = {what: (status, told["error"]["code"]) for what, (status, told) in tried.items()}
    assert codes == dict.fromkeys(tried, (403, "bad-token"))
    status, told = api("GET", f"/api/photos/{stale}", person=person)
    assert (status, told["error"]["code"]) == (403, "token-over")


def should_not_take_somebody_with_an_old_page_for_one_who_guesses(
    room: Room, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "WINDOW_SECONDS", ENDLESS)
    job, person = any_photo_job(room), any_id()
    stale = photos.token(room.at(-photos.SECONDS - 2).portal, job, "0000000", person, COPY)
    assert {api("GET", f"/api/photos/{stale}", person=person)[0] for _ in range(40)} == {403}
    assert api("GET", "/api/me", person=person)[0] == 200


def should_change_each_character_of_a_token_in_vain(room: Room) -> None:
    job = any_photo_job(room)
    token = photos.token(room.portal, job, "0000000", "aki", COPY)
    for place, old in enumerate(token):
        changed = token[:place] + ("A" if old != "A" else "B") + token[place + 1 :]
        with pytest.raises(PortalError) as refused:
            photos.read(room.portal, changed, "aki")
        assert refused.value.status == 403


def should_slow_down_who_asks_too_often(room: Room, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MOST_REQUESTS", 5)
    monkeypatch.setattr(callers, "WINDOW_SECONDS", ENDLESS)
    person = any_id()
    assert [api("GET", "/api/me", person=person)[0] for _ in range(6)] == [200] * 5 + [429]
    answer = api.raw("GET", "/api/me", person=person)
    assert 1 <= int(answer["headers"]["Retry-After"]) <= ENDLESS
    assert api("GET", "/api/me", person=any_id())[0] == 200, "others go on"


def should_lock_out_who_guesses(room: Room, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "WINDOW_SECONDS", ENDLESS)
    person = any_id()
    told = [api("GET", f"/api/jobs/job-{number}", person=person)[0] for number in range(30)]
    assert told[:15] == [404] * 15
    assert told[-5:] == [429] * 5
    assert api("GET", "/api/me", person=person)[0] == 429


def should_never_count_under_the_limit_when_many_ask_at_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MOST_REQUESTS", 20)
    monkeypatch.setattr(callers, "WINDOW_SECONDS", ENDLESS)

    def ask(_: int) -> bool:
        try:
            callers.limit(room.portal, "aki")
        except callers.RateError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(40))) == 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 3_000,
        b'{"limit": ' + b"9" * 5_000 + b"}",
        {"limit": 0},
        {"limit": 11},
        {"limit": "5"},
        {"limit": 1, "have": ["../../x"]},
        {"limit": 1, "more": 1},
    ],
)
def should_refuse_bodies_that_do_not_fit(room: Room, api: Api, body: Any) -> None:
    job = any_photo_job(room)
    status, told = api("POST", f"/api/jobs/{job.name}/leases", body, person=any_id())
    assert status == 422
    assert told["error"]["code"] == "invalid"


def should_say_when_to_come_back_when_the_table_fails(room: Room, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELING_TABLE", "no-such-table")
    answer = api.raw("GET", "/api/me", person=any_id())
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "1")
    assert "no-such-table" not in answer["body"]


def should_tell_who_is_blocked(room: Room, api: Api) -> None:
    job = any_photo_job(room, items=4, gold_share=1.0, gold_min_seen=1, gold_min_accuracy=1.0)
    decisions.set_gold(room.portal, job.name, "0000000", by="owner", label=3)
    person = any_id()
    _, leased = api("POST", f"/api/jobs/{job.name}/leases", {"limit": 1, "have": []}, person=person)
    assert [one["item"] for one in leased["tasks"]] == ["0000000"]
    given = {"id": any_id(), "item": "0000000", "kind": "label", "category": "meal"}
    api("POST", f"/api/jobs/{job.name}/answers", {"answers": [given]}, person=person)
    _, leased = api("POST", f"/api/jobs/{job.name}/leases", {"limit": 1, "have": []}, person=person)
    assert (leased["tasks"], leased["blocked"]) == ([], True)

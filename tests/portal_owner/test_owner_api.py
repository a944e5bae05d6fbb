"""The owner's API on a real table: what it shows, what it changes, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from menulens.portal import callers, jobs, keys, log, members, owner_api, owner_desk, photos, review, verify, work
from menulens.portal.context import Portal
from menulens.portal.model import Job, PortalError

from .conftest import Api, Maker, Session


def logged(portal: Portal, job: Job, kind: str) -> list[dict[str, Any]]:
    log.seal(portal, job.name)
    lines = [line for name in log.segments(portal, job.name) for line in log.read_segment(portal, job.name, name)]
    return [one["body"] for one in map(json.loads, lines) if one["kind"] == kind]


def should_list_jobs_with_their_progress(make: Maker, api: Api) -> None:
    job = make.job(3, max_answers=1)
    make.answer(job, "aki", "0000000", "meal")
    [row] = [one for one in api.get("")["jobs"] if one["job"] == job.name]
    assert (row["title_ja"], row["total"], row["done"], row["open"], row["answers"]) == ("秋のメニュー", 3, 1, 2, 1)


def should_show_how_a_job_is_going(make: Maker, api: Api) -> None:
    job = make.job(6, min_answers=2, max_answers=3, confidence=0.9)
    for person, said in (("aki", "meal"), ("ben", "meal")):
        make.answer(job, person, "0000000", said)
    for person, said in (("aki", "drink"), ("ben", "sweets"), ("chie", "drink")):
        make.answer(job, person, "0000001", said)
    told = api.get(f"/{job.name}")
    assert told["progress"]["total"] == 6
    assert told["progress"]["answers"] == 5
    assert told["progress"]["answers_per_hour"] == pytest.approx(300, rel=0.1)
    assert sum(told["progress"]["hours"]) == told["progress"]["hours"][-1] == 5
    assert told["progress"]["seconds_left"] > 0
    meal = next(one for one in told["counts"] if one["category"] == "meal")
    assert (meal["items"], [one["item"] for one in meal["examples"]]) == (1, ["0000000"])
    assert told["agreement"]["items"] == 2
    assert told["agreement"]["alpha"] is not None
    assert told["disagreements"] == 1
    assert told["confusions"] == [{"one": "sweets", "other": "drink", "items": 1}]
    aki = next(one for one in told["annotators"] if one["name"] == "Aki")
    assert (aki["answers"], aki["median_seconds"], aki["gold_accuracy"]) == (2, 1.5, None)


def should_count_a_large_job_over_several_requests(make: Maker, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CHUNK", 2)
    monkeypatch.setattr(owner_desk, "COUNTING_SECONDS", 0.0)
    job = make.job(5, max_answers=1, confidence=0.5)
    for item in range(5):
        make.answer(job, "aki", f"{item:07d}", "meal" if item < 3 else "drink")
    refused = [api.call("GET", f"/api/owner/jobs/{job.name}") for _ in range(2)]
    assert [(status, told["error"]["code"]) for status, told in refused] == [(409, "counting")] * 2
    assert [told["error"]["share"] for _, told in refused] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    told = api.get(f"/{job.name}")
    assert {one["category"]: one["items"] for one in told["counts"] if one["items"]} == {"meal": 3, "drink": 2}
    [aki] = told["annotators"]
    assert aki["answers"] == 5, "each chunk counts once"


def should_go_on_showing_what_was_counted_of_a_large_job_after_a_decision(
    make: Maker, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CHUNK", 1)
    monkeypatch.setattr(owner_desk, "COUNTING_SECONDS", 0.0)
    job = make.job(3, max_answers=2, confidence=0.999)
    for item in ("0000000", "0000001"):
        make.answer(job, "aki", item, "meal")
        make.answer(job, "ben", item, "drink")
    place = f"/{job.name}/disagreements"
    assert api.refused("GET", place) == (409, "counting")
    api.post(f"/{job.name}/gold/0000000", {"category": "drink"}, "PUT")
    assert api.refused("GET", place) == (409, "counting"), "what is under way goes on"
    assert api.get(place)["total"] == 2
    api.post(f"/{job.name}/gold/0000001", {"category": "drink"}, "PUT")
    assert api.get(place)["total"] == 2
    monkeypatch.setattr(owner_desk, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(owner_desk, "REST", 0)
    assert [api.get(place)["total"] for _ in range(3)] == [2, 2, 0]


def should_show_photos_that_this_owner_alone_can_open(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(1, max_answers=1)
    make.answer(job, "aki", "0000000", "meal")
    [example] = next(one for one in api.get(f"/{job.name}")["counts"] if one["items"])["examples"]
    token = example["photo"].removeprefix("/api/photos/")
    assert photos.read(portal, token, api.person)[1].startswith(b"\xff\xd8\xff")
    with pytest.raises(PortalError, match="not for you"):
        photos.read(portal, token, "someone-else")


def should_settle_what_people_do_not_agree_on(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(2, max_answers=2, confidence=0.99)
    make.answer(job, "aki", "0000000", "meal")
    make.answer(job, "ben", "0000000", "drink")
    [waiting] = api.get(f"/{job.name}/review")["items"]
    assert [(one["name"], one["category"]) for one in waiting["answers"]] == [("Aki", "meal"), ("Ben", "drink")]
    assert sum(one["share"] for one in waiting["beliefs"]) == pytest.approx(1, abs=0.05)
    decision = {"item": waiting["item"], "version": waiting["version"], "decision": "label", "category": "drink"}
    decided = api.post(f"/{job.name}/review", decision)
    assert (decided["item"]["category"], decided["item"]["settler"], decided["review"]) == ("drink", "owner", 0)
    assert api.get(f"/{job.name}/review")["items"] == []
    [told] = logged(portal, job, "review")
    assert (told["item"], told["label"], told["by"]) == ("0000000", 2, api.person)


def should_reject_what_is_reported_and_ask_again_when_told(make: Maker, api: Api) -> None:
    job = make.job(2, max_answers=2)
    make.answer(job, "aki", "0000000", kind="report", problem="broken")
    make.answer(job, "aki", "0000001", kind="report", problem="improper")
    first, second = api.get(f"/{job.name}/review")["items"]
    assert {first["reason"], second["reason"]} == {"report: broken", "report: improper"}
    rejected = api.post(f"/{job.name}/review", {**_of(first), "decision": "reject", "reason": "broken"})
    assert (rejected["item"]["state"], rejected["item"]["category"], rejected["review"]) == ("settled", None, 1)
    again = api.post(f"/{job.name}/review", {**_of(second), "decision": "again"})
    assert (again["item"]["state"], again["item"]["answers"], again["review"]) == ("open", [], 0)


def _of(item: dict[str, Any]) -> dict[str, Any]:
    return {"item": item["item"], "version": item["version"]}


def should_refuse_a_decision_on_what_has_changed_meanwhile(make: Maker, api: Api) -> None:
    job = make.job(1, max_answers=3, confidence=0.999)
    make.answer(job, "aki", "0000000", "meal")
    seen = api.get(f"/{job.name}/items")["items"][0]
    make.answer(job, "ben", "0000000", "drink")
    body = {**_of(seen), "decision": "label", "category": "meal"}
    assert api.refused("POST", f"/{job.name}/review", body) == (409, "changed")


def should_leave_out_of_the_queue_what_is_left_for_later(make: Maker, api: Api) -> None:
    job = make.job(3)
    for item in ("0000000", "0000001", "0000002"):
        make.answer(job, "aki", item, kind="report", problem="broken")
    shown = api.get(f"/{job.name}/review", limit=1)
    assert shown["total"] == 3
    first = shown["items"][0]["item"]
    left = [one["item"] for one in api.get(f"/{job.name}/review", skip=first)["items"]]
    assert len(left) == 2
    assert first not in left


def should_show_disagreements_least_certain_first(make: Maker, api: Api) -> None:
    job = make.job(3, max_answers=4, confidence=0.9999)
    for item, said in (("0000000", "meal meal drink"), ("0000001", "meal drink"), ("0000002", "meal meal")):
        for person, category in zip(("aki", "ben", "chie"), said.split(), strict=False):
            make.answer(job, person, item, category)
    shown = api.get(f"/{job.name}/disagreements")
    assert ([one["item"] for one in shown["items"]], shown["total"]) == (["0000001", "0000000"], 2)


def should_mark_known_items_and_measure_people_by_them(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(30, gold_share=1.0, gold_min_seen=2, gold_min_accuracy=0.9)
    for item in ("0000000", "0000001"):
        marked = api.post(f"/{job.name}/gold/{item}", {"category": "meal"}, "PUT")
        assert (marked["gold"], marked["settler"]) == ("meal", "gold")
    assert api.get(f"/{job.name}/gold")["total"] == 2
    make.answer(job, "aki", "0000000", "meal")
    make.answer(job, "ben", "0000000", "drink")
    make.answer(job, "ben", "0000001", "drink")
    rows = {one["name"]: one for one in api.get(f"/{job.name}")["annotators"]}
    assert (rows["Aki"]["gold_accuracy"], rows["Aki"]["blocked"]) == (1.0, False)
    assert (rows["Ben"]["gold_accuracy"], rows["Ben"]["blocked"]) == (0.0, True)
    assert work.lease(portal, jobs.get(portal, job.name), rows["Ben"]["person"], limit=3).items == ()
    again = api.post(f"/{job.name}/people/{rows['Ben']['person']}/unblock")
    assert again["blocked"] is False
    assert work.lease(portal, jobs.get(portal, job.name), rows["Ben"]["person"], limit=3).items


def should_let_answers_count_again_when_a_mark_is_taken_off(make: Maker, api: Api) -> None:
    job = make.job(1, max_answers=1)
    make.answer(job, "aki", "0000000", "drink")
    api.post(f"/{job.name}/gold/0000000", {"category": "meal"}, "PUT")
    unmarked = api.post(f"/{job.name}/gold/0000000", method="DELETE")
    assert (unmarked["gold"], unmarked["category"], unmarked["settler"]) == (None, "drink", "people")


def should_block_a_person_and_hand_back_what_they_hold(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(4)
    held = work.lease(portal, job, "ben", limit=3, name="Ben").items
    assert len(held) == 3
    blocked = api.post(f"/{job.name}/people/ben/block", {"reason": "left"})
    assert (blocked["blocked"], blocked["reason"]) == (True, "owner: left")
    assert len(work.lease(portal, job, "chie", limit=4).items) == 4
    assert api.refused("POST", f"/{job.name}/people/nobody/block", {}) == (404, "no-person")


def should_hand_back_the_leases_of_who_left(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(3)
    assert len(work.lease(portal, job, "ben", limit=2).items) == 2
    assert api.post(f"/{job.name}/release", {"person": "ben"}) == {"released": 2}
    assert len(work.lease(portal, job, "chie", limit=3).items) == 3


def should_show_what_people_hold_until_their_leases_end(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(8, lease_seconds=600, min_answers=2)
    first, *_ = work.lease(portal, job, "ben", limit=4).items
    make.answer(job, "ben", first.id, "meal")
    assert len(work.lease(portal, job, "chie", limit=3).items) == 3

    def held(api: Api) -> dict[str, int]:
        return {one["person"]: one["held"] for one in api.get(f"/{job.name}")["annotators"]}

    assert held(api) == {"ben": 3, "chie": 3}
    api.post(f"/{job.name}/release", {"person": "chie"})
    assert held(api) == {"ben": 3, "chie": 0}, "at once, though it was counted a moment ago"
    later = replace(portal, clock=lambda: portal.clock() + 601)
    assert work.person_of(later, job.name, "ben").held, "who left does nothing that would tell"
    assert held(Api(later)) == {"ben": 0, "chie": 0}


def should_split_photos_off_a_group(make: Maker, api: Api) -> None:
    job = make.job(4, groups={1: 0, 2: 0})
    assert job.asked == 2
    [group] = api.get(f"/{job.name}/groups")["groups"]
    assert [one["line"] for one in group["lines"]] == [0, 1, 2]
    assert group["lines"][2]["source"].endswith("-2.jpg")
    left = api.post(f"/{job.name}/groups/0000000/split", {"lines": [2]})["groups"][0]
    assert [one["line"] for one in left["lines"]] == [0, 1]
    assert api.get(f"/{job.name}")["progress"]["total"] == 3
    assert api.refused("POST", f"/{job.name}/groups/0000000/split", {"lines": [0]}) == (409, "leader")
    assert api.refused("POST", f"/{job.name}/groups/0000000/split", {"lines": [3]}) == (404, "no-line")


def should_refuse_to_have_people_asked_by_a_job_that_has_ended(make: Maker, api: Api) -> None:
    job = make.job(3, groups={1: 0}, max_answers=1)
    make.answer(job, "aki", "0000000", kind="report", problem="broken")
    api.post(f"/{job.name}/stop")
    [waiting] = api.get(f"/{job.name}/review")["items"]
    assert api.refused("POST", f"/{job.name}/review", {**_of(waiting), "decision": "again"}) == (409, "ended")
    assert api.refused("POST", f"/{job.name}/groups/0000000/split", {"lines": [1]}) == (409, "ended")
    decided = api.post(f"/{job.name}/review", {**_of(waiting), "decision": "label", "category": "drink"})
    assert (decided["item"]["category"], decided["review"]) == ("drink", 0)


def should_page_through_groups(make: Maker, api: Api) -> None:
    job = make.job(6, groups={1: 0, 3: 2, 5: 4})
    first = api.get(f"/{job.name}/groups", limit=2)
    assert [one["item"] for one in first["groups"]] == ["0000000", "0000002"]
    last = api.get(f"/{job.name}/groups", limit=2, after=first["next"])
    assert ([one["item"] for one in last["groups"]], last["next"]) == (["0000004"], None)


def should_look_through_a_large_job_over_several_requests(
    make: Maker, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CHUNK", 2)
    job = make.job(8, groups={7: 6}, rejects={2: ("broken", "No photo."), 3: ("broken", "No photo.")})
    make.answer(job, "aki", "0000005", kind="report", problem="broken")
    due = {"items": ["0000005"], "groups": ["0000006"]}

    def pages(of: str, **more: Any) -> list[list[str]]:
        found, after = [], ""
        while after is not None:
            page = api.get(f"/{job.name}/{of}", after=after, **more)
            found.append([one["item"] for one in page[of]])
            after = page["next"]
        return found

    assert pages("items", limit=2) == [["0000000", "0000001"], ["0000004", "0000005"], ["0000006"]]
    assert pages("items", state="review") == [due["items"]]
    assert pages("groups") == [due["groups"]]
    monkeypatch.setattr(review, "LOOKING_SECONDS", 0.0)
    assert pages("items", state="review") == [[], [], due["items"], []]
    assert pages("items", category="meal") == [[], [], [], []]
    assert pages("groups") == [[], [], [], due["groups"]]


def should_tell_which_photos_nobody_is_asked_about(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(3, rejects={1: ("animated", "An animation of 3 pictures; a still photo is due.")})
    before = {"line": 9, "code": "too-large", "reason": "It is huge.", "original": '{"source-ref": "s3://p/x.jpg"}'}
    place = f"s3://{portal.labels_bucket}/inputs/{job.name}/rejects.jsonl"
    portal.storage.write_text(place, json.dumps(before) + "\n")
    told = api.get(f"/{job.name}/rejects")
    assert (told["total"], told["codes"]) == (2, {"animated": 1, "too-large": 1})
    assert told["rejects"][0] == {
        "stage": "input",
        "source": "s3://p/x.jpg",
        "code": "too-large",
        "reason": "It is huge.",
    }
    assert told["rejects"][1]["source"].endswith("-1.jpg")


def should_add_and_rename_categories_half_way(make: Maker, api: Api) -> None:
    job = make.job(2, max_answers=1)
    make.answer(job, "aki", "0000000", "meal")
    added = api.post(f"/{job.name}/categories", {"key": "fruit", "ja": "果物", "en": "Fruit", "emoji": "🍎"})
    assert [one["key"] for one in added["categories"]][-1] == "fruit"
    renamed = api.post(f"/{job.name}/categories/meal", {"key": "dish", "ja": "一品"}, "PATCH")
    assert (renamed["categories"][0]["key"], renamed["categories"][0]["en"]) == ("dish", "Meal")
    counts = {one["category"]: one["items"] for one in api.get(f"/{job.name}")["counts"]}
    assert (counts["dish"], counts["fruit"]) == (1, 0)
    assert api.refused("POST", f"/{job.name}/categories", {"key": "fruit", "ja": "果", "en": "F"}) == (
        409,
        "categories",
    )


def should_take_a_job_through_its_life(make: Maker, api: Api) -> None:
    job = make.job(2)
    assert [api.post(f"/{job.name}/{verb}")["state"] for verb in ("pause", "resume", "stop", "reopen")] == [
        "paused", "open", "stopped", "open",
    ]  # fmt: skip
    api.post(f"/{job.name}/stop")
    assert api.refused("POST", f"/{job.name}/pause") == (409, "state")
    api.post(f"/{job.name}/reopen")
    assert api.post(f"/{job.name}/snapshot")["execution"].startswith("arn:aws:states")
    assert api.post("", {"photos": "photos/tanuki/"})["execution"]
    assert api.started == [("snapshot", {"job_name": job.name}), ("label", {"photos": "photos/tanuki/"})]
    assert api.refused("POST", "", {}) == (422, "invalid")
    assert api.refused("POST", "", {"photos": "a", "manifest": "s3://bucket/b"}) == (422, "invalid")
    for body in ("{", "[" * 3_000, '{"photos": ' + "9" * 5_000 + "}"):
        answer = api.answer(api.event("POST", "/api/owner/jobs") | {"body": body})
        assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (422, "invalid")


def should_set_going_that_photos_are_added(make: Maker, api: Api) -> None:
    job = make.job(1)
    begun = api.post(f"/{job.name}/photos", {"photos": "photos/tanuki/"})
    assert (begun["state"], begun["what"], begun["asked"]) == ("waiting", "photos/tanuki/", 0)
    due = {"job_name": job.name, "addition": begun["id"], "photos": "photos/tanuki/"}
    assert api.started == [("add", due)]
    assert api.get(f"/{job.name}")["additions"] == [begun]
    assert api.refused("POST", f"/{job.name}/photos", {"photos": "a", "manifest": "s3://bucket/b"}) == (422, "invalid")
    assert api.refused("POST", "/no-such-job/photos", {"photos": "photos/"}) == (404, "no-job")


def should_find_a_changed_line_of_the_log(make: Maker, api: Api, portal: Portal) -> None:
    job = make.job(2, max_answers=1)
    make.answer(job, "aki", "0000000", "meal")
    log.seal(portal, job.name)
    assert api.get(f"/{job.name}/log/verify")["intact"] is True
    place = f"s3://{portal.answers_bucket}/log/{job.name}/{log.segments(portal, job.name)[-1]}"
    portal.storage.write_bytes(place, portal.storage.read_bytes(place).replace(b'"category":0', b'"category":2'))
    told = api.get(f"/{job.name}/log/verify")
    assert told["intact"] is False
    assert {one["line"] for one in told["findings"]} == {one.seq for one in verify.verify(portal, job.name).findings}


def should_send_an_owner_to_the_terminal_with_a_log_too_long_for_one_request(
    make: Maker, api: Api, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make.job(2, max_answers=1)
    make.answer(job, "aki", "0000000", "meal")
    log.seal(portal, job.name)
    lines = api.get(f"/{job.name}/log/verify")["lines"]
    monkeypatch.setattr(owner_api, "MOST_LINES", lines)
    assert api.get(f"/{job.name}/log/verify")["intact"] is True
    monkeypatch.setattr(owner_api, "MOST_LINES", lines - 1)
    assert api.refused("GET", f"/{job.name}/log/verify") == (409, "log-too-long")
    assert verify.verify(portal, job.name).findings == ()


# --- who may ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", ["", "[]", "[menulens-test-annotators]", "[menulens-test-owners-2]"])
def should_refuse_who_is_no_owner(make: Maker, portal: Portal, groups: str) -> None:
    job = make.job(1)
    api = Api(portal, groups=groups, person="annotator")
    for method, path in (("GET", ""), ("GET", f"/{job.name}"), ("POST", f"/{job.name}/stop"), ("GET", "/nowhere/x/y")):
        assert api.refused(method, path)[0] == 403
    assert jobs.get(portal, job.name).state == "open"


def should_refuse_who_is_not_signed_in(api: Api) -> None:
    event = api.event("GET", "/api/owner/jobs")
    del event["requestContext"]["authorizer"]
    assert api.answer(event)["statusCode"] == 401


def should_refuse_an_id_token(api: Api) -> None:
    event = api.event("GET", "/api/owner/jobs")
    event["requestContext"]["authorizer"]["jwt"]["claims"]["token_use"] = "id"
    assert api.answer(event)["statusCode"] == 401


def should_slow_down_who_asks_too_often(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "WINDOW_SECONDS", 10**10)  # it ends in centuries, not while this runs
    api = Api(portal, person="hasty")
    callers.limit(portal, api.person, weight=callers.MOST_REQUESTS - 1)
    answers = [api.answer(api.event("GET", "/api/owner/jobs/none")) for _ in range(2)]
    assert answers[0]["statusCode"] == 404
    assert answers[-1]["statusCode"] == 429
    assert int(answers[-1]["headers"]["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("method", "path", "body", "due"),
    [
        ("GET", "/no-such-job", None, (404, "no-job")),
        ("GET", "/../x", None, (404, "no-route")),
        ("GET", "/a b", None, (422, "invalid")),
        ("POST", "/no-such-job/pause", None, (404, "no-job")),
        ("POST", "", {"photos": "x", "more": 1}, (422, "invalid")),
        ("DELETE", "", None, (404, "no-route")),
    ],
)
def should_say_what_is_wrong_with_a_request(api: Api, method: str, path: str, body: Any, due: tuple[int, str]) -> None:
    assert api.refused(method, path, body) == due


def should_secure_every_answer(api: Api) -> None:
    for path in ("", "/no-such-job", "/x/y/z"):
        headers = api.answer(api.event("GET", f"/api/owner/jobs{path}"))["headers"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def should_call_people_by_their_address(make: Maker, portal: Portal, session: Session) -> None:
    cognito = session.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="any")["UserPool"]["Id"]
    cognito.create_group(UserPoolId=pool, GroupName="team")
    user = cognito.admin_create_user(
        UserPoolId=pool, Username="aki@example.com", UserAttributes=[{"Name": "email", "Value": "aki@example.com"}]
    )["User"]
    cognito.admin_add_user_to_group(UserPoolId=pool, GroupName="team", Username="aki@example.com")
    sub = next(one["Value"] for one in user["Attributes"] if one["Name"] == "sub")
    job = make.job(1)
    make.answer(job, sub, "0000000", "meal")
    api = Api(portal, names=lambda: members.Names(cognito, pool, ["team"]))
    assert [one["name"] for one in api.get(f"/{job.name}")["annotators"]] == ["aki@example.com"]
    [shown] = api.get(f"/{job.name}/items")["items"]
    assert [(one["name"], one["person"]) for one in shown["answers"]] == [("aki@example.com", sub)]


def should_soon_call_by_their_address_who_was_invited_a_moment_ago(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    cognito, now = session.client("cognito-idp"), [1000.0]
    monkeypatch.setattr(members.time, "monotonic", lambda: now[0])
    pool = cognito.create_user_pool(PoolName="any")["UserPool"]["Id"]
    cognito.create_group(UserPoolId=pool, GroupName="team")
    names = members.Names(cognito, pool, ["team"])
    assert names == {}
    user = cognito.admin_create_user(UserPoolId=pool, Username="b", UserAttributes=[{"Name": "email", "Value": "b@x"}])
    cognito.admin_add_user_to_group(UserPoolId=pool, GroupName="team", Username="b")
    sub = next(one["Value"] for one in user["User"]["Attributes"] if one["Name"] == "sub")
    assert names.get(sub) is None, "not asked again for each"
    now[0] += members.SOON_SECONDS
    assert names.get(sub) == "b@x"


def should_show_ids_where_the_pool_is_silent(session: Session) -> None:
    assert members.Names(session.client("cognito-idp"), "us-east-1_none", ["team"]) == {}

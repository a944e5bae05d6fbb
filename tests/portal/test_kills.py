"""kill -9 at every request that the API, the sealer, the finish and the opening of a job make; then go on.

Each test first counts the requests of an undisturbed run, then kills one process at each of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks._portal_room import Room, photo
from menulens.portal import answers, finish, jobs, keys, log, opening, rebuild, sealing, verify, work
from menulens.portal.context import Portal
from menulens.portal.model import Answer, Item, Job, JobOptions
from menulens.portal.table import TableError
from tests.portal import killing
from tests.portal.killing import Moment
from tests.portal.people import Annotator, any_id

OPTIONS = JobOptions(confidence=0.5, min_answers=1, max_answers=1, gold_share=0.0, lease_seconds=600)


def moments(count: int) -> Iterator[tuple[int, Moment]]:
    """Yield the moments before and after each request: who asks has heard more before the next than after the last."""
    for nth in range(1, count + 1):
        yield nth, "before"
        yield nth, "after"


def gaps(count: int) -> Iterator[tuple[int, Moment]]:
    """Yield one moment between any two requests, and one at either end.

    Where nobody hears an answer, a death after a request leaves what a death before the next one leaves.
    """
    yield 1, "before"
    for nth in range(1, count + 1):
        yield nth, "after"


def lines_of(room: Room, job: str, kind: str = "answer") -> list[dict[str, Any]]:
    return [line for raw in log.lines(room.portal, job) if (line := json.loads(raw))["kind"] == kind]


def sound(room: Room, job: str, expected: set[str]) -> None:
    """Seal, and see that the log has each expected answer once and nothing else, and that all agrees with it."""
    log.seal(room.portal, job)
    found = Counter(line["id"] for line in lines_of(room, job))
    assert found == Counter(dict.fromkeys(expected, 1))
    checked = verify.verify(room.portal, job)
    assert checked.findings == ()
    numbers = [json.loads(raw)["seq"] for raw in log.lines(room.portal, job)]
    assert numbers == list(range(len(numbers)))
    progress = jobs.progress(room.portal, jobs.get(room.portal, job))
    assert progress.answers == len(expected)
    made = rebuild.rebuild(room.portal, job)
    items = {it.id: it for it in jobs.items(room.portal, jobs.get(room.portal, job))}
    assert {name: told.state for name, told in made.ledger.items.items()} == {
        name: it.state for name, it in items.items()
    }
    assert progress.done == sum(it.state != "open" for it in items.values())


def any_work(room: Room) -> tuple[Annotator, dict[str, Any]]:
    """Return a person with two leased items, and what their device sends of them: an answer, its undo, a report."""
    job = room.job(items=8, options=OPTIONS)
    person = Annotator(room, job.name)
    first, second = (it.id for it in person.lease(2))
    label = {"id": any_id(), "item": first, "kind": "label", "category": "meal"}
    undo = {"id": any_id(), "item": first, "kind": "label", "category": "drink", "replaces": label["id"]}
    report = {"id": any_id(), "item": second, "kind": "report", "problem": "broken"}
    sent = {"job": job.name, "person": person.id, "limit": 1, "have": [first, second], "answers": [label, undo, report]}
    return person, sent


def as_sent(job: Job, one: dict[str, Any]) -> Answer:
    """Return an answer as the API reads it."""
    category = job.category(one.get("category", ""))
    return Answer(
        id=one["id"],
        item=one["item"],
        person="",
        kind=one["kind"],
        category=None if category is None else category.index,
        problem=one.get("problem"),
        replaces=one.get("replaces", ""),
    )


def should_lose_and_double_no_answer_when_the_api_is_killed_at_any_request(room: Room, tmp_path: Path) -> None:
    _, sent = any_work(room)
    whole = killing.run(room, "answer", sent, tmp_path)
    assert not whole.killed
    assert len(whole.said) == 3
    writes = [one for one in whole.requests if "TransactWrite" in one]
    assert len(writes) == 4, "a lease and three answers"
    killed = 0
    for nth, moment in moments(len(whole.requests)):
        person, sent = any_work(room)
        ran = killing.run(room, "answer", sent, tmp_path, nth, moment)
        killed += ran.killed
        acknowledged = {one["id"] for one in ran.said}
        log.seal(room.portal, sent["job"])
        kept = {line["id"] for line in lines_of(room, sent["job"])}
        assert acknowledged <= kept, "what was acknowledged is kept, whoever never comes back"
        # The device comes back and sends what it got no word of, under the same ids.
        left = [as_sent(person.now(), one) for one in sent["answers"][len(ran.said) :]]
        assert all(one.status in ("accepted", "duplicate") for one in person.send(*left))
        sound(room, sent["job"], {one["id"] for one in sent["answers"]})
        # No lease is lost: what the dead process leased can be had again.
        work.release_all(room.portal, person.now(), person.id)
        other = Annotator(room, sent["job"])
        assert len([*other.lease(10)]) == 8 - 2
    assert killed == 2 * len(whole.requests)


def should_lose_and_double_no_line_when_the_sealer_is_killed_at_any_request(room: Room, tmp_path: Path) -> None:
    def any_outbox() -> tuple[str, set[str]]:
        job = room.job(items=5, options=OPTIONS)
        person = Annotator(room, job.name)
        ids = set()
        for it in person.lease(5):
            given = person.given(it.id)
            person.send(given)
            ids.add(given.id)
        return job.name, ids

    name, ids = any_outbox()
    whole = killing.run(room, "seal", {"job": name, "most": 3}, tmp_path)
    assert whole.said == [8]
    assert sum("PutObject" in one for one in whole.requests) == 3
    sound(room, name, ids)
    for nth, moment in gaps(len(whole.requests)):
        name, ids = any_outbox()
        assert killing.run(room, "seal", {"job": name, "most": 3}, tmp_path, nth, moment).killed
        sound(room, name, ids)
        assert list(room.portal.table.query(f"outbox#{name}")) == []


def should_end_a_job_once_when_the_sealer_or_the_finish_is_killed_at_any_request(room: Room, tmp_path: Path) -> None:
    def any_done() -> tuple[str, set[str]]:
        job = room.job(items=4, options=OPTIONS)
        person = Annotator(room, job.name)
        given = [person.given(it.id) for it in person.lease(4)]
        person.send(*given)
        return job.name, {one.id for one in given}

    later = room.at(3_600).portal
    name, ids = any_done()
    first = killing.run(room, "round", {"job": name}, tmp_path)
    assert jobs.get(room.portal, name).state == "complete"
    second = killing.run(room, "finish", {"job": name}, tmp_path)
    output = room.portal.storage.read_bytes(
        f"s3://{room.portal.labels_bucket}/jobs/{name}/manifests/output/output.manifest"
    )
    assert output.count(b"class-name") == 4
    for action, count in (("round", len(first.requests)), ("finish", len(second.requests))):
        killed = 0
        for nth, moment in gaps(count):
            name, ids = any_done()
            if action == "finish":
                sealing.seal_all(room.portal, [name])
            # Files are written by several threads: a request more or less is no fault.
            killed += killing.run(room, action, {"job": name}, tmp_path, nth, moment).killed
            # The clock's round ends the job, and tells again that it has ended.
            sealing.seal_all(later, [name])
            assert jobs.get(room.portal, name).state == "complete"
            finish.finish(room.portal, name)
            job = jobs.get(room.portal, name)
            assert not job.finish_due
            card = room.portal.storage.read_json(f"s3://{room.portal.labels_bucket}/jobs/{name}/card.json")
            manifest = room.portal.storage.read_bytes(
                f"s3://{room.portal.labels_bucket}/jobs/{name}/manifests/output/output.manifest"
            )
            assert manifest == rebuild.rebuild(room.portal, name, through=card["log"]["seq"]).manifest
            assert card["log"]["seq"] == job.finished_seq
            assert [line["body"]["state"] for line in lines_of(room, name, "state")] == ["open", "complete"]
            sound(room, name, ids)
        assert killed > count / 2


def should_open_a_job_whole_when_its_creation_is_killed_at_any_request(room: Room, tmp_path: Path) -> None:
    def any_input() -> dict[str, Any]:
        name = f"job-{any_id()[:8]}"
        lines: list[dict[str, Any] | str] = [{"source-ref": photo(place)} for place in range(60)]
        return {"job": name, "manifest": room.write(f"inputs/{name}/input.manifest", lines)}

    given = any_input()
    whole = killing.run(room, "create", given, tmp_path)
    assert whole.said == ["open"]
    for nth, moment in gaps(len(whole.requests)):
        given = any_input()
        assert killing.run(room, "create", given, tmp_path, nth, moment).killed
        job = killing.create(room.portal, given)
        assert (job.state, job.asked, job.lines, len(job.parts)) == ("open", 60, 60, 1)
        person = Annotator(room, job.name)
        assert len(person.label(limit=10)) == 10
        again = killing.create(room.portal, given)
        assert jobs.progress(room.portal, again).answers == 10
        log.seal(room.portal, job.name)
        assert len(lines_of(room, job.name, "job")) == len(lines_of(room, job.name, "items")) == 1
        assert len([it for it in jobs.items(room.portal, job) if it.answers]) == 10


def should_add_items_once_when_adding_is_killed_at_any_request(room: Room, tmp_path: Path) -> None:
    def any_addition() -> dict[str, Any]:
        job = room.job(items=3, options=OPTIONS)
        Annotator(room, job.name).label(limit=2)
        lines: list[dict[str, Any] | str] = [{"source-ref": photo(place)} for place in range(2, 6)]
        return {"job": job.name, "manifest": room.write(f"inputs/{job.name}/more.manifest", lines)}

    given = any_addition()
    whole = killing.run(room, "add", given, tmp_path)
    assert whole.said == [6]
    for nth, moment in gaps(len(whole.requests)):
        given = any_addition()
        assert killing.run(room, "add", given, tmp_path, nth, moment).killed
        # Another manifest comes in between: what was begun is finished first.
        other = room.write(f"inputs/{given['job']}/other.manifest", [{"source-ref": photo(100)}])
        jobs.add_items(room.portal, given["job"], other)
        job = jobs.add_items(room.portal, given["job"], given["manifest"])
        assert (job.asked, job.lines) == (3 + 3 + 1, 3 + 4 + 1)
        assert len(list(jobs.items(room.portal, job))) == 7
        log.seal(room.portal, job.name)
        made = rebuild.rebuild(room.portal, job.name)
        assert len(made.manifest.splitlines()) == 8
        assert made.manifest.count(b"duplicate: ") == 1
        assert set(made.ledger.items) == {it.id for it in jobs.items(room.portal, job)}


def should_spread_a_job_that_has_grown_over_more_queues_and_hand_out_all_of_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "ITEMS_OF_A_QUEUE", 2)
    name = room.job(items=3, options=OPTIONS).name
    more = room.write(f"inputs/{name}/more.manifest", [{"source-ref": photo(place)} for place in range(3, 13)])
    put = opening._put_items

    def broken_off(portal: Portal, job: Job, items: Sequence[Item]) -> None:
        put(portal, job, items[:4])
        raise TableError("killed")

    with monkeypatch.context() as killed, pytest.raises(TableError, match="killed"):
        killed.setattr(opening, "_put_items", broken_off)
        jobs.add_items(room.portal, name, more)
    assert jobs.get(room.portal, name).queues == 1
    job = jobs.add_items(room.portal, name, more)
    assert (job.asked, job.queues) == (13, 6)
    everything = {it.id: it.queues for it in jobs.items(room.portal, job)}
    assert list(everything.values()) == 3 * [1] + 10 * [6]
    for later in (0, OPTIONS.lease_seconds + 1):  # the queues of what is open, and of what was leased
        person, got = Annotator(room.at(later), name), set[str]()
        while found := person.lease(5, have=tuple(got)):
            got.update(it.id for it in found)
        assert got == set(everything)
    tail = room.write(f"inputs/{name}/tail.manifest", [{"source-ref": photo(13)}])
    assert jobs.add_items(room.portal, name, tail).queues == 7


def should_not_let_a_lease_that_nobody_knows_of_keep_an_item(room: Room) -> None:
    # A person's entry names an item that was never leased: the kill came in between.
    job = room.job(items=1, options=OPTIONS)
    person = Annotator(room, job.name)
    room.portal.table.write(work.Update(work.keys.person(job.name, person.id), add={"held": frozenset({"0000000"})}))
    person.lease(1)
    assert [it.id for it in person.lease(1)] == ["0000000"]


def should_take_answers_on_while_a_stopped_job_is_finished(room: Room) -> None:
    job = room.job(items=3, options=replace(OPTIONS, lease_seconds=900))
    person = Annotator(room, job.name)
    first, second = person.lease(2)
    person.say(first.id)
    jobs.stop(room.portal, job.name)
    finish.finish(room.portal, job.name)
    before = rebuild.rebuild(room.portal, job.name).manifest
    late = person.say(second.id)
    assert late.status == "accepted", "it was given before the stop, on a train"
    card = room.portal.storage.read_json(f"s3://{room.portal.labels_bucket}/jobs/{job.name}/card.json")
    log.seal(room.portal, job.name)
    assert rebuild.rebuild(room.portal, job.name, through=card["log"]["seq"]).manifest == before
    assert rebuild.rebuild(room.portal, job.name).labeled == 2
    assert answers.mine(room.portal, job, person.id)[0] == 2

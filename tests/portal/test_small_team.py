"""In a team with no one to spare, no photo waits for somebody who is asked no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks._portal_room import Room
from menulens.portal import blocking, decisions, keys, reading, skills, verify
from menulens.portal.model import Job, JobOptions
from menulens.portal.sealing import seal_all
from tests.portal.people import Annotator

OF_THREE = JobOptions(min_answers=1, max_answers=3, confidence=0.99, team=3, gold_share=0.0, least_worth=0.0)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have answers judged by what is known now; one test alone is about what was known some seconds ago."""
    monkeypatch.setattr(skills, "FRESH_SECONDS", 0.0)


def states(room: Room, job: Job) -> list[str]:
    return [it.state for it in reading.items(room.portal, job)]


def says(room: Room, job: Job, categories: list[int]) -> Annotator:
    """Have somebody label all photos, in the photos' order."""
    person = Annotator(room, job.name)
    for it in sorted(person.lease(10), key=lambda it: it.id):
        person.say(it.id, categories[int(it.id)])
    return person


def comes_and_goes(room: Room, job: Job) -> Annotator:
    """Have somebody take a photo and give it back."""
    person = Annotator(room, job.name)
    person.lease(1)
    blocking.block(room.portal, job, person.id)
    return person


def should_settle_or_bring_to_an_owner_what_waits_for_somebody_who_is_blocked(room: Room) -> None:
    job = room.job(items=4, options=OF_THREE)
    says(room, job, [0, 0, 0, 0])
    says(room, job, [0, 0, 0, 1])
    seal_all(room.portal, [job.name])
    assert states(room, job) == ["open"] * 4, "they wait for the third"
    comes_and_goes(room, job)
    seal_all(room.portal, [job.name])
    assert states(room, job) == ["settled"] * 3 + ["review"]
    assert verify.verify(room.portal, job.name).findings == ()


def should_judge_the_last_answer_by_who_is_blocked_already(room: Room) -> None:
    job = room.job(items=2, options=OF_THREE)
    comes_and_goes(room, job)
    seal_all(room.portal, [job.name])
    says(room, job, [0, 0])
    assert states(room, job) == ["open"] * 2
    says(room, job, [0, 1])
    assert states(room, job) == ["settled", "review"]


def should_ask_again_when_an_owner_lets_somebody_go_on(room: Room) -> None:
    job = room.job(items=2, options=OF_THREE)
    blocked = comes_and_goes(room, job)
    seal_all(room.portal, [job.name])
    says(room, job, [0, 0])
    says(room, job, [0, 1])
    decisions.decide(room.portal, job.name, "0000001", by="an owner", label=2)
    blocking.unblock(room.portal, job, blocked.id)
    seal_all(room.portal, [job.name])
    assert states(room, job) == ["open", "settled"], "an owner's decision stays"
    blocked.say(blocked.lease(1)[0].id, 0)
    assert states(room, job) == ["settled"] * 2


def should_look_once_more_when_an_answer_came_that_did_not_know_of_the_block(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = room.job(items=2, options=OF_THREE)
    says(room, job, [0, 0])
    ben = Annotator(room, job.name)
    first, last = sorted(ben.lease(2), key=lambda it: it.id)
    with monkeypatch.context() as stale:
        stale.setattr(skills, "FRESH_SECONDS", 15.0)
        ben.say(first.id, 1)
        comes_and_goes(room, job)
        seal_all(room.portal, [job.name])
        assert states(room, job) == ["review", "open"], "a look follows at once"
        ben.say(last.id, 1)  # judged by what was known before the block
        seal_all(room.portal, [job.name])
        assert states(room, job) == ["review", "open"]
        seal_all(room.at(31.0).portal, [job.name])
    assert states(room, job) == ["review", "review"]


def should_not_look_again_when_nobody_else_is_blocked(room: Room) -> None:
    job = room.job(items=2, options=OF_THREE)
    comes_and_goes(room, job)
    for seconds in (0.0, 31.0):
        seal_all(room.at(seconds).portal, [job.name])
    before = room.portal.table.get(keys.skills(job.name))
    seal_all(room.at(300.0).portal, [job.name])
    assert room.portal.table.get(keys.skills(job.name)) == before


def should_wait_for_people_of_the_team_who_have_not_come_yet(room: Room) -> None:
    job = room.job(items=1, options=replace(OF_THREE, team=4))
    says(room, job, [0])
    says(room, job, [1])
    comes_and_goes(room, job)
    seal_all(room.portal, [job.name])
    assert states(room, job) == ["open"]


def should_count_people_whom_the_settings_do_not_name(room: Room) -> None:
    job = room.job(items=4, options=replace(OF_THREE, team=2, max_answers=4))
    guests = [Annotator(room, job.name) for _ in range(3)]
    for guest in guests:
        guest.lease(1)
    comes_and_goes(room, job)
    seal_all(room.portal, [job.name])
    for category, guest in enumerate(guests[:2]):
        guest.label(category, limit=10)
    answered_by_two = [it.state for it in reading.items(room.portal, job) if len(it.answers) == 2]
    assert answered_by_two
    assert set(answered_by_two) == {"open"}, "the third guest has not answered"

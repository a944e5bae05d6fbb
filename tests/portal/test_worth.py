"""Who tells little beside the others is asked no more: learned by a refit, on a real table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from benchmarks._portal_room import CATEGORIES, Room
from menulens.labeling import adaptive
from menulens.portal import blocking, decisions, jobs, keys, log, rebuild, verify, work
from menulens.portal.model import Job, JobOptions
from menulens.portal.refit import refit
from menulens.portal.sealing import seal_all
from menulens.portal.settling import Skills
from menulens.portal.table import Update
from tests.portal.bus import Bus
from tests.portal.people import Annotator

ASKED_TWICE = JobOptions(confidence=0.9, min_answers=2, max_answers=3, gold_share=0.0, least_worth=0.75)
KINDS = len(CATEGORIES)


def blocked(room: Room, job: Job) -> dict[str, str]:
    return {one.id: one.blocked_reason for one in work.people(room.portal, job.name) if one.blocked}


def go_round(room: Room, job: Job, lookers: list[Annotator], presser: Annotator, times: int) -> None:
    """Have people answer in turn: some look at the photo, one presses the same button whatever it shows."""
    for _ in range(times):
        for person in [*lookers, presser]:
            for it in person.lease(4):
                person.say(it.id, 0 if person is presser else int(it.id) % KINDS)
        seal_all(room.portal, [job.name])


def should_ask_no_more_who_presses_the_same_button_all_day(room: Room) -> None:
    bus = Bus()
    heard = replace(room, portal=replace(room.portal, events=bus))
    job = heard.job(items=120, options=ASKED_TWICE)
    lookers, presser = [Annotator(heard, job.name) for _ in range(3)], Annotator(heard, job.name)
    go_round(heard, job, lookers, presser, times=4)
    assert blocked(heard, job) == {}, "who has given few answers is not judged"
    presser.lease(4)
    go_round(heard, job, lookers, presser, times=7)
    [(person, reason)] = blocked(heard, job).items()
    assert person == presser.id
    kind, _, share = reason.partition(": ")
    assert (kind, share.endswith("%")) == ("worth", True)
    assert int(share[:-1]) < 75
    assert presser.lease(4) == []
    assert work.person_of(heard.portal, job.name, presser.id).held == frozenset()

    [told] = bus.of("AnnotatorBlocked")
    assert (told["job_name"], told["person"], told["due"]) == (job.name, presser.id, 0.75)
    assert told["worth"] == pytest.approx(int(share[:-1]) / 100, abs=0.005)
    log.seal(heard.portal, job.name)
    assert rebuild.rebuild(heard.portal, job.name).ledger.blocked == {presser.id: reason}
    assert verify.verify(heard.portal, job.name).findings == ()

    blocking.unblock(heard.portal, job, presser.id)
    assert len(presser.label(0, limit=4)) == 4
    refit(heard.portal, job, log.head_of(heard.portal, job.name).seq, anyway=True)
    assert blocked(heard, job) == {}, "whom an owner let go on is not stopped again"


def should_not_judge_people_by_answers_that_nobody_else_gave(room: Room) -> None:
    job = room.job(items=160, options=replace(ASKED_TWICE, min_answers=1, max_answers=3, confidence=0.9))
    lookers, late = [Annotator(room, job.name) for _ in range(4)], Annotator(room, job.name)
    for _ in range(8):
        for person in lookers:
            for it in person.lease(4):
                person.say(it.id, int(it.id) % KINDS)
        seal_all(room.portal, [job.name])
    for _ in range(10):
        for it in late.lease(4):
            late.say(it.id, int(it.id) % KINDS)
        seal_all(room.portal, [job.name])
    assert work.person_of(room.portal, job.name, late.id).answered >= 30
    assert blocked(room, job) == {}


def crowd(room: Room, job: Job, people: Iterable[str]) -> Skills:
    """Have people who answered; some tell nothing, the others all there is to tell."""
    for person in people:
        room.portal.table.write(Update(keys.person(job.name, person), set={"answered": 50, "name": person}))
    sees = adaptive.default_skill(KINDS, 0.97)
    presses = [[1.0, *[0.0] * (KINDS - 1)]] * KINDS
    return Skills({person: presses if person.startswith("presser") else sees for person in people})


@pytest.mark.parametrize(
    ("compared", "options", "gone"),
    [
        ({"a": 50, "b": 50, "c": 50, "presser-1": 50}, {}, {"presser-1"}),
        ({"a": 50, "b": 50, "c": 50, "presser-1": 19}, {}, set()),
        ({"a": 50, "b": 50, "presser-1": 50}, {}, set()),
        ({"a": 50, "b": 50, "presser-1": 50, "presser-2": 50}, {}, {"presser-1"}),
        ({"a": 50, "b": 50, "c": 50, "presser-1": 50}, {"max_answers": 4}, set()),
        ({"a": 50, "b": 50, "c": 50, "presser-1": 50}, {"least_worth": 0.0}, set()),
    ],
)
def should_let_go_only_whom_it_knows_and_can_spare(
    room: Room, compared: dict[str, int], options: dict[str, float], gone: set[str]
) -> None:
    job = room.job(items=2, options=replace(ASKED_TWICE, **options))
    found = crowd(room, job, compared)
    assert blocking.block_who_tell_little(room.portal, job, found, compared) == len(gone)
    assert set(blocked(room, job)) == gone
    assert blocking.block_who_tell_little(room.portal, job, found, compared) == 0, "once"


@pytest.mark.parametrize("golden", [False, True])
def should_take_what_somebody_has_answered_offline_who_is_asked_no_more(room: Room, golden: bool) -> None:
    job = room.job(items=2, options=replace(ASKED_TWICE, gold_share=float(golden), gold_min_seen=1))
    for item in range(golden):
        decisions.set_gold(room.portal, job.name, f"{item:07d}", by="owner", label=2)
    compared = {"a": 50, "b": 50, "c": 50, "presser-1": 50}
    found = crowd(room, job, compared)
    presser = Annotator(room, job.name, id="presser-1")
    [it] = presser.lease(1)
    assert blocking.block_who_tell_little(room.portal, job, found, compared) == 1
    assert presser.lease(1) == []
    assert (it.gold is not None) == golden
    assert presser.say(it.id, 0).status == "accepted"
    blocking.block(room.portal, job, "presser-1", "presses one button")
    [other] = [one.id for one in jobs.items(room.portal, job) if one.id != it.id]
    assert presser.say(other, 0).code == "no-item"


def should_let_go_another_where_an_owner_keeps_one(room: Room) -> None:
    job = room.job(items=2, options=replace(ASKED_TWICE, max_answers=4))
    compared = {"a": 50, "b": 50, "c": 50, "presser-1": 50, "presser-2": 50}
    found = crowd(room, job, compared)
    blocking.unblock(room.portal, job, "presser-1")
    assert blocking.block_who_tell_little(room.portal, job, found, compared) == 1
    assert set(blocked(room, job)) == {"presser-2"}


def should_not_stop_whom_an_owner_lets_go_on_at_that_moment(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    job = room.job(items=2, options=ASKED_TWICE)
    compared = {"a": 50, "b": 50, "c": 50, "presser-1": 50}
    found = crowd(room, job, compared)
    as_read = work.people(room.portal, job.name)
    blocking.block(room.portal, job, "presser-1", "by mistake")
    blocking.unblock(room.portal, job, "presser-1")
    monkeypatch.setattr(work, "people", lambda *_: as_read)
    assert blocking.block_who_tell_little(room.portal, job, found, compared) == 0
    monkeypatch.undo()
    assert blocked(room, job) == {}

"""Answers on a real table: once each, whatever devices, networks and clocks do."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from benchmarks._portal_room import Room
from menulens.labeling import adaptive
from menulens.portal import answers, blocking, decisions, jobs, keys, log, rebuild, verify, work
from menulens.portal.model import JobOptions, PortalError
from menulens.portal.settling import Skills
from menulens.portal.skills import encoded
from menulens.portal.table import Update
from tests.portal.people import Annotator, any_id, logged

ONE = JobOptions(confidence=0.5, min_answers=1, max_answers=1, gold_share=0.0, lease_seconds=60)
TWO = JobOptions(confidence=0.99, min_answers=2, max_answers=2, gold_share=0.0, lease_seconds=60)


def should_take_an_answer_once_however_often_it_is_sent(room: Room) -> None:
    job = room.job(options=ONE)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    given = person.given(it.id)
    assert [person.send(given)[0].status for _ in range(3)] == ["accepted", "duplicate", "duplicate"]
    assert logged(room, job.name) == [given.id]
    assert jobs.progress(room.portal, job).answers == 1


def should_take_an_answer_once_when_it_is_sent_by_many_at_once(room: Room) -> None:
    job = room.job(options=ONE)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    given = person.given(it.id)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: person.send(given)[0].status, range(8)))
    assert sorted(told) == ["accepted", *["duplicate"] * 7]
    assert logged(room, job.name) == [given.id]


def should_count_the_first_of_two_devices(room: Room) -> None:
    job = room.job(options=TWO)
    phone = Annotator(room, job.name)
    tablet = Annotator(room, job.name, id=phone.id)
    [it] = phone.lease(1)
    assert [one.id for one in tablet.lease(1)] == [it.id], "what a person has comes first on each device"
    first, second = phone.given(it.id, 0), tablet.given(it.id, 1)
    assert phone.send(first)[0].status == "accepted"
    [refused] = tablet.send(second)
    assert (refused.status, refused.code) == ("rejected", "answered")
    assert logged(room, job.name) == [first.id]
    assert work.person_of(room.portal, job.name, phone.id).answered == 1


def should_not_take_an_answer_of_someone_who_was_never_asked(room: Room) -> None:
    job = room.job(options=ONE)
    holder, stranger = Annotator(room, job.name), Annotator(room, job.name)
    [it] = holder.lease(1)
    for item in (it.id, "0000099", "no-such-item"):
        refused = stranger.say(item)
        assert (refused.status, refused.code) == ("rejected", "no-item")
    assert logged(room, job.name) == []


def should_not_take_an_answer_to_another_job_by_its_item(room: Room) -> None:
    mine, other = room.job(options=ONE), room.job(options=ONE)
    person = Annotator(room, mine.name)
    [it] = person.lease(1)
    elsewhere = Annotator(room, other.name, id=person.id)
    assert elsewhere.say(it.id).code == "no-item"


def should_not_let_an_id_stand_for_another_answer(room: Room) -> None:
    job = room.job(options=TWO)
    person, other = Annotator(room, job.name), Annotator(room, job.name)
    [it] = person.lease(1)
    given = person.given(it.id)
    assert person.send(given)[0].status == "accepted"
    [stolen] = other.send(replace(given, item=it.id))
    assert (stolen.status, stolen.code) == ("rejected", "id-taken")


def should_take_a_late_answer_of_someone_whose_lease_ran_out(room: Room) -> None:
    job = room.job(items=1, options=ONE)
    slow, quick = Annotator(room, job.name), Annotator(room.at(100), job.name)
    [it] = slow.lease(1)
    assert [one.id for one in quick.lease(1)] == [it.id], "a lease that ran out is free"
    assert quick.say(it.id, 1).settled
    late = slow.say(it.id, 0)
    assert late.status == "accepted"
    assert not late.settled, "it was settled before"
    assert len(logged(room, job.name)) == 2
    assert jobs.progress(room.portal, job).done == 1


def should_give_nobody_more_people_than_an_item_needs(room: Room) -> None:
    job = room.job(items=3, options=TWO)
    people = [Annotator(room, job.name) for _ in range(3)]
    got = [{it.id for it in person.lease(5)} for person in people]
    assert [len(one) for one in got] == [3, 3, 0], "two people for each, and no third while both have it"


def should_lease_an_item_to_as_many_as_it_needs_when_all_ask_at_once(room: Room) -> None:
    job = room.job(items=10, options=ONE)
    people = [Annotator(room, job.name) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(Annotator.lease, people))
    # Who met the others at an item too often has left it; it is there for whoever asks next.
    given = [it for person, got in zip(people, at_once, strict=True) for it in {it.id for it in got + person.lease(10)}]
    assert len(given) == len(set(given)) == 10


def should_keep_an_item_from_who_has_answered_or_skipped_it(room: Room) -> None:
    job = room.job(items=2, options=TWO)
    person = Annotator(room, job.name)
    first, second = person.lease(5)
    person.say(first.id)
    person.say(second.id, None, kind="skip")
    assert person.lease(5) == []
    other = Annotator(room, job.name)
    assert {it.id for it in other.lease(5)} == {first.id, second.id}
    assert work.person_of(room.portal, job.name, person.id).answered == 1, "a skip is no answer of theirs"


def should_hand_back_leases_and_still_take_what_is_answered_later(room: Room) -> None:
    job = room.job(items=1, options=ONE)
    person, other = Annotator(room, job.name), Annotator(room, job.name)
    [it] = person.lease(1)
    assert other.lease(1) == []
    assert work.release(room.portal, person.now(), person.id, [it.id, "0000999", "junk"]) == 1
    assert [one.id for one in other.lease(1)] == [it.id]
    assert person.say(it.id).status == "accepted", "it was on the phone already"


def should_hand_back_everything_of_someone_who_left(room: Room) -> None:
    job = room.job(items=8, options=ONE)
    person, other = Annotator(room, job.name), Annotator(room, job.name)
    assert len(person.lease(8)) == 8
    assert work.release_all(room.portal, person.now(), person.id) == 8
    assert len(other.lease(8)) == 8


def should_take_back_several_answers_one_after_the_other(room: Room) -> None:
    job = room.job(items=1, options=TWO)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    first = person.given(it.id, 0)
    second = person.given(it.id, 1, replaces=first.id)
    third = person.given(it.id, 2, replaces=second.id)
    assert [one.status for one in person.send(first, second, third)] == ["accepted"] * 3
    held = jobs.get_item(room.portal, job.name, it.id)
    assert held.labels() == {person.id: 2}
    assert work.person_of(room.portal, job.name, person.id).answered == 1
    assert person.say(it.id, 0, replaces=first.id).code == "not-replaceable"
    assert len(logged(room, job.name)) == 3, "the log keeps what was taken back"


def should_ask_again_about_an_item_whose_answer_is_taken_back_by_a_skip(room: Room) -> None:
    job = room.job(items=1, options=ONE)
    person, other = Annotator(room, job.name), Annotator(room, job.name)
    [it] = person.lease(1)
    first = person.given(it.id)
    person.send(first)
    assert jobs.progress(room.portal, job).open == 0
    assert person.say(it.id, None, kind="skip", replaces=first.id).status == "accepted"
    assert jobs.progress(room.portal, job).open == 1
    assert [one.id for one in other.lease(1)] == [it.id]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"category": 9}, "no-category"),
        ({"category": -1}, "no-category"),
        ({"category": None}, "no-category"),
        ({"category": 0, "second": 1}, "no-category"),
        ({"kind": "hard", "category": 0, "second": 9}, "no-category"),
        ({"kind": "report", "category": None}, "no-problem"),
    ],
)
def should_refuse_what_says_nothing(room: Room, more: dict[str, object], code: str) -> None:
    job = room.job(items=1, options=ONE)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    refused = person.say(it.id, **more)  # type: ignore[arg-type]
    assert (refused.status, refused.code) == ("rejected", code)
    assert logged(room, job.name) == []


def should_refuse_too_many_at_once(room: Room) -> None:
    job = room.job(items=1, options=ONE)
    person = Annotator(room, job.name)
    with pytest.raises(PortalError, match="50 are allowed"):
        person.send(*(person.given("0000000") for _ in range(51)))


def should_send_a_reported_or_hard_item_to_review(room: Room) -> None:
    job = room.job(items=2, options=replace(TWO, hard_answers=2))
    people = [Annotator(room, job.name) for _ in range(2)]
    first, second = people[0].lease(2)
    people[1].lease(2)
    people[0].say(first.id, None, kind="report", problem="improper")
    for person in people:
        person.say(second.id, 0, kind="hard", second=1)
    waiting = {entry["sk"]: entry for entry in room.portal.table.queued(keys.review_queue(job.name))}
    assert set(waiting) == {first.id, second.id}
    assert jobs.get_item(room.portal, job.name, first.id).reason == "report: improper"
    assert jobs.get_item(room.portal, job.name, second.id).reason == "hard"
    assert jobs.progress(room.portal, job).review == 2


def should_mix_gold_items_in_and_block_who_gets_them_wrong(room: Room) -> None:
    options = replace(ONE, gold_share=0.5, gold_min_seen=4, gold_min_accuracy=0.7)
    job = room.job(items=60, options=options)
    for item in range(10):
        decisions.set_gold(room.portal, job.name, f"{item:07d}", by="owner", label=2)
    good, bad = Annotator(room, job.name), Annotator(room, job.name)
    golden, answered = 0, 0
    for _ in range(6):
        for it in good.lease(5):
            gold = it.gold is not None
            golden, answered = golden + gold, answered + 1
            assert good.say(it.id, 2 if gold else 0).status == "accepted"
    assert 4 <= golden <= 10, "gold items come unseen among the others"
    person = work.person_of(room.portal, job.name, good.id)
    assert (person.gold_seen, person.gold_right, person.blocked) == (golden, golden, False)
    refused = None
    for _ in range(12):
        for it in bad.lease(5):
            refused = bad.say(it.id, 0)
    person = work.person_of(room.portal, job.name, bad.id)
    assert person.blocked
    assert (person.gold_seen, person.gold_right) == (4, 0)
    assert person.blocked_reason == "gold: 0 of 4 right"
    assert refused is not None
    assert bad.lease(5) == []
    log.seal(room.portal, job.name)
    assert rebuild.rebuild(room.portal, job.name).ledger.blocked == {bad.id: "gold: 0 of 4 right"}


def should_block_once_who_falls_under_the_accuracy_on_several_devices_at_once(room: Room) -> None:
    job = room.job(items=8, options=replace(ONE, gold_share=1.0, gold_min_seen=1, gold_min_accuracy=0.9))
    for item in range(8):
        decisions.set_gold(room.portal, job.name, f"{item:07d}", by="owner", label=2)
    person = Annotator(room, job.name)
    items = [it.id for it in person.lease(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(person.say, items))
    assert {(one.status, one.code) for one in results} == {("accepted", ""), ("rejected", "blocked")}
    log.seal(room.portal, job.name)
    told = [line for raw in log.lines(room.portal, job.name) if (line := json.loads(raw))["kind"] == "person"]
    assert [(line["body"]["person"], line["body"]["reason"]) for line in told] == [(person.id, "gold: 0 of 1 right")]


def should_tell_the_log_who_gets_no_more_work_and_who_does_again(room: Room) -> None:
    job = room.job(options=ONE)
    gone, back = Annotator(room, job.name), Annotator(room, job.name)
    for person in (gone, back):
        person.label(limit=1)
        blocking.block(room.portal, job, person.id, "left")
    blocking.unblock(room.portal, job, back.id)
    with pytest.raises(PortalError, match="no such person"):
        blocking.block(room.portal, job, "nobody")
    log.seal(room.portal, job.name)
    told = [line for raw in log.lines(room.portal, job.name) if (line := json.loads(raw))["kind"] == "person"]
    assert [(line["body"]["person"], line["body"]["blocked"]) for line in told] == [
        (gone.id, True), (back.id, True), (back.id, False),
    ]  # fmt: skip
    assert rebuild.rebuild(room.portal, job.name).ledger.blocked == {gone.id: "owner: left"}
    assert verify.verify(room.portal, job.name).findings == ()


def should_count_a_gold_answer_that_is_taken_back_as_its_last(room: Room) -> None:
    job = room.job(items=1, options=replace(ONE, gold_share=1.0))
    decisions.set_gold(room.portal, job.name, "0000000", by="owner", label=2)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    wrong = person.given(it.id, 0)
    person.send(wrong)
    person.say(it.id, 2, replaces=wrong.id)
    known = work.person_of(room.portal, job.name, person.id)
    assert (known.gold_seen, known.gold_right) == (1, 1)
    assert jobs.get_item(room.portal, job.name, it.id).label == 2


def should_hand_out_nothing_while_a_job_is_paused_and_take_what_is_out(room: Room) -> None:
    job = room.job(items=5, options=ONE)
    person = Annotator(room, job.name)
    [it] = person.lease(1)
    jobs.pause(room.portal, job.name)
    assert person.lease(5) == []
    assert person.say(it.id).status == "accepted"
    jobs.resume(room.portal, job.name)
    assert len(person.lease(5)) == 4


def should_keep_what_a_category_meant_when_it_is_renamed(room: Room) -> None:
    job = room.job(items=2, options=ONE)
    person = Annotator(room, job.name)
    first, second = person.lease(2)
    person.say(first.id, 1)
    job = jobs.rename_category(room.portal, job.name, "drink", key="beverage", en="Beverage")
    assert (job.category("beverage"), job.category("drink")) == (job.categories[1],) * 2
    person.say(second.id, 1)
    assert [jobs.get_item(room.portal, job.name, one.id).label for one in (first, second)] == [1, 1]
    with pytest.raises(PortalError, match="had this key"):
        jobs.rename_category(room.portal, job.name, "meal", key="drink")


def should_tell_how_far_a_job_is(room: Room) -> None:
    job = room.job(items=10, options=ONE)
    person = Annotator(room, job.name)
    person.label(limit=4)
    assert answers.mine(room.portal, job, person.id) == (4, 6, 10)
    assert answers.mine(room.portal, job, any_id()) == (0, 6, 10)


def should_keep_the_answers_of_people_who_answer_at_the_same_moment(room: Room) -> None:
    job = room.job(items=6, options=replace(TWO, min_answers=4, max_answers=4))
    people = [Annotator(room, job.name) for _ in range(4)]
    _, _, _, items = ([it.id for it in person.lease(6)] for person in people)
    with ThreadPoolExecutor(4) as pool:
        for item in items:
            told = list(pool.map(lambda person, item=item: person.say(item, 1).status, people))  # type: ignore[misc]
            assert told == ["accepted"] * 4
            assert set(jobs.get_item(room.portal, job.name, item).labels()) == {person.id for person in people}
    assert jobs.progress(room.portal, job).done == 6
    assert len(logged(room, job.name)) == 24


def should_seal_each_answer_once_when_many_seal_at_the_same_moment(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_LINES", 4)
    job = room.job(items=30, options=ONE)
    people = [Annotator(room, job.name) for _ in range(3)]
    given = {person.id: [person.given(it.id) for it in person.lease(10)] for person in people}
    with ThreadPoolExecutor(5) as pool:
        sealers = [pool.submit(log.seal, room.portal, job.name) for _ in range(4)]
        for person in people:
            person.send(*given[person.id])
        sealers += [pool.submit(log.seal, room.portal, job.name) for _ in range(8)]
        written = sum(sealer.result() for sealer in sealers)
    assert sorted(logged(room, job.name)) == sorted(one.id for some in given.values() for one in some)
    found = verify.verify(room.portal, job.name)
    assert (found.lines, found.findings) == (33, ())
    assert written <= 33


def should_find_nothing_in_a_log_that_grows_while_it_is_read(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    job = room.job(items=10, options=ONE)
    person = Annotator(room, job.name)
    person.label(limit=3)
    log.seal(room.portal, job.name)
    listed = log.segments

    def list_then_grow(*given: str, **more: str) -> list[str]:
        names = listed(*given, **more)
        monkeypatch.setattr(log, "segments", listed)
        person.label(limit=3)
        assert log.seal(room.portal, job.name) == 3
        return names

    monkeypatch.setattr(log, "segments", list_then_grow)
    assert verify.verify(room.portal, job.name).findings == ()
    assert len(logged(room, job.name)) == 6


def should_take_one_of_two_answers_that_have_one_id_and_come_at_once(room: Room) -> None:
    job = room.job(items=20, options=ONE)
    person = Annotator(room, job.name)
    items = [it.id for it in person.lease(10)]
    with ThreadPoolExecutor(2) as pool:
        for first, second in zip(items[::2], items[1::2], strict=True):
            given = person.given(first)
            twins = [given, replace(given, item=second)]
            told = list(pool.map(lambda one: person.send(one)[0].status, twins))
            assert sorted(told) == ["accepted", "rejected"]
    assert len(logged(room, job.name)) == 5


def should_give_each_person_the_photos_that_they_can_tell_better_than_others(room: Room) -> None:
    """Four photos are in doubt, two between the first categories and two between the last; each has its expert."""
    job = room.job(8, options=replace(TWO, max_answers=4))
    count = len(job.categories)
    one, other = Annotator(room, job.name), Annotator(room, job.name)
    sure = adaptive.default_skill(count, 0.97)
    skills = {
        person.id: [sure[truth] if truth in well else adaptive.uniform(count) for truth in range(count)]
        for person, well in ((one, (0, 1)), (other, (2, 3)))
    }
    room.portal.table.write(Update(keys.skills(job.name), set={"skills": encoded(Skills(skills)), "lines": 8}))

    at_odds = [Annotator(room, job.name), Annotator(room, job.name)]
    begun = sorted(it.id for it in at_odds[0].lease(8))[:4]
    at_odds[1].lease(8)
    for place, item in enumerate(begun):
        for step, person in enumerate(at_odds):
            person.say(item, step + (2 if place % 2 else 0))
    for person in at_odds:
        work.release_all(room.portal, job, person.id)
    assert {it.id for it in one.lease(2)} == {begun[0], begun[2]}
    assert {it.id for it in other.lease(2)} == {begun[1], begun[3]}

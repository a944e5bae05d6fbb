"""People, devices and clocks in any order: what must always hold of leases, answers and undo."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from menulens.portal import answers, decisions, jobs, keys, log, rebuild, verify, work
from menulens.portal.model import Answer, Category, Item, Job, JobOptions
from menulens.portal.settling import wanted
from tests.unit.portal.memory import Clock, any_portal

PEOPLE = ("aki", "ben", "chie")
CATEGORIES = [Category("meal", "料理", "Meal"), Category("drink", "飲み物", "Drink"), Category("no", "無", "No")]
ITEMS = 5
LEASE = 60
CHANCE = random.Random()  # which work is handed out: the same again when an example is run again


class Portals(RuleBasedStateMachine):
    """A small job; the model is the list of what was sent and what was said to it."""

    @initialize(
        least=st.integers(1, 2),
        more=st.integers(0, 2),
        confidence=st.sampled_from([0.6, 0.95]),
        seed=st.integers(0, 1_000),
    )
    def open(self, least: int, more: int, confidence: float, seed: int) -> None:
        CHANCE.seed(seed)
        self.clock = Clock()
        self.portal = any_portal(self.clock)
        self.options = JobOptions(
            confidence=confidence,
            min_answers=least,
            max_answers=least + more,
            gold_share=0.3,
            gold_min_seen=1_000,
            lease_seconds=LEASE,
        )
        lines = "".join(json.dumps({"source-ref": f"s3://any/{place}.jpg"}) + "\n" for place in range(ITEMS))
        self.portal.storage.write_text("s3://labels/any.manifest", lines)
        self.job = jobs.create(
            self.portal,
            name="any-job",
            manifest="s3://labels/any.manifest",
            attribute="label",
            categories=CATEGORIES,
            options=self.options,
        )
        self.sent: list[tuple[str, Answer]] = []
        self.accepted: dict[str, Answer] = {}
        self.current: dict[tuple[str, str], str] = {}
        self.shown: dict[str, set[str]] = {person: set() for person in PEOPLE}

    def now(self) -> Job:
        return jobs.get(self.portal, "any-job")

    def items(self) -> list[Item]:
        return list(jobs.items(self.portal, self.job))

    @rule(person=st.sampled_from(PEOPLE), limit=st.integers(1, 4))
    def lease(self, person: str, limit: int) -> None:
        before = {it.id: it for it in self.items()}
        got = work.lease(self.portal, self.now(), person, limit=limit).items
        assert len({it.id for it in got}) == len(got) <= limit
        for it in got:
            was = before[it.id]
            others = [one for one in was.holders(self.clock.now) if one != person]
            assert person not in was.answers
            assert was.gold is not None or (was.state == "open" and len(others) < wanted(was, self.options))
            self.shown[person].add(it.id)

    @rule(
        person=st.sampled_from(PEOPLE),
        item=st.integers(0, ITEMS),
        kind=st.sampled_from(["label", "label", "label", "hard", "skip", "report"]),
        category=st.integers(0, 3),
        undo=st.booleans(),
    )
    def answer(self, person: str, item: int, kind: Any, category: int, undo: bool) -> None:
        name = f"{item:07d}"
        mine = self.current.get((name, person), "")
        given = Answer(
            id=str(uuid.UUID(int=CHANCE.getrandbits(128), version=4)),
            item=name,
            person="",
            kind=kind,
            category=category if kind in ("label", "hard") else None,
            problem="broken" if kind == "report" else None,
            replaces=mine if undo else "",
        )
        [result] = answers.record(self.portal, self.now(), answers.Who(person), [given])
        due = name in self.shown[person] and (category < len(CATEGORIES) or kind in ("skip", "report"))
        due = due and (undo or not mine)
        assert result.status == ("accepted" if due else "rejected"), result
        self.sent.append((person, given))
        if due:
            self.accepted[given.id] = given
            self.current[name, person] = given.id

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 1_000))
    def send_again(self, which: int) -> None:
        person, given = self.sent[which % len(self.sent)]
        [result] = answers.record(self.portal, self.now(), answers.Who(person), [given])
        if given.id in self.accepted:
            assert result.status == "duplicate"
        elif result.status == "accepted":
            # Refused before for want of a lease, and leased since.
            self.accepted[given.id] = given
            self.current[given.item, person] = given.id

    @rule(person=st.sampled_from(PEOPLE), everything=st.booleans())
    def release(self, person: str, everything: bool) -> None:
        if everything:
            work.release_all(self.portal, self.now(), person)
            # A settled item's lease may be forgotten before it ends; opened again, the item has none.
            assert all(person not in it.holders(self.clock.now) for it in self.items() if it.state == "open")
        else:
            work.release(self.portal, self.now(), person, ["0000001", "0000002"])

    @rule(seconds=st.sampled_from([1, LEASE // 2, LEASE + 1]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(item=st.integers(0, ITEMS - 1), gold=st.booleans())
    def mark(self, item: int, gold: bool) -> None:
        name = f"{item:07d}"
        if gold:
            decisions.set_gold(self.portal, "any-job", name, by="owner", label=1)
        elif jobs.get_item(self.portal, "any-job", name).gold is not None:
            decisions.unset_gold(self.portal, "any-job", name, by="owner")

    @rule(item=st.integers(0, ITEMS - 1), how=st.sampled_from(["label", "reject", "back"]))
    def decide(self, item: int, how: str) -> None:
        name = f"{item:07d}"
        if jobs.get_item(self.portal, "any-job", name).gold is not None:
            return
        decided: dict[str, Any] = {"label": {"label": 2}, "reject": {"reject": "blurred"}, "back": {"back": True}}
        decisions.decide(self.portal, "any-job", name, by="owner", **decided[how])
        if how == "back":
            self.current = {key: one for key, one in self.current.items() if key[0] != name}

    @rule()
    def seal(self) -> None:
        log.seal(self.portal, "any-job")

    @invariant()
    def counts_agree(self) -> None:
        items = self.items()
        progress = jobs.progress(self.portal, self.job)
        assert progress.answers == len(self.accepted)
        assert progress.done == sum(it.state != "open" for it in items)
        assert progress.review == sum(it.state == "review" for it in items)
        for person in PEOPLE:
            told = {it.id: it.answers[person] for it in items if person in it.answers}
            assert {it: one.id for it, one in told.items()} == {
                it: one for (it, who), one in self.current.items() if who == person
            }

    @invariant()
    def nobody_is_forgotten(self) -> None:
        for it in self.items():
            holders = it.holders(self.clock.now)
            assert it.gold is not None or len(holders) <= self.options.min_answers
            found = self.portal.table.get(keys.item("any-job", it.id)) or {}
            due = keys.queue_of(it, wanted=wanted(it, self.options), now=self.clock.now)
            assert ("queue" in found) == (due["queue"] is not None)
            assert found.get("who", frozenset()) == due["who"]
            for person in holders if it.state == "open" else ():
                assert it.id in work.person_of(self.portal, "any-job", person).held

    def teardown(self) -> None:
        if not hasattr(self, "portal"):
            return
        log.seal(self.portal, "any-job")
        lines = [json.loads(raw) for raw in log.lines(self.portal, "any-job")]
        assert sorted(line["id"] for line in lines if line["kind"] == "answer") == sorted(self.accepted)
        assert verify.verify(self.portal, "any-job").findings == ()
        made = rebuild.rebuild(self.portal, "any-job")
        for it in self.items():
            told = made.ledger.items[it.id]
            assert (told.state, told.reason, told.settler, told.gold) == (it.state, it.reason, it.settler, it.gold)
            assert {person: one["id"] for person, one in told.answers.items()} == {
                person: one.id for person, one in it.answers.items()
            }
        assert len(made.manifest.splitlines()) == ITEMS


Portals.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def should_hold_whatever_people_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_random", CHANCE)
    Portals.TestCase("runTest").runTest()


def should_give_everyone_work_until_nothing_is_open() -> None:
    portal = any_portal()
    portal.storage.write_text(
        "s3://labels/any.manifest",
        "".join(json.dumps({"source-ref": f"s3://any/{place}.jpg"}) + "\n" for place in range(40)),
    )
    options = JobOptions(confidence=0.999, min_answers=2, max_answers=3, gold_share=0.0)
    job = jobs.create(
        portal, name="any-job", manifest="s3://labels/any.manifest", attribute="label", categories=CATEGORIES,
        options=options,
    )  # fmt: skip
    given = 0
    while jobs.progress(portal, job).open:
        for place, person in enumerate(PEOPLE):
            for it in work.lease(portal, jobs.get(portal, job.name), person, limit=7).items:
                one = Answer(str(uuid.uuid4()), it.id, "", "label", category=(int(it.id) + (place == 2)) % 3)
                [result] = answers.record(portal, replace(job), answers.Who(person), [one])
                assert result.status == "accepted"
                given += 1
        assert given <= 40 * 3
    assert jobs.conclude(portal, jobs.get(portal, job.name)).state == "complete"

"""Machine labels and audits on a job of a real table: what people check, what stands, what is taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from benchmarks._portal_room import Room, photo
from menulens.labeling import layout
from menulens.labeling.audit import Suspect
from menulens.labeling.probing import plan
from menulens.portal import audits, automation, decisions, jobs, rebuild, sealing
from menulens.portal.automation import Report, advance
from menulens.portal.model import Item, Job, JobOptions, PortalError

ITEMS = 200
LABELED = 90


class Photos:
    """Photos of four kinds, their vectors, and which kind each is; every second may look like nothing in particular."""

    def __init__(self, count: int, hard: bool = True, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.truth = generator.integers(0, 4, count)
        centres = np.linalg.qr(generator.normal(size=(32, 32)))[0][:4]
        noise = np.where(hard & (np.arange(count) % 2 == 0), 8.0, 0.35)[:, None]
        vectors = centres[self.truth] + noise * generator.normal(size=(count, 32)) / np.sqrt(32)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.vectors = {photo(place): unit[place].astype(np.float32) for place in range(count)}
        self.asked: list[str] = []

    def __call__(self, photos: Sequence[str]) -> Mapping[str, np.ndarray]:
        self.asked = list(photos)
        return {one: self.vectors[one] for one in photos if one in self.vectors}


def any_job(room: Room, photos: Photos, labeled: int = LABELED) -> Job:
    """Open a job of which the first items are labeled."""
    job = room.job(len(photos.truth), options=JobOptions(gold_share=0.0))
    label(room, job, photos, [f"{place:07d}" for place in range(labeled)])
    return job


def label(room: Room, job: Job, photos: Photos, items: Sequence[str], wrong: Sequence[str] = ()) -> None:
    """Have an owner label items as they are, some as they are not."""

    def decide(item: str) -> None:
        truth = int(photos.truth[int(item)])
        decisions.decide(room.portal, job.name, item, by="any owner", label=(truth + (item in wrong)) % 4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, items))


def all_items(room: Room, job: Job) -> dict[str, Item]:
    return {it.id: it for it in jobs.items(room.portal, jobs.get(room.portal, job.name))}


def probes(room: Room, job: Job) -> list[str]:
    """Return the items that people are asked about before all else."""
    return [it.id for it in all_items(room, job).values() if it.probe and it.state == "open"]


def go(room: Room, job: Job, photos: Photos, **more: object) -> Report:
    return advance(room.portal, job.name, photos, model="model-7", error=0.2, certainty=0.8, **more)  # type: ignore[arg-type]


@pytest.fixture
def photos() -> Photos:
    return Photos(ITEMS)


def should_have_a_probe_checked_before_any_machine_label_stands(room: Room, photos: Photos) -> None:
    job = any_job(room, photos)
    begun = go(room, job, photos)
    assert begun.did == "probing"
    assert begun.learned == LABELED
    assert begun.batch is not None and begun.verdict is not None
    assert begun.verdict.due == begun.batch.plan.looks[0].probes
    assert begun.photos == 0
    items = all_items(room, job)
    assert not [it for it in items.values() if it.settler == "machine"]
    asked = probes(room, job)
    assert len(asked) == begun.verdict.due
    assert all(items[item].priority == 0 for item in asked)
    # Who looks like nothing is asked about after the probe and before those that the machine is sure of.
    sure = {one.item for one in begun.batch.candidates}
    torn = [it.priority for it in items.values() if it.state == "open" and it.id not in sure]
    assert torn and max(torn) < 99
    assert {items[item].priority for item in sure - set(asked)} == {99}

    # Nothing has changed: nothing is done.
    assert go(room, job, photos) == replace(begun, learned=0, error_before=None, error_after=None)

    label(room, job, photos, asked)
    stood = go(room, job, photos)
    assert stood.did == "labeled"
    assert stood.verdict is not None and stood.verdict.bound is not None
    assert (stood.verdict.errors, stood.verdict.state) == (0, "stands")
    assert stood.verdict.bound <= 0.2
    assert stood.labeled == len(sure) - len(asked) == stood.photos
    items = all_items(room, job)
    machine = {it.id: it for it in items.values() if it.settler == "machine"}
    assert set(machine) == sure - set(asked)
    assert np.mean([it.label == photos.truth[int(it.id)] for it in machine.values()]) > 0.97

    # What is left looks like nothing: it is people's, and what stands stays.
    later = go(room, job, photos)
    assert (later.did, later.labeled, later.photos) == ("nothing sure", 0, stood.labeled)

    # The manifest says which labels no person gave.
    sealing.seal_all(room.portal, [job.name])
    lines = [json.loads(line) for line in rebuild.rebuild(room.portal, job.name).manifest.splitlines()]
    by = {number: line["menu-category-metadata"] for number, line in enumerate(lines) if "menu-category" in line}
    assert {f"{n:07d}" for n, told in by.items() if told["human-annotated"] == "no"} == set(machine)
    assert all(by[int(item)]["confidence"] == pytest.approx(it.posterior, abs=0.01) for item, it in machine.items())


def should_withdraw_machine_labels_when_people_check_more_and_find_them_wrong(room: Room) -> None:
    photos = Photos(170, hard=False)
    job = any_job(room, photos, labeled=80)
    assert go(room, job, photos).did == "probing"
    label(room, job, photos, probes(room, job))
    stood = go(room, job, photos)
    assert stood.did == "labeled" and stood.labeled > 50
    more = go(room, job, photos, check=True)
    assert more.verdict is not None and stood.verdict is not None and stood.batch is not None
    assert more.verdict.due == stood.batch.plan.looks[1].probes
    again = probes(room, job)
    assert len(again) == more.verdict.due - stood.verdict.probes
    label(room, job, photos, again, wrong=again)
    found = go(room, job, photos)
    assert found.did == "stopped"
    assert found.withdrawn == stood.labeled - len(again)
    assert found.photos == 0
    items = all_items(room, job)
    assert not [it for it in items.values() if it.settler == "machine"]
    assert sum(it.state == "open" for it in items.values()) == found.withdrawn


def should_stop_a_batch_whose_probe_is_wrong_and_begin_the_next_with_a_stricter_share(room: Room) -> None:
    photos = Photos(140, hard=False)
    job = any_job(room, photos, labeled=80)
    first = go(room, job, photos)
    asked = probes(room, job)
    label(room, job, photos, asked, wrong=asked)
    stopped = go(room, job, photos)
    assert (stopped.did, stopped.labeled, stopped.photos) == ("stopped", 0, 0)
    # What people said of the probe is learned from now: the model is not sure of anything any more.
    again = go(room, job, photos)
    assert again.batch is None or again.batch.number == 2
    assert first.batch is not None
    assert plan(first.batch.plan.candidates, 2, error=0.2, certainty=0.8).share < first.batch.plan.share
    assert again.batch is None or again.batch.plan.share < first.batch.plan.share


def should_leave_to_people_what_has_no_vector_and_all_where_too_little_is_known(room: Room) -> None:
    photos = Photos(60)
    job = any_job(room, photos, labeled=10)
    few = go(room, job, photos)
    assert (few.did, few.learned) == ("too few labels", 10)
    for place in range(40, 60):
        del photos.vectors[photo(place)]
    label(room, job, photos, [f"{place:07d}" for place in range(10, 30)])
    unsure = go(room, job, photos)
    assert (unsure.did, unsure.without_vector) == ("nothing sure", 20)
    assert not [it for it in all_items(room, job).values() if it.probe or it.settler == "machine"]


def should_not_label_in_a_job_that_has_ended(room: Room, photos: Photos) -> None:
    job = room.job(3)
    jobs.stop(room.portal, job.name)
    with pytest.raises(PortalError, match="stopped"):
        go(room, job, photos)


def should_review_spoilt_labels_and_make_the_corrections_a_manifest(room: Room) -> None:
    photos = Photos(140, hard=False, seed=3)
    job = room.job(140, options=JobOptions(gold_share=0.0, max_answers=3))
    spoilt = [f"{place:07d}" for place in range(5, 140, 14)]
    people = [f"{place:07d}" for place in range(140)]
    # People's labels, not an owner's: an owner's word is not doubted.
    for item in people:
        truth = int(photos.truth[int(item)])
        said = (truth + (item in spoilt)) % 4
        decisions.label_by_machine(room.portal, job.name, item, model="people", label=said, posterior=0.9)
    found = audits.look(room.portal, job.name, photos)
    assert found.looked == 140
    caught = {one.name for one in found.suspects}
    assert set(spoilt) <= caught
    assert len(caught) <= len(spoilt) + 3

    review = audits.open_review(room.portal, job.name, found.suspects)
    assert review.asked == len(caught)
    assert audits.open_review(room.portal, job.name, found.suspects).name == review.name
    asked = {it.lines[0]: it.id for it in jobs.items(room.portal, review)}
    refs = automation.references(room.portal, review)
    place_of = {ref: place for place, ref in ((place, photo(place)) for place in range(140))}
    for line, item in asked.items():
        truth = int(photos.truth[place_of[refs[line]]])
        decisions.decide(room.portal, review.name, item, by="any owner", label=truth)
    done = audits.apply(room.portal, review.name)
    assert (done.job, done.reviewed, done.unanswered) == (job.name, len(caught), 0)
    assert {place_of[one.name] for one in done.changes} == {int(item) for item in spoilt}
    assert all(one.after == photos.truth[place_of[one.name]] for one in done.changes)
    merged = [json.loads(line) for line in room.portal.storage.lines(done.manifest)]
    assert len(merged) == 140
    label_of = {place_of[line["source-ref"]]: line["menu-category"] for line in merged}
    assert [label_of[place] for place in range(140)] == photos.truth.tolist()


def should_keep_the_labels_that_a_job_was_resumed_with_when_some_are_corrected(room: Room) -> None:
    job = room.job(3, options=JobOptions(gold_share=0.0))
    for place in range(3):
        decisions.label_by_machine(room.portal, job.name, f"{place:07d}", model="people", label=0, posterior=0.9)
    before = {"source-ref": photo(9), job.attribute: 2, f"{job.attribute}-metadata": {"class-name": "drink"}}
    earlier = f"{layout.inputs(room.portal.labels_bucket, job.name)}/chained.manifest"
    room.portal.storage.write_text(earlier, json.dumps(before) + "\n", "application/jsonl")
    made_of = {"sha256": "0" * 64, "earlier_manifest": earlier}
    room.portal.storage.write_json(layout.input_card(room.portal.labels_bucket, job.name), made_of)

    review = audits.open_review(room.portal, job.name, [Suspect("0000001", 0, 1, 0.1)])
    (item,) = jobs.items(room.portal, review)
    decisions.decide(room.portal, review.name, item.id, by="any owner", label=1)
    done = audits.apply(room.portal, review.name)
    labels = {
        line["source-ref"]: line[job.attribute] for line in map(json.loads, room.portal.storage.lines(done.manifest))
    }
    assert labels == {photo(9): 2, photo(0): 0, photo(1): 1, photo(2): 0}


def should_not_open_a_review_of_nothing_nor_apply_what_is_none(room: Room) -> None:
    job = room.job(3)
    with pytest.raises(PortalError, match="nothing to review"):
        audits.open_review(room.portal, job.name, [])
    with pytest.raises(PortalError, match="no review"):
        audits.apply(room.portal, job.name)

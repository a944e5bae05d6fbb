"""What a job leaves when it ends, who is told, and snapshots in between; on a real table and real buckets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from benchmarks._portal_room import CATEGORIES, Room, photo
from menulens.labeling.jobs import LabelingJobError
from menulens.portal import decisions, finish, jobs, keys, rebuild, sealing
from menulens.portal.context import Portal
from menulens.portal.model import Job, JobOptions, PortalError
from menulens.portal.refit import refit
from menulens.portal.table import TableError, Update
from tests.portal.bus import Bus
from tests.portal.people import Annotator

ONE = JobOptions(confidence=0.5, min_answers=1, max_answers=1, gold_share=0.0)


@dataclass
class Waiting:
    """State machines that wait, as Step Functions answers for them."""

    tokens: set[str] = field(default_factory=set)
    woken: list[tuple[str, Any]] = field(default_factory=list)

    def send_task_success(self, taskToken: str, output: str) -> None:  # noqa: N803
        if taskToken not in self.tokens:
            raise ClientError({"Error": {"Code": "TaskTimedOut", "Message": "gone"}}, "SendTaskSuccess")
        self.tokens.discard(taskToken)
        self.woken.append((taskToken, json.loads(output)))


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def waiting() -> Waiting:
    return Waiting({"token-1", "token-2"})


@pytest.fixture
def heard(room: Room, bus: Bus, waiting: Waiting) -> Room:
    return replace(room, portal=replace(room.portal, events=bus, step_functions=waiting))


def ended(room: Room, items: int = 3, **more: Any) -> str:
    job = room.job(items=items, options=ONE, **more)
    person = Annotator(room, job.name)
    while person.label(2, limit=1):
        pass
    sealing.seal_all(room.portal, [job.name])
    return job.name


def objects(room: Room, job: str) -> dict[str, Any]:
    prefix = f"s3://{room.portal.labels_bucket}/jobs/{job}/"
    return {one.uri.removeprefix(prefix): one for one in room.portal.storage.list(prefix)}


def should_leave_the_files_that_ground_truth_leaves(heard: Room) -> None:
    name = ended(heard, items=2)
    finish.finish(heard.portal, name)
    kept = objects(heard, name)
    folders = sorted({path.rpartition("/")[0] for path in kept})
    assert folders == [
        "",
        "annotations/consolidated-annotation/consolidation-request/iteration-1",
        "annotations/consolidated-annotation/consolidation-response/iteration-1",
        "annotations/intermediate/1",
        "annotations/worker-response/iteration-1/0",
        "annotations/worker-response/iteration-1/1",
        "manifests/output",
    ]
    [response] = [one for path, one in kept.items() if "iteration-1/0/" in path]
    [answer] = heard.portal.storage.read_json(response.uri)["answers"]
    assert answer["answerContent"] == {"crowd-image-classifier": {"label": "sweets"}}
    assert answer["workerId"].startswith("private.us-east-1.")
    assert answer["workerMetadata"]["identityData"]["identityProviderType"] == "Cognito"
    assert answer["timeSpentInSeconds"] >= 0
    manifest = heard.portal.storage.read_bytes(kept["manifests/output/output.manifest"].uri)
    assert [json.loads(line)["menu-category"] for line in manifest.splitlines()] == [2, 2]
    card = heard.portal.storage.read_json(kept["card.json"].uri)
    assert (card["labeled"], card["answers"], card["lines"]) == (2, 2, 2)
    assert rebuild.rebuild(heard.portal, name, through=card["log"]["seq"]).manifest == manifest


def should_end_by_itself_and_wake_everyone_who_waits_once(heard: Room, bus: Bus, waiting: Waiting) -> None:
    name = ended(heard, task_token="token-1")
    job = jobs.get(heard.portal, name)
    assert (job.state, job.finish_due) == ("complete", True)
    assert bus.of("LabelingFinished") == [{"environment": heard.portal.environment, "job_name": name}]
    answer = finish.finish(heard.portal, name)
    assert answer["job_status"] == "Completed"
    assert answer["count"] == 3
    assert waiting.woken == [("token-1", answer)]
    finish.finish(heard.portal, name)
    assert len(waiting.woken) == 1
    assert bus.of("LabelsReady") == []
    # Another execution begins to wait for the job that has ended.
    heard.portal.table.write(Update(keys.meta(name), add={"task_tokens": frozenset({"token-2"})}))
    assert finish.finish(heard.portal, name) == answer
    assert [token for token, _ in waiting.woken] == ["token-1", "token-2"]


def should_tell_everyone_when_nobody_waits_any_more(heard: Room, bus: Bus, waiting: Waiting) -> None:
    name = ended(heard, task_token="a-token-that-timed-out")
    answer = finish.finish(heard.portal, name)
    [told] = bus.of("LabelsReady")
    assert told["job_name"] == name
    assert told["manifest_uri"] == answer["manifest"]
    assert told["unattended"] is True
    assert waiting.woken == []


def should_go_on_after_reopening_and_finish_again(heard: Room, bus: Bus) -> None:
    name = ended(heard)
    finish.finish(heard.portal, name)
    jobs.reopen(heard.portal, name)
    sealing.seal_all(heard.portal, [name])
    assert jobs.get(heard.portal, name).state == "open", "it stays open until something changes"
    more = heard.write(f"inputs/{name}/more.manifest", [{"source-ref": photo(77)}])
    jobs.add_items(heard.portal, name, more)
    assert [one["open"] for one in bus.of("LabelingOpened")] == [3, 0, 1]
    assert finish.finish(heard.portal, name) == {"job_name": name, "job_status": "InProgress"}
    assert Annotator(heard, name).label(category=1) == ["0000003"]
    sealing.seal_all(heard.portal, [name])
    answer = finish.finish(heard.portal, name)
    assert (answer["job_status"], answer["count"]) == ("Completed", 4)
    manifest = heard.portal.storage.read_bytes(answer["manifest"])
    assert [json.loads(line)["menu-category"] for line in manifest.splitlines()] == [2, 2, 2, 1]
    assert len(bus.of("LabelsReady")) == 2


def should_finish_a_reopened_job_again_when_photos_were_asked_anew(heard: Room, bus: Bus) -> None:
    name = ended(heard)
    finish.finish(heard.portal, name)
    jobs.reopen(heard.portal, name)
    decisions.decide(heard.portal, name, "0000001", by="owner", back=True)
    sealing.seal_all(heard.portal, [name])
    assert jobs.get(heard.portal, name).state == "open"
    assert Annotator(heard, name).label(category=1) == ["0000001"]
    sealing.seal_all(heard.portal, [name])
    assert jobs.get(heard.portal, name).state == "complete", "as many are done as before, and one of them anew"
    manifest = heard.portal.storage.read_bytes(finish.finish(heard.portal, name)["manifest"])
    assert [json.loads(line)["menu-category"] for line in manifest.splitlines()] == [2, 1, 2]
    assert len(bus.of("LabelsReady")) == 2


def ended_in_doubt(room: Room) -> str:
    """Return a job that has ended while two of its three photos wait for its owner."""
    job = room.job(items=3, options=ONE)
    person = Annotator(room, job.name)
    person.lease(3)
    for item in ("0000000", "0000001"):
        person.say(item, None, kind="report", problem="broken")
    person.say("0000002", 2)
    sealing.seal_all(room.portal, [job.name])
    assert jobs.get(room.portal, job.name).state == "complete"
    finish.finish(room.portal, job.name)
    return job.name


def labels_of(room: Room, name: str) -> list[int | None]:
    place = f"s3://{room.portal.labels_bucket}/jobs/{name}/manifests/output/output.manifest"
    return [json.loads(line).get("menu-category") for line in room.portal.storage.read_bytes(place).splitlines()]


def should_write_the_output_of_an_ended_job_anew_once_its_owner_has_decided(heard: Room, bus: Bus) -> None:
    name = ended_in_doubt(heard)
    assert labels_of(heard, name) == [None, None, 2]
    decisions.decide(heard.portal, name, "0000000", by="owner", label=1)
    decisions.decide(heard.portal, name, "0000001", by="owner", reject="blurred")
    decisions.set_gold(heard.portal, name, "0000002", by="owner", label=3)
    sealing.seal_all(heard.portal, [name])
    assert len(bus.of("LabelingFinished")) == 1, "an owner who goes on deciding is waited for"
    sealing.seal_all(heard.at(600).portal, [name])
    assert len(bus.of("LabelingFinished")) == 2
    answer = finish.finish(heard.portal, name)
    assert (answer["job_status"], answer["count"]) == ("Completed", 2)
    assert labels_of(heard, name) == [1, None, 3]
    assert len(bus.of("LabelsReady")) == 2
    for _ in range(2):
        sealing.seal_all(heard.at(1_200).portal, [name])
    assert len(bus.of("LabelingFinished")) == 2, "once"


def should_put_a_decision_that_comes_while_the_output_is_written_into_the_next_one(
    heard: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ended_in_doubt(heard)
    decisions.decide(heard.portal, name, "0000000", by="owner", label=1)
    sealing.seal_all(heard.at(600).portal, [name])
    made = rebuild.rebuild

    def meanwhile(portal: Portal, job: str) -> rebuild.Rebuilt:
        found = made(portal, job)
        decisions.decide(portal, job, "0000001", by="owner", label=2)
        return found

    monkeypatch.setattr(finish, "rebuild", meanwhile)
    finish.finish(heard.portal, name)
    assert labels_of(heard, name) == [1, None, 2]
    monkeypatch.undo()
    sealing.seal_all(heard.at(1_200).portal, [name])
    finish.finish(heard.portal, name)
    assert labels_of(heard, name) == [1, 2, 2]


def should_note_a_decision_that_was_begun_before_a_job_ended(heard: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ended_in_doubt(heard)
    jobs.reopen(heard.portal, name)
    read = decisions.get_item

    def slow(portal: Portal, job: str, item: str) -> Any:
        if jobs.get(portal, job).state == "open":
            jobs.stop(portal, job)
            finish.finish(portal, job)
        return read(portal, job, item)

    monkeypatch.setattr(decisions, "get_item", slow)
    decisions.decide(heard.portal, name, "0000000", by="owner", label=1)
    assert labels_of(heard, name) == [None, None, 2]
    sealing.seal_all(heard.at(600).portal, [name])
    finish.finish(heard.portal, name)
    assert labels_of(heard, name) == [1, None, 2]


def should_end_a_reopened_job_with_the_last_decision_of_its_owner(heard: Room) -> None:
    name = ended_in_doubt(heard)
    jobs.reopen(heard.portal, name)
    decisions.decide(heard.portal, name, "0000000", by="owner", label=1)
    sealing.seal_all(heard.portal, [name])
    assert jobs.get(heard.portal, name).state == "open", "the owner is not through"
    decisions.decide(heard.portal, name, "0000001", by="owner", reject="blurred")
    sealing.seal_all(heard.portal, [name])
    assert jobs.get(heard.portal, name).state == "complete"
    finish.finish(heard.portal, name)
    assert labels_of(heard, name) == [1, None, 2]


def should_end_a_reopened_job_when_its_owner_decides_no_more(heard: Room) -> None:
    name = ended_in_doubt(heard)
    jobs.reopen(heard.portal, name)
    decisions.decide(heard.portal, name, "0000002", by="owner", label=3)
    sealing.seal_all(heard.portal, [name])
    assert jobs.get(heard.portal, name).state == "open"
    sealing.seal_all(heard.at(600).portal, [name])
    assert jobs.get(heard.portal, name).state == "complete"
    finish.finish(heard.portal, name)
    assert labels_of(heard, name) == [None, None, 3]


def should_ask_nobody_in_a_job_that_has_ended_before_it_is_reopened(heard: Room) -> None:
    name = ended_in_doubt(heard)
    decisions.set_gold(heard.portal, name, "0000002", by="owner", label=3)
    before = list(jobs.items(heard.portal, jobs.get(heard.portal, name)))
    with pytest.raises(PortalError, match="reopen it first") as refused:
        decisions.decide(heard.portal, name, "0000000", by="owner", back=True)
    assert (refused.value.code, refused.value.status) == ("ended", 409)
    assert list(jobs.items(heard.portal, jobs.get(heard.portal, name))) == before
    decisions.unset_gold(heard.portal, name, "0000002", by="owner")
    assert jobs.get_item(heard.portal, name, "0000002").label == 2, "its answer settles it"
    jobs.reopen(heard.portal, name)
    decisions.decide(heard.portal, name, "0000000", by="owner", back=True)
    assert [it.id for it in Annotator(heard, name).lease(3)] == ["0000000"]


def should_end_a_job_when_everyone_of_a_small_team_has_had_each_photo(heard: Room) -> None:
    job = heard.job(items=4, options=JobOptions(max_answers=5, gold_share=0.0, team=2))
    aki, ben = (Annotator(heard, job.name) for _ in range(2))
    for person, labels in ((aki, (2, 2, 2, None)), (ben, (2, 1, None, None))):
        for it in person.lease(limit=5):
            label = labels[int(it.id)]
            person.say(it.id, label, kind="skip" if label is None else "label")
    sealing.seal_all(heard.portal, [job.name])
    assert jobs.get(heard.portal, job.name).state == "complete", "nobody is left to ask"
    told = [(it.state, it.reason, it.label) for it in sorted(jobs.items(heard.portal, job), key=lambda one: one.id)]
    assert told[0] == ("settled", "", 2)
    assert told[1][:2] == ("review", "disagreement")
    assert told[2] == ("settled", "", 2)
    assert told[3] == ("review", "skipped", None)
    output = heard.portal.storage.read_bytes(finish.finish(heard.portal, job.name)["manifest"]).splitlines()
    assert ["menu-category" in json.loads(line) for line in output[:1] + output[2:3]] == [True, True]


def should_seal_every_job_though_one_of_them_fails(heard: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = (heard.job(items=3, options=ONE) for _ in range(2))
    for job in (bad, good):
        Annotator(heard, job.name).label()

    def failing(portal: Portal, job: Job, *_: int, **more: bool) -> int:
        if job.name == bad.name:
            raise TableError("a matrix too large")
        return refit(portal, job, *_, **more)

    monkeypatch.setattr(sealing, "refit", failing)
    with pytest.raises(ExceptionGroup) as failed:
        sealing.seal_all(heard.portal, sorted([bad.name, good.name]))
    [error] = failed.value.exceptions
    assert bad.name in "".join(error.__notes__)
    assert jobs.get(heard.portal, good.name).state == "complete"
    assert jobs.get(heard.portal, bad.name).state == "open"


def should_end_a_job_by_its_owner(heard: Room) -> None:
    job = heard.job(items=4, options=ONE)
    Annotator(heard, job.name).label(limit=1)
    jobs.stop(heard.portal, job.name)
    jobs.stop(heard.portal, job.name)
    answer = finish.finish(heard.portal, job.name)
    assert (answer["job_status"], answer["count"]) == ("Stopped", 1)


def should_end_at_once_when_there_is_nothing_to_ask(heard: Room) -> None:
    name = "job-with-labels"
    line = {"source-ref": photo(0), "menu-category": 1, "menu-category-metadata": {"class-name": "drink"}}
    job = jobs.create(
        heard.portal,
        name=name,
        manifest=heard.write(f"inputs/{name}/input.manifest", [line]),
        attribute="menu-category",
        categories=CATEGORIES,
    )
    assert job.state == "complete"
    assert finish.finish(heard.portal, name)["count"] == 0
    taken = finish.snapshot(heard.portal, name)
    assert heard.portal.storage.read_bytes(taken["manifest"]) == json.dumps(line, ensure_ascii=False).encode() + b"\n"


def should_take_snapshots_without_stopping(heard: Room) -> None:
    job = heard.job(items=3, options=ONE)
    with pytest.raises(LabelingJobError, match="nothing is labeled yet"):
        finish.snapshot(heard.portal, job.name)
    person = Annotator(heard, job.name)
    person.label(limit=1)
    first = finish.snapshot(heard.portal, job.name)
    again = finish.snapshot(heard.portal, job.name)
    assert first == again, "the same labels are the same snapshot"
    assert (first["count"], first["job_status"], first["name"]) == (1, "InProgress", job.name)
    person.label(limit=1)
    second = finish.snapshot(heard.portal, job.name)
    assert (second["count"], second["manifest"] != first["manifest"]) == (2, True)
    assert jobs.get(heard.portal, job.name).state == "open"


def should_judge_anew_before_a_job_ends(heard: Room) -> None:
    # Two who always agree settle by what is learned of them; before that each item needs three.
    options = JobOptions(confidence=0.99, min_answers=1, max_answers=5, gold_share=0.0)
    job = heard.job(items=80, options=options)
    people = [Annotator(heard, job.name) for _ in range(3)]
    for person in people[:2]:
        for _ in range(8):
            for it in person.lease(10):
                person.say(it.id, int(it.id) % 4)
    before = jobs.progress(heard.portal, job).done
    sealing.seal_all(heard.portal, [job.name])
    after = jobs.progress(heard.portal, job).done
    assert before < after
    assert all(it.state == "open" or it.label == int(it.id) % 4 for it in jobs.items(heard.portal, job))
    made = rebuild.rebuild(heard.portal, job.name)
    states = {it.id: it.state for it in jobs.items(heard.portal, job)}
    assert {name: told.state for name, told in made.ledger.items.items()} == states


def should_leave_the_end_of_a_callers_job_to_the_caller(heard: Room, bus: Bus) -> None:
    name = ended(heard, output="caller")
    job = jobs.get(heard.portal, name)
    assert (job.state, job.finish_due) == ("complete", False)
    assert bus.of("LabelingFinished") == []
    finish.finish(heard.portal, name)
    assert objects(heard, name) == {}

"""Other tools' labels in a job and back: through the same door as everybody's, each answer once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from menulens.portal import jobs, log, rebuild, stats
from menulens.portal.context import Portal
from menulens.portal.exchange import csv_table, from_job, into_job, label_studio
from menulens.portal.exchange.records import GivenAnswer, Imported, Record, stable_id
from menulens.portal.model import Job

from .conftest import Maker


def any_import(job: Job, portal: Portal, said: list[list[tuple[str, str]]]) -> list[Record]:
    """Return what another tool's people said of a job's first items."""
    records = list(from_job.read(portal, job))
    return [
        replace(
            record,
            answers=tuple(
                GivenAnswer(stable_id(job.name, record.source, person), person, "label", key, at="2021-03-09T22:16:08Z")
                for person, key in told
            ),
        )
        for record, told in zip(records, said, strict=False)
    ]


def should_record_what_other_tools_people_said_once(make: Maker, portal: Portal) -> None:
    job = make.job(3, max_answers=3, confidence=0.8, min_answers=2)
    records = any_import(
        job, portal, [[("label-studio:10", "meal"), ("aki@example.com", "meal")], [("label-studio:10", "drink")]]
    )
    first = into_job.record(portal, job, records, "cli:test")
    again = into_job.record(portal, job, records, "cli:test")
    assert (first.accepted, first.duplicate, first.refused, first.absent) == (3, 0, [], 0)
    assert (again.accepted, again.duplicate, again.refused) == (0, 3, [])
    assert jobs.get_item(portal, job.name, "0000000").label == 0
    assert jobs.get_item(portal, job.name, "0000001").state == "open"
    log.seal(portal, job.name)
    assert rebuild.rebuild(portal, job.name).labeled == 1


def should_not_take_imported_answers_for_the_pace_of_now(make: Maker, portal: Portal) -> None:
    job = make.job(2, max_answers=2)
    into_job.record(portal, job, any_import(job, portal, [[("label-studio:1", "meal")]]), "cli:test")
    assert stats.look(jobs.items(portal, job), job.created_at).times == []
    make.answer(job, "aki", "0000001", "meal")
    assert len(stats.look(jobs.items(portal, job), job.created_at).times) == 1


def should_tell_what_of_an_import_a_job_does_not_take(make: Maker, portal: Portal) -> None:
    job = make.job(2)
    [first, *_] = any_import(job, portal, [[("p", "meal"), ("q", "宇宙食")]])
    twice = replace(first, answers=(GivenAnswer(stable_id("other"), "p", "label", "drink"),))
    done = into_job.record(portal, job, [first, twice, Record("s3://photos/elsewhere.jpg")], "cli:test")
    assert done.accepted == 1
    assert dict(done.reasons) == {"no-category": 1, "answered": 1}
    assert done.absent == 1


def should_mark_known_items_of_an_import(make: Maker, portal: Portal) -> None:
    job = make.job(2)
    [first, _] = list(from_job.read(portal, job))
    assert into_job.record(portal, job, [replace(first, gold="drink")], "cli:test").gold == 1
    assert into_job.record(portal, job, [replace(first, gold="drink")], "cli:test").gold == 0
    assert jobs.get_item(portal, job.name, "0000000").gold == 2


def should_give_a_label_studio_file_back_with_what_was_learned_here(make: Maker, portal: Portal) -> None:
    job = make.job(2, max_answers=2, confidence=0.9)
    place = [record.source for record in from_job.read(portal, job)]
    chosen = {"from_name": "tag", "to_name": "img", "type": "choices", "value": {"choices": ["飲み物"]}}
    box = {"from_name": "box", "to_name": "img", "type": "rectanglelabels", "value": {"x": 1}}
    tasks: list[dict[str, Any]] = [
        {"id": 7, "data": {"image": place[0]}, "annotations": [{"id": 1, "completed_by": 4, "result": [chosen, box]}]},
        {"id": 8, "data": {"image": place[1]}, "annotations": [], "drafts": [{"x": 1}]},
    ]
    reading = label_studio.Reading(from_job.names_of(job))
    imported = label_studio.read(json.dumps(tasks).encode(), reading)
    into_job.keep(portal, job.name, imported)
    into_job.record(portal, job, imported.records, "cli:test")
    make.answer(job, "aki", "0000000", "drink")
    sent = json.loads(b"".join(label_studio.write(from_job.read(portal, job))))
    assert sent[1] == tasks[1]
    assert sent[0]["annotations"][0] == tasks[0]["annotations"][0]
    assert [one["result"][0]["value"]["choices"] for one in sent[0]["annotations"]] == [["飲み物"], ["drink"]]
    assert sent[0]["predictions"][0]["score"] >= 0.8


def should_export_a_job_as_a_table_and_read_it_again(make: Maker, portal: Portal) -> None:
    job = make.job(4, max_answers=1, groups={2: 1}, rejects={3: ("animated", "x")})
    make.answer(job, "aki", "0000000", "drink")
    make.answer(job, "aki", "0000001", "meal")
    records = list(from_job.read(portal, job))
    assert [record.label and record.label.category for record in records] == ["drink", "meal", "meal", None]
    assert [len(record.answers) for record in records] == [1, 1, 0, 0]
    back = csv_table.read(b"".join(csv_table.write(records)), csv_table.Reading(from_job.names_of(job)))
    assert back.records == records


def should_keep_records_rejects_and_a_manifest_of_an_import(portal: Portal) -> None:
    imported = Imported(records=[Record("s3://photos/photos/a.jpg", attributes={"店": "藪"})])
    imported.reject(2, "no-source", "no photo", "{}")
    manifest = into_job.keep(portal, "an-import", imported)
    assert json.loads(portal.storage.read_text(manifest)) == {"source-ref": "s3://photos/photos/a.jpg", "店": "藪"}
    kept = portal.storage.read_json(from_job.place(portal.labels_bucket, "an-import", "rejects.jsonl"))
    assert (kept["line"], kept["code"]) == (2, "no-source")

"""``menulens label`` on a local cloud: what an owner does at a terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from menulens.cli import app
from menulens.cli._label_app import out
from menulens.core import names
from menulens.local.config import ACCOUNT
from menulens.portal import jobs, log, work
from menulens.portal.context import Portal, portal_of
from menulens.portal.exchange import from_job, into_job, label_studio
from menulens.portal.table import definition

from .conftest import REGION, Maker, Session

runner = CliRunner()
out.width = 160  # no line is broken where a test reads it


@pytest.fixture(scope="module")
def local(session: Session) -> Portal:
    """What a deployment would have made for the environment ``local``."""
    table = names.labeling_table("local")
    session.client("dynamodb").create_table(**definition(table))
    buckets = {room: names.bucket("local", room, ACCOUNT, REGION) for room in ("answers", "labels", "photos")}
    for bucket in buckets.values():
        session.client("s3").create_bucket(Bucket=bucket)
    return portal_of(
        session, environment="local", table=table, answers_bucket=buckets["answers"], labels_bucket=buckets["labels"]
    )


@pytest.fixture
def make(local: Portal) -> Maker:
    return Maker(local)


@pytest.fixture(autouse=True)
def _here(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MENULENS_STATE", str(session.state))
    monkeypatch.setenv("COLUMNS", "200")
    yield


def run(*words: str, code: int = 0) -> Result:
    result = runner.invoke(app, ["label", *words])
    assert result.exit_code == code, result.output + result.stderr
    return result


def should_show_jobs_and_how_one_is_going(make: Maker) -> None:
    job = make.job(3, max_answers=2, confidence=0.999)
    make.answer(job, "aki", "0000000", "meal")
    make.answer(job, "ben", "0000000", "meal")
    assert job.name in run("status").stdout
    told = run("status", job.name).stdout
    assert "1 of 3 (33%)" in told
    assert "料理" in told
    assert "Aki" in told


def should_take_a_job_through_its_life(make: Maker, local: Portal) -> None:
    job = make.job(2)
    for verb, state in (("pause", "paused"), ("resume", "open"), ("stop", "stopped"), ("reopen", "open")):
        assert run(verb, job.name).stdout == f"{job.name}: {state}\n"
    assert jobs.get(local, job.name).state == "open"
    run("stop", job.name)
    assert "is stopped; due: open" in run("pause", job.name, code=1).stderr


@pytest.mark.parametrize(
    "words",
    [("status",), ("pause",), ("snapshot",), ("verify",), ("people",), ("gold",), ("export", "{here}/x.csv")],
)
def should_name_the_job_that_is_not_there_and_the_command_that_lists_them(
    make: Maker, words: tuple[str, ...], tmp_path: Path
) -> None:
    make.job(1)
    verb, *more = (word.format(here=tmp_path) for word in words)
    assert "no job 'sprign'. Those there are: menulens label status" in run(verb, "sprign", *more, code=1).stderr


def should_name_the_segment_and_line_of_tampering(make: Maker, local: Portal) -> None:
    job = make.job(3, max_answers=1)
    for item in ("0000000", "0000001"):
        make.answer(job, "aki", item, "meal")
    log.seal(local, job.name)
    assert "as it was written" in run("verify", job.name).stdout
    [segment] = log.segments(local, job.name)
    place = f"s3://{local.answers_bucket}/log/{job.name}/{segment}"
    lines = local.storage.read_bytes(place).splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b'"kind":"answer"' in line)
    changed = [*lines[:at], lines[at].replace(b'"category":0', b'"category":1'), *lines[at + 1 :]]
    local.storage.write_bytes(place, b"".join(changed))
    told = run("verify", job.name, code=3).stdout
    assert segment in told
    assert f"line {json.loads(lines[at])['seq']} " in told
    assert "changed" in told
    local.storage.write_bytes(place, b"".join([*lines[:at], *lines[at + 1 :]]))
    assert "missing" in run("verify", job.name, code=3).stdout


def should_mark_and_unmark_known_items(make: Maker, local: Portal) -> None:
    job = make.job(2)
    assert "drink" in run("gold", job.name, "--mark", "0000001=drink").stdout
    assert jobs.get_item(local, job.name, "0000001").gold == 2
    assert "No item is known" in run("gold", job.name, "--unmark", "0000001").stdout
    assert "ITEM=CATEGORY" in run("gold", job.name, "--mark", "0000001", code=1).stderr
    told = run("gold", job.name, "--mark", "0000001=meal", "--mark", "0000001=maal", code=1).stderr
    assert f"'maal' is no category of {job.name}; there are: meal, sweets, drink, not-for-training." in told
    told = run("gold", job.name, "--mark", "0000001=meal", "--mark", "12=meal", code=1).stderr
    assert f"{job.name} has no item '12'; an item is named by its seven digits, as 0000012." in told
    assert "no item '0000009'" in run("gold", job.name, "--unmark", "0000009", code=1).stderr
    assert jobs.get_item(local, job.name, "0000001").gold is None


def should_say_that_there_was_nothing_to_add(make: Maker, local: Portal) -> None:
    job = make.job(1)
    place = f"s3://{names.bucket('local', 'photos', ACCOUNT, REGION)}/photos/tipo/"
    assert f"No photo lies under {place}." in run("add", job.name, "photos/tipo/", code=1).stderr
    assert f"No photo lies under {place}." in run("add", job.name, place, code=1).stderr
    empty = f"s3://{local.labels_bucket}/empty.manifest"
    local.storage.write_text(empty, "")
    assert f"{empty} has no lines." in run("add", job.name, "--manifest", empty, code=1).stderr


def should_look_after_people(make: Maker, local: Portal) -> None:
    job = make.job(4)
    assert len(work.lease(local, job, "ben", limit=2, name="Ben").items) == 2
    assert "2 leases handed back" in run("people", job.name, "--release", "Ben").stdout
    assert "blocked (owner: gone)" in run("people", job.name, "--block", "ben", "--reason", "gone").stdout
    assert "blocked" not in run("people", job.name, "--unblock", "ben").stdout
    assert "knows no 'nobody'" in run("people", job.name, "--block", "nobody", code=1).stderr


def should_export_for_label_studio_and_as_a_table(make: Maker, tmp_path: Path) -> None:
    job = make.job(2, max_answers=1)
    make.answer(job, "aki", "0000000", "meal")
    run("export", job.name, str(tmp_path / "tasks.json"))
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert tasks[0]["annotations"][0]["result"][0]["value"]["choices"] == ["meal"]
    assert "<Choices" in (tmp_path / "tasks.json.config.xml").read_text(encoding="utf-8")
    run("export", job.name, str(tmp_path / "table.csv"))
    with (tmp_path / "table.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == ["meal", ""]
    run("export", job.name, str(tmp_path / "job"), "--format", "ground-truth")
    manifest = (tmp_path / "job/manifests/output/output.manifest").read_text(encoding="utf-8")
    assert json.loads(manifest.splitlines()[0])["menu-category"] == 0


def should_bring_answers_of_a_file_into_a_job_that_is_there(make: Maker, local: Portal, tmp_path: Path) -> None:
    job = make.job(2, max_answers=1)
    run("export", job.name, str(tmp_path / "tasks.json"))
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    chosen = {"from_name": "tag", "to_name": "img", "type": "choices", "value": {"choices": ["飲み物"]}}
    theirs = [
        {
            "id": 1,
            "data": {"image": tasks[0]["data"]["image"]},
            "annotations": [{"completed_by": 3, "result": [chosen]}],
        },
        {"id": 2, "data": {"image": "https://example.com/x.jpg"}},
    ]
    (tmp_path / "theirs.json").write_text(json.dumps(theirs), encoding="utf-8")
    told = run("import", str(tmp_path / "theirs.json"), "--into", job.name).stdout
    assert "2 records: 1 taken with 1 answers" in told
    assert "no photo in S3" in told
    assert "1 answers recorded" in told
    assert jobs.get_item(local, job.name, "0000000").label == 2
    assert (
        "0 answers recorded, 1 were there before"
        in run("import", str(tmp_path / "theirs.json"), "--into", job.name).stdout
    )


def should_keep_what_an_import_carries_when_another_file_has_its_name(
    make: Maker, local: Portal, tmp_path: Path
) -> None:
    job = make.job(2)
    box = {"from_name": "box", "to_name": "img", "type": "rectanglelabels", "value": {"x": 1}}
    photos = [record.source for record in from_job.read(local, job)]
    theirs = [{"id": 7, "data": {"image": photo}, "annotations": [{"id": 1, "result": [box]}]} for photo in photos]
    for folder, tasks in (("a", theirs), ("b", [{"id": 8, "data": {"image": "s3://photos/photos/x.jpg"}}])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{job.name}.json").write_text(json.dumps(tasks), encoding="utf-8")
    first, second = (str(tmp_path / folder / f"{job.name}.json") for folder in "ab")
    reading = label_studio.Reading(from_job.names_of(job))
    into_job.keep(local, job.name, label_studio.read(Path(first).read_bytes(), reading))
    told = run("import", second, code=1).stderr
    assert f"There is a job {job.name} of other photos or texts" in told
    assert "--name NAME" in told
    assert f"--into {job.name}" in told
    assert "0 answers recorded" in run("import", first).stdout
    run("export", job.name, str(tmp_path / "back.json"))
    assert json.loads((tmp_path / "back.json").read_text(encoding="utf-8")) == theirs


def should_make_no_job_of_a_file_of_which_nothing_can_be_taken(local: Portal, tmp_path: Path) -> None:
    file = tmp_path / "untaken.csv"
    file.write_text("image\nhttps://example.com/x.jpg\n", encoding="utf-8")
    told = run("import", str(file), code=1)
    assert "nothing in it can be taken; nothing was imported." in told.stderr
    assert "Where photos went: --moved" in told.stdout
    assert not local.storage.exists(from_job.place(local.labels_bucket, "untaken", from_job.MANIFEST))
    assert "only one of them is due" in run("import", str(file), "--name", "a", "--into", "b", code=1).stderr


def should_say_what_a_file_holds_without_a_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENULENS_STATE", str(tmp_path))
    (tmp_path / "t.csv").write_text("image,category\ns3://a/1.jpg,料理\nx,meal\n", encoding="utf-8")
    assert "2 records: 1 taken" in run("import", str(tmp_path / "t.csv"), "--dry-run").stdout
    (tmp_path / "broken.json").write_text('[{"data":', encoding="utf-8")
    assert "line 1" in run("import", str(tmp_path / "broken.json"), "--dry-run", code=1).stderr
    assert "No local cloud is up" in str(runner.invoke(app, ["label", "status"]).exception)

"""Labels from and to other tools: nothing gets lost on the way, and what can't be taken is told."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from menulens.portal.exchange import csv_table, ground_truth, label_studio, strict_json
from menulens.portal.exchange.records import CategoryNames, ExchangeError, GivenAnswer, Label, Places, Record

from .generators.records import ATTRIBUTE, NAMES, any_json, any_label, any_name, any_record, any_task, any_text

STUDIO = label_studio.Reading(NAMES)
TABLE = csv_table.Reading(NAMES)
TRUTH = ground_truth.Reading(NAMES, ATTRIBUTE)
PHOTO = "s3://photos/photos/そば/1.jpg"


def studio(records: list[Record]) -> bytes:
    return b"".join(label_studio.write(records))


def any_annotation(**more: Any) -> dict[str, Any]:
    chosen = {"from_name": "tag", "to_name": "img", "type": "choices", "value": {"choices": ["飲み物"]}}
    return {"id": 7, "completed_by": 10, "lead_time": 4.288, "result": [chosen], **more}


def tables(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


# --- Label Studio ------------------------------------------------------------------------------------------------


@given(st.lists(any_task(), max_size=4))
def should_give_label_studio_back_every_task_as_it_came(tasks: list[Any]) -> None:
    found = label_studio.read(strict_json.dumps(tasks).encode(), STUDIO)
    assert found.read == len(tasks)
    rejected = {reject.number for reject in found.rejects}
    assert json.loads(studio(found.records)) == [task for at, task in enumerate(tasks, 1) if at not in rejected]
    for reject in found.rejects:
        assert json.loads(reject.original) == tasks[reject.number - 1]
        assert reject.reason


@given(st.lists(any_record(), max_size=3))
def should_read_from_label_studio_what_was_written_for_it(records: list[Record]) -> None:
    found = label_studio.read(studio(records), STUDIO)
    assert (found.records, found.rejects) == (records, [])


@given(any_task(), any_label)
def should_keep_a_task_whole_when_it_gained_an_answer_here(task: Any, label: Label) -> None:
    found = label_studio.read(strict_json.dumps([task]).encode(), STUDIO).records
    for record in found:
        gained = GivenAnswer(
            "6a2f41a3-c54c-fce8-32d2-0324e1c32e22", "person", "label", "drink", at="2026-01-01T00:00:00Z"
        )
        later = replace(record, answers=(*record.answers, gained), label=label)
        sent = json.loads(studio([later]))[0]
        if record.carried is not None and record.carried["format"] == label_studio.FORMAT:
            came = task if "data" in task else {"data": task}
            before = came.get("annotations") or []
            before = before if isinstance(before, list) else []
            assert sent["annotations"][: len(before)] == before
            assert [part["unique_id"] for part in sent["annotations"][len(before) :]] == [gained.id]
            changed = ("annotations", "predictions", "meta")
            assert {name: sent[name] for name in came if name not in changed} == {
                name: value for name, value in came.items() if name not in changed
            }
        back = label_studio.read(json.dumps([sent]).encode(), STUDIO).records[0]
        assert (back.answers, back.label, back.gold) == (later.answers, later.label, later.gold)


def should_read_what_people_said_in_label_studio() -> None:
    tasks = [
        {
            "id": 1,
            "data": {"image": PHOTO, "genre": "そば"},
            "annotations": [
                any_annotation(created_at="2021-03-09T22:16:08Z"),
                any_annotation(id=8, was_cancelled=True, completed_by={"id": 3, "email": "aki@example.com"}),
                any_annotation(id=9, ground_truth=True),
            ],
        }
    ]
    record = label_studio.read(json.dumps(tasks).encode(), STUDIO).records[0]
    assert (record.source, record.attributes, record.gold) == (PHOTO, {"genre": "そば"}, "drink")
    first, skipped, known = record.answers
    assert (first.person, first.category, first.shown_ms, first.at) == (
        "label-studio:10",
        "drink",
        4288,
        "2021-03-09T22:16:08Z",
    )
    assert (skipped.person, skipped.kind, known.category) == ("aki@example.com", "skip", "drink")
    assert len({answer.id for answer in record.answers}) == 3


def should_count_what_label_studio_says_beyond_our_words() -> None:
    box = {"from_name": "b", "type": "rectanglelabels", "value": {"rectanglelabels": ["Moonwalker"]}}
    two = {"from_name": "tag", "type": "choices", "value": {"choices": ["meal", "drink"]}}
    unknown = {"from_name": "tag", "type": "choices", "value": {"choices": ["宇宙食"]}}
    tasks = [{"data": {"image": PHOTO}, "annotations": [{"result": [part]} for part in (box, two, unknown)]}]
    found = label_studio.read(json.dumps(tasks).encode(), STUDIO)
    assert found.records[0].answers == ()
    assert found.notes == Counter({"other-control": 1, "no-choice": 1, "several-choices": 1, "unknown-category": 1})


def should_move_places_and_take_names_that_are_said() -> None:
    reading = label_studio.Reading(
        CategoryNames([("meal", "料理", "Meal")], also={"Sushi": "meal"}),
        Places({"https://cdn.example.com/": "s3://photos/", "https://cdn.example.com/menu/": "s3://photos/menus/"}),
    )
    chosen = {"from_name": "tag", "type": "choices", "value": {"choices": ["sushi"]}}
    tasks = [{"data": {"image": "https://cdn.example.com/menu/1.jpg"}, "annotations": [{"result": [chosen]}]}]
    found = label_studio.read(json.dumps(tasks).encode(), reading)
    assert found.records[0].source == "s3://photos/menus/1.jpg"
    assert found.records[0].answers[0].category == "meal"
    assert json.loads(studio(found.records)) == tasks


def should_describe_the_controls_that_exported_tasks_use() -> None:
    tree = ElementTree.fromstring(label_studio.labeling_config(CategoryNames([("a", '"<&', "A"), ("b", "B", "B")])))
    controls = {choices.attrib["name"]: choices for choices in tree.iter("Choices")}
    answer = GivenAnswer("6a2f41a3-c54c-fce8-32d2-0324e1c32e22", "p", "hard", "a", "b")
    sent = json.loads(studio([Record(PHOTO, answers=(answer,))]))[0]
    for region in sent["annotations"][0]["result"]:
        values = {choice.attrib.get("alias", choice.attrib["value"]) for choice in controls[region["from_name"]]}
        assert set(region["value"]["choices"]) <= values
        assert controls[region["from_name"]].attrib["toName"] == region["to_name"]
    assert tree[0].attrib["value"].removeprefix("$") in sent["data"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"data": {"image": "s3://a/b.jpg"}},\n {"data"', "line 2"),
        ("[1] 2", "more follows"),
        ("", "no JSON"),
        ("[" * 100_000, "too deep"),
        ("nonsense", "line 1, column 1"),
    ],
)
def should_say_where_a_file_is_no_json(text: str, told: str) -> None:
    with pytest.raises(ExchangeError, match=told):
        label_studio.read(text.encode(), STUDIO)


def should_say_which_byte_is_no_utf_8() -> None:
    with pytest.raises(ExchangeError, match="byte 2 is no UTF-8"):
        label_studio.read(b'["\x83"]', STUDIO)


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ('{"data": {"image": "s3://a/b.jpg", "image": "s3://a/c.jpg"}}', "double-key"),
        ('{"data": {"image": "s3://a/b.jpg", "x": NaN}}', "number"),
        ('{"data": {"image": "s3://a/b.jpg", "x": 1e999}}', "number"),
        ('{"data": {"image": "s3://a/b.jpg", "x": ' + "9" * 5000 + "}}", "number"),
        ('{"data": {"image": "s3://a/b.jpg", "x": ' + "[" * 150 + "]" * 150 + "}}", "too-deep"),
        ('{"data": {"image": "https://example.com/b.jpg"}}', "not-in-s3"),
        ('{"data": {"image": "javascript:alert(1)"}}', "not-in-s3"),
        ('{"data": {"video": 3}}', "no-source"),
        ('{"data": []}', "no-data"),
        ("3", "no-task"),
    ],
)
def should_turn_away_a_task_with_the_reason_and_its_text(task: str, code: str) -> None:
    good = '{"data": {"image": "s3://a/good.jpg"}}'
    found = label_studio.read(f"[{good}, {task} ,\n{good}]".encode(), STUDIO)
    assert [(reject.number, reject.code, reject.original) for reject in found.rejects] == [(2, code, task)]
    assert len(found.records) == 2


# --- CSV ---------------------------------------------------------------------------------------------------------


@given(st.lists(any_record(), max_size=4))
def should_read_from_a_table_what_was_written_to_it(records: list[Record]) -> None:
    found = csv_table.read(b"".join(csv_table.write(records)), TABLE)
    assert (found.records, found.rejects) == (records, [])


@st.composite
def any_table(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    others = draw(
        st.lists(
            any_name.filter(lambda name: name not in ("source-ref", "image", "menulens:json")),
            unique_by=lambda name: name.removeprefix("'"),  # '=a is how =a is written
        )
    )
    header = draw(st.permutations(["image", *others]))
    place = st.sampled_from([PHOTO, "s3://a/b,c.jpg", 's3://a/"x".jpg', "no photo", ""])
    cell = any_text | st.sampled_from(["meal", "料理", "宇宙食"])
    return header, [
        [draw(place) if name == "image" else draw(cell) for name in header] for _ in range(draw(st.integers(0, 4)))
    ]


@given(any_table(), st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]))
@example(([";\x0c", "image"], []), ",", "\n")
@example((["a;b\u2028;c", "image"], [["meal", PHOTO]]), ",", "\n")
def should_give_anyones_table_back_with_its_cells(
    table: tuple[list[str], list[list[str]]], delimiter: str, ending: str
) -> None:
    header, rows = table
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    first = csv_table.read(out.getvalue().encode(), TABLE)
    assert first.read == len(rows)
    again = csv_table.read(b"".join(csv_table.write(first.records, first.columns)), TABLE)
    assert (again.records, again.columns, again.rejects) == (first.records, first.columns, [])


@pytest.mark.parametrize("name", ["a;b", "a\tb", "\ta", ";", "'=a;b"])
def should_give_a_table_of_one_column_back_whatever_its_name_holds(name: str) -> None:
    reading = replace(TABLE, source_column=name.removeprefix("'"))
    first = csv_table.read(f'"{name}"\n{PHOTO}\n\n'.encode(), reading)
    again = csv_table.read(b"".join(csv_table.write(first.records, first.columns)), reading)
    assert first.records != []
    assert (again.records, again.columns, again.rejects) == (first.records, first.columns, [])


@given(any_text)
def should_leave_a_spreadsheet_nothing_to_compute(text: str) -> None:
    data = b"".join(csv_table.write([Record(PHOTO, attributes={"memo": text, text + "x": "1"})]))
    for cell in (cell for row in tables(data) for cell in row):
        assert not cell.lstrip().startswith(("=", "+", "@", "＝", "＋", "－", "＠"))
        assert not cell.startswith(("\t", "\r", "\n"))
        assert not cell.startswith("-") or float(cell) <= 0


def should_write_what_excel_in_japan_opens() -> None:
    data = b"".join(csv_table.write([Record(PHOTO, attributes={"店": "そば処「藪」, 本店\n2階"})]))
    assert data == ("\ufeffsource-ref,店,menulens:json\r\n" + PHOTO + ',"そば処「藪」, 本店\n2階",\r\n').encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def should_read_the_encodings_that_excel_writes(encoding: str) -> None:
    text = "写真,image,category\r\n蕎麦,s3://photos/1.jpg,料理\r\n"
    reading = replace(TABLE, encoding="cp932") if encoding == "cp932" else TABLE
    record = csv_table.read(text.encode(encoding), reading).records[0]
    assert (record.attributes, record.label) == ({"写真": "蕎麦"}, Label("meal"))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("写真\r\n".encode("cp932"), "is no utf-8-sig.*cp932"),
        (b"a,b\r\n1,2\r\n", "no column of its first row"),
        (b"", "no column of its first row"),
        (b"image,image\r\n", "stands twice"),
        (b'image\r\n"s3://a/b.jpg\r\n', "no CSV at line 2"),
        (b"image\r\n" + b"x" * 5_000_000, "no CSV at line 2"),
    ],
)
def should_say_what_is_wrong_with_a_table(data: bytes, told: str) -> None:
    with pytest.raises(ExchangeError, match=told):
        csv_table.read(data, TABLE)


def should_turn_away_rows_with_the_reason_and_their_text() -> None:
    data = b"source-ref,category,confidence,human,menulens:json\r\n" + b"\r\n".join(
        [
            b"s3://a/1.jpg,meal,2,yes,",
            b"s3://a/1.jpg,meal,,maybe,",
            b"s3://a/1.jpg,,,,{",
            b",meal,,,",
            b"s3://a/2.jpg,a,b,c,d,e",
        ]
    )
    found = csv_table.read(data, TABLE)
    assert [(reject.number, reject.code) for reject in found.rejects] == [
        (2, "cell"), (3, "cell"), (4, "json"), (5, "no-source"), (6, "cells")
    ]  # fmt: skip
    assert found.rejects[0].original == "s3://a/1.jpg,meal,2,yes,"


def should_add_to_anyones_table_what_was_learned_here() -> None:
    found = csv_table.read(b"image,memo\r\ns3://a/1.jpg,=1+1\r\n", TABLE)
    learned = [replace(found.records[0], label=Label("meal", 0.97), answers=(GivenAnswer("i", "p", "label", "meal"),))]
    data = b"".join(csv_table.write(learned, found.columns))
    assert csv_table.read(data, TABLE).records == learned
    assert tables(data)[0][:4] == ["source-ref", "category", "confidence", "human"]
    assert "'=1+1" in tables(data)[1]


# --- Ground Truth ------------------------------------------------------------------------------------------------


def any_response(label: str = "meal", sub: str = "5a7", **more: Any) -> dict[str, Any]:
    return {
        "answers": [
            {
                "acceptanceTime": "2026-01-02T03:04:05.000Z",
                "answerContent": {"crowd-image-classifier": {"label": label}},
                "submissionTime": "2026-01-02T03:04:09.000Z",
                "timeSpentInSeconds": 3.2,
                "workerId": "private.us-east-1.abc",
                "workerMetadata": {"identityData": {"sub": sub}},
                **more,
            }
        ]
    }


def any_labeled(photo: str, label: Any = 0, name: str = "meal", **more: Any) -> dict[str, Any]:
    metadata = {"class-name": name, "confidence": 0.77, "human-annotated": "yes", "job-name": "labeling-job/x"}
    return {"source-ref": f"s3://photos/{photo}.jpg", ATTRIBUTE: label, f"{ATTRIBUTE}-metadata": metadata, **more}


def response_path(line: int, iteration: int = 1) -> str:
    return f"annotations/worker-response/iteration-{iteration}/{line}/2026-01-02T03-04-09.json"


@given(
    st.lists(
        st.builds(
            lambda photo, more: json.dumps({"source-ref": f"s3://b/{photo}.jpg", **more}).encode(),
            st.integers(),
            st.dictionaries(any_name, any_json, max_size=2),
        )
        | st.binary(min_size=1, max_size=20).map(lambda raw: raw.replace(b"\n", b".").replace(b"\r", b".") + b"!")
        | any_label.map(lambda label: (json.dumps(any_labeled("a", name=label.category)) + "\r").encode()),
        max_size=5,
    ),
    st.dictionaries(st.integers(0, 6), st.just(any_response()) | any_json, max_size=4),
)
def should_give_ground_truths_files_back_byte_for_byte(lines: list[bytes], said: dict[int, Any]) -> None:
    responses = [(response_path(line), json.dumps(body).encode()) for line, body in said.items()]
    found = ground_truth.read(lines, responses, TRUTH)
    rejected = {reject.number for reject in found.rejects if reject.number}
    assert len(found.records) + len(rejected) == len(lines)
    written = dict(ground_truth.write(found.records, ATTRIBUTE, NAMES))
    manifest = written.pop("manifests/output/output.manifest")
    assert manifest == b"".join(line + b"\n" for at, line in enumerate(lines, 1) if at not in rejected)
    orphans = sum(not reject.number for reject in found.rejects)
    assert written.items() <= dict(responses).items()
    assert len(written) + orphans == len(responses)


def should_read_what_workers_said_of_each_line() -> None:
    lines = [json.dumps(any_labeled("a", genre="そば")).encode(), json.dumps(any_labeled("b", "2", "drink")).encode()]
    responses = [
        (response_path(1, 2), json.dumps(any_response("sweets", "second")).encode()),
        (response_path(1), json.dumps(any_response("drink", "first")).encode()),
        ("annotations/consolidated-annotation/x.json", b"{}"),
    ]
    found = ground_truth.read(lines, responses, TRUTH)
    first, second = found.records
    assert (first.label, first.attributes, first.answers) == (Label("meal", 0.77), {"genre": "そば"}, ())
    assert [(answer.person, answer.category, answer.shown_ms) for answer in second.answers] == [
        ("first", "drink", 3200),
        ("second", "sweets", 3200),
    ]
    assert found.notes == Counter({"other-file": 1})


def should_write_a_new_label_over_an_old_one_and_keep_the_rest() -> None:
    record = ground_truth.read([json.dumps(any_labeled("a", other=[1])).encode()], [], TRUTH).records[0]
    written = dict(ground_truth.write([replace(record, label=Label("drink", 0.9, False))], ATTRIBUTE, NAMES))
    line = json.loads(written["manifests/output/output.manifest"])
    assert (line[ATTRIBUTE], line["other"], line["source-ref"]) == (2, [1], "s3://photos/a.jpg")
    assert line[f"{ATTRIBUTE}-metadata"]["human-annotated"] == "no"


# --- from one tool to another ------------------------------------------------------------------------------------


def should_bring_ground_truths_answers_to_label_studio_and_back() -> None:
    lines = [json.dumps(any_labeled("a", genre="そば")).encode()]
    responses = [(response_path(0), json.dumps(any_response()).encode())]
    records = ground_truth.read(lines, responses, TRUTH).records
    there = label_studio.read(studio(records), STUDIO).records
    table = csv_table.read(b"".join(csv_table.write(there)), TABLE).records
    written = dict(ground_truth.write(table, ATTRIBUTE, NAMES))
    assert written == {response_path(0): responses[0][1], "manifests/output/output.manifest": lines[0] + b"\n"}

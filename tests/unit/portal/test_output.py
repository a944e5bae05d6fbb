"""From a log to the manifest: groups, failures, texts, owners' and machines' labels; and the bytes of the input."""

from __future__ import annotations

import json
import uuid
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menulens.portal import answers, decisions, intake, jobs, log, rebuild, work
from menulens.portal.context import Portal
from menulens.portal.ledger import replay
from menulens.portal.model import Answer, Category, Job, JobOptions, PortalError
from tests.unit.portal.memory import any_portal

CATEGORIES = [Category("meal", "料理", "Meal"), Category("drink", "飲み物", "Drink"), Category("no", "無", "No")]
ONE = JobOptions(confidence=0.5, min_answers=1, max_answers=1, gold_share=0.0)
ATTRIBUTE = "menu-category"
METADATA = f"{ATTRIBUTE}-metadata"


def any_job(portal: Portal, lines: list[str], display: list[dict[str, Any]] | None = None, **more: Any) -> Job:
    place, shown = "s3://labels/any.manifest", "s3://labels/any.display"
    portal.storage.write_text(place, "".join(line + "\n" for line in lines))
    if display is not None:
        portal.storage.write_text(shown, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in display))
    return jobs.create(
        portal,
        name="any-job",
        manifest=place,
        display=shown if display is not None else "",
        attribute=ATTRIBUTE,
        categories=CATEGORIES,
        options=more.pop("options", ONE),
        **more,
    )


def label(portal: Portal, item: str, category: int, person: str = "aki") -> None:
    job = jobs.get(portal, "any-job")
    for _ in range(50):
        if any(it.id == item for it in work.lease(portal, job, person, limit=10).items):
            break
    [result] = answers.record(
        portal, job, answers.Who(person), [Answer(str(uuid.uuid4()), item, "", "label", category=category)]
    )
    assert result.status == "accepted", result


def made(portal: Portal) -> list[bytes]:
    log.seal(portal, "any-job")
    first, again = rebuild.rebuild(portal, "any-job"), rebuild.rebuild(portal, "any-job")
    assert first.manifest == again.manifest
    return first.manifest.split(b"\n")[:-1]


def photo(number: int, **more: Any) -> str:
    return json.dumps({"source-ref": f"s3://photos/{number}.jpg", **more}, ensure_ascii=False)


def should_keep_the_bytes_of_a_line_and_add_its_label_at_the_end() -> None:
    line = '{ "genre":"寿司", "source-ref" : "s3://photos/\\u0061.jpg","n":1.50,  "x":[1, 2] }'
    portal = any_portal()
    any_job(portal, [line])
    label(portal, "0000000", 1)
    [out] = made(portal)
    assert out.startswith(line.rstrip("} ").encode())
    value = json.loads(out)
    assert list(value) == ["genre", "source-ref", "n", "x", ATTRIBUTE, METADATA]
    assert value[ATTRIBUTE] == 1
    assert list(value[METADATA]) == [
        "class-name", "job-name", "confidence", "type", "human-annotated", "creation-date",
    ]  # fmt: skip
    assert (value[METADATA]["class-name"], value[METADATA]["job-name"]) == ("drink", "labeling-job/any-job")
    assert value[METADATA]["type"] == "groundtruth/image-classification"


@given(
    st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.integers(), st.text(max_size=8)), max_size=4),
    st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : ")]),
    st.booleans(),
)
def should_add_keys_to_any_line(more: dict[str, Any], separators: tuple[str, str], ascii_: bool) -> None:
    more = {key: one for key, one in more.items() if key not in (ATTRIBUTE, METADATA)}
    raw = json.dumps({"source-ref": "s3://a/b", **more}, separators=separators, ensure_ascii=ascii_).encode(
        "utf-8", "surrogatepass"
    )
    out = rebuild.with_keys(raw, {ATTRIBUTE: 2, METADATA: {"confidence": 0.9}}, ATTRIBUTE)
    assert out.startswith(raw.rstrip()[:-1].rstrip())
    assert json.loads(out) == {**json.loads(raw), ATTRIBUTE: 2, METADATA: {"confidence": 0.9}}


def should_leave_a_line_without_outcome_as_it_came() -> None:
    portal = any_portal()
    lines = [photo(0), photo(1)]
    any_job(portal, lines)
    label(portal, "0000001", 0)
    out = made(portal)
    assert out[0] == lines[0].encode()
    assert json.loads(out[1])[ATTRIBUTE] == 0


def should_ask_once_about_a_group_and_label_each_of_its_lines() -> None:
    portal = any_portal()
    display = [{"line": n, "display": f"display/aa/{n}.jpg", "group": 0 if n in (0, 2) else n} for n in range(4)]
    job = any_job(portal, [photo(n) for n in range(4)], display)
    assert (job.asked, job.lines) == (3, 4)
    label(portal, "0000000", 2)
    out = [json.loads(line) for line in made(portal)]
    assert [one.get(ATTRIBUTE) for one in out] == [2, None, 2, None]
    assert out[0][METADATA] == out[2][METADATA]


def should_ask_apart_about_what_leaves_a_group() -> None:
    portal = any_portal()
    display = [{"line": n, "display": f"display/aa/{n}.jpg", "group": 0, "width": n} for n in range(4)]
    job = any_job(portal, [photo(n) for n in range(4)], display)
    label(portal, "0000000", 2)
    with pytest.raises(PortalError, match="can leave"):
        decisions.split_group(portal, "any-job", "0000000", by="owner", apart=[[0]])
    stays, first, second = decisions.split_group(portal, "any-job", "0000000", by="owner", apart=[[1], [3, 2]])
    assert (stays.lines, first.lines, second.lines) == ((0,), (1,), (2, 3))
    assert (first.display, second.display, second.width) == ("display/aa/1.jpg", "display/aa/2.jpg", 2)
    assert jobs.progress(portal, jobs.get(portal, job.name)).open == 2
    label(portal, "0000002", 1)
    assert [json.loads(line).get(ATTRIBUTE) for line in made(portal)] == [2, None, 1, 1]


def should_tell_why_a_line_has_no_label() -> None:
    portal = any_portal()
    display = [
        {"line": 0, "reject": {"code": "undecodable", "reason": "Cut off after 12 bytes."}},
        {"line": 1, "display": "display/aa/1.jpg"},
        {"line": 2, "display": "display/aa/2.jpg"},
    ]
    any_job(portal, [photo(0), photo(1), photo(2), '{"no": "source"}', "no JSON"], display)
    decisions.decide(portal, "any-job", "0000001", by="owner", reject="blurred")
    answers.record(
        portal,
        jobs.get(portal, "any-job"),
        answers.Who("aki"),
        [
            Answer(str(uuid.uuid4()), it.id, "", "report", problem="improper")
            for it in work.lease(portal, jobs.get(portal, "any-job"), "aki", limit=5).items
        ],
    )
    out = made(portal)
    told = [json.loads(line)[METADATA] for line in out[:4]]
    assert [one["failure-reason"] for one in told] == [
        "undecodable: Cut off after 12 bytes.",
        "rejected: blurred",
        "report: improper",
        "no-source: a JSON object with a text under source-ref or source is due",
    ]
    assert all(list(one)[-1] == "creation-date" and one["creation-date"].startswith("2027-") for one in told)
    assert all(ATTRIBUTE not in json.loads(line) for line in out[:4])
    assert out[4] == b"no JSON"


def should_pass_on_what_has_a_label_from_before() -> None:
    portal = any_portal()
    before = photo(0, **{ATTRIBUTE: 1, METADATA: {"class-name": "drink"}})
    failed = photo(1, **{METADATA: {"failure-reason": "network"}})
    job = any_job(portal, [before, failed])
    assert job.asked == 1
    label(portal, "0000001", 0)
    out = made(portal)
    assert out[0] == before.encode()
    assert json.loads(out[1])[ATTRIBUTE] == 0
    assert "failure-reason" not in json.loads(out[1])[METADATA]


def should_ask_about_texts_as_well() -> None:
    portal = any_portal()
    job = any_job(portal, ['{"source": "鮭の塩焼き定食"}', '{"source": "ラムネ", "n": 1}'])
    assert job.kind == "text"
    assert [it.text for it in jobs.items(portal, job)] == ["鮭の塩焼き定食", "ラムネ"]
    label(portal, "0000001", 1)
    value = json.loads(made(portal)[1])
    assert list(value) == ["source", "n", ATTRIBUTE, METADATA]
    assert value[METADATA]["type"] == "groundtruth/text-classification"
    mixed = any_portal()
    with pytest.raises(PortalError, match="photos or texts"):
        any_job(mixed, [photo(0), '{"source": "ラムネ"}'])


def should_name_categories_as_they_are_called_now() -> None:
    portal = any_portal()
    any_job(portal, [photo(0), photo(1)])
    label(portal, "0000000", 1)
    jobs.rename_category(portal, "any-job", "drink", key="beverage")
    jobs.add_category(portal, "any-job", Category("fruit", "果物", "Fruit"))
    label(portal, "0000001", 3)
    out = [json.loads(line) for line in made(portal)]
    assert [(one[ATTRIBUTE], one[METADATA]["class-name"]) for one in out] == [(1, "beverage"), (3, "fruit")]


def should_tell_machines_labels_from_peoples() -> None:
    portal = any_portal()
    any_job(portal, [photo(n) for n in range(3)])
    assert decisions.label_by_machine(portal, "any-job", "0000000", model="m-1", label=2, posterior=0.97)
    assert decisions.label_by_machine(portal, "any-job", "0000001", model="m-1", label=2, posterior=0.96)
    label(portal, "0000002", 0)
    assert decisions.label_by_machine(portal, "any-job", "0000002", model="m-1", label=2, posterior=0.99) is None
    assert decisions.withdraw_machine_label(portal, "any-job", "0000001", model="m-1")
    out = [json.loads(line).get(METADATA) for line in made(portal)]
    assert (out[0]["human-annotated"], out[0]["confidence"]) == ("no", 0.97)
    assert out[1] is None
    assert out[2]["human-annotated"] == "yes"
    assert jobs.progress(portal, jobs.get(portal, "any-job")).open == 1


def should_refuse_an_input_that_is_not_the_one_that_the_log_tells_of() -> None:
    portal = any_portal()
    job = any_job(portal, [photo(0)])
    log.seal(portal, job.name)
    portal.storage.write_text(job.parts[0].manifest, photo(7) + "\n")
    with pytest.raises(PortalError, match="not those that the log has the hash of"):
        rebuild.rebuild(portal, job.name)


def should_refuse_a_display_index_of_another_manifest() -> None:
    with pytest.raises(PortalError, match="names line 3; there are 1"):
        intake.read(photo(0).encode(), b'{"line": 3}', job="any", attribute=ATTRIBUTE)
    with pytest.raises(PortalError, match="no number under line"):
        intake.read(photo(0).encode(), b'{"display": "x"}', job="any", attribute=ATTRIBUTE)


def should_show_the_context_that_is_asked_for() -> None:
    line = photo(0, genre="ラーメン", price=800, secret="x", empty="")
    read = intake.read(line.encode(), b"", job="any", attribute=ATTRIBUTE, context_keys=("genre", "price", "empty"))
    assert read.items[0].context == {"genre": "ラーメン", "price": "800"}


def should_read_each_line_of_a_job_that_has_grown_as_often_however_often_it_grew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    portal = any_portal()
    any_job(portal, [photo(0)])
    parse, parsed = intake.parse, []

    def counted(raw: bytes) -> dict[str, Any]:
        parsed.append(raw)
        return parse(raw)

    reads = []
    for number in range(1, 9):
        place = f"s3://labels/{number}.manifest"
        portal.storage.write_text(place, f"{photo(number - 1)}\n{photo(number)}\n")
        jobs.add_items(portal, "any-job", place)
        log.seal(portal, "any-job")
        with monkeypatch.context() as counting:
            counting.setattr(intake, "parse", counted)
            parsed.clear()
            ledger = replay("any-job", log.lines(portal, "any-job"), portal.storage.read_bytes)
            reads.append(len(parsed))
    assert {more - less for less, more in pairwise(reads)} == {reads[1] - reads[0]}
    assert len(ledger.items) == 9
    assert len(ledger.failed_at) == 8, "each part repeats a photo of the one before"

"""Whoever changes, takes out or puts in a line of a log is found, and the line is named."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.portal import entries, keys, log, verify
from menulens.portal.context import Portal
from menulens.portal.table import Put
from menulens.portal.verify import Finding, Line
from tests.unit.portal.memory import any_portal

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=5)


def any_log(sizes: list[int], kind: str = "answer") -> list[Line]:
    """Return a sound log with segments of so many lines."""
    lines: list[Line] = []
    prev, seq = entries.FIRST_PREV, 0
    for size in sizes:
        segment = log.segment_name(seq)
        raws = []
        for _ in range(size):
            entry = {"at": f"2026-11-23T00:00:{seq:02d}.000000Z", "id": f"id-{seq}", "kind": kind}
            body = entries.canonical({"item": "0000001", "v": seq, "category": seq % 3, "person": "味見"})
            raws.append(entries.line_of({**entry, "body": body}, job="any", seq=seq, prev=prev))
            prev, seq = entries.digest(raws[-1]), seq + 1
        lines += verify.parse(segment, raws)
    return lines


def head_of(lines: list[Line]) -> tuple[int, str]:
    return lines[-1].seq, entries.digest(lines[-1].raw)


def remade(line: Line, **changes: object) -> Line:
    [made] = verify.parse(line.segment, [entries.canonical({**line.value, **changes}).encode()])
    return replace(made, place=line.place)


def keep(portal: Portal, lines: Sequence[Line], head: tuple[int, str] | None) -> None:
    """Put lines where a portal's log is, each in its segment, and note the end."""
    for segment in {line.segment for line in lines}:
        content = b"".join(line.raw + b"\n" for line in lines if line.segment == segment)
        portal.storage.write_bytes(log.folder(portal, "any") + segment, content)
    if head is not None:
        portal.table.write(Put(keys.head("any"), {"seq": head[0], "digest": head[1], "segment": lines[-1].segment}))


def names(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(one.problem, one.segment, one.seq) for one in findings]


@given(SIZES)
def should_find_nothing_in_a_log_as_it_was_written(sizes: list[int]) -> None:
    lines = any_log(sizes)
    assert verify.check(lines) == []
    assert verify.check(lines, head_of(lines)) == []
    if len(lines) > 1:
        assert verify.check(lines, (lines[-2].seq, entries.digest(lines[-2].raw))) == [], (
            "the table may be a bit behind"
        )


@given(SIZES, st.data())
@settings(max_examples=200)
def should_name_a_changed_line(sizes: list[int], data: st.DataObject) -> None:
    lines = any_log(sizes)
    place = data.draw(st.integers(0, len(lines) - 1))
    old = lines[place]
    changed = data.draw(
        st.sampled_from(
            [
                remade(old, body={**old.value["body"], "category": 9}),
                remade(old, at="2020-01-01T00:00:00.000000Z"),
                remade(old, id="another"),
                replace(old, raw=old.raw.replace(b'"kind"', b' "kind"')),
            ]
        )
    )
    tampered = [*lines[:place], changed, *lines[place + 1 :]]
    assert names(verify.check(tampered, head_of(lines))) == [("changed", old.segment, old.seq)]


@given(SIZES.filter(lambda sizes: sum(sizes) > 2), st.data())
def should_name_a_line_whose_link_was_changed(sizes: list[int], data: st.DataObject) -> None:
    lines = any_log(sizes)
    place = data.draw(st.integers(1, len(lines) - 1))
    tampered = [*lines[:place], remade(lines[place], prev="f" * 64), *lines[place + 1 :]]
    assert names(verify.check(tampered, head_of(lines))) == [("changed", lines[place].segment, lines[place].seq)]


@given(SIZES.filter(lambda sizes: sum(sizes) > 1), st.data())
@settings(max_examples=200)
def should_name_missing_lines(sizes: list[int], data: st.DataObject) -> None:
    lines = any_log(sizes)
    first = data.draw(st.integers(0, len(lines) - 1))
    count = data.draw(st.integers(1, len(lines) - first))
    left = [*lines[:first], *lines[first + count :]]
    [found] = verify.check(left, head_of(lines))
    assert (found.problem, found.seq) == ("missing", first)
    last = first + count - 1
    assert f"line {first} is" in found.message if count == 1 else f"lines {first} to {last} are" in found.message


@given(SIZES, st.data())
@settings(max_examples=200)
def should_name_an_inserted_line(sizes: list[int], data: st.DataObject) -> None:
    lines = any_log(sizes)
    place = data.draw(st.integers(0, len(lines) - 1))
    before = data.draw(st.booleans())
    # The forger links the new line well, and gives it the number of the one that it stands beside.
    prev = entries.digest(lines[place - 1].raw) if place else entries.FIRST_PREV
    forged = remade(lines[place], id="forged", prev=prev)
    tampered = [*lines]
    tampered.insert(place if before else place + 1, forged)
    assert names(verify.check(tampered, head_of(lines))) == [("inserted", lines[place].segment, lines[place].seq)]


def should_find_a_log_that_was_written_anew_from_a_line_on() -> None:
    lines = any_log([3, 3])
    forged, prev = lines[:2], entries.digest(lines[1].raw)
    for line in lines[2:]:
        made = remade(line, prev=prev, body={**line.value["body"], "category": 2})
        forged = [*forged, made]
        prev = entries.digest(made.raw)
    assert verify.check(forged) == [], "the chain alone can't tell"
    [found] = verify.check(forged, head_of(lines))
    assert (found.problem, found.seq) == ("changed", 5)
    assert "noted" in found.message


def should_name_what_is_no_line() -> None:
    lines = any_log([2])
    [found, *more] = verify.check([*lines, *verify.parse("junk", [b"\xff{", b"[]", b'{"seq": 1}'])], head_of(lines))
    assert [found.problem, *(one.problem for one in more)] == ["unreadable"] * 3
    assert "row 1 of segment junk" in found.message


@pytest.mark.parametrize("sealed", [0, 1, 4])
def should_seal_what_waits_and_verify_it(sealed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_LINES", 3)
    portal = any_portal()
    for number in range(sealed):
        portal.table.write(entries.waiting("any", "state", {"state": f"{number}"}, now=portal.clock()))
    assert log.seal(portal, "any") == sealed
    assert log.seal(portal, "any") == 0
    found = verify.verify(portal, "any")
    assert (found.lines, found.segments, found.findings) == (sealed, -(-sealed // 3), ())
    assert log.head_of(portal, "any").seq == sealed - 1
    assert [json.loads(line)["body"]["state"] for line in log.lines(portal, "any")] == [str(n) for n in range(sealed)]


def should_find_an_answer_that_nobody_gave() -> None:
    portal = any_portal()
    body = {"item": "0000000", "v": 1, "person": "forger", "kind": "label", "category": 1}
    portal.table.write(entries.waiting("any", "answer", body, now=portal.clock(), entry_id="forged"))
    log.seal(portal, "any")
    [found] = verify.verify(portal, "any").findings
    assert (found.problem, found.seq) == ("unknown", 0)


def should_find_a_segment_that_is_gone_or_replaced() -> None:
    portal = any_portal()
    for number in range(3):
        portal.table.write(entries.waiting("any", "state", {"state": f"{number}"}, now=portal.clock()))
        log.seal(portal, "any")
    kept = dict(portal.s3.kept)
    for name in log.segments(portal, "any"):
        del portal.s3.kept["answers", f"log/any/{name}"]
        [found] = verify.verify(portal, "any").findings
        assert (found.problem, found.seq) == ("missing", int(name.partition(".")[0]))
        portal.s3.kept.update(kept)


def tampered(lines: list[Line], data: st.DataObject) -> list[Line]:
    """Return a log of which one line was changed, taken out, copied, moved or a mixture of these."""
    # The ends of a log are where its segments tell least of each other.
    taken = data.draw(st.just(lines[-1]) | st.sampled_from(lines))
    kept = [one for one in lines if one is not taken or data.draw(st.booleans())] or lines
    at = data.draw(st.just(len(kept)) | st.integers(0, len(kept)))
    beside = kept[max(at - 1, 0)]
    forms = [
        taken,
        remade(taken, prev=entries.digest(beside.raw)),
        remade(taken, prev="f" * 64),
        remade(taken, seq=at),
        remade(taken, body={"v": 99}),
        verify.parse(taken.segment, [b"{"])[0],
    ]
    made = data.draw(st.lists(st.sampled_from(forms), max_size=1))
    segment = data.draw(st.sampled_from([beside.segment, log.segment_name(999)]))
    return [*kept[:at], *(replace(one, segment=segment) for one in made), *kept[at:]]


@given(SIZES, st.integers(1, 2), st.data())
@settings(max_examples=300, deadline=None)
def should_find_the_same_a_segment_at_a_time_as_in_the_whole_log(
    sizes: list[int], times: int, data: st.DataObject
) -> None:
    lines = any_log(sizes, kind="state")
    noted = data.draw(st.sampled_from([None, lines[0], lines[-1]]))
    head = noted and head_of([noted])
    for _ in range(times):
        lines = tampered(lines, data)
    portal = any_portal()
    keep(portal, lines, head)
    names = log.segments(portal, "any")
    kept = [one for name in names for one in verify.parse(name, log.read_segment(portal, "any", name))]
    found = verify.verify(portal, "any")
    assert (found.lines, list(found.findings)) == (len(kept), verify.check(kept, head))


def should_take_no_more_memory_for_a_longer_log() -> None:
    def peak(segments: int) -> int:
        lines = any_log([100] * segments, kind="state")
        portal = any_portal()
        keep(portal, lines, head_of(lines))
        del lines
        tracemalloc.start()
        try:
            assert verify.verify(portal, "any").findings == ()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # what is made once is there
    assert peak(20) < 2 * peak(2)

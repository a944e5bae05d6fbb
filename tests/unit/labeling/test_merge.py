"""Merging chained manifests: every photo once, no label lost, the bytes that came in."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menulens.labeling.merge import Stored, is_labeled, merge, record, without_label
from menulens.storage import ObjectChangedError, Storage

ATTRIBUTE = "menu-category"


def any_line(photo: str, label: int | None = None, **more: object) -> bytes:
    value: dict[str, object] = {"source-ref": f"s3://photos/{photo}.jpg", **more}
    if label is not None:
        value |= {ATTRIBUTE: label, f"{ATTRIBUTE}-metadata": {"class-name": "meal"}}
    return json.dumps(value).encode()


def should_keep_a_label_over_a_later_line_without_one() -> None:
    merged = merge([[any_line("a", 1)], [any_line("a")]], ATTRIBUTE)
    assert list(merged) == [any_line("a", 1)]
    assert merged.labeled == 1


def should_take_the_later_of_two_labels() -> None:
    assert list(merge([[any_line("a", 1)], [any_line("a", 2)]], ATTRIBUTE)) == [any_line("a", 2)]


def should_keep_the_order_of_the_manifests() -> None:
    merged = merge([[any_line("b"), any_line("a")], [any_line("c", 0), any_line("b", 0)]], ATTRIBUTE)
    assert list(merged) == [any_line("a"), any_line("c", 0), any_line("b", 0)]


def should_keep_lines_that_are_no_records_for_cleaning_to_reject() -> None:
    merged = merge([[b"{broken", b"", any_line("a")], [b'["no object"]', b"{broken"]], ATTRIBUTE)
    assert list(merged) == [any_line("a"), b'["no object"]', b"{broken"]
    assert merged.unreadable == 2


def should_count_label_zero_as_a_label() -> None:
    value = record(any_line("a", 0))
    assert value is not None
    assert is_labeled(value, ATTRIBUTE)


def should_ask_again_without_the_failure_of_the_last_attempt() -> None:
    value = {"source-ref": "s3://photos/a.jpg", f"{ATTRIBUTE}-metadata": {"failure-reason": "x"}, "店": "そば"}
    assert json.loads(without_label(value, ATTRIBUTE)) == {"source-ref": "s3://photos/a.jpg", "店": "そば"}


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"source-ref":"s3://photos/a.jpg","x":' + b"[" * 40_000 + b"]" * 40_000 + b"}",
        rb'{"source-ref":"s3://photos/\ud83d.jpg"}',
        rb'{"source":"\ud83d"}',
        b'{"source-ref":"s3://photos/a.jpg","x":' + b"9" * 5_000 + b"}",
        b"\xff",
    ],
    ids=["brackets", "deep", "half a character", "half a character of a text", "long number", "no UTF-8"],
)
def should_take_no_hostile_line_for_a_record(line: bytes) -> None:
    assert record(line) is None
    merged = merge([[line, any_line("a", 1)]], ATTRIBUTE)
    assert (merged.labeled, merged.unreadable) == (1, 1)


def should_ask_again_in_the_same_characters_and_with_half_of_one_escaped() -> None:
    value = record(rb'{"source-ref":"s3://photos/a.jpg","\u5e97":"\u305d\u3070","memo":"\ud83d"}')
    assert value is not None
    due = '{"source-ref": "s3://photos/a.jpg", "店": "そば", "memo": "\\ud83d"}'
    assert without_label(value, ATTRIBUTE) == due.encode()


any_manifest = st.lists(st.builds(any_line, st.sampled_from("abcdef"), st.none() | st.integers(0, 5)), max_size=12)


@given(st.lists(any_manifest, max_size=4))
def should_lose_no_photo_and_no_label_and_double_none(manifests: list[list[bytes]]) -> None:
    merged = merge(manifests, ATTRIBUTE)
    every = [record(line) or {} for manifest in manifests for line in manifest]
    kept = {(record(line) or {})["source-ref"]: record(line) or {} for line in merged}
    assert len(kept) == len(merged) == len(list(merged))
    assert kept.keys() == {value["source-ref"] for value in every}
    for photo, value in kept.items():
        labels = [other[ATTRIBUTE] for other in every if other["source-ref"] == photo and ATTRIBUTE in other]
        assert value.get(ATTRIBUTE) == (labels[-1] if labels else None)


@given(st.lists(any_manifest, max_size=3))
def should_change_nothing_when_merged_again(manifests: list[list[bytes]]) -> None:
    once = merge(manifests, ATTRIBUTE)
    assert list(merge([once, once], ATTRIBUTE)) == list(once)
    assert merge([once], ATTRIBUTE).sha256 == once.sha256


@pytest.mark.parametrize(
    "other",
    [[any_line("a", 1)], [any_line("a", 1), any_line("b", 3)], [any_line("a", 1), any_line("b", 2), any_line("c", 0)]],
    ids=["shorter", "another label", "longer"],
)
def should_write_nothing_when_a_manifest_is_replaced_meanwhile(tmp_path: Path, other: list[bytes]) -> None:
    storage, source, target = Storage(), str(tmp_path / "source.manifest"), tmp_path / "merged.manifest"
    storage.write_bytes(source, b"\n".join([any_line("a", 1), any_line("b", 2)]))
    merged = merge([Stored(storage, source), [any_line("b")]], ATTRIBUTE)
    storage.write_bytes(source, b"\n".join(other))
    with pytest.raises(ObjectChangedError, match="replaced while it was merged"):
        merged.write(str(target), storage)
    assert not target.exists()


def should_write_what_came_together(tmp_path: Path) -> None:
    storage, source, target = Storage(), str(tmp_path / "source.manifest"), tmp_path / "merged.manifest"
    storage.write_bytes(source, any_line("a", 1) + b"\r\n\r\n" + any_line("b"))
    merged = merge([Stored(storage, source), [any_line("b", 2)]], ATTRIBUTE)
    merged.write(str(target), storage)
    assert target.read_bytes() == any_line("a", 1) + b"\n" + any_line("b", 2) + b"\n"
    assert merged.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()

"""What of a manifest is asked about, and what is rejected without a look at any photo."""

from __future__ import annotations

import json

import pytest

from menulens.labeling import merge
from menulens.labeling.input_manifest import Candidate, Caps, Selection, Selector, given
from menulens.storage import Storage

ATTRIBUTE = "menu-category"


def any_label(text: str, label: int | None) -> bytes:
    told = {"source": text, f"{ATTRIBUTE}-metadata": {"failure-reason": "?"} if label is None else {}}
    return json.dumps(told if label is None else told | {ATTRIBUTE: label}, ensure_ascii=False).encode()


def selected(
    lines: list[bytes], most: int = 100, labeled: frozenset[tuple[str, str]] = frozenset()
) -> tuple[Selection, list[str]]:
    selection = Selector(Storage(), Caps(10**6, 10**6), most, labeled).select(given(lines, ATTRIBUTE, "b", "photos/"))
    assert selection.records == len([line for line in lines if line.strip()])
    return selection, [reject.code for reject in selection.rejects]


def should_ask_about_each_text_once() -> None:
    lines = [
        b'{"source": "\xe5\xa4\xa9\xe4\xb8\xbc", "price": 980}',
        b"",
        b'{"source": "udon"}\r',
        b'{"source": "udon", "x": 1}',
    ]
    selection, codes = selected([*lines, b'{"source": " "}', b'{"source": 7}', b"no json"])
    assert selection.asked == [lines[0], lines[2].rstrip()]
    assert codes == ["duplicate", "empty", "no-source-ref", "no-source-ref"]
    assert selection.kind == "text"


def should_ask_about_photos_or_about_texts_as_the_first_record_does() -> None:
    selection, codes = selected(
        [b'{"source": "udon"}', b'{"source-ref": "s3://b/photos/1.jpg"}', b'{"source": "soba"}']
    )
    assert len(selection.asked) == 2
    assert codes == ["mixed"]
    selection, codes = selected([b'{"source-ref": "s3://other/1.jpg"}', b'{"source": "udon"}'])
    assert (selection.kind, codes) == ("photo", ["not-ours", "mixed"])


def should_not_ask_again_about_a_text_that_has_a_label() -> None:
    lines = [any_label("udon", None), any_label("soba", None), b'{"source": "ramen"}']
    selection, _ = selected(lines, most=1, labeled=frozenset({("source", "soba"), ("source-ref", "ramen")}))
    assert selection.asked == [b'{"source": "udon"}']  # without what the failed attempt left
    assert (selection.labeled_before, selection.left) == (1, 1)
    done, _ = selected([b'{"source": "soba"}'], labeled=frozenset({("source", "soba")}))
    assert (done.asked, done.labeled_before, done.kind) == ([], 1, "text")


def should_reject_hostile_lines_with_a_reason() -> None:
    hostile = {
        b"[" * 99_000: "no-source-ref",
        b'{"source-ref":"s3://b/photos/a.jpg","x":' + b"[" * 40_000 + b"]" * 40_000 + b"}": "no-source-ref",
        rb'{"source-ref":"s3://b/photos/\ud83d.jpg"}': "no-source-ref",
        rb'{"source-ref":"s3://b/photos/\ud83d/"}': "no-source-ref",
        b'{"source-ref":"s3://b/photos/' + b"a" * 1_018 + b'"}': "no-photo",
        b'{"source-ref":"s3://b/photos/' + "寿".encode() * 340 + b'"}': "no-photo",
        b'{"source-ref":"s3://b/photos/"}': "no-photo",
    }
    selection, codes = selected([*hostile])
    assert codes == [*hostile.values()]
    assert [json.loads(reject.to_json().encode())["original"].encode() for reject in selection.rejects] == [*hostile]


def should_ask_about_a_photo_whose_name_is_as_long_as_one_may_be() -> None:
    longest = f"s3://b/photos/{'寿' * 339}"
    line = json.dumps({"source-ref": longest}).encode()
    assert list(given([line], ATTRIBUTE, "b", "photos/")) == [Candidate(longest, line, number=1)]


def should_ask_again_about_what_failed_whatever_else_its_line_holds() -> None:
    failed = {"source": "udon", "memo": "\ud83d", f"{ATTRIBUTE}-metadata": {"failure-reason": "?"}}
    selection, codes = selected([json.dumps(failed).encode()])
    assert (selection.asked, codes) == ([rb'{"source": "udon", "memo": "\ud83d"}'], [])


def should_reject_a_failed_line_that_can_be_read_but_not_be_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_deep(value: object, attribute: str) -> bytes:
        raise RecursionError

    monkeypatch.setattr(merge, "without_label", too_deep)
    assert selected([any_label("udon", None)])[1] == ["no-source-ref"]


def should_merge_labels_of_texts() -> None:
    first = [any_label("udon", 1), any_label("soba", None), b'{"source-ref": "udon"}']
    second = [any_label("soba", 2), b'{"source": "udon"}']
    merged = merge.merge([first, second], ATTRIBUTE)
    assert list(merged) == [first[0], first[2], second[0]]
    assert (merged.labeled, merged.unreadable) == (2, 0)

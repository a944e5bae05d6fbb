"""What of a manifest of texts is asked about."""

from __future__ import annotations

import json

from menulens.labeling import merge
from menulens.labeling.input_manifest import Caps, Selection, Selector, given
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


def should_merge_labels_of_texts() -> None:
    first = [any_label("udon", 1), any_label("soba", None), b'{"source-ref": "udon"}']
    second = [any_label("soba", 2), b'{"source": "udon"}']
    merged = merge.merge([first, second], ATTRIBUTE)
    assert merged.lines == [first[0], second[0], first[2]]
    assert (merged.labeled, merged.unreadable) == (2, 0)

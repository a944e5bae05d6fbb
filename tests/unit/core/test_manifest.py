"""Cleaning: what is kept, what is rejected and why."""

import json
from array import array
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.core import doubles
from menulens.core import scan as scanning
from menulens.core.blocks import Block
from menulens.core.lines import Reject
from menulens.core.manifest import DatasetTooSmallError
from menulens.core.words import as_words, hashes
from tests.unit.core.cleaning import rejects, run
from tests.unit.core.generators.manifests import (
    ATTRIBUTE,
    METADATA,
    any_line,
    any_manifest,
    any_record,
    any_rules,
    lines,
    of_lines,
)


def code_of(line: bytes, **changes: Any) -> str | None:
    """Clean a good manifest with one more line, the last; return that line's reason code, None if it was kept."""
    base = any_manifest(60)
    store, _ = run(base + line + b"\n", any_rules(**changes))
    told = rejects(store).get(61)
    if told is None:
        assert line + b"\n" in store.objects["out/train.manifest"] + store.objects["out/eval.manifest"]
        return None
    assert told["reason"]
    assert told["original"].encode() == line
    return str(told["code"])


METADATA_OF_MEAL = any_record()[METADATA]


@pytest.mark.parametrize(
    "line",
    [
        any_line("photos/n.jpg", 1),
        any_line("photos/n.jpg", 1, menu_category="1"),
        any_line("photos/n.jpg", 1) + b"\r",
        any_line("photos/寿司/握り.jpg", 1),
        json.dumps(any_record("photos/寿司/握り.jpg", 1)).encode(),
        any_line("photos/n.jpg", genre=3, genre_metadata={"class-name": "sushi"}, id="x"),
        any_line("photos/n.jpg", **{METADATA: METADATA_OF_MEAL | {"confidence": 1, "human-annotated": "no"}}),
        any_line("photos/n.jpg", **{METADATA: {"class-name": "meal"}}),
        b"  " + any_line("photos/n.jpg") + b" \t",
        json.dumps(any_record("photos/n.jpg"), indent=None).encode(),
        json.dumps(any_record("photos/n.jpg"), sort_keys=True).encode(),
    ],
)
def should_keep_every_form_that_a_labeling_job_writes(line: bytes) -> None:
    assert code_of(line) is None


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("unlabeled", any_line("photos/n.jpg", **{ATTRIBUTE: None, METADATA: None})),
        ("unlabeled", any_line("photos/n.jpg", **{ATTRIBUTE: None})),
        ("failed", any_line("photos/n.jpg", **{ATTRIBUTE: None, METADATA: {"failure-reason": "ClientError"}})),
        ("failed", any_line("photos/n.jpg", **{METADATA: METADATA_OF_MEAL | {"failure-reason": "ClientError"}})),
        ("not-for-training", any_line("photos/n.jpg", 3)),
        ("metadata-missing", any_line("photos/n.jpg", **{METADATA: None})),
        ("metadata-missing", any_line("photos/n.jpg", **{METADATA: {"confidence": 1}})),
        ("metadata-missing", any_line("photos/n.jpg", **{METADATA: "meal"})),
        ("label-class-mismatch", any_line("photos/n.jpg", **{ATTRIBUTE: 1})),
        ("label-class-mismatch", any_line("photos/n.jpg", **{ATTRIBUTE: 99})),
        ("label-class-mismatch", any_line("photos/n.jpg", **{ATTRIBUTE: -1})),
        ("unknown-category", any_line("photos/n.jpg", **{METADATA: {"class-name": "soup"}})),
        ("label-not-whole-number", any_line("photos/n.jpg", **{ATTRIBUTE: 0.5})),
        ("label-not-whole-number", any_line("photos/n.jpg", **{ATTRIBUTE: 0.0})),
        ("label-not-whole-number", any_line("photos/n.jpg", **{ATTRIBUTE: "meal"})),
        ("label-not-whole-number", any_line("photos/n.jpg", **{ATTRIBUTE: "00"})),
        ("label-not-whole-number", any_line("photos/n.jpg", **{ATTRIBUTE: "٣"})),
        ("label-not-whole-number", any_line("photos/n.jpg", **{ATTRIBUTE: False})),
        ("label-not-whole-number", any_line("photos/n.jpg", **{ATTRIBUTE: {}})),
        ("label-not-whole-number", any_line("photos/n.jpg").replace(b'ory":0', b'ory":-0')),
        ("label-not-whole-number", any_line("photos/n.jpg").replace(b'ory":0', b'ory":0e0')),
        ("label-not-whole-number", any_line("photos/n.jpg").replace(b'ory":0', b'ory":' + b"9" * 5000)),
        ("label-is-list", any_line("photos/n.jpg", **{ATTRIBUTE: [0, 1]})),
        ("label-is-list", any_line("photos/n.jpg", **{ATTRIBUTE: [0]})),
        ("not-an-object", b"[]"),
        ("not-an-object", b"17"),
        ("broken-json", b""),
        ("broken-json", b"{"),
        ("broken-json", b"[" * 90_000),
        ("broken-json", any_line("photos/n.jpg")[:-1]),
        ("broken-json", any_line("photos/n.jpg") + b"}"),
        ("broken-json", any_line("photos/n.jpg") * 2),
        ("broken-json", any_line("photos/n.jpg").replace(b"0.94", b"NaN")),
        ("broken-json", any_line("photos/n.jpg").replace(b"0.94", b"01")),
        ("broken-json", any_line("photos/n\t.jpg").replace(b"\\t", b"\t")),
        ("broken-json", b"\xef\xbb\xbf" + any_line("photos/n.jpg")),
        ("duplicate-key", any_line("photos/n.jpg")[:-1] + b',"menu-category":1}'),
        ("duplicate-key", any_line("photos/n.jpg")[:-2] + b',"class-name":"drink"}}'),
        ("duplicate-key", any_line("photos/n.jpg")[:-1] + b',"menu\\u002dcategory":1}'),
        ("source-ref-missing", any_line("photos/n.jpg", source_ref=None)),
        ("source-ref-not-s3", any_line("photos/n.jpg", source_ref="https://x/photos/n.jpg")),
        ("source-ref-not-s3", any_line("photos/n.jpg", source_ref=7)),
        ("source-ref-not-s3", any_line("photos/n.jpg", source_ref="s3://photos-of-menus/photos/")),
        ("source-ref-not-s3", any_line("photos/n.jpg").replace(b"n.jpg", b"\\ud800.jpg")),
        ("source-ref-not-s3", any_line("photos/" + "n" * 1_018)),
        ("source-ref-not-s3", any_line("photos/" + "寿" * 340)),
        ("foreign-photo", any_line("photos/n.jpg", source_ref="s3://others/photos/n.jpg")),
        ("foreign-photo", any_line("elsewhere/n.jpg")),
        ("line-too-long", any_line("photos/n.jpg", note="x" * 100_000)),
    ],
)
def should_reject_with_a_reason(code: str, line: bytes) -> None:
    assert code_of(line) == code


@pytest.mark.parametrize("name", ["n" * 1_017, "寿" * 339])
def should_keep_a_photo_whose_name_is_as_long_as_one_may_be(name: str) -> None:
    assert code_of(any_line(f"photos/{name}")) is None


def should_measure_a_line_in_characters_and_not_in_bytes() -> None:
    note = "寿" * 99_000
    assert len(any_line("photos/n.jpg", note=note)) > 250_000
    assert code_of(any_line("photos/n.jpg", note=note)) is None


def should_keep_a_reject_that_is_no_utf8_as_base64() -> None:
    store, _ = run(any_manifest(60) + b'{"\xff"\n')
    told = rejects(store)[61]
    assert (told["code"], told["original_base64"]) == ("broken-json", "eyL/Ig==")


def should_keep_a_photo_once_when_its_labels_agree() -> None:
    line = any_line("photos/n.jpg", 1)
    other = any_line("photos/n.jpg", 1, note="later")
    store, cleaned = run(any_manifest(60) + of_lines([line, other, line.replace(b"n.jpg", b"\\u006e.jpg")]))
    kept = store.objects["out/train.manifest"] + store.objects["out/eval.manifest"]
    assert line in kept.split(b"\n")
    assert other not in kept.split(b"\n")
    assert {number: told["code"] for number, told in rejects(store).items()} == {62: "duplicate", 63: "duplicate"}
    assert cleaned.card["reasons"] == {"duplicate": 2}


@pytest.mark.parametrize("second", [2, 3])
def should_reject_every_line_of_a_photo_whose_labels_differ(second: int) -> None:
    line, other = any_line("photos/n.jpg", 1), any_line("photos/n.jpg", second)
    store, _ = run(of_lines([line]) + any_manifest(60) + of_lines([other, line]))
    assert {number: told["code"] for number, told in rejects(store).items()} == dict.fromkeys((1, 62, 63), "conflict")


def should_tell_photos_apart_whose_short_hashes_are_the_same() -> None:
    # Two keys with one hash (found by trying); were the hash trusted, the second would be lost.
    rests = [f"{number * 2654435761 % 2**32:08x}.jpg" for number in range(200_000)]
    places = np.arange(len(rests)) * len(rests[0])
    sums = hashes(as_words("".join(rests).encode() + bytes(16)), places, np.full(len(rests), len(rests[0])))
    seen: dict[int, str] = {}
    twins = next(
        (seen[one], rest) for one, rest in zip(sums.tolist(), rests, strict=True) if seen.setdefault(one, rest) != rest
    )
    _, cleaned = run(
        any_manifest(60) + of_lines([any_line(f"photos/{rest}", place) for place, rest in enumerate(twins)])
    )
    assert cleaned.card["rejected"] == 0


@settings(max_examples=80, deadline=None)
@given(
    st.lists(lines(), max_size=12), st.booleans(), st.booleans(), st.sampled_from([None, "^photos/([^/]+)/", "(x)?"])
)
def should_lose_no_line_and_change_no_byte(
    drawn: list[bytes], ended: bool, reindex: bool, group_pattern: str | None
) -> None:
    good = any_manifest(60)[:-1].split(b"\n")
    everything = drawn[::2] + good + drawn[1::2]
    data = b"\n".join(everything) + (b"\n" if ended else b"")
    expected = data[:-1].split(b"\n") if data.endswith(b"\n") else data.split(b"\n")
    store, cleaned = run(data, any_rules(group_pattern=group_pattern), reindex=reindex)
    card, told = cleaned.card, rejects(store)
    assert card["kept"] + card["rejected"] == card["source"]["lines"] == len(expected)
    assert Counter(reject["code"] for reject in told.values()) == card["reasons"]
    assert card["human"] + card["machine"] == card["kept"]
    kept = [line for number, line in enumerate(expected, 1) if number not in told]
    files = [store.objects[f"out/{side}.manifest"][:-1].split(b"\n") for side in ("train", "eval")]
    if not reindex:
        assert Counter(files[0] + files[1]) == Counter(kept)
        assert all([line for line in kept if line in set(side)] == side for side in files), "the order is the input's"
    assert [sum(card["counts"][side].values()) for side in ("train", "eval")] == [len(side) for side in files]
    for number, reject in told.items():
        original = reject.get("original")
        assert original is None or original.encode() == expected[number - 1]


@settings(max_examples=200, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=8), st.booleans(), st.sampled_from([None, "^photos/([^/]+)/", "r([12])"]))
def should_give_a_line_the_same_verdict_by_shape_and_by_parsing(
    drawn: list[bytes], reindex: bool, group_pattern: str | None
) -> None:
    rules = any_rules(group_pattern=group_pattern)
    fast, slow = scanning.KeyReader(rules, reindex), _ParsingReader(rules, reindex)
    # Twice: the second time, every good line of the first has taught its shape.
    assert verdicts(fast, drawn, drawn) == verdicts(slow, drawn, drawn)
    assert fast.groups == slow.groups
    assert fast.keys(Block(of_lines(drawn))) == slow.keys(Block(of_lines(drawn)))


def verdicts(reader: scanning.KeyReader, *blocks: list[bytes]) -> list[tuple[int, int]]:
    """Return verdict byte and hash of every line of all blocks."""
    found: list[tuple[int, int]] = []
    for block in blocks:
        codes, sums = reader.block(Block(of_lines(block)))
        assert len(codes) == len(sums) == len(block)
        found += zip(codes.tolist(), sums.tolist(), strict=True)
    return found


class _ParsingReader(scanning.KeyReader):
    """Learns no shape, so that every line is parsed."""

    def _learn(self, line: bytes, *, labeled: bool) -> None:
        return


@settings(max_examples=200, deadline=None)
@given(st.data())
def should_see_through_lines_that_nearly_have_a_known_shape(data: st.DataObject) -> None:
    good = any_line("photos/r1/a.jpg", 1)
    line = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(line) - 1))
        kind = data.draw(st.integers(0, 2))
        byte = data.draw(st.sampled_from(b'"\\{}[]:,0123456789.eE+-\r\t\0\x1f\x7f\x80\xc3\xa9 abn/'))
        if kind == 0:
            line[at] = byte
        elif kind == 1:
            line.insert(at, byte)
        else:
            del line[at]
    rules = any_rules(group_pattern="^photos/([^/]+)/")
    block = [good, bytes(line).replace(b"\n", b""), good[: data.draw(st.integers(0, len(good)))], good]
    assert verdicts(scanning.KeyReader(rules), block) == verdicts(_ParsingReader(rules), block)


def should_take_the_fast_way_for_the_lines_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    judge = scanning.LineJudge.judge
    monkeypatch.setattr(scanning.LineJudge, "judge", lambda self, line: parsed.append(line) or judge(self, line))
    run(any_manifest(3000))
    assert len(parsed) <= 2 * 64, "the first lines alone, from which the shapes are learned"


def should_replace_label_indexes_only_when_asked() -> None:
    data = any_manifest(60).replace(b'"menu-category":0,', b'"menu-category":"2",')
    with pytest.raises(DatasetTooSmallError, match="label-class-mismatch: 20"):
        run(data)
    store, cleaned = run(data, reindex=True)
    assert cleaned.card["reindexed"] == 20
    kept = store.objects["out/train.manifest"] + store.objects["out/eval.manifest"]
    due = any_manifest(60).replace(b'"menu-category":0,', b'"menu-category":"0",')
    assert sorted(kept.split()) == sorted(due.split())


def should_not_touch_what_only_looks_like_the_label() -> None:
    odd = any_line("photos/n.jpg", 1, **{"inner": {ATTRIBUTE: 7}, ATTRIBUTE: 7, "list": [{}, ATTRIBUTE, 7]})
    store, _ = run(any_manifest(60) + odd + b"\n", reindex=True)
    kept = store.objects["out/train.manifest"] + store.objects["out/eval.manifest"]
    values = [json.loads(line) for line in kept.split(b"\n")[:-1] if b"inner" in line]
    assert values == [json.loads(odd) | {ATTRIBUTE: 1}]


def should_end_the_last_line() -> None:
    store, _ = run(any_manifest(60)[:-1])
    whole, _ = run(any_manifest(60))
    assert store.objects["out/train.manifest"] == whole.objects["out/train.manifest"]
    assert store.objects["out/eval.manifest"] == whole.objects["out/eval.manifest"]


def should_not_take_two_broken_lines_for_one() -> None:
    good = any_line("photos/r1/a.jpg", 1)
    rules = any_rules(group_pattern="^photos/([^/]+)/")
    for cut in range(len(good)):
        codes = [code for code, _ in verdicts(scanning.KeyReader(rules), [good, good[:cut], good[cut:], good])]
        assert codes[1] == codes[2] == scanning.CODE_OF[Reject.BROKEN_JSON] or cut == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 255])), max_size=60), st.integers(1, 60))
def should_suspect_every_line_whose_hash_stands_twice(drawn: list[tuple[int, int]], look: int) -> None:
    # Beside each hash another that shares its upper bits.
    drawn = drawn + drawn[::3] + [(number ^ 1, code) for number, code in drawn[::2]] + drawn[::5]
    codes, sums = bytearray(code for _, code in drawn), array("I", [number for number, _ in drawn])
    good = Counter(number for number, code in drawn if code < scanning.FIRST_REJECT)
    expected = [line for line, (number, code) in enumerate(drawn) if code < scanning.FIRST_REJECT and good[number] > 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubles, "LOOK", look)
        assert doubles.suspects(codes, sums).tolist() == expected


_GOOD = any_line("photos/r1/a.jpg", 1)


@pytest.mark.parametrize("group_pattern", [None, "^photos/([^/]+)/"])
@pytest.mark.parametrize(
    "fooling",
    [
        b"x" + _GOOD,
        _GOOD + b" " + _GOOD,
        _GOOD + _GOOD,
        b"[" + _GOOD,
        b"\r" + _GOOD,
        _GOOD + b"\r",
        _GOOD + b"\r\r",
        _GOOD[:-1] + b',"menu-category":2}',
        _GOOD[:-1] + b',"source-ref":"s3://photos-of-menus/photos/r2/b.jpg"}',
        _GOOD.replace(b'"class-name":', b'"class-name":"meal","class-name":'),
        _GOOD.replace(b"a.jpg", b'a.jpg\\","menu-category":0,"x":"'),
        _GOOD.replace(b"a.jpg", b"\\u0061.jpg"),
        _GOOD.replace(b"a.jpg", b"a\0.jpg"),
        _GOOD.replace(b"a.jpg", b"a\t.jpg"),
        _GOOD.replace(b"a.jpg", b"\xff.jpg"),
        _GOOD.replace(b"a.jpg", b"\xe5\xaf.jpg"),
        _GOOD.replace(b"a.jpg", "寿司.jpg".encode()),
        _GOOD.replace(b"a.jpg", b"a.jpg/"),
        _GOOD.replace(b"r1/", b"/"),
        _GOOD.replace(b'"menu-category":1', b'"menu-category":01'),
        _GOOD.replace(b'"menu-category":1', b'"menu-category":00'),
        _GOOD.replace(b'"menu-category":1', b'"menu-category":999'),
        _GOOD.replace(b'"menu-category":1', b'"menu-category":"1"'),
        _GOOD.replace(b"sweets", b"soup"),
        _GOOD.replace(b"sweets", b""),
        _GOOD.replace(b'"yes"', b'"Yes"'),
        _GOOD.replace(b"0.94", b"00.94"),
        _GOOD.replace(b"0.94", b".94"),
        _GOOD.replace(b"0.94", b"0."),
        b'{"outer":' + _GOOD + b"}",
        b'{"source-ref":"s3://photos-of-menus/photos/r9/u.jpg"}',
        b'{"source-ref":"s3://photos-of-menus/photos/r9/u.jpg"}' + _GOOD,
        b"",
    ],
)
def should_not_be_fooled_by_a_line_among_good_ones(fooling: bytes, group_pattern: str | None) -> None:
    rules = any_rules(group_pattern=group_pattern)
    unlabeled = b'{"source-ref":"s3://photos-of-menus/photos/r8/v.jpg"}'
    blocks = [[_GOOD, unlabeled, _GOOD], [_GOOD, fooling, _GOOD, fooling, fooling, unlabeled]]
    blocks += [[fooling, fooling], [fooling, unlabeled, _GOOD]]
    for reindex in (False, True):
        readers = scanning.KeyReader(rules, reindex), _ParsingReader(rules, reindex)
        results = [verdicts(reader, *blocks) for reader in readers]
        assert results[0] == results[1]
        assert readers[0].groups == readers[1].groups
        everything = [line for block in blocks for line in block]
        good = [line for line, (code, _) in zip(everything, results[0], strict=True) if code < scanning.FIRST_REJECT]
        assert readers[0].keys(Block(of_lines(good))) == readers[1].keys(Block(of_lines(good)))

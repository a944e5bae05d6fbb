"""Lines judged in columns: always as parsing judges them, and without parsing the usual ones."""

import io
import json
import re
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.core import blocks, words
from menulens.core import scan as scanning
from menulens.core.blocks import Block, line_blocks
from menulens.core.rules import Category, CleaningRules
from tests.unit.core.generators.manifests import ATTRIBUTE, KEYS, METADATA, any_record, any_rules, of_lines

LONG_NAME = "a-category-with-a-name-of-forty-characters"
NAMES = (*KEYS, "料理の写真を撮ったもの", LONG_NAME)
NUMBERS = [
    "0",
    "-0",
    "00",
    "1",
    "0.5",
    "1.0",
    ".5",
    "5.",
    "1.2.3",
    "1e0",
    "1E-07",
    "-1",
    "+1",
    "12345678",
    "123456789.5",
]
NUMBERS += ["9" * 40, "0x1", "1_0", "NaN", "Infinity", "true", "false", "null", "True", "", " 1", "0.73167891234567"]
TEXTS = [
    "",
    "a",
    "寿司屋",
    "r1",
    "é",
    "x" * 7,
    "x" * 8,
    "x" * 9,
    "y" * 64,
    "y" * 65,
    "z" * 200,
    "あ" * 30,
    "w" * 1_012,  # with an ending and no more, the longest name that an object can have
    "\x7f",
    " ",
    "a/b",
    "//",
]
TEXTS += ['quote"', "back\\slash", "tab\t", "\0", "\ud800", "\u2028", "😀", "{}", '":"', ","]


@st.composite
def forms(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw what the lines of a job have in common: a record, and how it is spelled."""
    record = any_record("photos/r1/a.jpg", 1)
    extra = st.sampled_from(
        [
            {},
            {"id": 7},
            {"ケ": "値"},
            {"size": {"width": 3, "flag": True}},
            {"list": [1, 2]},
            {"deep": [{"a": {"class-name": "meal"}}]},
        ]
    )
    record |= draw(extra)
    metadata = dict(record[METADATA])
    for name in draw(st.sets(st.sampled_from(["human-annotated", "confidence", "job-name"]), max_size=2)):
        del metadata[name]
    for one in (metadata, record):
        items = draw(st.permutations([*one.items()]))
        one.clear()
        one |= dict(items)
    record[METADATA] = metadata | draw(st.sampled_from([{}, {"inner": {"human-annotated": "yes"}}, {"n": None}]))
    if draw(st.booleans()):
        record[ATTRIBUTE] = "1"
    spaced, ascii_only = draw(st.booleans()), draw(st.integers(0, 3)) == 0
    return record, {"separators": (", ", ": ") if spaced else (",", ":"), "ensure_ascii": ascii_only}


@st.composite
def jobs(draw: st.DrawFn) -> list[bytes]:
    """Draw lines of one form with other values, some of them spoilt."""
    record, spelling = draw(forms())
    found = []
    for _ in range(draw(st.integers(1, 12))):
        one, metadata = dict(record), dict(record[METADATA])
        place = draw(st.integers(0, len(NAMES) - 1))
        label = place if draw(st.integers(0, 5)) else draw(st.integers(0, 9))
        one[ATTRIBUTE] = str(label) if isinstance(one[ATTRIBUTE], str) else label
        metadata["class-name"] = NAMES[place]
        texts = st.sampled_from(TEXTS)
        one["source-ref"] = (
            f"s3://photos-of-menus/photos/{draw(texts)}/{draw(texts)}{draw(st.sampled_from(['.jpg', '', '/']))}"
        )
        for name in ("job-name", "human-annotated"):
            if name in metadata:
                metadata[name] = draw(st.one_of(st.sampled_from(["yes", "no", "yes "]), texts))
        if "confidence" in metadata:
            metadata["confidence"] = "<number>"
        one[METADATA] = metadata
        line = json.dumps(one, **spelling).encode("utf-8", "surrogatepass")
        line = line.replace(b'"<number>"', draw(st.sampled_from(NUMBERS)).encode())
        if draw(st.integers(0, 4)) == 0:
            at = draw(st.integers(0, len(line)))
            piece = draw(
                st.sampled_from([b"", b'"', b"\\", b"\0", b"\xff", b"\xe5", b"\r", b"\t", b",", b"}", b"1", b"/"])
            )
            line = line[:at] + piece + line[at + draw(st.integers(0, 2)) :]
        if draw(st.integers(0, 9)) == 0:
            line = line[:1] + b'"menu-category":1,' + line[1:]
        if draw(st.integers(0, 5)) == 0:
            line += draw(st.sampled_from([b"\r", b"\r\r", b" ", b"}", b" " * 100_000]))
        found.append(line.replace(b"\n", b""))
    return found


class _Parsing(scanning.KeyReader):
    """Learns no shape, so that every line is parsed."""

    def _learn(self, line: bytes, *, labeled: bool) -> None:
        return


def _rules(**changes: Any) -> CleaningRules:
    return any_rules(categories=tuple(Category(name) for name in NAMES), **changes)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(jobs(), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, "^photos/([^/]+)/", "^photos/([^/]+)", "(r[12])"]),
    st.sampled_from(["photos/", "photos", ""]),
)
def should_judge_the_lines_of_any_job_as_parsing_does(
    drawn: list[list[bytes]], reindex: bool, group_pattern: str | None, prefix: str
) -> None:
    rules = _rules(group_pattern=group_pattern, photo_prefix=prefix)
    readers = scanning.KeyReader(rules, reindex), _Parsing(rules, reindex)
    for lines in [*drawn, [*chain.from_iterable(drawn)]]:
        block = Block(of_lines(lines))
        (codes, sums), (due_codes, due_sums) = (reader.block(block) for reader in readers)
        assert codes.tolist() == due_codes.tolist()
        assert sums.tolist() == due_sums.tolist()
        assert readers[0].keys(block) == readers[1].keys(block)
    assert readers[0].groups == readers[1].groups


@pytest.mark.parametrize("restaurant", ["r1", "ちいさな町の小さな食堂", "長" * 30, "x" * 65])
@pytest.mark.parametrize("changes", [{}, {ATTRIBUTE: "1"}, {"id": 5}, {"ok": True, "note": "メモ"}])
def should_parse_none_of_the_usual_lines_but_the_first(
    monkeypatch: pytest.MonkeyPatch, restaurant: str, changes: dict[str, Any]
) -> None:
    def job() -> list[bytes]:
        records = [any_record(f"photos/{restaurant}/{number}.jpg", 1) | changes for number in range(500)]
        return [json.dumps(record, ensure_ascii=False).encode() for record in records]

    parsed: list[bytes] = []
    judge = scanning.LineJudge.judge
    monkeypatch.setattr(scanning.LineJudge, "judge", lambda self, line: parsed.append(line) or judge(self, line))
    for end in (b"", b"\r"):
        parsed.clear()
        codes, _ = scanning.KeyReader(any_rules(group_pattern="^photos/([^/]+)/")).block(
            Block(of_lines([line + end for line in job()]))
        )
        assert set(codes >> 2) == {1}
        assert len(parsed) == 64


@pytest.mark.parametrize("restaurant", ["r1", "ちいさな町の小さな食堂"])
def should_reject_a_name_that_no_object_can_have_though_the_line_is_a_usual_one(restaurant: str) -> None:
    longest = 1_024 - len(f"photos/{restaurant}/".encode())
    names = [*("n" * 9 for _ in range(64)), "n" * longest, "n" * (longest + 1)]
    lines = [json.dumps(any_record(f"photos/{restaurant}/{name}", 1), ensure_ascii=False).encode() for name in names]
    codes, _ = scanning.KeyReader(_rules()).block(Block(of_lines(lines)))
    assert set(codes[:-1] >> 2) == {1}
    assert codes[-1] == scanning.CODE_OF[scanning.Reject.SOURCE_REF_NOT_S3]


# --- blocks ---------------------------------------------------------------------------------------


@given(st.lists(st.text('a"\\\té寿\r\x1f', max_size=80), max_size=20), st.binary(max_size=5), st.integers(1, 300))
def should_find_lines_and_marks(drawn: list[str], odd: bytes, size: int) -> None:
    lines = [line.encode() for line in drawn] + [odd.replace(b"\n", b"")]
    data = of_lines(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", size)
        seen: list[bytes] = []
        found = list(line_blocks(io.BytesIO(data[:-1]), seen.append))
    assert b"".join(seen) == data[:-1]
    assert [line for block in found for line in block.chosen(slice(None))] == (lines if lines[-1] else lines[:-1])
    for block in found:
        lines = block.chosen(slice(None))
        assert [block.line(row) for row in range(len(block))] == lines
        assert np.diff(block.first_quotes).tolist() == [line.count(b'"') for line in lines]
        texts = [block.data[at:end] for at, end in zip(block.starts, block.text_ends, strict=True)]
        assert texts == [line.removesuffix(b"\r") for line in lines]
        odd_ones = [re.search(rb"[\x00-\x1f\\]", text) is not None or not blocks.is_utf8(text) for text in texts]
        assert block.plain.tolist() == [not one for one in odd_ones]
        chosen = np.arange(len(block)) % 3 > 0
        due = of_lines([line for line, wanted in zip(lines, chosen, strict=True) if wanted])
        assert b"".join(block.runs(chosen)) == due


# --- words ----------------------------------------------------------------------------------------


def columns(texts: list[bytes]) -> tuple[words.Bits, words.Numbers, words.Numbers]:
    size = np.array([len(text) for text in texts], np.int64)
    joined = b"".join(text + b"7" for text in texts)
    return words.as_words(joined + bytes(-len(joined) % 8)), np.cumsum(size + 1) - size - 1, size


_digits = st.one_of(
    st.sampled_from(NUMBERS), st.from_regex(r"\A[0-9.]{0,34}\Z"), st.from_regex(r"\A[0-9]{1,18}(\.[0-9]{1,12})?\Z")
)


@given(st.lists(_digits, min_size=1, max_size=9))
def should_know_a_number(drawn: list[str]) -> None:
    numbers = [re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]+)?", text) is not None and len(text) <= 32 for text in drawn]
    literals = [text in {"true", "false", "null"} for text in drawn]
    at = columns([text.encode() for text in drawn])
    assert words.are_numbers(*at).tolist() == numbers
    assert words.are_literals(*at).tolist() == literals


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=9), st.integers(0, 7))
def should_hash_a_text_alike_wherever_it_stands(drawn: list[bytes], shift: int) -> None:
    text, start, size = columns(drawn)
    moved = words.as_words(b"x" * shift + text.tobytes() + bytes(8 - shift))
    found = words.hashes(text, start, size)
    assert found.tolist() == words.hashes(moved, start + shift, size).tolist()
    assert found.tolist() == [int(words.hashes(*columns([one]))[0]) for one in drawn]


def should_hash_keys_that_hardly_differ_apart() -> None:
    keys = [f"r{number % 97:05d}/{number:08x}-menu.jpg".encode() for number in range(50_000)]
    keys += [b"x" * size for size in range(1, 300)] + [bytes([65 + at % 26]) * 70 + b"%d" % at for at in range(500)]
    assert len(set(words.hashes(*columns(keys)).tolist())) > len(keys) - 5  # of 32 bits, 0.3 pairs are due


@given(st.lists(st.text("ab/寿", max_size=40), min_size=1, max_size=9), st.integers(1, 8))
def should_find_what_stands_before_a_slash(drawn: list[str], most: int) -> None:
    texts = [text.encode() for text in drawn]
    length, found = words.leading(*columns(texts), ord("/"), most)
    due = [text.find(b"/") if 0 < text.find(b"/") < 8 * most else 0 for text in texts]
    assert length.tolist() == due
    for row, text in enumerate(texts):
        if due[row]:
            assert b"".join(word[row].tobytes() for word in found).rstrip(b"\0") == text[: due[row]]


@given(
    st.lists(st.lists(st.text("abcé", min_size=1, max_size=16), min_size=1, max_size=9), max_size=9), st.integers(1, 4)
)
def should_never_take_one_text_for_another(drawn: list[list[str]], bits: int) -> None:
    answers = {text.encode()[:16]: place % 256 for place, text in enumerate({text for some in drawn for text in some})}
    memo = words.Memo(2, bits, answers)
    for some in drawn:
        texts = [text.encode()[:16] for text in some]
        at = columns(texts)
        assert memo.look(words.words_of(*at, 2)).tolist() == [answers[text] for text in texts]


def should_learn_a_form_that_comes_after_many_that_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [json.dumps(any_record(f"photos/r1/{number}.jpg") | {"box": [1, number]}).encode() for number in range(3_000)]
    usual = [json.dumps(any_record(f"photos/r2/{number}.jpg")).encode() for number in range(3_000)]
    lessons: list[bytes] = []
    learn = scanning.learn

    def counted(line: bytes, rules: CleaningRules, *, labeled: bool) -> Any:
        lessons.append(line)
        return learn(line, rules, labeled=labeled)

    monkeypatch.setattr(scanning, "learn", counted)
    reader = scanning.KeyReader(any_rules())
    reader.block(Block(of_lines(odd)))
    assert len(lessons) < 50
    reader.block(Block(of_lines(usual[:200])))
    parsed: list[bytes] = []
    judge = scanning.LineJudge.judge
    monkeypatch.setattr(scanning.LineJudge, "judge", lambda self, line: parsed.append(line) or judge(self, line))
    codes, _ = reader.block(Block(of_lines(usual[200:])))
    assert not parsed
    assert set(codes >> 2) == {0}

r"""Lines whose verdict is sure without parsing them.

A labeling job writes every line alike: the same keys in the same order, with other values. From a line that was parsed
in full, :func:`learn` takes what stands between its values: texts of keys, brackets, blanks and quotation marks, that
must stand in another line as they are. Where a line has just as many quotation marks, no escape and no control
character, each string in it ends at the next mark; so the places of all texts follow from those of the marks, and the
texts are compared for all lines of a block at once. Where they agree, every byte of a line is accounted for: the line
has the same keys at the same places and no other, none of them twice, and for values strings, or numbers and literals
that are looked at byte by byte. Source-ref, label, class-name and human-annotated are then the values at their places,
and the verdict follows from them by a table. Everything that does not fit is parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from menulens.core.blocks import Block
from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.core.lines import CLASS_NAME, FAILURE_REASON, HUMAN_ANNOTATED, LONGEST_KEY, S3_SCHEME, Token, tokens
from menulens.core.rules import CleaningRules
from menulens.core.words import Bits, Flags, Numbers, are_literals, are_numbers, byte_at, constant, gather

LONGEST_SHAPE = 8_000  # bytes of a line that is worth a shape
MOST_SCALARS = 40
_CONTROLS = re.compile(r"[\x00-\x1f]")
_LITERALS = {"true", "false", "null"}
_PREFIX_GROUP = re.compile(r"\^([A-Za-z0-9_/-]*)\(\[\^/\]\+\)/?")
_STRING, _NUMBER, _LITERAL = "string", "number", "literal"


def simple_group(rules: CleaningRules) -> bool:
    """Tell whether the rules' group is what stands between the photo prefix and the next slash."""
    found = _PREFIX_GROUP.fullmatch(rules.group_pattern or "")
    return found is not None and found[1] == rules.photo_prefix


@dataclass(frozen=True, slots=True)
class Field:
    """Where a value stands on each line: without the quotation marks of a string."""

    start: Numbers
    size: Numbers

    def of(self, rows: Numbers) -> Field:
        """Return the field of some of the lines."""
        return Field(self.start.take(rows), self.size.take(rows))


@dataclass(frozen=True, slots=True)
class Fit:
    """The lines of a block that fit a shape, and where their values stand.

    Attributes
    ----------
    rows
        Numbers of the lines in their block.
    key
        The photo's key, from the end of the rules' prefix.
    label, name, human
        The others, as far as the shape has them.
    """

    rows: Numbers
    key: Field
    label: Field | None
    name: Field | None
    human: Field | None


@dataclass(frozen=True, slots=True)
class Step:
    """A text that must stand in every line, and the value behind it.

    Attributes
    ----------
    text
        What must stand there.
    words
        The same as words.
    mark
        The quotation mark, counted from 0 in the line, by which the text is found; -1: the line's start or end.
    back
        Bytes from the text's start to that mark, or to the line's end.
    kind
        Of the value behind it; empty behind the last text.
    slot
        What the value is to the verdict, if anything.
    """

    text: bytes
    words: list[tuple[np.uint64, np.uint64]]
    mark: int
    back: int
    kind: str
    slot: str


@dataclass(frozen=True, slots=True)
class Shape:
    """One form of line.

    Attributes
    ----------
    pattern
        Tells it from others.
    label_is_string
        Whether the label stands in quotation marks.
    labeled
        Whether it is a form of lines that have a label.
    """

    pattern: tuple[tuple[bytes, str], ...]
    label_is_string: bool
    labeled: bool
    _steps: list[Step]
    _marks: int
    _longest_key: int

    def fit(self, block: Block, left: Flags) -> Fit | None:
        """Return the lines that fit, among those that are left (and plain); None if none does."""
        marks = block.first_quotes
        rows = np.flatnonzero(left & (np.diff(marks) == self._marks))
        if not len(rows):
            return None
        first, end = marks.take(rows), block.text_ends.take(rows)
        fields: dict[str, Field] = {}
        wrong = np.zeros(len(rows), np.uint64)
        good = np.ones(len(rows), np.bool_)
        start = after = block.starts.take(rows)
        before: Step | None = None
        for step in self._steps:
            if step.mark >= 0:
                start = block.quotes.take(first + step.mark)
                start -= step.back
            elif before:
                start = end - step.back
            if before and (before.slot or before.kind != _STRING):
                field = Field(after, start - after)
                if before.slot:
                    fields[before.slot] = field
                    good &= (field.size > 0) | (before.slot != "label")
                else:
                    known = are_numbers if before.kind == _NUMBER else are_literals
                    good &= known(block.words, field.start, field.size)
            _compare(block.words, start, step, wrong)
            after, before = start + len(step.text), step
        good &= (wrong == 0) & (after == end)
        key = fields["key"]
        good &= (key.size > 0) & (key.size <= self._longest_key)
        good &= byte_at(block.words, key.start + key.size - 1) != ord("/")
        if good.all():
            return Fit(rows, key, fields.get("label"), fields.get("name"), fields.get("human"))
        chosen = np.flatnonzero(good)
        if not len(chosen):
            return None
        fields = {slot: field.of(chosen) for slot, field in fields.items()}
        return Fit(rows.take(chosen), fields["key"], fields.get("label"), fields.get("name"), fields.get("human"))


def _compare(text: Bits, start: Numbers, step: Step, wrong: Bits) -> None:
    """Note in ``wrong`` where the step's text does not stand."""
    for found, (due, mask) in zip(gather(text, start, len(step.words)), step.words, strict=True):
        wrong |= (found ^ due) if mask == _WHOLE else (found ^ due) & mask


_WHOLE = np.uint64((1 << 64) - 1)


def learn(line: bytes, rules: CleaningRules, *, labeled: bool = True) -> Shape | None:
    """Return the shape of a line, or None if it has none that could be relied on.

    Parameters
    ----------
    line
        A line that was judged a candidate, or, where ``labeled`` is False, unlabeled.
    rules
        By which it was judged.
    labeled
        Whether the shape is that of lines with a label.
    """
    start = f"{S3_SCHEME}{rules.photo_bucket}/{rules.photo_prefix}".encode()
    attribute, metadata = rules.label_attribute, rules.label_attribute + METADATA_SUFFIX
    # One byte, one character: what follows needs places in bytes, and JSON's own marks are all ASCII.
    text = line.decode("latin-1").removesuffix("\r")
    if len(line) > LONGEST_SHAPE or "\\" in text or _CONTROLS.search(text) or not attribute.isascii():
        return None
    slots: dict[tuple[str | None, ...], str] = {
        (SOURCE_REF,): "key",
        (attribute,): "label",
        (metadata, CLASS_NAME): "name",
        (metadata, HUMAN_ANNOTATED): "human",
    }
    scalars: list[Token] = []
    for token in tokens(text):
        if not token.is_key:
            scalars.append(token)
        elif token.path == (metadata, FAILURE_REASON) or (not labeled and token.path in {(attribute,), (metadata,)}):
            return None
    found = [slots.get(token.path, "") for token in scalars]
    needed = {"key", "label", "name"} if labeled else {"key"}
    if len(scalars) > MOST_SCALARS or not needed <= set(found):
        return None
    # Without the slot, "human-annotated" must be absent, not hidden behind an object or list.
    if labeled and "human" not in found and HUMAN_ANNOTATED.encode() in line:
        return None
    values = [(token, slot, _kind(text[token.start : token.end])) for token, slot in zip(scalars, found, strict=True)]
    if any(kind != _STRING and slot not in {"", "label"} for _, slot, kind in values):
        return None
    return _shape(text.encode("latin-1"), values, start, labeled, LONGEST_KEY - len(rules.photo_prefix.encode()))


def _kind(raw: str) -> str:
    if raw.startswith('"'):
        return _STRING
    return _LITERAL if raw in _LITERALS else _NUMBER


def _shape(
    line: bytes, values: list[tuple[Token, str, str]], start: bytes, labeled: bool, longest_key: int
) -> Shape | None:
    """Cut a line into texts and values."""
    steps: list[Step] = []
    done = marks = 0
    kind_before = ""
    for token, slot, kind in [*values, (None, "", "")]:
        if token is None:
            text = line[done:]
        else:
            text = line[done : token.start + (kind == _STRING)]
            if slot == "key":
                text += start
        inner = text.find(b'"')
        if not steps or (kind_before != _STRING and inner < 0 and token is None):
            mark, back = -1, len(text)
        elif inner < 0:
            return None  # two numbers with no mark between them: where the first ends is not known
        else:
            mark, back = marks, inner
        steps.append(Step(text, constant(text), mark, back, kind, slot))
        marks += text.count(b'"')
        kind_before = kind
        if token is not None:
            done = token.end - (kind == _STRING)
    return Shape(
        pattern=tuple((step.text, step.kind) for step in steps),
        label_is_string=any(slot == "label" and kind == _STRING for _, slot, kind in values),
        labeled=labeled,
        _steps=steps,
        _marks=marks,
        _longest_key=longest_key,
    )

r"""Lines whose verdict is sure without parsing them.

A labeling job writes every line alike: the same keys in the same order, with other values. From a line that was parsed
in full, :func:`learn` makes a regular expression that holds the line's keys, brackets and blanks as they stand, and has
a pattern of JSON in place of each scalar. A line that matches it from end to end has therefore the same keys at the
same places and no other, none of them twice, valid JSON scalars for values, and no escape in any string; so source-ref,
label, class-name and human-annotated are what the groups caught, and the verdict follows from them by a table. Lengths
are bounded, so that a matching line is under the limit of characters. Everything that does not match is parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.core.lines import CLASS_NAME, FAILURE_REASON, HUMAN_ANNOTATED, S3_SCHEME, tokens
from menulens.core.rules import CleaningRules

LONGEST_SHAPE = 8_000  # bytes of a line that is worth a shape; with the bounds below far from 100,000 characters
MOST_SCALARS = 40
_PLAIN = rb'[^"\\\x00-\x1f]'
_STRING = b'"' + _PLAIN + b'{0,1024}"'
_NUMBER = rb"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?"
_WORD = rb"(?:true|false|null)"
_LABEL = rb'([0-9]{1,3}|"[0-9]{1,3}")'


@dataclass(frozen=True, slots=True)
class Shape:
    """One form of line.

    Attributes
    ----------
    pattern
        What a line must match.
    split
        Cuts a block of lines that end with ``\\n`` into one tuple a line: the groups, and, last, the line itself if it
        has another shape (empty bytes if it has this one).
    key, label, name, human
        Places of the groups in that tuple; -1: the shape has none.
    """

    pattern: bytes
    split: Callable[[bytes], list[tuple[bytes, ...]]]
    match: Callable[[bytes], re.Match[bytes] | None]
    key: int
    label: int
    name: int
    human: int


def learn(line: bytes, rules: CleaningRules) -> Shape | None:
    """Return the shape of a line that was judged a candidate, or None if it has none that could be relied on."""
    start = f"{S3_SCHEME}{rules.photo_bucket}/{rules.photo_prefix}".encode()
    if len(line) > LONGEST_SHAPE or re.search(rb'["\\\x00-\x1f]', start):
        return None
    # One byte, one character: what follows needs places in bytes, and JSON's own marks are all ASCII.
    text = line.decode("latin-1").rstrip("\r")
    attribute, metadata = rules.label_attribute, rules.label_attribute + METADATA_SUFFIX
    slots = {
        (SOURCE_REF,): "key",
        (attribute,): "label",
        (metadata, CLASS_NAME): "name",
        (metadata, HUMAN_ANNOTATED): "human",
    }
    captured = {
        "key": b'"' + re.escape(start) + b"(" + _PLAIN + rb'{0,900}[^"\\\x00-\x1f/])"',
        "label": _LABEL,
        "name": b'"(' + _PLAIN + b'{0,255})"',
        "human": b'"(' + _PLAIN + b'{0,16})"',
    }
    pattern, order, done, scalars = b"", list[str](), 0, 0
    for token in tokens(text):
        raw = text[token.start : token.end].encode("latin-1")
        if token.is_key:
            if b"\\" in raw or token.path == (metadata, FAILURE_REASON):
                return None
            continue
        pattern += re.escape(text[done : token.start].encode("latin-1"))
        done = token.end
        scalars += 1
        # Paths are compared as text, so a key that was read as Latin-1 equals no slot unless it is ASCII; see below.
        slot = slots.get(token.path)  # type: ignore[arg-type]
        if slot:
            order.append(slot)
            pattern += captured[slot]
        elif raw.startswith(b'"'):
            pattern += _STRING
        else:
            pattern += _WORD if raw in (b"true", b"false", b"null") else _NUMBER
    pattern += re.escape(text[done:].encode("latin-1")) + rb"\r?\n"
    needed = {"key", "label", "name"}
    if scalars > MOST_SCALARS or not needed <= set(order) or len(order) != len(set(order)):
        return None
    # Without the slot, "human-annotated" must be absent, not hidden behind an object or list.
    if "human" not in order and HUMAN_ANNOTATED.encode() in line:
        return None
    if not (attribute.isascii() and json.dumps(attribute)[1:-1] == attribute):
        return None
    place = {slot: index for index, slot in enumerate(order)}
    return Shape(
        pattern=pattern,
        split=re.compile(pattern + rb"|([^\n]*\n)").findall,
        match=re.compile(pattern).fullmatch,
        key=place["key"],
        label=place["label"],
        name=place["name"],
        human=place.get("human", -1),
    )

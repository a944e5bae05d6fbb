r"""Lines whose verdict is sure without parsing them.

A labeling job writes every line alike: the same keys in the same order, with other values. From a line that was parsed
in full, :func:`learn` makes a regular expression that holds the line's keys, brackets and blanks as they stand, and has
a pattern of JSON in place of each scalar. A line that matches it from end to end has therefore the same keys at the
same places and no other, none of them twice, valid JSON scalars for values, and no escape in any string; so source-ref,
label, class-name and human-annotated are what the groups caught, and the verdict follows from them by a table. Lengths
are bounded, so that a matching line is under the limit of characters. Everything that does not match is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.core.lines import CLASS_NAME, FAILURE_REASON, HUMAN_ANNOTATED, S3_SCHEME, tokens
from menulens.core.rules import CleaningRules

LONGEST_SHAPE = 8_000  # bytes of a line that is worth a shape; with the bounds below far from 100,000 characters
MOST_SCALARS = 40
_CONTROLS = [code for code in range(32) if code not in b"\r\n"]
_STRICT = (rb'[^"\\\x00-\x1f]', rb'[^"\\\x00-\x1f/]')
_PLAIN = (b'[^"]', b'[^"/]')
_NUMBER = rb"(?:0|[1-9][0-9]{0,17}+)(?:\.[0-9]{1,30}+)?+"
_WORD = rb"(?:true|false|null)"
_PREFIX_GROUP = re.compile(r"\^([A-Za-z0-9_/-]*)\(\[\^/\]\+\)/?")


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_plain(block: bytes) -> bool:
    r"""Tell whether no line of a block of UTF-8 holds an escape, or a control character but ``\r\n``."""
    if b"\\" in block or any(code in block for code in _CONTROLS):
        return False
    return b"\r" not in block or block.count(b"\r") == block.count(b"\r\n")


@dataclass(frozen=True, slots=True)
class Shape:
    """One form of line.

    Attributes
    ----------
    pattern
        What a line must match.
    match
        Matches one line, with its ``\\n``.
    key, label, name, human, group
        Places of the groups; -1: the shape has none. ``group`` is the restaurant, where the rules' pattern is simple.
    """

    pattern: bytes
    match: Callable[[bytes], re.Match[bytes] | None]
    _split: Callable[[bytes], list[tuple[bytes, ...]]]
    _split_plain: Callable[[bytes], list[tuple[bytes, ...]]]
    key: int
    label: int
    name: int
    human: int
    group: int

    def split(self, block: bytes) -> list[tuple[bytes, ...]]:
        """Cut a block of UTF-8 lines into one tuple a line: the groups, and, last, the line itself if it does not fit.

        In a plain block a string ends at the next quotation mark, which is cheaper to look for than everything that
        a string may not hold. Only a line's end could then hide in a string, and it would show in the number of rows.
        """
        if is_plain(block):
            rows = self._split_plain(block)
            if len(rows) == block.count(b"\n"):
                return rows
        return self._split(block)


def simple_group(rules: CleaningRules) -> bool:
    """Tell whether the rules' group is what stands between the photo prefix and the next slash."""
    found = _PREFIX_GROUP.fullmatch(rules.group_pattern or "")
    return found is not None and found[1] == rules.photo_prefix


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
    if len(line) > LONGEST_SHAPE or re.search(rb'["\\\x00-\x1f]', start) or not attribute.isascii():
        return None
    # One byte, one character: what follows needs places in bytes, and JSON's own marks are all ASCII.
    text = line.decode("latin-1").rstrip("\r")
    slots: dict[tuple[str | None, ...], str] = {
        (SOURCE_REF,): "key",
        (attribute,): "label",
        (metadata, CLASS_NAME): "name",
    }
    slots[metadata, HUMAN_ANNOTATED] = "human"
    strict, plain, order, done, scalars = b"", b"", list[str](), 0, 0
    for token in tokens(text):
        raw = text[token.start : token.end].encode("latin-1")
        if token.is_key:
            forbidden = token.path == (metadata, FAILURE_REASON)
            forbidden |= not labeled and token.path in {(attribute,), (metadata,)}
            if b"\\" in raw or forbidden:
                return None
            continue
        slot = slots.get(token.path)
        between = re.escape(text[done : token.start].encode("latin-1"))
        strict += between + _scalar(raw, slot, start, _STRICT, rules)
        plain += between + _scalar(raw, slot, start, _PLAIN, rules)
        scalars += 1
        done = token.end
        if slot:
            order += [slot, "group"] if slot == "key" and simple_group(rules) else [slot]
    end = re.escape(text[done:].encode("latin-1")) + rb"\r?\n"
    needed = {"key", "label", "name"} if labeled else {"key"}
    if scalars > MOST_SCALARS or not needed <= set(order):
        return None
    # Without the slot, "human-annotated" must be absent, not hidden behind an object or list.
    if labeled and "human" not in order and HUMAN_ANNOTATED.encode() in line:
        return None
    place = {slot: index for index, slot in enumerate(order)}
    return Shape(
        pattern=strict + end,
        match=re.compile(strict + end).fullmatch,
        _split=re.compile(strict + end + rb"|([^\n]*\n)").findall,
        _split_plain=re.compile(plain + end + rb"|([^\n]*\n)").findall,
        key=place["key"],
        label=place.get("label", -1),
        name=place.get("name", -1),
        human=place.get("human", -1),
        group=place.get("group", -1),
    )


def _scalar(raw: bytes, slot: str | None, start: bytes, characters: tuple[bytes, bytes], rules: CleaningRules) -> bytes:
    """Return the pattern of one scalar, given what matches a character of a string, and one but a slash."""
    some, some_but_slash = characters
    if slot == "key":
        group = b"(" + some_but_slash + b"{1,100}+)/" if simple_group(rules) else b""
        return b'"' + re.escape(start) + b"(" + group + some + b'{1,900}+(?<!/))"'
    if slot == "label":
        return b'("[0-9]{1,3}+")' if raw.startswith(b'"') else b"([0-9]{1,3}+)"
    if slot:
        return b'"(' + some + b'{0,255}+)"'
    if raw.startswith(b'"'):
        return b'"' + some + b'{0,1024}+"'
    return _WORD if raw in {b"true", b"false", b"null"} else _NUMBER

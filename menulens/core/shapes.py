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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.core.lines import CLASS_NAME, FAILURE_REASON, HUMAN_ANNOTATED, S3_SCHEME, Token, tokens
from menulens.core.rules import CleaningRules

LONGEST_SHAPE = 8_000  # bytes of a line that is worth a shape; with the bounds below far from 100,000 characters
MOST_SCALARS = 40
_CONTROLS = [code for code in range(32) if code not in b"\r\n"]
_STRICT = (rb'[^"\\\x00-\x1f]', rb'[^"\\\x00-\x1f/]')
_PLAIN = (b'[^"]', b'[^"/]')
_NUMBER = rb"(?:0|[1-9][0-9]{0,17}+)(?:\.[0-9]{1,30}+)?+"
_WORD = rb"(?:true|false|null)"
Label = bytes | tuple[bytes, bytes]
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
class Rows:
    """A block cut up by a shape.

    Attributes
    ----------
    odd
        Before each line that fits, and after the last: the whole lines there that do not; mostly empty.
    columns
        What each group caught, line by line.
    """

    odd: list[bytes]
    columns: list[list[bytes]]


@dataclass(frozen=True, slots=True)
class Shape:
    """One form of line.

    Attributes
    ----------
    pattern
        What a line must match.
    match
        Matches one line, with its ``\\n``.
    between
        What stands between label and class-name, where they are neighbours: then one group catches both.
    key, label, name, human, group
        Places of the groups; -1: the shape has none. ``group`` is the restaurant, where the rules' pattern is simple.
    """

    pattern: bytes
    match: Callable[[bytes], re.Match[bytes] | None]
    between: bytes
    _split: Callable[[bytes], list[bytes]]
    _split_plain: Callable[[bytes], list[bytes]]
    _groups: int
    key: int
    label: int
    name: int
    human: int
    group: int

    def split(self, block: bytes) -> Rows | None:
        """Cut a block of UTF-8 lines up; None if that can't be done for certain.

        In a plain block a string ends at the next quotation mark, which is cheaper to look for than everything that
        a string may not hold. A line's end could then hide in a string, and a match could start within a line: the
        first shows in the number of lines, the second in what stands before the match.
        """
        pieces = (self._split_plain if is_plain(block) else self._split)(block)
        step = self._groups + 1
        odd = pieces[::step]
        others = list(filter(None, odd))
        lines = len(odd) - 1 + sum(text.count(b"\n") for text in others)
        if lines != block.count(b"\n") or not all(text.endswith(b"\n") for text in others):
            return None
        return Rows(odd, [pieces[place::step] for place in range(1, step)])

    def labels(self, columns: Sequence[Sequence[bytes]]) -> Iterable[Label]:
        """Return what was caught of label and class-name, line by line."""
        return columns[self.label] if self.between else zip(columns[self.label], columns[self.name], strict=True)

    def apart(self, label: Label) -> tuple[str, str]:
        """Return the label (JSON) and the class-name of what :meth:`labels` gave."""
        number, name = label if isinstance(label, tuple) else label.split(self.between, 1)
        return number.decode(), name.decode()


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
    scalars: list[Token] = []
    for token in tokens(text):
        if not token.is_key:
            scalars.append(token)
            continue
        forbidden = token.path == (metadata, FAILURE_REASON)
        forbidden |= not labeled and token.path in {(attribute,), (metadata,)}
        if "\\" in text[token.start : token.end] or forbidden:
            return None
    found = [slots.get(token.path, "") for token in scalars]
    needed = {"key", "label", "name"} if labeled else {"key"}
    if len(scalars) > MOST_SCALARS or not needed <= set(found):
        return None
    # Without the slot, "human-annotated" must be absent, not hidden behind an object or list.
    if labeled and "human" not in found and HUMAN_ANNOTATED.encode() in line:
        return None
    place = found.index("label") if labeled else -1
    neighbours = labeled and found[place + 1 : place + 2] == ["name"]
    # The key's pattern up to the restaurant's end; %s: what matches a character that is no slash.
    opened = re.escape(start).replace(b"%", b"%%") + (b"((%s{1,100}+)/" if simple_group(rules) else b"(%.0s")
    strict, plain, order, done, between = b"", b"", list[str](), 0, b""
    for token, slot in zip(scalars, found, strict=True):
        gap = text[done : token.start].encode("latin-1")
        raw = text[token.start : token.end].encode("latin-1")
        if neighbours and slot == "name":
            between = gap + b'"'
        strict += re.escape(gap) + _scalar(raw, slot, opened % _STRICT[1], _STRICT[0], neighbours)
        plain += re.escape(gap) + _scalar(raw, slot, opened % _PLAIN[1], _PLAIN[0], neighbours)
        done = token.end
        if slot:
            order += [slot, "group"] if slot == "key" and simple_group(rules) else [slot]
    if neighbours:
        order.remove("name")
    end = re.escape(text[done:].encode("latin-1")) + rb"\r?\n"
    at = {slot: index for index, slot in enumerate(order)}
    return Shape(
        pattern=strict + end,
        match=re.compile(strict + end).fullmatch,
        between=between,
        _split=re.compile(strict + end).split,
        _split_plain=re.compile(plain + end).split,
        _groups=len(order),
        key=at["key"],
        label=at.get("label", -1),
        name=at.get("name", -1),
        human=at.get("human", -1),
        group=at.get("group", -1),
    )


def _scalar(raw: bytes, slot: str, key: bytes, some: bytes, neighbours: bool) -> bytes:
    """Return the pattern of one scalar, given the start of the key's, and what matches a character of a string."""
    if slot == "key":
        return b'"' + key + some + b'{1,900}+(?<!/))"'
    if slot == "label":
        number = b'"[0-9]{1,3}+"' if raw.startswith(b'"') else b"[0-9]{1,3}+"
        return b"(" + number + (b"" if neighbours else b")")
    if slot == "name" and neighbours:
        return b'"' + some + b'{0,255}+)"'
    if slot:
        return b'"(' + some + b'{0,255}+)"'
    if raw.startswith(b'"'):
        return b'"' + some + b'{0,1024}+"'
    return _WORD if raw in {b"true", b"false", b"null"} else _NUMBER

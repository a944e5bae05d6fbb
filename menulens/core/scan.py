"""The first pass over a manifest: one byte of verdict and one number of suspicion for each line.

A verdict byte holds a good label (category, human, side of the split) or a reject code. A suspicion is
``CRC-32 of the photo's key << 32 | line``: two lines of one photo share the upper half, so sorting finds every
possible double in eight bytes a line; :mod:`menulens.core.doubles` then settles each exactly.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, Protocol
from zlib import crc32

from menulens.core.lines import Candidate, LineJudge, Reject
from menulens.core.rules import CleaningRules
from menulens.core.shapes import Shape, learn
from menulens.core.split import border, grouper, unit_number

BLOCK_BYTES = 1 << 19
LONGEST_LINE_BYTES = 16 << 20
PARTITIONS = 64
MOST_LINES = 1 << 32
MOST_CATEGORIES = 54
FIRST_REJECT = MOST_CATEGORIES << 2
REJECT_CODES = list(Reject)
CODE_OF = {reject: FIRST_REJECT + place for place, reject in enumerate(REJECT_CODES)}
HUMAN_BIT, EVAL_BIT = 2, 1
MOST_GROUPS = 250_000  # beyond it, restaurants are not counted: a set of them all would be the largest thing in memory
_MOST_CACHED = 1 << 16
_SHAPES = 4


class ManifestError(Exception):
    """A manifest that can't be cleaned at all; the message says why."""


class Reads(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        ...


def line_blocks(stream: Reads, seen: Callable[[bytes], Any] | None = None) -> Iterator[bytes]:
    r"""Give a stream in blocks of whole lines, each ending with ``\n`` (a last line without one gets it).

    Parameters
    ----------
    stream
        The manifest, or a range of it that starts at a line.
    seen
        Called with every piece of the stream as it is (to hash it).
    """
    rest = b""
    while piece := stream.read(BLOCK_BYTES):
        if seen:
            seen(piece)
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
            if len(rest) > LONGEST_LINE_BYTES:
                raise ManifestError(
                    f"A line is longer than {LONGEST_LINE_BYTES >> 20} MiB; a manifest has one JSON object a line."
                )
    if rest:
        yield rest + b"\n"


class KeyReader:
    """Judges lines, most of them without parsing, and finds the unit of the split a photo belongs to."""

    def __init__(self, rules: CleaningRules, reindex: bool = False) -> None:
        if len(rules.categories) > MOST_CATEGORIES:
            raise ManifestError(f"{len(rules.categories)} categories; at most {MOST_CATEGORIES} can be told apart.")
        self.rules = rules
        self._judge = LineJudge(rules, reindex)
        self._group = grouper(rules)
        self._border = border(rules)
        self._sides: dict[str, int] = {}
        self.groups: set[int] = set()
        self.shapes: list[Shape] = []
        self._bases = _bases(rules, reindex)
        self._prefix = rules.photo_prefix.encode()
        self._crc = crc32(self._prefix)

    def unit(self, key: str) -> int:
        """Return the number of the unit a photo belongs to."""
        group = self._group(key)
        return unit_number(key, is_group=False) if group is None else unit_number(group, is_group=True)

    def candidate(self, line: bytes) -> tuple[bytes, int] | None:
        r"""Return a line's photo key and category, or None if it has no good label; ``line`` ends with ``\n``."""
        for shape in self.shapes:
            if found := shape.match(line):
                groups = found.groups()
                human = groups[shape.human] if shape.human >= 0 else b""
                base = self._bases.get((groups[shape.label], groups[shape.name], human == b"yes"))
                if base is not None and _is_utf8(groups[shape.key]):
                    return self._prefix + groups[shape.key], base >> 2
        verdict = self._judge.judge(line[:-1])
        return (verdict.key.encode(), verdict.category) if isinstance(verdict, Candidate) else None

    def teach(self, block: bytes) -> None:
        """Learn shapes from the first good lines of a block, without keeping any verdict."""
        for line in block.split(b"\n", 64)[:64]:
            if len(self.shapes) >= _SHAPES:
                return
            if not any(shape.match(line + b"\n") for shape in self.shapes):
                self._one(line, 0, [array("Q") for _ in range(PARTITIONS)])

    def block(self, block: bytes, codes: bytearray, suspicions: list[array[int]]) -> None:
        """Judge a block of lines; verdicts and suspicions are added to what is given."""
        if not self.shapes or not _is_utf8(block):
            self._slowly(block.split(b"\n")[:-1], codes, suspicions)
            return
        shape = self.shapes[0]
        columns = list(zip(*shape.split(block), strict=True))
        keys, others = columns[shape.key], columns[-1]
        humans = map(b"yes".__eq__, columns[shape.human]) if shape.human >= 0 else repeat(False)
        bases = list(map(self._bases.get, zip(columns[shape.label], columns[shape.name], humans, strict=False)))
        if None in bases:
            self._mixed(block, keys, bases, others, codes, suspicions)
            return
        line = len(codes)
        codes += bytes(map(int.__or__, bases, self._sides_of(keys)))  # type: ignore[arg-type]
        for crc in map(crc32, keys, repeat(self._crc)):
            suspicions[crc >> 26].append(crc << 32 | line)
            line += 1

    def _mixed(  # noqa: PLR0917 (private; all it needs is what block() has)
        self,
        block: bytes,
        keys: Iterable[bytes],
        bases: list[int | None],
        others: Iterable[bytes],
        codes: bytearray,
        suspicions: list[array[int]],
    ) -> None:
        """Judge a block in which some lines must be parsed."""
        good = [key for key, base in zip(keys, bases, strict=True) if base is not None]
        sides = iter(self._sides_of(good))
        crcs = map(crc32, good, repeat(self._crc))
        lines: list[bytes] | None = None
        for place, (base, other) in enumerate(zip(bases, others, strict=True)):
            if base is not None:
                crc = next(crcs)
                suspicions[crc >> 26].append(crc << 32 | len(codes))
                codes.append(base | next(sides))
                continue
            if other:
                codes.append(self._one(other[:-1], len(codes), suspicions))
            else:
                # The shape fits, but the label does not: the line itself was not caught.
                lines = lines or block.split(b"\n")
                codes.append(self._one(lines[place], len(codes), suspicions))

    def _slowly(self, lines: list[bytes], codes: bytearray, suspicions: list[array[int]]) -> None:
        for line in lines:
            codes.append(self._one(line, len(codes), suspicions))

    def _one(self, line: bytes, number: int, suspicions: list[array[int]]) -> int:
        """Return the verdict byte of one line, parsing it in full if no other shape fits."""
        for shape in self.shapes[1:]:
            found = shape.match(line + b"\n")
            if found and _is_utf8(line):
                groups = found.groups()
                human = shape.human >= 0 and groups[shape.human] == b"yes"
                base = self._bases.get((groups[shape.label], groups[shape.name], human))
                if base is not None:
                    crc = crc32(groups[shape.key], self._crc)
                    suspicions[crc >> 26].append(crc << 32 | number)
                    return base | self._side((self._prefix + groups[shape.key]).decode())
        verdict = self._judge.judge(line)
        if not isinstance(verdict, Candidate):
            return CODE_OF[verdict.code]
        if len(self.shapes) < _SHAPES:
            learned = learn(line, self.rules)
            if learned and all(shape.pattern != learned.pattern for shape in self.shapes):
                self.shapes.append(learned)
        crc = crc32(verdict.key.encode())
        suspicions[crc >> 26].append(crc << 32 | number)
        return verdict.category << 2 | verdict.human << 1 | self._side(verdict.key)

    def _sides_of(self, keys: Iterable[bytes]) -> Iterable[int]:
        """Return the side of each photo, given what stands behind the prefix in its key."""
        # No key holds a line's end (the shape forbids it), so one decoding serves them all.
        text = (b"\n" + self._prefix).join(keys)
        if not text:
            return ()
        return map(self._side, (self._prefix + text).decode().split("\n"))

    def _side(self, key: str) -> int:
        group = self._group(key)
        if group is None:
            return unit_number(key, is_group=False) < self._border
        side = self._sides.get(group)
        if side is None:
            number = unit_number(group, is_group=True)
            side = int(number < self._border)
            if len(self._sides) >= _MOST_CACHED:
                self._sides.clear()
            self._sides[group] = side
            if len(self.groups) <= MOST_GROUPS:
                self.groups.add(number)
        return side


class Scan:
    """What the first pass over a manifest, or over a part of one, found.

    Attributes
    ----------
    codes
        One verdict byte a line.
    suspicions
        64 arrays by the upper bits of the key's CRC; lines count from the start of the part.
    groups
        Numbers of the restaurants that labeled photos belong to.
    sha256
        Of the bytes read.
    """

    def __init__(self) -> None:
        self.codes = bytearray()
        self.suspicions: list[array[int]] = [array("Q") for _ in range(PARTITIONS)]
        self.groups: set[int] = set()
        self.sha256 = ""

    @property
    def lines(self) -> int:
        """Lines in this part."""
        return len(self.codes)

    def suspicion(self, partition: int) -> array[int]:
        """Return one of the 64 arrays."""
        return self.suspicions[partition]


def scan(stream: Reads, rules: CleaningRules, reindex: bool = False) -> Scan:
    """Judge every line of a stream.

    Raises
    ------
    ManifestError
        If a line is longer than memory should hold, or the rules have too many categories.
    """
    result, digest, reader = Scan(), hashlib.sha256(), KeyReader(rules, reindex)
    for block in line_blocks(stream, digest.update):
        reader.block(block, result.codes, result.suspicions)
        if len(result.codes) >= MOST_LINES:
            raise ManifestError(f"More than {MOST_LINES:,} lines.")
    result.groups, result.sha256 = reader.groups, digest.hexdigest()
    return result


def _bases(rules: CleaningRules, reindex: bool) -> dict[tuple[bytes, bytes, bool], int]:
    """Return the verdict byte (side left open) for every label, class-name and human flag that agree."""
    table = {}
    labels = range(1000) if reindex else range(len(rules.categories))
    for index, category in enumerate(rules.categories):
        name = category.key.encode()
        if re.search(rb'["\\\x00-\x1f]', name):
            continue  # stands escaped in a line, so the line is parsed
        for label in labels if reindex else (index,):
            for text in (b"%d" % label, b'"%d"' % label):
                for human in (False, True):
                    table[text, name, human] = index << 2 | human << 1
    return table


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

"""The first pass over a manifest: a byte of verdict and a CRC-32 for each line.

A verdict byte holds a good label (category, human, side of the split) or a reject code. Two lines of one photo share
the CRC-32 of its key, so every possible double is found in four bytes a line; :mod:`menulens.core.doubles` settles each
of them exactly.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import Any, Protocol
from zlib import crc32

from menulens.core.lines import Candidate, LineJudge, Reject
from menulens.core.rules import CleaningRules
from menulens.core.shapes import Shape, is_utf8, learn
from menulens.core.split import border, grouper, unit_number

BLOCK_BYTES = 1 << 17  # small enough to stay in a core's cache between the steps
LONGEST_LINE_BYTES = 16 << 20
MOST_CATEGORIES = 54
FIRST_REJECT = MOST_CATEGORIES << 2
REJECT_CODES = list(Reject)
CODE_OF = {reject: FIRST_REJECT + place for place, reject in enumerate(REJECT_CODES)}
HUMAN_BIT, EVAL_BIT = 2, 1
MOST_GROUPS = 250_000  # beyond it, restaurants are not counted: a set of them all would be the largest thing in memory
_MOST_CACHED = 1 << 16
_SHAPES = 4
_LESSON = 64  # lines of the first block that teach shapes


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
        self.groups: set[int] = set()
        self._judge = LineJudge(rules, reindex)
        self._group = grouper(rules)
        self._border = border(rules)
        self._sides: dict[str, int] = {}
        self._sides_by_bytes: dict[bytes, int] = {}
        self._shapes: list[Shape] = []
        self._unlabeled: list[Shape] = []
        self._bases = _bases(rules, reindex)
        self._prefix = rules.photo_prefix.encode()
        self._crc = crc32(self._prefix)

    def unit(self, key: str) -> int:
        """Return the number of the unit a photo belongs to."""
        group = self._group(key)
        return unit_number(key, is_group=False) if group is None else unit_number(group, is_group=True)

    def candidate(self, line: bytes) -> tuple[bytes, int] | None:
        """Return the photo key and the category of a line (without ``\\n``), or None if it has no good label."""
        found = self._by_shape(line)
        if found is None or found[1] is None:
            verdict = self._judge.judge(line)
            return (verdict.key.encode(), verdict.category) if isinstance(verdict, Candidate) else None
        return found[0], found[1] >> 2

    def teach(self, block: bytes) -> None:
        """Learn shapes from the first lines of a block, without keeping any verdict."""
        for line in block.split(b"\n", _LESSON)[:_LESSON]:
            self._one(line)
        self.groups.clear()
        self._sides.clear()

    def block(self, block: bytes, codes: bytearray, crcs: array[int]) -> None:
        """Judge a block of lines; each adds a verdict byte and the CRC-32 of its photo's key (0: it has none)."""
        if not self._shapes:
            self.teach(block)
        if not self._shapes or not is_utf8(block):
            for line in block.split(b"\n")[:-1]:
                self._append(line, codes, crcs)
            return
        shape = self._shapes[0]
        columns = list(zip(*shape.split(block), strict=True))
        humans = map(b"yes".__eq__, columns[shape.human]) if shape.human >= 0 else repeat(False)
        bases = list(map(self._bases.get, zip(columns[shape.label], columns[shape.name], humans, strict=False)))
        keys: Sequence[bytes] = columns[shape.key]
        groups: Sequence[bytes] = columns[shape.group] if shape.group >= 0 else ()
        odd: list[int] = []
        if None in bases:
            fits = [base is not None for base in bases]
            odd = [place for place, fit in enumerate(fits) if not fit]
            keys, groups = list(compress(keys, fits)), list(compress(groups, fits))
            bases = list(compress(bases, fits))
        sides = self._sides_of_groups(groups) if shape.group >= 0 else self._sides_of_keys(keys)
        good = bytes(map(int.__or__, bases, sides))  # type: ignore[arg-type]
        sums = array("I", map(crc32, keys, repeat(self._crc)))
        done, lines = 0, list[bytes]()
        for taken, place in enumerate(odd):
            codes += good[done : place - taken]
            crcs += sums[done : place - taken]
            done = place - taken
            # Caught as another line, or fitting the shape with a label that does not agree: then cut out here.
            line = columns[-1][place][:-1]
            if not line and not columns[-1][place]:
                lines = lines or block.split(b"\n")
                line = lines[place]
            self._append(line, codes, crcs)
        codes += good[done:]
        crcs += sums[done:]

    def _append(self, line: bytes, codes: bytearray, crcs: array[int]) -> None:
        code, crc = self._one(line)
        codes.append(code)
        crcs.append(crc)

    def _one(self, line: bytes) -> tuple[int, int]:
        """Return verdict byte and CRC-32 of one line, parsing it in full if no shape tells its verdict."""
        found = self._by_shape(line)
        if found is not None:
            key, base = found
            if base is None:
                return CODE_OF[Reject.UNLABELED], 0
            return base | self._side(key.decode()), crc32(key)
        verdict = self._judge.judge(line)
        if isinstance(verdict, Candidate):
            self._learn(line, self._shapes, labeled=True)
            code = verdict.category << 2 | verdict.human << 1 | self._side(verdict.key)
            return code, crc32(verdict.key.encode())
        if verdict.code is Reject.UNLABELED:
            self._learn(line, self._unlabeled, labeled=False)
        return CODE_OF[verdict.code], 0

    def _learn(self, line: bytes, shapes: list[Shape], *, labeled: bool) -> None:
        if len(shapes) < _SHAPES:
            learned = learn(line, self.rules, labeled=labeled)
            if learned and all(shape.pattern != learned.pattern for shape in shapes):
                shapes.append(learned)

    def _by_shape(self, line: bytes) -> tuple[bytes, int | None] | None:
        """Return a line's key and verdict byte (None: unlabeled), or None if no shape tells."""
        ended = line + b"\n"
        for shape in self._shapes:
            if (found := shape.match(ended)) and is_utf8(line):
                groups = found.groups()
                human = shape.human >= 0 and groups[shape.human] == b"yes"
                base = self._bases.get((groups[shape.label], groups[shape.name], human))
                if base is not None:
                    return self._prefix + groups[shape.key], base
        for shape in self._unlabeled:
            if (found := shape.match(ended)) and is_utf8(line):
                return self._prefix + found.groups()[shape.key], None
        return None

    def _sides_of_keys(self, keys: Sequence[bytes]) -> Iterable[int]:
        """Return the side of each photo, given what stands behind the prefix in its key."""
        if not keys:
            return ()
        # No key holds a line's end (the shape forbids it), so one decoding serves them all.
        text = self._prefix + (b"\n" + self._prefix).join(keys)
        return map(self._side, text.decode().split("\n"))

    def _sides_of_groups(self, groups: Sequence[bytes]) -> Iterable[int]:
        """Return the side of each photo, given its restaurant."""
        sides = list(map(self._sides_by_bytes.get, groups))
        if None in sides:
            if len(self._sides_by_bytes) >= _MOST_CACHED:
                self._sides_by_bytes.clear()
            new = {group: self._side_of_group(group.decode()) for group in set(groups)}
            self._sides_by_bytes.update(new)
            return map(new.__getitem__, groups)
        return sides  # type: ignore[return-value]

    def _side(self, key: str) -> int:
        group = self._group(key)
        return unit_number(key, is_group=False) < self._border if group is None else self._side_of_group(group)

    def _side_of_group(self, group: str) -> int:
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


@dataclass(slots=True)
class Scan:
    """What the first pass over a manifest, or over a part of one, found.

    Attributes
    ----------
    codes
        One verdict byte a line.
    crcs
        CRC-32 of each line's photo key; 0 where the line has no good label.
    groups
        Numbers of the restaurants that labeled photos belong to.
    sha256
        Of the bytes read.
    """

    codes: bytearray
    crcs: array[int]
    groups: set[int]
    sha256: str


def scan(stream: Reads, rules: CleaningRules, reindex: bool = False) -> Scan:
    """Judge every line of a stream.

    Raises
    ------
    ManifestError
        If a line is longer than memory should hold, or the rules have too many categories.
    """
    codes, crcs = bytearray(), array("I")
    digest, reader = hashlib.sha256(), KeyReader(rules, reindex)
    for block in line_blocks(stream, digest.update):
        reader.block(block, codes, crcs)
    return Scan(codes, crcs, reader.groups, digest.hexdigest())


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

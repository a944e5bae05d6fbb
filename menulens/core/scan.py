"""The first pass over a manifest: a byte of verdict and a CRC-32 for each line.

A verdict byte holds a good label (category, human, side of the split) or a reject code. Two lines of one photo share
the CRC-32 of its key, so every possible double is found in four bytes a line; :mod:`menulens.core.doubles` settles each
of them exactly.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, count, repeat
from typing import Any, Protocol
from zlib import crc32

from menulens.core.lines import Candidate, LineJudge, Reject
from menulens.core.rules import CleaningRules
from menulens.core.shapes import Label, Shape, is_utf8, learn
from menulens.core.split import border, grouper, unit_number

BLOCK_BYTES = 1 << 17  # small enough to stay in a core's cache between the steps
LONGEST_LINE_BYTES = 16 << 20
MOST_CATEGORIES = 54
FIRST_REJECT = MOST_CATEGORIES << 2
REJECT_CODES = list(Reject)
CODE_OF = {reject: FIRST_REJECT + place for place, reject in enumerate(REJECT_CODES)}
HUMAN_BIT, EVAL_BIT = 2, 1
MOST_GROUPS = 250_000  # beyond it, restaurants are not counted: a set of them all would be the largest thing in memory
_GOOD = bytes(range(FIRST_REJECT))
_UNLABELED = CODE_OF[Reject.UNLABELED]
_HUMAN = {b"yes": HUMAN_BIT}
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
        self._labels: dict[bytes, dict[Label, int]] = {}
        self._prefix = rules.photo_prefix.encode()
        self._crc = crc32(self._prefix)

    def unit(self, key: str) -> int:
        """Return the number of the unit a photo belongs to."""
        group = self._group(key)
        return unit_number(key, is_group=False) if group is None else unit_number(group, is_group=True)

    def candidate(self, line: bytes) -> tuple[bytes, int] | None:
        """Return the photo key and the category of a line (without ``\\n``), or None if it has no good label."""
        found = self._by_shape(line)
        if found is None:
            verdict = self._judge.judge(line)
            return (verdict.key.encode(), verdict.category) if isinstance(verdict, Candidate) else None
        key, code = found
        return None if code >= FIRST_REJECT else (key, code >> 2)

    def keys(self, lines: list[bytes]) -> list[bytes | None]:
        """Return the photo keys of lines as :meth:`candidate` does, quicker where they have the usual shape."""
        block = b"\n".join(lines) + b"\n"
        rows = self._shapes[0].split(block) if self._shapes and is_utf8(block) else None
        if rows and not any(rows.odd):
            columns = rows.columns
            if max(self._codes_of_labels(self._shapes[0], columns)) < FIRST_REJECT:
                return [self._prefix + key for key in columns[self._shapes[0].key]]
        return [found[0] if (found := self.candidate(line)) else None for line in lines]

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
        shape = self._shapes[0] if self._shapes else None
        rows = shape.split(block) if shape and is_utf8(block) else None
        if shape is None or rows is None:
            for line in block.split(b"\n")[:-1]:
                self._append(line, codes, crcs)
            return
        done = 0
        good, sums = self._columns(shape, rows.columns)
        for place in compress(count(), rows.odd):
            codes += good[done:place]
            crcs += sums[done:place]
            done = place
            odd = rows.odd[place]
            if any(unlabeled.match(odd) for unlabeled in self._unlabeled):
                codes.append(_UNLABELED)
                crcs.append(0)
                continue
            for line in odd.split(b"\n")[:-1]:
                self._append(line, codes, crcs)
        codes += good[done:]
        crcs += sums[done:]

    def _columns(self, shape: Shape, columns: list[list[bytes]]) -> tuple[bytearray, array[int]]:
        """Return verdict bytes and CRCs of lines that fit a shape."""
        keys = columns[shape.key]
        codes = self._codes_of_labels(shape, columns)
        wrong = (
            [place for place, code in enumerate(codes) if code >= FIRST_REJECT] if codes.translate(None, _GOOD) else []
        )
        if len(wrong) == len(keys):
            return codes, array("I", bytes(4 * len(keys)))
        units = columns[shape.group] if shape.group >= 0 else keys[:]
        if wrong:
            # A rejected line must not make its restaurant known: another line's, which is, stands in for it.
            known = units[next(place for place, code in enumerate(codes) if code < FIRST_REJECT)]
            for place in wrong:
                units[place] = known
        marks = bytes(self._sides_of_groups(units) if shape.group >= 0 else self._sides_of_keys(units))
        if shape.human >= 0:
            marks = _either(marks, bytes(map(_HUMAN.get, columns[shape.human], repeat(0))))
        sums = array("I", map(crc32, keys, repeat(self._crc)))
        marked = bytearray(_either(codes, marks))
        for place in wrong:
            marked[place], sums[place] = codes[place], 0
        return marked, sums

    def _codes_of_labels(self, shape: Shape, columns: list[list[bytes]]) -> bytearray:
        """Return verdict bytes that tell the category or the reject code."""
        known = self._labels.setdefault(shape.pattern, {})
        try:
            return bytearray(map(known.get, shape.labels(columns)))  # type: ignore[arg-type]
        except TypeError:  # some label and class-name are seen for the first time
            if len(known) > _MOST_CACHED:
                known.clear()
            for label in set(shape.labels(columns)).difference(known):
                known[label] = self._code_of_label(shape, label)
            return bytearray(map(known.__getitem__, shape.labels(columns)))

    def _code_of_label(self, shape: Shape, label: Label) -> int:
        verdict = self._judge.judge_label(*shape.apart(label))
        return verdict.category << 2 if isinstance(verdict, Candidate) else CODE_OF[verdict.code]

    def _append(self, line: bytes, codes: bytearray, crcs: array[int]) -> None:
        code, crc = self._one(line)
        codes.append(code)
        crcs.append(crc)

    def _one(self, line: bytes) -> tuple[int, int]:
        """Return verdict byte and CRC-32 of one line, parsing it in full if no shape tells its verdict."""
        found = self._by_shape(line)
        if found is not None:
            key, code = found
            return (code, 0) if code >= FIRST_REJECT else (code | self._side(key.decode()), crc32(key))
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

    def _by_shape(self, line: bytes) -> tuple[bytes, int] | None:
        """Return a line's key and verdict byte (its side left open), or None if no shape tells."""
        ended = line + b"\n"
        for shape in self._shapes:
            if (found := shape.match(ended)) and is_utf8(line):
                columns = [[text] for text in found.groups()]
                code = self._codes_of_labels(shape, columns)[0]
                if code < FIRST_REJECT and shape.human >= 0:
                    code |= _HUMAN.get(columns[shape.human][0], 0)
                return self._prefix + columns[shape.key][0], code
        for shape in self._unlabeled:
            if (found := shape.match(ended)) and is_utf8(line):
                return self._prefix + found.groups()[shape.key], _UNLABELED
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
        known = self._sides_by_bytes
        try:
            return bytes(map(known.get, groups))  # type: ignore[arg-type]
        except TypeError:  # some restaurant is seen for the first time
            if len(known) > _MOST_CACHED:
                known.clear()
            for group in set(groups).difference(known):
                known[group] = self._side_of_group(group.decode())
            return map(known.__getitem__, groups)

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


def _either(left: bytes | bytearray, right: bytes | bytearray) -> bytes:
    """Return the bytes' disjunction; as one large number, because that is one loop in C."""
    either = int.from_bytes(left, "little") | int.from_bytes(right, "little")
    return either.to_bytes(len(left), "little")

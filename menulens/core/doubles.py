"""Photos that stand on more than one line: found by suspicion, settled by a strong hash of their keys."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Protocol

from menulens.core.lines import Reject
from menulens.core.rules import CleaningRules
from menulens.core.scan import CODE_OF, PARTITIONS, KeyReader

_LINE_BYTES = 8
_DIGEST_BYTES = 16
_RECORD = _DIGEST_BYTES + _LINE_BYTES


class ScannedPart(Protocol):
    """The part of a scan that settling doubles needs."""

    @property
    def lines(self) -> int:
        """Lines in this part."""
        ...

    def suspicion(self, partition: int) -> array[int]:
        """Return one of the 64 arrays."""
        ...


def suspects(parts: Sequence[ScannedPart]) -> array[int]:
    """Return the lines (from 0, over all parts, ascending) whose key's CRC-32 is not theirs alone."""
    found = array("Q")
    for partition in range(PARTITIONS):
        if len(parts) == 1:
            pairs = sorted(parts[0].suspicion(partition))
        else:
            pairs, first = [], 0
            for part in parts:
                pairs += [pair + first for pair in part.suspicion(partition)]
                first += part.lines
            pairs.sort()
        crcs = [pair >> 32 for pair in pairs]
        if len(set(crcs)) == len(crcs):
            continue
        last, previous = -1, -1
        for crc, pair in zip(crcs, pairs, strict=True):
            if crc == last:
                if previous >= 0:
                    found.append(previous & 0xFFFFFFFF)
                    previous = -1
                found.append(pair & 0xFFFFFFFF)
            else:
                last, previous = crc, pair
    return array("Q", sorted(found))


class Settler:
    """Takes the manifest's blocks once more and marks doubled photos in the verdicts."""

    def __init__(self, suspected: array[int], reader: KeyReader) -> None:
        self._suspected, self._reader = suspected, reader
        self._records = [bytearray() for _ in range(PARTITIONS)]
        self._line = 0
        self._next = 0

    def block(self, block: bytes) -> None:
        """Note the keys of this block's suspected lines."""
        first, suspected = self._line, self._suspected
        self._line += block.count(b"\n")
        if self._next == len(suspected) or suspected[self._next] >= self._line:
            return
        lines = block.split(b"\n")
        while self._next < len(suspected) and suspected[self._next] < self._line:
            number = suspected[self._next]
            self._next += 1
            if found := self._reader.candidate(lines[number - first] + b"\n"):
                digest = blake2b(found[0], digest_size=_DIGEST_BYTES).digest()
                self._records[digest[0] >> 2] += digest + number.to_bytes(_LINE_BYTES, "big")

    def settle(self, codes: bytearray, rules: CleaningRules) -> None:
        """Mark, in the verdicts, what is a duplicate and what is in conflict."""
        for records in self._records:
            pieces = sorted(bytes(records[at : at + _RECORD]) for at in range(0, len(records), _RECORD))
            for _, same in groupby(pieces, lambda piece: piece[:_DIGEST_BYTES]):
                self._mark([int.from_bytes(piece[_DIGEST_BYTES:], "big") for piece in same], codes, rules)

    @staticmethod
    def _mark(lines: list[int], codes: bytearray, rules: CleaningRules) -> None:
        """Keep the first line of a photo whose labels agree; keep none where they do not."""
        if len(lines) < 2:
            return
        categories = {codes[line] >> 2 for line in lines}
        if len(categories) > 1:
            for line in lines:
                codes[line] = CODE_OF[Reject.CONFLICT]
        elif rules.categories[categories.pop()].trains:
            for line in lines[1:]:
                codes[line] = CODE_OF[Reject.DUPLICATE]


def settle(parts: Sequence[ScannedPart], codes: bytearray, reader: KeyReader, blocks: Iterable[bytes] | None) -> None:
    """Mark doubles in one go; ``blocks`` (the manifest once more) is only read if there are suspects."""
    found = suspects(parts)
    if found and blocks is not None:
        settler = Settler(found, reader)
        for block in blocks:
            settler.block(block)
        settler.settle(codes, reader.rules)

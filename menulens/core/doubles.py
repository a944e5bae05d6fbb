"""Photos that stand on more than one line: suspected by a short hash of their keys, settled by a strong one."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from itertools import compress, count, groupby
from math import isqrt

from menulens.core.lines import Reject
from menulens.core.scan import CODE_OF, FIRST_REJECT, KeyReader

PARTITION_LINES = 150_000  # lines looked at in one go: what bounds the memory
_LINE_BYTES = 8
_DIGEST_BYTES = 16
_RECORD = _DIGEST_BYTES + _LINE_BYTES
_PARTITIONS = 64
_IS_GOOD = bytes(code < FIRST_REJECT for code in range(256))


def suspects(codes: bytes | bytearray, crcs: array[int]) -> array[int]:
    """Return the lines (from 0, ascending) with a good label whose CRC-32 is not theirs alone."""
    # In two steps, because every one of them looks at all that the one before left.
    wanted = len(codes) // PARTITION_LINES
    outer = max(1, min(256, isqrt(wanted)))
    inner = max(1, min(256, -(-wanted // outer)))
    good = codes.translate(_IS_GOOD)
    found = array("Q")
    for chosen in _shares(outer):
        mask = _both(_byte(crcs, 0).translate(chosen), good)
        part = array("I", compress(crcs, mask))
        lines = array("I", compress(count(), mask))
        for chosen_of_part in _shares(inner):
            mask = _byte(part, 1).translate(chosen_of_part)
            counted = Counter(compress(part, mask))
            double = set(compress(counted, map((1).__ne__, counted.values())))
            del counted
            if double:
                found.extend(compress(compress(lines, mask), map(double.__contains__, compress(part, mask))))
    return array("Q", sorted(found))


def _shares(parts: int) -> Iterable[bytes]:
    """Give, for each part, a table that tells which values of a byte belong to it."""
    return (bytes(value % parts == part for value in range(256)) for part in range(parts))


def _byte(numbers: array[int], place: int) -> bytes:
    """Return one byte of every number; 0 is the lowest."""
    place = place if array("H", [1]).tobytes()[0] else numbers.itemsize - 1 - place
    return memoryview(numbers).cast("B")[place :: numbers.itemsize].tobytes()


def _both(left: bytes | bytearray, right: bytes | bytearray) -> bytes:
    """Return the bytes' conjunction; as one large number, because that is one loop in C."""
    both = int.from_bytes(left, "little") & int.from_bytes(right, "little")
    return both.to_bytes(len(left), "little")


class Settler:
    """Takes the manifest's blocks once more and marks doubled photos in the verdicts."""

    def __init__(self, suspected: array[int], reader: KeyReader) -> None:
        self._suspected, self._reader = suspected, reader
        self._records = [bytearray() for _ in range(_PARTITIONS)]
        self._line = 0
        self._next = 0

    def block(self, block: bytes) -> None:
        """Note the keys of this block's suspected lines."""
        first, suspected = self._line, self._suspected
        lines = block.split(b"\n")
        self._line += len(lines) - 1
        start = self._next
        self._next = bisect_left(suspected, self._line, start)
        numbers = suspected[start : self._next]
        if not numbers:
            return
        for number, key in zip(numbers, self._reader.keys([lines[number - first] for number in numbers]), strict=True):
            if key is not None:
                digest = blake2b(key, digest_size=_DIGEST_BYTES).digest()
                self._records[digest[0] >> 2] += digest + number.to_bytes(_LINE_BYTES, "big")

    def settle(self, codes: bytearray) -> None:
        """Mark, in the verdicts, what is a duplicate and what is in conflict."""
        categories = self._reader.rules.categories
        for records in self._records:
            pieces = sorted(bytes(records[at : at + _RECORD]) for at in range(0, len(records), _RECORD))
            for _, same in groupby(pieces, lambda piece: piece[:_DIGEST_BYTES]):
                lines = [int.from_bytes(piece[_DIGEST_BYTES:], "big") for piece in same]
                labels = {codes[line] >> 2 for line in lines}
                if len(labels) > 1:
                    for line in lines:
                        codes[line] = CODE_OF[Reject.CONFLICT]
                elif categories[labels.pop()].trains:
                    for line in lines[1:]:
                        codes[line] = CODE_OF[Reject.DUPLICATE]


def settle(codes: bytearray, crcs: array[int], reader: KeyReader, blocks: Iterable[bytes]) -> None:
    """Mark doubles in one go; ``blocks`` (the manifest once more) are only read if there are suspects."""
    found = suspects(codes, crcs)
    if found:
        settler = Settler(found, reader)
        for block in blocks:
            settler.block(block)
        settler.settle(codes)

"""Photos that stand on more than one line: suspected by a short hash of their keys, settled by a strong one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from menulens.core.blocks import BLOCK_BYTES, Block
from menulens.core.lines import Reject
from menulens.core.scan import CODE_OF, FIRST_REJECT, KeyReader
from menulens.core.words import Numbers

_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("line", "<i8")])
_DIGEST_BYTES = 16
_PARTITIONS = 64
LOOK = 1 << 16  # lines looked at in one go: what bounds the memory
_SIEVE_BITS = 20


def suspects(codes: bytes | bytearray, sums: array[int]) -> Numbers:
    """Return the lines (from 0, ascending) with a good label whose hash is not theirs alone."""
    good = np.frombuffer(codes, np.uint8) < FIRST_REJECT
    hashed = np.frombuffer(sums, np.uint32)
    ordered = hashed[good]
    ordered.sort()
    double = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    # Most lines are told apart by a part of the hash, for which a small table will do.
    shift = 32 - _SIEVE_BITS
    sieve = np.zeros(1 << _SIEVE_BITS, np.bool_)
    sieve[double >> shift] = True
    found = [np.zeros(0, np.int64)]
    for first in range(0, len(hashed), LOOK):
        part = hashed[first : first + LOOK]
        rows = np.flatnonzero(sieve.take(part >> shift) & good[first : first + LOOK])
        look = part.take(rows)
        # (np.isin would sort all doubles anew for each look.)
        found.append(first + rows[double.take(double.searchsorted(look), mode="clip") == look])
    return np.concatenate(found)


class Settler:
    """Takes the manifest's blocks once more and marks doubled photos in the verdicts."""

    def __init__(self, suspected: Numbers, reader: KeyReader) -> None:
        self._suspected, self._reader = suspected, reader
        self._records = [bytearray() for _ in range(_PARTITIONS)]
        self._held = bytearray()
        self._line = 0
        self._next = self._noted = 0

    def block(self, block: Block) -> None:
        """Note the keys of this block's suspected lines."""
        first = self._line
        self._line += len(block)
        start, self._next = self._next, int(self._suspected.searchsorted(self._line))
        chosen = np.zeros(len(block), np.bool_)
        chosen[self._suspected[start : self._next] - first] = True
        # Few lines are suspected: held until there is a block of them, they are read as quickly as any.
        self._held += b"".join(block.runs(chosen))
        if len(self._held) > BLOCK_BYTES:
            self._note()

    def _note(self) -> None:
        keys = self._reader.keys(Block(self._held))
        numbers = self._suspected[self._noted : self._next].tolist()
        self._held.clear()
        self._noted = self._next
        for number, key in zip(numbers, keys, strict=True):
            if key is not None:
                digest = blake2b(key, digest_size=_DIGEST_BYTES).digest()
                self._records[digest[0] >> 2] += digest + number.to_bytes(8, "little")

    def settle(self, codes: bytearray) -> None:
        """Mark, in the verdicts, what is a duplicate and what is in conflict."""
        self._note()
        verdicts = np.frombuffer(codes, np.uint8)
        trains = np.array([category.trains for category in self._reader.rules.categories])
        for records in self._records:
            found = np.frombuffer(records, _RECORD)
            if not len(found):
                continue
            found = found[np.lexsort((found["line"], found["low"], found["high"]))]
            is_first = np.ones(len(found), np.bool_)
            is_first[1:] = (np.diff(found["high"]) != 0) | (np.diff(found["low"]) != 0)
            first = np.flatnonzero(is_first)
            photo = np.cumsum(is_first) - 1
            labels = verdicts[found["line"]] >> 2
            lowest, highest = np.minimum.reduceat(labels, first), np.maximum.reduceat(labels, first)
            conflict = (lowest != highest)[photo]
            verdicts[found["line"][conflict]] = CODE_OF[Reject.CONFLICT]
            verdicts[found["line"][~conflict & ~is_first & trains[labels]]] = CODE_OF[Reject.DUPLICATE]


def settle(codes: bytearray, sums: array[int], reader: KeyReader, blocks: Iterable[Block]) -> None:
    """Mark doubles in one go; ``blocks`` (the manifest once more) are only read if there are suspects."""
    found = suspects(codes, sums)
    if len(found):
        settler = Settler(found, reader)
        for block in blocks:
            settler.block(block)
        settler.settle(codes)

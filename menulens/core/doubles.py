"""Photos that stand on more than one line: suspected by a short hash of their keys, settled by a strong one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from itertools import groupby

import numpy as np

from menulens.core.blocks import Block
from menulens.core.lines import Reject
from menulens.core.scan import CODE_OF, FIRST_REJECT, KeyReader
from menulens.core.words import Numbers

_LINE_BYTES = 8
_DIGEST_BYTES = 16
_RECORD = _DIGEST_BYTES + _LINE_BYTES
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
        found.append(first + rows[np.isin(part.take(rows), double)])
    return np.concatenate(found)


class Settler:
    """Takes the manifest's blocks once more and marks doubled photos in the verdicts."""

    def __init__(self, suspected: Numbers, reader: KeyReader) -> None:
        self._suspected, self._reader = suspected, reader
        self._records = [bytearray() for _ in range(_PARTITIONS)]
        self._line = 0
        self._next = 0

    def block(self, block: Block) -> None:
        """Note the keys of this block's suspected lines."""
        first = self._line
        self._line += len(block)
        start, self._next = self._next, int(self._suspected.searchsorted(self._line))
        numbers = self._suspected[start : self._next]
        if not len(numbers):
            return
        chosen = np.zeros(len(block), np.bool_)
        chosen[numbers - first] = True
        keys = self._reader.keys(Block(*block.runs(chosen)))
        for number, key in zip(numbers.tolist(), keys, strict=True):
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


def settle(codes: bytearray, sums: array[int], reader: KeyReader, blocks: Iterable[Block]) -> None:
    """Mark doubles in one go; ``blocks`` (the manifest once more) are only read if there are suspects."""
    found = suspects(codes, sums)
    if len(found):
        settler = Settler(found, reader)
        for block in blocks:
            settler.block(block)
        settler.settle(codes)

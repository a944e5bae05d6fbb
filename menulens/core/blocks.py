r"""A manifest in blocks of whole lines, and where in a block lines and quotation marks stand.

A JSON string can't hold a line's end, so lines are found before anything is known of what stands in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from menulens.core.lines import LONGEST_LINE
from menulens.core.words import Bits, Flags, Numbers, as_words, byte_at

BLOCK_BYTES = 1 << 20  # large enough for numpy's calls to cost little, small enough for a core's cache
LONGEST_LINE_BYTES = 16 << 20
_ALIGNED = 64
_NEWLINE, _RETURN, _SPACE, _QUOTE = b'\n\r "'


class ManifestError(Exception):
    """A manifest that can't be cleaned at all; the message says why."""


class Reads(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        ...


class Block:
    r"""Whole lines, each with its ``\n``.

    Parameters
    ----------
    pieces
        The bytes of the lines, one after the other.

    Attributes
    ----------
    data
        The lines' bytes, and blanks behind them.
    words
        The same as words of eight bytes.
    starts, ends
        Where each line starts, and where its ``\n`` stands.
    """

    def __init__(self, *pieces: bytes | bytearray | memoryview) -> None:
        size = sum(map(len, pieces))
        self.data = b"".join((*pieces, b" " * (-size % _ALIGNED)))
        self.words = as_words(self.data)
        self._bytes = self.words.view(np.uint8)
        # Other control characters are rare (a tab, the \r of \r\n): they are told apart where they stand.
        controls = _sparse(self._bytes < _SPACE)
        is_end = self._bytes.take(controls) == _NEWLINE
        if is_end.all():
            self.ends, self._controls = controls, controls[:0]
        else:
            self.ends, self._controls = controls[is_end], controls[~is_end]
        self.starts = np.empty_like(self.ends)
        self.starts[:1] = 0
        self.starts[1:] = self.ends[:-1] + 1

    def __len__(self) -> int:
        return len(self.ends)

    def line(self, row: int) -> bytes:
        r"""Return a line without its ``\n``."""
        return self.data[self.starts[row] : self.ends[row]]

    def chosen(self, rows: Numbers | slice) -> list[bytes]:
        r"""Return some lines, each without its ``\n``."""
        data = self.data
        return [data[at:end] for at, end in zip(self.starts[rows].tolist(), self.ends[rows].tolist(), strict=True)]

    def runs(self, chosen: Flags) -> list[memoryview]:
        r"""Return the chosen lines, each with its ``\n``; lines that follow each other come in one piece."""
        edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
        first, last = self.starts.take(edges[::2]), self.ends.take(edges[1::2] - 1) + 1
        data = memoryview(self.data)
        return [data[start:end] for start, end in zip(first.tolist(), last.tolist(), strict=True)]

    @cached_property
    def text_ends(self) -> Numbers:
        r"""Where each line's text ends, its ``\n`` or ``\r\n`` left out."""
        if not len(self._controls):
            return self.ends
        returned = (byte_at(self.words, self.ends - 1) == _RETURN) & (self.ends > self.starts)
        found: Numbers = self.ends - returned.astype(np.int64)
        return found

    @cached_property
    def plain(self) -> Flags:
        r"""Whether each line is UTF-8 of a line's length without an escape, or a control character but ``\r\n``."""
        found: Flags = self.ends - self.starts <= LONGEST_LINE
        if len(self._controls):
            odd = self._controls[
                (self._bytes.take(self._controls) != _RETURN) | (byte_at(self.words, self._controls + 1) != _NEWLINE)
            ]
            found[self.ends.searchsorted(odd)] = False
        if b"\\" in self.data:
            found[self.ends.searchsorted(np.flatnonzero(self._bytes == ord("\\")))] = False
        if not self.is_utf8:
            found &= [is_utf8(line) for line in self.chosen(slice(None))]
        return found

    @cached_property
    def is_utf8(self) -> bool:
        """Whether the whole block is UTF-8."""
        return is_utf8(self.data)

    @cached_property
    def _quoted(self) -> Flags:
        found: Flags = self._bytes == _QUOTE
        return found

    @cached_property
    def quotes(self) -> Numbers:
        """Where quotation marks stand."""
        return np.flatnonzero(self._quoted)

    @cached_property
    def first_quotes(self) -> Numbers:
        """For each line, the number of quotation marks before it; one entry more for the block's end."""
        marks = _packed(self._quoted)
        counts = np.bitwise_count(marks)
        before = np.zeros(len(marks) + 1, np.int64)
        np.cumsum(counts, out=before[1:])
        place = self.starts >> 6
        below = (np.uint64(1) << (self.starts & 63).astype(np.uint64)) - np.uint64(1)
        found = np.empty(len(self) + 1, np.int64)
        found[:-1] = before.take(place) + np.bitwise_count(marks.take(place) & below)
        found[-1] = len(self.quotes)
        return found


def _packed(flags: Flags) -> Bits:
    """Return 64 flags a word; their number must be a multiple of 64."""
    return np.packbits(flags, bitorder="little").view("<u8")


def _sparse(flags: Flags) -> Numbers:
    """Return where flags are set, quickly where few are."""
    marks = _packed(flags)
    place = np.flatnonzero(marks)
    left = marks.take(place)
    found: list[Numbers] = []
    while len(place):
        below = left - np.uint64(1)
        found.append((place << 6) + np.bitwise_count(below & ~left))
        left &= below
        more = np.flatnonzero(left)
        place, left = place.take(more), left.take(more)
    if len(found) == 1:
        return found[0]
    return np.sort(np.concatenate([*found, np.zeros(0, np.int64)]))


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _keep_pages() -> None:
    """Let freed memory of a block's size be used again.

    The C library hands large pieces back to the system at once, and the next block pays for every page anew (half of
    all time, measured), until it has seen a larger piece freed: then it keeps up to twice as much.
    """
    np.empty(4 * BLOCK_BYTES, np.uint8)


def line_blocks(stream: Reads, seen: Callable[[bytes], Any] | None = None) -> Iterator[Block]:
    r"""Give a stream in blocks (a last line without ``\n`` gets it).

    Parameters
    ----------
    stream
        The manifest, or a range of it that starts at a line.
    seen
        Called with every piece of the stream as it is (to hash it).
    """
    _keep_pages()
    rest = b""
    while piece := stream.read(BLOCK_BYTES):
        if seen:
            seen(piece)
        end = piece.rfind(b"\n") + 1
        if end:
            yield Block(rest, memoryview(piece)[:end])
            rest = piece[end:]
        else:
            rest += piece
            if len(rest) > LONGEST_LINE_BYTES:
                raise ManifestError(
                    f"A line is longer than {LONGEST_LINE_BYTES >> 20} MiB; a manifest has one JSON object a line."
                )
    if rest:
        yield Block(rest, b"\n")

"""RecordIO frames, as SageMaker wraps the records of a Pipe channel.

A frame is a little-endian u32 magic number, a u32 that holds ``flag << 29 | length``, the payload, and zeros up to a
multiple of four bytes. Flag 0 is a whole record; 1, 2 and 3 are the first, a middle and the last frame of a record that
was split. A split record is the payloads put together, as SageMaker's own reader (``RecordIOReader.cpp`` of
sagemaker-tensorflow-extensions) takes it; MXNet's reader, which puts the magic number between the pieces, is another
dialect that no SageMaker channel speaks. Payloads may hold the magic number: a length is trusted, never searched for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

MAGIC = 0xCED7230A
HEADER_BYTES = 8
LONGEST_FRAME = (1 << 29) - 1
WHOLE, FIRST, MIDDLE, LAST = range(4)

_HEADER = struct.Struct("<II")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_BLOCK_BYTES = 1 << 20


class RecordIOError(Exception):
    """A stream that is no RecordIO; the message says at which byte, and what stood there."""


class WrongMagicError(RecordIOError):
    """A frame that does not start with the magic number."""


class UnexpectedFrameError(RecordIOError):
    """A frame whose flag can't follow the one before it."""


class TruncatedRecordError(RecordIOError):
    """A stream that ends inside a record: whoever fed it stopped early."""


class Reads(Protocol):
    """Anything that gives bytes: a FIFO, a file, a ``BytesIO``."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to ``size`` bytes; none at the end of the stream."""
        ...


class Writes(Protocol):
    """Anything that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take bytes."""
        ...


def _one_frame(payload: bytes, flag: int) -> bytes:
    return _HEADER.pack(MAGIC, flag << 29 | len(payload)) + payload + _PADDING[len(payload) & 3]


def frame(record: bytes, longest: int = LONGEST_FRAME) -> bytes:
    """Return a record as one frame, or as several where it is longer than ``longest`` bytes.

    Raises
    ------
    ValueError
        If ``longest`` is not from 1 to 2**29 - 1.
    """
    if not 1 <= longest <= LONGEST_FRAME:
        raise ValueError(f"longest is {longest}; a frame's payload has 1 to {LONGEST_FRAME} bytes")
    if len(record) <= longest:
        return _one_frame(record, WHOLE)
    pieces = [record[start : start + longest] for start in range(0, len(record), longest)]
    flags = [FIRST, *[MIDDLE] * (len(pieces) - 2), LAST]
    return b"".join(map(_one_frame, pieces, flags))


def write_records(stream: Writes, records: Iterable[bytes], longest: int = LONGEST_FRAME) -> int:
    """Write records one after the other; return how many."""
    count = 0
    for record in records:
        stream.write(frame(record, longest))
        count += 1
    return count


def read_records(stream: Reads) -> Iterator[bytes]:
    """Give the records of a stream until its end, which may only stand between two records.

    Parameters
    ----------
    stream
        Anything with ``read(n)``; short reads (a FIFO) are put together.

    Raises
    ------
    WrongMagicError, UnexpectedFrameError, TruncatedRecordError
        At the first byte that can't be; every record before it has been given.
    """
    position = 0
    pieces: list[bytes] = []
    while header := _read(stream, HEADER_BYTES):
        if len(header) < HEADER_BYTES:
            raise TruncatedRecordError(
                f"The stream ends at byte {position + len(header)}, inside a frame's header "
                f"({len(header)} of {HEADER_BYTES} bytes)."
            )
        magic, flag_and_length = _HEADER.unpack(header)
        if magic != MAGIC:
            raise WrongMagicError(
                f"At byte {position} a frame should start with {MAGIC:#010x}, but {magic:#010x} stands there. "
                f"Is the channel's RecordWrapperType RecordIO?"
            )
        flag, length = flag_and_length >> 29, flag_and_length & LONGEST_FRAME
        if flag > LAST or (flag in (MIDDLE, LAST)) != bool(pieces):
            inside = "inside a split record" if pieces else "between records"
            raise UnexpectedFrameError(f"At byte {position}, {inside}, stands a frame with flag {flag}.")
        padded = length + (-length & 3)
        payload = _read(stream, padded)
        if len(payload) < padded:
            raise TruncatedRecordError(
                f"The stream ends at byte {position + HEADER_BYTES + len(payload)}, inside a frame that starts at "
                f"byte {position} ({len(payload)} of {padded} bytes)."
            )
        position += HEADER_BYTES + padded
        if length != padded:
            payload = payload[:length]
        if flag == WHOLE:
            yield payload
            continue
        pieces.append(payload)
        if flag == LAST:
            yield b"".join(pieces)
            pieces = []
    if pieces:
        raise TruncatedRecordError(f"The stream ends at byte {position}, before the last frame of a split record.")


def _read(stream: Reads, size: int) -> bytes:
    """Read exactly ``size`` bytes, fewer only at the end of the stream."""
    data = stream.read(size) or b""
    if len(data) == size or not data:
        return data
    pieces = [data]
    have = len(data)
    while have < size and (data := stream.read(min(size - have, _BLOCK_BYTES)) or b""):
        pieces.append(data)
        have += len(data)
    return b"".join(pieces)

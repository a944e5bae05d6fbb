"""A Pipe-mode channel of (photo, label) records as a ``tf.data`` pipeline.

SageMaker gives an augmented manifest to a training job as one FIFO per epoch, ``<channel>_<epoch>``. Each holds
RecordIO frames in which a photo's bytes and its label alternate. ``sagemaker-tensorflow``'s PipeModeDataset stopped at
TensorFlow 2.14, so this module reads the FIFO itself.

Large blocks are read from an enlarged pipe and cut into records; TensorFlow takes them over in whole chunks and
un-batches them in C++, so that its way into Python is gone once per chunk and not once per photo.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from menulens.core.recordio import MAGIC, RecordIOError

PIPE_BYTES: Final = 1 << 20  # the most an unprivileged process may ask for; the default of 64 KiB costs four fifths
CHUNK_BYTES: Final = 4 << 20
CHUNK_PAIRS: Final = 256
MAX_RECORD: Final = (1 << 29) - 1  # the length field's 29 bits
_HEADER: Final = struct.Struct("<II")
_F_SETPIPE_SZ: Final = 1031  # Linux; the fcntl module names it only where it was built with it
_WAIT_SECONDS: Final = 600.0


class PipeError(RecordIOError):
    """A Pipe channel that does not hold what it should; the message names FIFO, record, byte and the likely cause."""


class PipeStoppedError(Exception):
    """Reading was stopped on purpose (the job is being stopped)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Photos that came in one piece.

    Attributes
    ----------
    photos
        Encoded bytes.
    classes
        Class index of each photo.
    first
        Position of the first photo in its epoch, from 0.
    """

    photos: list[bytes]
    classes: list[int]
    first: int


class PipeChannel:
    """One channel; every pass over it opens the next epoch's FIFO.

    Parameters
    ----------
    path
        The channel's path without the epoch, as in ``/opt/ml/input/data/train``.
    label_to_class
        Label as it stands in the manifest to class index of the model.
    wait_seconds
        How long to wait for the next FIFO to appear.
    """

    def __init__(
        self, path: Path | str, label_to_class: Mapping[int, int], wait_seconds: float = _WAIT_SECONDS
    ) -> None:
        self.path = Path(path)
        self.label_to_class = dict(label_to_class)
        self.wait_seconds = wait_seconds
        self.next_epoch = 0
        self.pairs = 0
        self.error: BaseException | None = None
        self._stopped = threading.Event()
        self._opened = False

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.path.name

    def stop(self) -> None:
        """End the current and every later pass with :class:`PipeStoppedError`."""
        self._stopped.set()

    def chunks(self) -> Iterator[Chunk]:
        """Read the next epoch.

        Raises
        ------
        PipeError
            If the FIFO does not appear, or its content is no sequence of (photo, label) records.
        PipeStoppedError
            If :meth:`stop` was called.
        """
        epoch, self.next_epoch = self.next_epoch, self.next_epoch + 1
        self.pairs = 0
        fifo = self.path.with_name(f"{self.path.name}_{epoch}")
        try:
            self._wait_for(fifo)
            descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
            try:
                _enlarge(descriptor)
                for chunk in self._cut(fifo, descriptor):
                    self.pairs += len(chunk.photos)
                    yield chunk
            finally:
                os.close(descriptor)
        except (PipeError, PipeStoppedError) as error:
            self.error = error
            raise

    def _fill(self, descriptor: int, view: memoryview) -> int:
        """Read what is there, and wait for it where nothing is; return the bytes read, 0 at the end of the stream.

        Waiting is by poll, in short turns, so that a stop is heard while the feeder is silent. A FIFO that no writer
        has opened yet reads as ended; poll knows the difference.
        """
        while True:
            if self._stopped.is_set():
                raise PipeStoppedError(f"reading {self.name} was stopped")
            if not self._opened:
                self._opened = bool(self._poll(descriptor))
                continue
            try:
                return os.readv(descriptor, [view])
            except BlockingIOError:
                self._poll(descriptor)

    @staticmethod
    def _poll(descriptor: int) -> list[tuple[int, int]]:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return waiting.poll(200)

    def _wait_for(self, fifo: Path) -> None:
        end = time.monotonic() + self.wait_seconds
        while not fifo.exists():
            if self._stopped.is_set():
                raise PipeStoppedError(f"waiting for {fifo} was stopped")
            if time.monotonic() > end:
                raise PipeError(
                    f"{fifo}: no such FIFO after {self.wait_seconds:.0f} s. A Pipe channel offers one per epoch; check "
                    "that the channel's input mode is Pipe and that the job did not end its input."
                )
            time.sleep(0.02)

    def _cut(self, fifo: Path, descriptor: int) -> Iterator[Chunk]:
        """Cut the stream into records, pair them, and group the pairs."""
        photos: list[bytes] = []
        classes: list[int] = []
        pending: bytes | None = None  # the photo whose label is still to come
        first = size = records = 0
        self._opened = False
        for record in _records(fifo, lambda view: self._fill(descriptor, view)):
            records += 1
            if pending is None:
                pending = record
                size += len(record)
                continue
            photos.append(pending)
            classes.append(self._class_of(record, fifo, records))
            pending = None
            if size >= CHUNK_BYTES or len(photos) >= CHUNK_PAIRS:
                yield Chunk(photos, classes, first)
                first += len(photos)
                photos, classes, size = [], [], 0
        if pending is not None:
            raise PipeError(
                f"{fifo}: {records} records, an odd number: the last photo has no label. Photo and label must "
                "alternate; check that AttributeNames lists source-ref, then the label attribute."
            )
        if photos:
            yield Chunk(photos, classes, first)

    def _class_of(self, label: bytes, fifo: Path, record: int) -> int:
        try:
            return self.label_to_class[int(label.strip(b' "'))]
        except (ValueError, KeyError):
            shown = label[:40] + (b"..." if len(label) > 40 else b"")
            known = ", ".join(map(str, sorted(self.label_to_class)))
            raise PipeError(
                f"{fifo}: record {record}: {shown!r} stands where a label is due. Labels that train: {known}. "
                "Check the order of AttributeNames and that the dataset was cleaned by the same rules."
            ) from None


def _enlarge(descriptor: int) -> None:
    """Ask for a large pipe; a system that refuses only makes reading slower."""
    try:
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return


def _records(fifo: Path, fill: Callable[[memoryview], int]) -> Iterator[bytes]:
    """Yield whole records; the parts of a split one are joined.

    Raises
    ------
    PipeError
        At a wrong magic, an impossible flag, or an end inside a record.
    """
    buffer = bytearray(2 * CHUNK_BYTES)
    view = memoryview(buffer)
    start = end = 0  # what is read and not yet cut
    passed = number = 0  # bytes before the buffer's start; records so far
    parts: list[bytes] = []
    unpack, head = _HEADER.unpack_from, _HEADER.size
    while True:
        while end - start >= head:
            magic, word = unpack(buffer, start)
            length, flag = word & MAX_RECORD, word >> 29
            if magic != MAGIC or flag > 3 or (flag in (2, 3)) != bool(parts):
                raise _bad_frame(fifo, number + 1, passed + start, magic=magic, flag=flag, inside=bool(parts))
            whole = head + length + (-length & 3)
            if end - start < whole:
                break
            payload = bytes(view[start + head : start + head + length])
            start += whole
            if flag == 0:
                number += 1
                yield payload
                continue
            parts.append(payload)
            if flag == 3:
                number += 1
                payload, parts = b"".join(parts), []
                yield payload
        needed = head if end - start < head else whole
        if start and len(buffer) - start < max(needed, CHUNK_BYTES):  # make room at the end
            view[: end - start] = bytes(view[start:end])
            passed, start, end = passed + start, 0, end - start
        if len(buffer) < needed:  # one record larger than the buffer
            grown = bytearray(needed + CHUNK_BYTES)
            grown[: end - start] = view[start:end]
            view.release()
            buffer, view = grown, memoryview(grown)
            passed, start, end = passed + start, 0, end - start
        got = fill(view[end:])
        if got:
            end += got
            continue
        if end > start or parts:
            raise PipeError(
                f"{fifo}: the stream ended inside record {number + 1}, {end - start} bytes into its frame at byte "
                f"{passed + start}. The feeder stopped early; its own log says why."
            )
        return


def _bad_frame(fifo: Path, record: int, offset: int, *, magic: int, flag: int, inside: bool) -> PipeError:
    if magic != MAGIC:
        return PipeError(
            f"{fifo}: record {record} at byte {offset} begins with 0x{magic:08x} instead of the RecordIO magic "
            f"0x{MAGIC:08x}. Is the channel's RecordWrapperType RecordIO?"
        )
    due = "a middle (2) or last (3) part" if inside else "a whole record (0) or a first part (1)"
    return PipeError(f"{fifo}: record {record} at byte {offset} has flag {flag}; {due} is due here.")


def pipe_dataset(channel: PipeChannel) -> Any:
    """Return a dataset of ``(photo, class, position)``; each pass reads the next epoch.

    Returns
    -------
    tf.data.Dataset
        Scalars: string (encoded photo), int32 (class index), int64 (position in the epoch, from 0).
    """
    import numpy as np  # noqa: PLC0415 (the reader itself needs neither numpy nor TensorFlow)
    import tensorflow as tf  # noqa: PLC0415

    def chunks() -> Iterator[tuple[Any, Any, Any]]:
        for chunk in channel.chunks():
            # An object array passes the bytes on by reference; a list of bytes would first become a fixed-width array.
            photos = np.empty(len(chunk.photos), dtype=object)
            photos[:] = chunk.photos
            positions = np.arange(chunk.first, chunk.first + len(chunk.photos), dtype=np.int64)
            yield photos, np.asarray(chunk.classes, dtype=np.int32), positions

    signature = (
        tf.TensorSpec([None], tf.string),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int64),
    )
    return tf.data.Dataset.from_generator(chunks, output_signature=signature).prefetch(2).unbatch()

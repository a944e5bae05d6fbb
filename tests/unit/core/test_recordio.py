"""RecordIO frames: what is written is read, and what is broken is told."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menulens.core.recordio import (
    FIRST,
    LAST,
    MAGIC,
    MIDDLE,
    RecordIOError,
    TruncatedRecordError,
    UnexpectedFrameError,
    WrongMagicError,
    frame,
    read_records,
    write_records,
)

MAGIC_BYTES = struct.pack("<I", MAGIC)


class Trickle(io.BytesIO):
    """A FIFO at its worst: a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 3))


def any_frame(payload: bytes, flag: int) -> bytes:
    return struct.pack("<II", MAGIC, flag << 29 | len(payload)) + payload + b"\0" * (-len(payload) % 4)


@given(st.lists(st.binary(max_size=40) | st.just(MAGIC_BYTES * 3)), st.integers(1, 50))
def should_read_what_was_written(records: list[bytes], longest: int) -> None:
    stream = io.BytesIO()
    assert write_records(stream, records, longest) == len(records)
    assert list(read_records(io.BytesIO(stream.getvalue()))) == records
    assert list(read_records(Trickle(stream.getvalue()))) == records


def should_write_the_frame_that_sagemaker_documents() -> None:
    assert frame(b"abcde") == bytes.fromhex("0a23d7ce 05000000 6162636465 000000".replace(" ", ""))
    assert frame(b"") == bytes.fromhex("0a23d7ce00000000")
    parts = any_frame(b"abcd", FIRST) + any_frame(b"efgh", MIDDLE) + any_frame(b"i", LAST)
    assert frame(b"abcdefghi", longest=4) == parts


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.integers(1, 12), st.data())
def should_tell_a_stream_that_was_cut_anywhere(records: list[bytes], longest: int, data: st.DataObject) -> None:
    ends, whole = {0}, b""
    for record in records:
        whole += frame(record, longest)
        ends.add(len(whole))
    for cut in range(len(whole) + 1):
        read: list[bytes] = []
        if cut in ends:
            read += read_records(io.BytesIO(whole[:cut]))
        else:
            with pytest.raises(TruncatedRecordError, match=f"ends at byte {cut}"):
                read.extend(read_records(io.BytesIO(whole[:cut])))
        assert read == records[: len(read)]


def should_tell_a_wrong_magic_number_and_where_it_stands() -> None:
    with pytest.raises(WrongMagicError, match=r"byte 12 .*0xced7230a, but 0x64636261.*RecordWrapperType"):
        list(read_records(io.BytesIO(frame(b"abc") + b"abcdefgh")))


@pytest.mark.parametrize(
    ("frames", "where"),
    [
        (any_frame(b"a", MIDDLE), "byte 0, between records, stands a frame with flag 2"),
        (any_frame(b"a", LAST), "byte 0, between records"),
        (frame(b"b") + any_frame(b"a", LAST), "byte 12, between records"),
        (any_frame(b"a", FIRST) + frame(b"b"), "byte 12, inside a split record, stands a frame with flag 0"),
        (any_frame(b"a", FIRST) + any_frame(b"b", FIRST), "inside a split record"),
        (any_frame(b"a", 5), "flag 5"),
    ],
)
def should_tell_a_frame_that_can_not_follow(frames: bytes, where: str) -> None:
    with pytest.raises(UnexpectedFrameError, match=where):
        list(read_records(io.BytesIO(frames)))


@given(st.binary(max_size=60))
def should_never_fail_in_another_way(data: bytes) -> None:
    try:
        list(read_records(io.BytesIO(data)))
    except RecordIOError:
        assert data


@pytest.mark.parametrize("longest", [0, -1, 1 << 29])
def should_refuse_a_frame_length_that_has_no_room(longest: int) -> None:
    with pytest.raises(ValueError, match="longest is"):
        frame(b"abc", longest)

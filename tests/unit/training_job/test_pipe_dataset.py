import importlib.util
import itertools
import os
import struct
import tempfile
import threading
from pathlib import Path

import pipe_dataset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.core.recordio import MAGIC, frame

_spec = importlib.util.spec_from_file_location("fifos", Path(__file__).with_name("fifos.py"))
fifos = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fifos)
feed = fifos.feed

LABELS = {0: 0, 3: 1, 12: 2}
pairs_strategy = st.lists(st.tuples(st.binary(max_size=3000), st.sampled_from(sorted(LABELS))), max_size=30)


def any_stream(pairs) -> bytes:
    return b"".join(frame(photo) + frame(str(label).encode()) for photo, label in pairs)


def read(content: bytes, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train"
        writer = feed(path, content)
        channel = pipe_dataset.PipeChannel(path, LABELS, **options)
        chunks = list(channel.chunks())
        writer.join(5)
    photos = [photo for chunk in chunks for photo in chunk.photos]
    classes = [place for chunk in chunks for place in chunk.classes]
    positions = [chunk.first + step for chunk in chunks for step in range(len(chunk.photos))]
    return photos, classes, positions


@settings(max_examples=50, deadline=None)
@given(pairs_strategy)
def should_give_back_what_was_fed_in_order(pairs):
    photos, classes, positions = read(any_stream(pairs))
    assert photos == [photo for photo, _ in pairs]
    assert classes == [LABELS[label] for _, label in pairs]
    assert positions == list(range(len(pairs)))


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=1, max_size=500), st.lists(st.integers(0, 500), max_size=5))
def should_join_the_parts_of_a_split_record(photo, cuts):
    bounds = [0, *sorted(min(cut, len(photo)) for cut in cuts), len(photo), len(photo)]
    parts = [photo[a:b] for a, b in itertools.pairwise(bounds)]
    flags = [1, *[2] * (len(parts) - 2), 3]
    split = b"".join(
        struct.pack("<II", MAGIC, flag << 29 | len(part)) + part + b"\0" * (-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )
    assert read(split + frame(b"3"))[:2] == ([photo], [1])


@settings(max_examples=50, deadline=None)
@given(pairs_strategy.filter(len), st.data())
def should_never_take_a_cut_stream_for_a_whole_one(pairs, data):
    whole = any_stream(pairs)
    cut = data.draw(st.integers(1, len(whole) - 1))
    ends = {len(any_stream(pairs[:count])) for count in range(len(pairs))}
    if cut in ends:
        assert len(read(whole[:cut])[0]) < len(pairs)
        return
    with pytest.raises(pipe_dataset.PipeError, match=r"ended inside record|odd number"):
        read(whole[:cut])


def should_keep_a_photo_that_holds_the_magic_number():
    photo = b"abcd" + struct.pack("<I", MAGIC) * 3 + b"efg"
    assert read(any_stream([(photo, 3)]))[0] == [photo]


def should_read_a_record_larger_than_its_buffer():
    photo = bytes(range(256)) * 50_000
    photos, _, _ = read(any_stream([(b"a", 0), (photo, 3), (b"b", 12)]))
    assert photos == [b"a", photo, b"b"]


def should_name_record_and_byte_of_a_wrong_magic():
    good = frame(b"photo")
    with pytest.raises(pipe_dataset.PipeError, match=rf"record 2 at byte {len(good)} .*0x64636261.*RecordWrapperType"):
        read(good + b"abcdefgh")


def should_say_that_the_last_photo_has_no_label():
    with pytest.raises(pipe_dataset.PipeError, match=r"3 records, an odd number.*AttributeNames"):
        read(frame(b"a") + frame(b"0") + frame(b"b"))


@pytest.mark.parametrize("label", [b"1", b"", b"meal", b"\xff\xd8\xff\xe0" * 50])
def should_refuse_a_label_that_does_not_train(label):
    with pytest.raises(pipe_dataset.PipeError, match=r"where a label is due. Labels that train: 0, 3, 12"):
        read(frame(b"photo") + frame(label))


@pytest.mark.parametrize(("flags", "due"), [((2,), "whole"), ((3,), "whole"), ((1, 0), "middle"), ((1, 1), "middle")])
def should_refuse_frames_that_can_not_follow(flags, due):
    content = b"".join(struct.pack("<II", MAGIC, flag << 29) for flag in flags)
    with pytest.raises(pipe_dataset.PipeError, match=due):
        read(content)


def should_take_a_label_in_quotes():
    assert read(frame(b"photo") + frame(b'"12"'))[1] == [2]


def should_open_the_next_fifo_at_every_epoch(tmp_path):
    path = tmp_path / "train"
    for epoch in range(3):
        feed(path, any_stream([(f"epoch {epoch}".encode(), 0)]), epoch)
    channel = pipe_dataset.PipeChannel(path, LABELS)
    seen = [[photo for chunk in channel.chunks() for photo in chunk.photos] for _ in range(3)]
    assert seen == [[b"epoch 0"], [b"epoch 1"], [b"epoch 2"]]


def should_say_which_fifo_did_not_come(tmp_path):
    channel = pipe_dataset.PipeChannel(tmp_path / "eval", LABELS, wait_seconds=0.1)
    with pytest.raises(pipe_dataset.PipeError, match=r"eval_0: no such FIFO after"):
        list(channel.chunks())


def should_stop_while_the_feeder_is_silent(tmp_path):
    path = tmp_path / "train"
    release = threading.Event()
    fifo = path.with_name("train_0")
    os.mkfifo(fifo)

    def stall() -> None:
        with fifo.open("wb", buffering=0) as stream:  # nothing is left to be written when the reader has gone
            stream.write(frame(b"photo"))
            release.wait(20)

    feeder = threading.Thread(target=stall, daemon=True)
    feeder.start()
    channel = pipe_dataset.PipeChannel(path, LABELS)
    threading.Timer(0.3, channel.stop).start()
    with pytest.raises(pipe_dataset.PipeStoppedError):
        list(channel.chunks())
    assert feeder.is_alive()  # it was silent all the time
    release.set()
    feeder.join()

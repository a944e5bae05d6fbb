"""A hostile photo harms nothing but its own decoding."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from menulens.core.photos import PhotoFault
from menulens.portal.decoding import Caps, DisplayFault, NotShownError, make_copy
from menulens.portal.sandbox import Decoder, DecoderError, Decoders, Limits, memory_for
from tests.unit.portal_photos.generators import files

CAPS = Caps(20_000_000, 50_000_000)
ROOM = memory_for(CAPS.max_pixels)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(CAPS) as made:
        yield made


def fault(decoder: Decoder, data: bytes) -> str:
    with pytest.raises(NotShownError) as caught:
        decoder.decode(data)
    return caught.value.code


def children_of(pid: int | None) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def child_of(pid: int | None) -> int:
    """Wait until a process has a child, and return it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := children_of(pid):
            return found[0]
        time.sleep(0.001)
    raise AssertionError(f"process {pid} has no child")


def should_answer_as_decoding_here_does(decoder: Decoder) -> None:
    for photo in (files.any_jpeg((900, 700)), files.any_png(mode="RGBA"), files.held(6), files.multi_picture_jpeg()):
        assert decoder.decode(photo) == make_copy(photo, CAPS)
    assert fault(decoder, b"") == PhotoFault.EMPTY
    assert fault(decoder, files.SVG) == PhotoFault.WRONG_TYPE
    assert fault(decoder, files.any_jpeg((640, 480))[:4000]) == PhotoFault.TRUNCATED


def should_take_the_largest_photo_allowed_of_the_costliest_kind(decoder: Decoder) -> None:
    size = (8_000, 6_250)
    costly = files.encoded(Image.new("CMYK", size, (9, 99, 199, 20)), "JPEG", progressive=True, subsampling=0)
    copy = decoder.decode(costly)
    assert (copy.width, copy.height) == (1600, 1250)
    copy = decoder.decode(files.encoded(Image.new("RGBA", size, (9, 99, 199, 20)), "PNG", compress_level=1))
    assert (copy.width, copy.height) == (1600, 1250)


def should_stop_at_its_limit_of_memory() -> None:
    costly = files.encoded(Image.new("CMYK", (5_000, 5_000)), "JPEG", progressive=True, subsampling=0)
    large = files.encoded(Image.new("RGBA", (5_000, 5_000)), "PNG", compress_level=1)
    with Decoder(CAPS, Limits(60 << 20)) as small:
        # libjpeg says no more than that it went wrong.
        assert fault(small, costly) in (DisplayFault.TOO_MUCH_MEMORY, DisplayFault.UNDECODABLE)
        assert fault(small, large) == DisplayFault.TOO_MUCH_MEMORY
        assert small.decode(files.any_jpeg()).width == 64


def should_stop_a_photo_that_never_ends_by_processor_time_and_by_the_clock() -> None:
    bomb = files.scan_bomb()
    assert len(bomb) < CAPS.max_bytes
    for limits in (Limits(ROOM, cpu_seconds=1), Limits(ROOM, wall_seconds=2)):
        with Decoder(CAPS, limits) as quick:
            server = quick.pid
            assert fault(quick, bomb) == DisplayFault.TOO_SLOW
            assert quick.decode(files.any_jpeg()).width == 64
            assert quick.pid == server


def should_lose_one_photo_to_a_crash() -> None:
    with Decoder(CAPS) as decoder:
        server = decoder.pid
        crash = threading.Thread(target=lambda: os.kill(child_of(server), signal.SIGSEGV))
        crash.start()
        with pytest.raises(NotShownError, match="SIGSEGV") as caught:
            decoder.decode(files.scan_bomb())
        crash.join()
        assert caught.value.code == DisplayFault.CRASHED
        assert decoder.decode(files.any_jpeg()).width == 64
        assert decoder.pid == server


def should_say_that_memory_ran_out_when_the_kernel_ends_a_child() -> None:
    with Decoder(CAPS) as decoder:
        kill = threading.Thread(target=lambda: os.kill(child_of(decoder.pid), signal.SIGKILL))
        kill.start()
        assert fault(decoder, files.scan_bomb()) == DisplayFault.TOO_MUCH_MEMORY
        kill.join()


def should_start_again_when_the_server_is_gone() -> None:
    with Decoder(CAPS) as decoder:
        first = decoder.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert decoder.decode(files.any_jpeg()).width == 64
        assert decoder.pid != first


def should_end_with_its_caller() -> None:
    reading, writing = os.pipe()
    caller = os.fork()
    if caller == 0:
        with Decoder(CAPS) as decoder:
            os.write(writing, str(decoder.pid).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(caller, 0)
    server = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{server}/cmdline").is_file() and Path(f"/proc/{server}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the server outlives its caller"
        time.sleep(0.01)


def should_see_no_credentials_and_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for decoders")
    with Decoder(CAPS) as decoder:
        assert b"AWS" not in Path(f"/proc/{decoder.pid}/environ").read_bytes()
        seen: list[Any] = []

        def look() -> None:
            child = child_of(decoder.pid)
            limits = Path(f"/proc/{child}/limits")
            while "Max open files            0                    0" not in (told := limits.read_text()):
                time.sleep(0.001)
            seen.append(told)
            seen.append(list(Path(f"/proc/{child}/fd").iterdir()))
            os.kill(child, signal.SIGKILL)

        watch = threading.Thread(target=look)
        watch.start()
        assert fault(decoder, files.scan_bomb()) == DisplayFault.TOO_MUCH_MEMORY
        watch.join()
        # Its message pipe and the log: nothing else is open, and nothing can be opened.
        assert len(seen[1]) == 2
        for limit in ("Max file size             0", "Max core file size        0", "Max processes             0"):
            assert limit in seen[0]


def should_share_decoders_among_threads() -> None:
    photos = [files.any_jpeg((300, 200), seed) for seed in range(12)]
    found: dict[int, bytes] = {}
    with Decoders(2, CAPS) as decoders:

        def work(number: int) -> None:
            found[number] = decoders.decode(photos[number]).jpeg

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(photos))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[number] for number in range(len(photos))] == [make_copy(photo, CAPS).jpeg for photo in photos]


def should_say_that_it_can_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(DecoderError, match="did not start"), Decoder(CAPS):
        pass

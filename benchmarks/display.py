"""Display copies: photos a second beside the floor (decoding alone), and the memory that the costliest photos take.

Processor time is counted, of every process that takes part, so that a busy machine is unfair to no one. Memory is that
of a process which does nothing else.

``python -m benchmarks.display [--rounds 20]``
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the sandbox: threads would wait for each other by spinning

import numpy as np
from PIL import Image

from menulens.portal.decoding import Caps, make_copy, warm_up
from menulens.portal.sandbox import Decoder, memory_for

CAPS: Final = Caps(40_000_000, 50_000_000)
LARGEST: Final = (8_000, 6_250)


def any_photo(size: tuple[int, int], mode: str = "RGB", noise: int = 12) -> Image.Image:
    """Return a picture with shapes and noise, so that it costs about what a photo does."""
    draw = np.random.default_rng(1)
    channels = len(Image.new(mode, (1, 1)).getbands())
    small = Image.fromarray(draw.integers(0, 256, (24, 32, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(small)
    if channels > 3:
        pixels = np.dstack([pixels, pixels[..., :1]])
    grain = np.resize(draw.integers(0, noise, 1_000_003, np.uint8), pixels.shape)
    return Image.frombytes(mode, size, (pixels // 2 + grain).tobytes())


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the picture as a file."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


PHOTOS: Final[dict[str, Callable[[], bytes]]] = {
    "640×480 JPEG": lambda: encoded(any_photo((640, 480)), "JPEG", quality=85),
    "1600×1200 JPEG": lambda: encoded(any_photo((1_600, 1_200)), "JPEG", quality=85),
    "4000×3000 JPEG (a phone's)": lambda: encoded(any_photo((4_000, 3_000)), "JPEG", quality=85),
    "1600×1200 PNG": lambda: encoded(any_photo((1_600, 1_200)), "PNG", compress_level=3),
}
COSTLY: Final[dict[str, Callable[[], bytes]]] = {
    "JPEG": lambda: encoded(any_photo(LARGEST), "JPEG", quality=85),
    "JPEG, progressive, no subsampling": lambda: encoded(any_photo(LARGEST), "JPEG", progressive=True, subsampling=0),
    "JPEG, CMYK, progressive": lambda: encoded(any_photo(LARGEST, "CMYK"), "JPEG", progressive=True, subsampling=0),
    "PNG": lambda: encoded(any_photo(LARGEST, noise=1), "PNG", compress_level=1),
    "PNG with transparency": lambda: encoded(any_photo(LARGEST, "RGBA", noise=1), "PNG", compress_level=1),
}


def floor(photo: bytes) -> None:
    """Decode a photo, and nothing else."""
    Image.open(io.BytesIO(photo)).load()


def processor_seconds(*others: int | None) -> float:
    """Return the processor time of this process, and of others with all their children that have ended."""
    total = time.process_time()
    for pid in others:
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, numbers[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


def resident() -> int:
    """Return the most memory that this process has had since it started, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def peak() -> None:
    """In a process of its own: make one copy, and print what it took, in bytes and seconds."""
    photo = sys.stdin.buffer.read()
    warm_up()
    before, begun = resident(), time.process_time()
    make_copy(photo, CAPS)
    print(json.dumps([resident() - before, before, time.process_time() - begun]))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=20)
    rounds = options.parse_args().rounds
    print(f"{'photos a second of one core':38}{'decode':>9}{'copy':>9}{'sandboxed':>11}{'copy KB':>9}")
    with Decoder(CAPS) as decoder:
        ways: tuple[Callable[[bytes], object], ...] = (floor, lambda photo: make_copy(photo, CAPS), decoder.decode)
        for name, make in PHOTOS.items():
            photo = make()
            rates = []
            for work in ways:
                work(photo)
                begun = processor_seconds(decoder.pid)
                for _ in range(rounds):
                    work(photo)
                rates.append(rounds / (processor_seconds(decoder.pid) - begun))
            size = len(make_copy(photo, CAPS).jpeg) / 1000
            print(f"{name:38}{rates[0]:9.1f}{rates[1]:9.1f}{rates[2]:11.1f}{size:9.0f}")
    print(f"\nlargest photo allowed, {LARGEST[0]}×{LARGEST[1]}: limit {memory_for(CAPS.max_pixels) / 1e6:,.0f} MB")
    print(f"{'':38}{'file MB':>9}{'peak MB':>9}{'with Python':>13}{'CPU s':>8}")
    for name, make in COSTLY.items():
        photo = make()
        told = subprocess.run(
            [sys.executable, "-c", "from benchmarks.display import peak; peak()"],
            input=photo,
            stdout=subprocess.PIPE,
            check=True,
        )
        more, before, took = json.loads(told.stdout)
        print(f"{name:38}{len(photo) / 1e6:9.1f}{more / 1e6:9.0f}{(more + before) / 1e6:13.0f}{took:8.2f}")


if __name__ == "__main__":
    main()

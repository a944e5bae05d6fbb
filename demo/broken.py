"""Files that a site's photo folder holds too and that are no usable photo, one of each kind."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

GIANT: Final = (14_000, 12_000)  # 168 megapixels, as a file of the Open Clip Art set has


def truncated_jpeg(sound: bytes) -> bytes:
    """Return the first fifth of a JPEG: its header is sound, its pixels end early."""
    return sound[: max(2_000, len(sound) // 5)]


def giant_png() -> bytes:
    """Return a PNG of a few hundred bytes whose header claims 168 megapixels."""
    header = struct.pack(">IIBBBBB", *GIANT, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(3 * 1000)))
        + _chunk(b"IEND", b"")
    )


def gif() -> bytes:
    """Return a sound GIF: a picture, but of a kind that the chain does not take."""
    target = BytesIO()
    Image.linear_gradient("L").save(target, "GIF")
    return target.getvalue()


def write_all(folder: Path, sound_key: str, restaurants: tuple[str, ...]) -> list[tuple[str, str]]:
    """Write one broken file of each kind; return their keys and what is wrong with each."""
    sound = (folder / sound_key).with_suffix(".jpg")
    source = sound if sound.is_file() else min((folder / "photos").glob("*/0*.jpg"))
    whole = source.read_bytes()
    files = (
        ("truncated.jpg", truncated_jpeg(whole), "a JPEG cut off after a fifth"),
        ("notes.jpg", "本日のおすすめ: 焼き魚定食 980円\n".encode(), "text named .jpg"),
        ("logo.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>\n', "an SVG named .jpg"),
        ("empty.jpg", b"", "an empty file"),
        ("poster.png", giant_png(), "a PNG whose header claims 168 megapixels"),
        ("blinking.gif", gif(), "a GIF"),
        ("half-header.jpg", whole[:12], "twelve bytes of a JPEG"),
    )
    written = []
    for number, (name, content, note) in enumerate(files):
        key = f"photos/{restaurants[(number * 3 + 1) % len(restaurants)]}/{name}"
        (folder / key).write_bytes(content)
        written.append((key, note))
    return written


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

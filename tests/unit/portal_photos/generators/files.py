"""Files as photo folders hold them: sound ones of every kind, broken ones, and ones made to harm."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><circle r="9"/></svg>\n'
SECRET = b"35.6586N 139.7454E"


def any_pixels(size: tuple[int, int] = (64, 48), seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return [h, w, 3]: soft spots of colour, so that there is something to tell a photo by."""
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8))
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC))


def any_image(size: tuple[int, int] = (64, 48), seed: int = 0, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(any_pixels(size, seed)).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def any_jpeg(size: tuple[int, int] = (64, 48), seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
    return encoded(any_image(size, seed, mode), "JPEG", **options)


def any_png(size: tuple[int, int] = (64, 48), seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
    return encoded(any_image(size, seed, mode), "PNG", **options)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


# --- PNG, chunk by chunk ----------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], depth: int, colours: int, rows: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a PNG of rows that each start with their filter byte; ``before`` and ``after`` stand around the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colours, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + after + chunk(b"IEND", b"")


def png_with(extra: bytes, base: bytes | None = None) -> bytes:
    """Return a PNG with more chunks right behind its header."""
    base = base or any_png()
    return base[:33] + extra + base[33:]


def png_of_16_bits_gray(see_through: int | None = None) -> bytes:
    """Return 64 × 48 pixels: 0x0000 on the left, 0xC0DE on the right."""
    row = b"\0" + struct.pack(">64H", *([0] * 32 + [0xC0DE] * 32))
    before = b"" if see_through is None else chunk(b"tRNS", struct.pack(">H", see_through))
    return png((64, 48), 16, 0, row * 48, before)


def png_of_16_bits_colour(see_through: tuple[int, int, int] | None = None) -> bytes:
    """Return 64 × 48 pixels of one colour, (0x1234, 0xC0DE, 0x8000)."""
    row = b"\0" + struct.pack(">3H", 0x1234, 0xC0DE, 0x8000) * 64
    before = b"" if see_through is None else chunk(b"tRNS", struct.pack(">3H", *see_through))
    return png((64, 48), 16, 2, row * 48, before)


def text_bomb(megabytes: int = 100, many: int = 3) -> bytes:
    """Return text chunks that unpack to hundreds of megabytes."""
    packed = zlib.compress(bytes(megabytes << 20), 9)
    return b"".join(
        chunk(b"zTXt", b"Comment\0\0" + packed) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + packed)
        for _ in range(many)
    )


def profile_bomb(megabytes: int = 100) -> bytes:
    return chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(megabytes << 20), 9))


# --- JPEG, segment by segment -----------------------------------------------------------------------------


def frame_at(data: bytes) -> int:
    """Return where a JPEG's start of frame stands."""
    position = 2
    while data[position + 1] not in (0xC0, 0xC1, 0xC2):
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return position


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """Return a JPEG's segments up to its first scan: marker and content."""
    found = []
    position = 2
    while data[position + 1] != 0xDA:
        length = struct.unpack_from(">H", data, position + 2)[0]
        found.append((data[position + 1], data[position + 4 : position + 2 + length]))
        position += 2 + length
    return found


def patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def arithmetic_jpeg() -> bytes:
    data = any_jpeg()
    return patched(data, frame_at(data) + 1, b"\xc9")


def jpeg_of_components(count: int) -> bytes:
    data = any_jpeg()
    return patched(data, frame_at(data) + 9, bytes([count]))


def jpeg_of_size(width: int, height: int) -> bytes:
    data = any_jpeg()
    return patched(data, frame_at(data) + 5, struct.pack(">HH", height, width))


def jpeg_of_two_sizes() -> bytes:
    """Return a JPEG with a second start of frame, of 60,000 × 60,000 pixels, after the first."""
    data = any_jpeg()
    place = frame_at(data)
    end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
    second = patched(data[place:end], 5, struct.pack(">HH", 60_000, 60_000))
    return data[:end] + second + data[end:]


@cache
def scan_bomb(size: tuple[int, int] = (6_000, 6_000), scans: int = 4_000) -> bytes:
    """Return a progressive JPEG of a flat picture that tells its last scan thousands of times: small, and endless."""
    data = encoded(Image.new("L", size, 128), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def multi_picture_jpeg() -> bytes:
    """Return what a phone writes: a photo, and behind it another picture (here a flat one), told by an MPF segment."""
    return encoded(any_image(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48), "red")])


def animated(kind: str) -> bytes:
    return encoded(any_image(), kind, save_all=True, append_images=[any_image(seed=1)], duration=100)


def held(orientation: int, kind: str = "JPEG") -> bytes:
    """Return a photo whose upper left quarter is red when it is held as its EXIF data says."""
    image = Image.new("RGB", (64, 48), "white")
    image.paste((255, 0, 0), (0, 0, 32, 24))
    # What undoes each turn; the rest are their own inverse.
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = image.transpose(undo[orientation]) if orientation in undo else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(stored, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


def private_jpeg() -> bytes:
    """Return a JPEG that says where it was taken, in every way a JPEG can."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[2] = (35.0, 39.0, 31.0)
    data = any_jpeg(exif=exif, comment=SECRET, xmp=b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>", dpi=(300, 300))
    iptc = struct.pack(">BBH", 0xFF, 0xED, 2 + len(SECRET)) + SECRET
    return data[:2] + iptc + data[2:]


# --- colour profiles --------------------------------------------------------------------------------------

_D50 = (0.9642, 1.0, 0.8249)
_RED, _GREEN, _BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(part * 65536)) for part in value)


def swapped_profile() -> bytes:
    """Return an RGB profile like sRGB in which the first colour is green and the second red."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {
        b"rXYZ": _xyz(_GREEN),
        b"gXYZ": _xyz(_RED),
        b"bXYZ": _xyz(_BLUE),
        b"wtpt": _xyz(_D50),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 8) + b"swapped\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
    }
    place = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", place + len(content), len(tag))
        content += tag
    size = 128 + len(table) + len(content)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += b"".join(struct.pack(">i", round(part * 65536)) for part in _D50)
    return head.ljust(128, b"\0") + table + content

"""Is this object a photo that labeling and training can take? Told from its first bytes, without decoding it.

JPEG and PNG are taken, because ``tf.io.decode_image``'s other formats (GIF, BMP) are not what a camera writes, and
browsers and TensorFlow agree on these two. What a file is, its bytes say; its name is never asked: a site's ``.jpg``
may be an SVG, a WebP or an HTML page that says "404".

Packages that read sizes alone say nothing of animated PNG, JPEG encodings that TensorFlow can't decode, or how many
more bytes they want when the size stands behind a long EXIF or ICC segment; and one would be the only package in the
Lambda that runs this. Hence the standard library alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

HEAD_BYTES = 64 << 10  # enough for most cameras' EXIF: one ranged GET answers for nearly every photo
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"

# JPEG: baseline, extended and progressive Huffman are what libjpeg decodes; the other start-of-frame markers are
# lossless, hierarchical and arithmetic-coded ones.
_DECODABLE_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


class PhotoFault(StrEnum):
    """Why an object is not taken as a photo."""

    EMPTY = "empty"
    TOO_LARGE = "too-large"
    TOO_MANY_PIXELS = "too-many-pixels"
    WRONG_TYPE = "wrong-type"
    ANIMATED = "animated"
    UNDECODABLE_KIND = "undecodable-kind"
    BROKEN_HEADER = "broken-header"
    TRUNCATED = "truncated"


class PhotoError(Exception):
    """An object that is no usable photo.

    Attributes
    ----------
    code
        One of :class:`PhotoFault`.
    reason
        A sentence for a person.
    """

    def __init__(self, code: PhotoFault, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Photo:
    """What the header says: kind, and width and height in pixels (before any EXIF rotation)."""

    kind: Literal["jpeg", "png"]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class MoreBytes:
    """The answer stands further on: ask again with at least the object's first ``due`` bytes."""

    due: int


def inspect(head: bytes, size: int, *, max_bytes: int, max_pixels: int) -> Photo | MoreBytes:
    """Judge an object by its first bytes.

    Parameters
    ----------
    head
        The object's first bytes, :data:`HEAD_BYTES` or more (or all it has).
    size
        The object's bytes in all.
    max_bytes, max_pixels
        Caps; an object over one is not taken.

    Returns
    -------
    Photo or MoreBytes
        ``MoreBytes`` only if ``head`` is shorter than the object; its ``due`` is more than ``len(head)`` and at most
        ``size``, so asking again comes to an end.

    Raises
    ------
    PhotoError
        If the object is not a photo that can be used.
    """
    if size == 0:
        raise PhotoError(PhotoFault.EMPTY, "The object is empty.")
    if size > max_bytes:
        raise PhotoError(PhotoFault.TOO_LARGE, f"It has {size:,} bytes; at most {max_bytes:,} are taken.")
    if len(head) < min(size, 32):
        return MoreBytes(min(size, HEAD_BYTES))
    if head.startswith(PNG_MAGIC):
        found = _png(head, size)
    elif head.startswith(JPEG_MAGIC):
        found = _jpeg(head, size)
    else:
        raise PhotoError(PhotoFault.WRONG_TYPE, f"It is {_guess(head)}; JPEG and PNG are taken.")
    if isinstance(found, Photo) and found.width * found.height > max_pixels:
        raise PhotoError(
            PhotoFault.TOO_MANY_PIXELS,
            f"It has {found.width} × {found.height} pixels; at most {max_pixels:,} are taken.",
        )
    return found


def _more(due: int, head: bytes, size: int) -> MoreBytes:
    """Ask for bytes up to ``due``, in steps that keep the number of questions small."""
    if due > size or len(head) >= size:
        raise PhotoError(PhotoFault.TRUNCATED, f"It ends inside its header, after {size:,} bytes.")
    return MoreBytes(min(size, max(due + 1024, len(head) * 2)))


def _jpeg(head: bytes, size: int) -> Photo | MoreBytes:
    position = 2
    while True:
        # Any number of 0xFF may fill the room before a marker.
        while position < len(head) and head[position] == 0xFF and head[position + 1 : position + 2] in (b"\xff", b""):
            position += 1
        if position + 4 > len(head):
            return _more(position + 4, head, size)
        if head[position] != 0xFF:
            raise PhotoError(
                PhotoFault.BROKEN_HEADER, f"At byte {position} a JPEG marker is due, not {head[position]:#x}."
            )
        marker = head[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker in (0xD9, 0xDA, 0xD8):
            raise PhotoError(
                PhotoFault.BROKEN_HEADER, f"A JPEG whose picture starts at byte {position} without a size."
            )
        length = struct.unpack_from(">H", head, position + 2)[0]
        if length < 2:
            raise PhotoError(PhotoFault.BROKEN_HEADER, f"At byte {position} stands a JPEG segment of {length} bytes.")
        if marker not in _FRAMES:
            position += 2 + length
            continue
        if position + 10 > len(head):
            return _more(position + 10, head, size)
        precision, height, width, components = struct.unpack_from(">BHHB", head, position + 4)
        if marker not in _DECODABLE_FRAMES or precision != 8 or components not in (1, 3, 4):
            raise PhotoError(
                PhotoFault.UNDECODABLE_KIND,
                f"A JPEG that can't be decoded (frame {marker:#x}, {precision} bits, {components} components).",
            )
        if not (width and height):
            raise PhotoError(PhotoFault.BROKEN_HEADER, f"A JPEG of {width} × {height} pixels.")
        return Photo("jpeg", width, height)


def _png(head: bytes, size: int) -> Photo | MoreBytes:
    if len(head) < 33:
        return _more(33, head, size)
    length, kind, width, height = struct.unpack_from(">I4sII", head, 8)
    if kind != b"IHDR" or length != 13:
        raise PhotoError(PhotoFault.BROKEN_HEADER, "A PNG that does not start with its header chunk.")
    if not (0 < width < 1 << 31 and 0 < height < 1 << 31):
        raise PhotoError(PhotoFault.BROKEN_HEADER, f"A PNG of {width} × {height} pixels.")
    # An animated PNG says so by a chunk before the first picture's data.
    position = 33
    while True:
        if position + 8 > len(head):
            return _more(position + 8, head, size)
        length, kind = struct.unpack_from(">I4s", head, position)
        if kind == b"IDAT":
            return Photo("png", width, height)
        if kind == b"acTL":
            raise PhotoError(PhotoFault.ANIMATED, "An animated PNG; a photo stands still.")
        if kind == b"IEND" or length >= 1 << 31 or not kind.isalpha():
            raise PhotoError(PhotoFault.BROKEN_HEADER, f"A PNG without a picture before byte {position}.")
        position += 12 + length


def _guess(head: bytes) -> str:
    """Name what a rejected object seems to be, for the person who reads the reason."""
    text = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        return "HEIC" if brand[:3] in (b"hei", b"hev", b"mif", b"msf") else "a video or HEIF file"
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!")) and b"<svg" in text):
        return "SVG"
    kinds = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF", b"\xff\x0a": "JPEG XL"}
    return next((name for magic, name in kinds.items() if head.startswith(magic)), "no picture that is known here")

"""Make a photo's display copy: small, upright, sRGB, and with nothing in it but pixels.

This is what opens bytes that strangers made. It runs in a child of its own (:mod:`menulens.portal.sandbox`) with limits
on memory and time; here stand the rules on what is opened at all:

* what a file is, :mod:`menulens.core.photos` tells from its first bytes; only Pillow's JPEG or PNG reader is called;
* pixels are counted from the header before anything is decoded, and once more from what Pillow read;
* a JPEG is decoded at a half, a quarter or an eighth where that is enough (libjpeg's scaled transform), a PNG is
  reduced in strips, so that besides the decoder's own picture no second full-size one is in memory;
* of a PNG, only the chunks that make the picture are read: text chunks, which may unpack to gigabytes, are not;
* a JPEG that holds more pictures (MPO: depth, gain map, preview, as new phones write them) is shown by its first, which
  is the photo; what is appended after the picture (an HTML page, a ZIP file) is not read. An animation is rejected.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, JpegImagePlugin, PngImagePlugin

from menulens.core import photos
from menulens.core.upright import upright
from menulens.portal.near_duplicates import SIDE, Fingerprint, fingerprint

LONGEST_SIDE: Final = 1600
QUALITY: Final = 82

_STRIP_PIXELS: Final = 4 << 20
_LARGEST_PROFILE: Final = 4 << 20
_PICTURE_CHUNKS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


class DisplayFault(StrEnum):
    """Why a photo has no display copy, beside the reasons of :class:`menulens.core.photos.PhotoFault`."""

    UNDECODABLE = "undecodable"
    TOO_MUCH_MEMORY = "too-much-memory"
    TOO_SLOW = "too-slow"
    CRASHED = "crashed-the-decoder"
    MISSING = "missing"
    ARCHIVED = "archived"
    NOT_OURS = "not-ours"
    NOT_READABLE = "not-readable"
    EMPTY_TEXT = "empty-text"
    TEXT_TOO_LONG = "text-too-long"


class NotShownError(Exception):
    """A record that no one can be shown; ``code`` is a :class:`DisplayFault` or a ``PhotoFault``."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Caps:
    """What a photo may be, and what its copy is: the longer side in pixels, and JPEG's quality."""

    max_bytes: int
    max_pixels: int
    longest_side: int = LONGEST_SIDE
    quality: int = QUALITY


@dataclass(frozen=True, slots=True)
class DisplayCopy:
    """A display copy: a progressive JPEG without metadata, its size in pixels, its fingerprint."""

    jpeg: bytes
    width: int
    height: int
    fingerprint: Fingerprint


def make_copy(data: bytes, caps: Caps) -> DisplayCopy:
    """Make the display copy of a photo.

    Raises
    ------
    NotShownError
        If it is no photo, over a cap, or broken.
    """
    try:
        kind = _inspected(data, caps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; what counts is checked here
            return _made(data, kind, caps)
    except photos.PhotoError as fault:
        raise NotShownError(fault.code.value, fault.reason) from None
    except MemoryError:
        raise too_much_memory() from None
    except NotShownError:
        raise
    except Exception as error:
        # Readers of broken bytes fail in many ways (OSError, SyntaxError, ValueError, struct.error, …): all mean this.
        raise _explained(error) from None


def too_much_memory() -> NotShownError:
    """Return the error for a photo that wanted more than it may have."""
    return NotShownError(DisplayFault.TOO_MUCH_MEMORY, "It takes more memory to decode than is allowed.")


def _inspected(data: bytes, caps: Caps) -> photos.Photo:
    found = photos.inspect(data, len(data), max_bytes=caps.max_bytes, max_pixels=caps.max_pixels)
    if isinstance(found, photos.MoreBytes):  # never for a whole object
        raise photos.PhotoError(photos.PhotoFault.TRUNCATED, "It ends inside its header.")
    return found


def _explained(error: Exception) -> NotShownError:
    text = str(error) or type(error).__name__
    if "out of memory" in text:  # libjpeg and zlib say it in words
        return too_much_memory()
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return NotShownError(photos.PhotoFault.TRUNCATED, "Its header is sound, but its picture ends early.")
    return NotShownError(DisplayFault.UNDECODABLE, f"It can't be decoded: {text[:200]}.")


def _made(data: bytes, kind: photos.Photo, caps: Caps) -> DisplayCopy:
    image = _opened(data, kind)
    width, height = _target(kind.width, kind.height, caps.longest_side)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(None, (width, height))
    reduced = _reduced(image, width, height)
    small = reduced.resize((width, height), Image.Resampling.LANCZOS) if reduced.size != (width, height) else reduced
    shown = _in_srgb(small, image.info.get("icc_profile"))
    shown = upright(shown, image.info.get("exif"))
    shown.info.clear()  # a comment would be copied
    target = io.BytesIO()
    shown.save(target, "JPEG", quality=caps.quality, progressive=True, optimize=True, subsampling="4:2:0")
    return DisplayCopy(target.getvalue(), shown.width, shown.height, fingerprint_of(shown))


def _opened(data: bytes, kind: photos.Photo) -> ImageFile.ImageFile:
    image: ImageFile.ImageFile
    if kind.kind == "jpeg":
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    else:
        image = PngImagePlugin.PngImageFile(io.BytesIO(_picture_only(data)))
    if image.size != (kind.width, kind.height):
        raise NotShownError(
            photos.PhotoFault.BROKEN_HEADER,
            f"It tells two sizes: {kind.width} × {kind.height} and {image.width} × {image.height} pixels.",
        )
    return image


def _picture_only(data: bytes) -> bytes:
    """Return a PNG with the chunks that make the picture, its colour profile and its EXIF data."""
    kept = [photos.PNG_MAGIC]
    position = len(photos.PNG_MAGIC)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        chunk = data[position:end]
        if kind in _PICTURE_CHUNKS or (kind == b"eXIf" and length < 1 << 16) or (kind == b"iCCP" and _unpacks(chunk)):
            kept.append(chunk)
        if kind == b"IEND":
            break
        position = end
    return b"".join(kept)


def _unpacks(chunk: bytes) -> bool:
    """Tell whether a colour profile is sound and of a sensible size; one that is not is left out, as browsers do."""
    name, _, packed = chunk[8:-4].partition(b"\0")
    if len(name) > 79 or packed[:1] != b"\0":
        return False
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed[1:], min(_LARGEST_PROFILE, PngImagePlugin.MAX_TEXT_CHUNK) - 1)
    except zlib.error:
        return False
    return unpacker.eof


def _target(width: int, height: int, longest_side: int) -> tuple[int, int]:
    share = min(1.0, longest_side / max(width, height))
    return max(1, round(width * share)), max(1, round(height * share))


def _reduced(image: ImageFile.ImageFile, width: int, height: int) -> Image.Image:
    """Return the picture without transparency, brought down by a whole number to no less than a size."""
    image.load()
    plain = _plainer(image)
    factor = max(1, min(image.width // width, image.height // height))
    if factor == 1 and plain is None:
        return image
    flatten = plain or (lambda strip: strip)
    rows = max(1, _STRIP_PIXELS // image.width // factor) * factor
    if rows >= image.height:
        return flatten(image).reduce(factor)
    result: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = flatten(image.crop((0, top, image.width, min(top + rows, image.height)))).reduce(factor)
        if result is None:
            result = Image.new(strip.mode, (strip.width, -(-image.height // factor)))
        result.paste(strip, (0, top // factor))
    if result is None:
        raise NotShownError(photos.PhotoFault.BROKEN_HEADER, "It has no rows.")
    return result


def _plainer(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Return what makes a part of the picture gray, RGB or CMYK without transparency; None if it is that."""
    see_through = image.info.get("transparency")
    if image.mode.startswith("I"):
        return lambda strip: _of_16_bits(strip, see_through)
    if image.mode == "RGB" and isinstance(see_through, tuple) and max(see_through) > 255:
        image.info.pop("transparency")  # of 16 bits a colour, of which 8 were read: no pixel can be told by it
        see_through = None
    if image.mode in ("L", "RGB", "CMYK") and see_through is None:
        return None
    if see_through is None and image.mode in ("1", "P"):
        return lambda strip: strip.convert("RGB")
    return _on_white


def _on_white(strip: Image.Image) -> Image.Image:
    layer = strip.convert("RGBA")
    white = Image.new("RGB", layer.size, (255, 255, 255))
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _of_16_bits(strip: Image.Image, see_through: object) -> Image.Image:
    values = np.asarray(strip)
    gray = (np.clip(values, 0, 0xFFFF) >> 8).astype(np.uint8)
    if isinstance(see_through, int):
        gray[values == see_through] = 255
    return Image.fromarray(gray)


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return RGB pixels as a browser that knows no other colours shows them."""
    converted = _converted(image, profile) if isinstance(profile, bytes) and profile else None
    if converted is not None:
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _converted(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Return pixels converted from their colour profile; None if it is broken, or for pixels of another kind."""
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            _srgb(),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # browsers go on without it, too


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def fingerprint_of(shown: Image.Image) -> Fingerprint:
    """Return the fingerprint of an upright picture in sRGB."""
    return fingerprint(np.asarray(shown.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)))


def warm_up() -> None:
    """Go once through all that is imported or built on first use: a child that does the rest may open nothing."""
    for mode, kind in (("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG")):
        target = io.BytesIO()
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.new(mode, (64, 48)).save(target, kind, exif=exif, icc_profile=profile)
        make_copy(target.getvalue(), Caps(1 << 20, 1 << 20))

"""Photos by their first bytes; Pillow makes the pictures."""

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from menulens.core.photos import HEAD_BYTES, MoreBytes, Photo, PhotoError, PhotoFault, inspect


def any_picture(kind: str, size: tuple[int, int] = (30, 20), mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind, **options)
    return stream.getvalue()


def judged(data: bytes, head: int = HEAD_BYTES, max_bytes: int = 10**7, max_pixels: int = 10**6) -> Photo:
    """Ask as a caller does: a longer head whenever more is wanted."""
    for _ in range(40):
        found = inspect(data[:head], len(data), max_bytes=max_bytes, max_pixels=max_pixels)
        if isinstance(found, Photo):
            return found
        assert head < found.due <= len(data)
        head = found.due
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("head", [1, 16, 33, 40, 1000, HEAD_BYTES])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (any_picture("JPEG"), "jpeg"),
        (any_picture("JPEG", mode="L"), "jpeg"),
        (any_picture("JPEG", mode="CMYK"), "jpeg"),
        (any_picture("JPEG", progressive=True), "jpeg"),
        (any_picture("JPEG", exif=b"Exif\0\0" + b"x" * 60_000, icc_profile=b"y" * 200_000), "jpeg"),
        (any_picture("PNG"), "png"),
        (any_picture("PNG", mode="P"), "png"),
        (any_picture("PNG", icc_profile=zlib.compress(bytes(100_000), 0)), "png"),
    ],
)
def should_find_the_size_wherever_it_stands(data: bytes, kind: str, head: int) -> None:
    photo = judged(data, head)
    assert (photo.kind, photo.width, photo.height) == (kind, 30, 20)


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (PhotoFault.EMPTY, b""),
        (PhotoFault.WRONG_TYPE, any_picture("GIF")),
        (PhotoFault.WRONG_TYPE, any_picture("WEBP")),
        (PhotoFault.WRONG_TYPE, any_picture("BMP")),
        (PhotoFault.WRONG_TYPE, b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
        (PhotoFault.WRONG_TYPE, b"\0\0\0\x18ftypheic" + b"\0" * 40),
        (PhotoFault.WRONG_TYPE, b"<!DOCTYPE html><title>404</title>"),
        (PhotoFault.WRONG_TYPE, b"x"),
        (PhotoFault.ANIMATED, any_picture("PNG", save_all=True, append_images=[Image.new("RGB", (30, 20), "red")])),
        (PhotoFault.TOO_MANY_PIXELS, any_picture("PNG", (1001, 1000))),
        (PhotoFault.TOO_MANY_PIXELS, any_picture("JPEG", (1001, 1000))),
        (PhotoFault.TRUNCATED, any_picture("JPEG")[:60]),
        (PhotoFault.TRUNCATED, any_picture("PNG")[:36]),
        (PhotoFault.BROKEN_HEADER, b"\xff\xd8\xff\xda" + bytes(60)),
        (PhotoFault.BROKEN_HEADER, b"\xff\xd8\xff\xe0\0\x01" + bytes(60)),
        (PhotoFault.BROKEN_HEADER, any_picture("PNG", (1, 1))[:16] + bytes(60)),
        (PhotoFault.UNDECODABLE_KIND, b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB", 17, 8, 9, 9, 3) + bytes(60)),
        (PhotoFault.UNDECODABLE_KIND, b"\xff\xd8\xff\xc1" + struct.pack(">HBHHB", 17, 12, 9, 9, 3) + bytes(60)),
    ],
)
def should_reject_what_can_not_be_used(code: PhotoFault, data: bytes) -> None:
    with pytest.raises(PhotoError) as caught:
        judged(data)
    assert caught.value.code is code
    assert caught.value.reason


def should_name_what_a_wrong_type_seems_to_be() -> None:
    with pytest.raises(PhotoError, match=r"It is WebP; JPEG and PNG are taken"):
        judged(any_picture("WEBP"))


def should_stop_at_the_byte_cap_without_looking() -> None:
    with pytest.raises(PhotoError, match="at most 10 are taken"):
        inspect(b"", 11, max_bytes=10, max_pixels=1)


@given(st.sampled_from([any_picture("JPEG"), any_picture("PNG")]), st.data())
def should_never_fail_in_another_way(picture: bytes, data: st.DataObject) -> None:
    broken = bytearray(picture)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, min(len(broken), 200) - 1))] = data.draw(st.integers(0, 255))
    try:
        photo = judged(bytes(broken), data.draw(st.integers(1, 400)))
    except PhotoError as error:
        assert error.code in PhotoFault
    else:
        assert photo.width * photo.height <= 10**6


def should_ask_for_more_only_where_there_is_more() -> None:
    data = any_picture("JPEG", exif=b"Exif\0\0" + b"x" * 60_000)
    found = inspect(data[:100], len(data), max_bytes=10**7, max_pixels=10**6)
    assert isinstance(found, MoreBytes)
    assert 60_000 < found.due <= len(data)

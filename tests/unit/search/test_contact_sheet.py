"""The page of similar photos: small stripped copies, nothing loaded, everything escaped."""

from __future__ import annotations

import base64
import struct
import warnings
from io import BytesIO

import pytest
from PIL import Image

from demo.broken import giant_png, truncated_jpeg
from menulens.search.contact_sheet import Cell, PictureError, Strip, contact_sheet, display_copy

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def any_photo(size=(900, 600), kind="JPEG", mode="RGB", colour="red", **options) -> bytes:
    target = BytesIO()
    Image.new(mode, size, colour).save(target, kind, **options)
    return target.getvalue()


def opened(uri: str) -> Image.Image:
    assert uri.startswith("data:image/jpeg;base64,")
    return Image.open(BytesIO(base64.b64decode(uri.partition(",")[2])))


def should_make_a_small_copy_that_keeps_its_shape():
    assert opened(display_copy(any_photo(), side=120)).size == (120, 80)


def should_turn_a_photo_upright_and_strip_what_the_phone_wrote():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (35.0, 41.0, 22.0)

    copy = opened(display_copy(any_photo(exif=exif, comment=b"secret"), side=120))

    assert copy.size == (80, 120)
    assert not copy.getexif()
    assert "comment" not in copy.info


@pytest.mark.parametrize(
    "entry",
    [
        (0x010F, 5, 1, 0),  # the maker, a fraction
        (0x010F, 12, 1, 0),  # or a float
        (0x011A, 1, 1, 0),  # the resolution, a byte
        (0x011A, 2, 1, 0),  # or a text
        (0xA005, 1, 1, 0),  # the place of more entries, a byte
        (0x8769, 4, 1, 1 << 31),  # or beyond the end
    ],
)
def should_turn_a_photo_upright_whatever_else_its_exif_says(entry):
    photo = with_exif(struct.pack("<HHHIHHHHIII", 2, 0x0112, 3, 1, 6, 0, *entry, 0))

    with warnings.catch_warnings(action="error"):
        assert opened(display_copy(photo, side=120)).size == (80, 120)


@pytest.mark.parametrize("entries", [b"", b"\xff" * 40, struct.pack("<HHHII", 1, 0x0112, 12, 1, 26) + b"\0" * 12])
def should_show_a_photo_as_it_lies_when_its_exif_is_broken(entries):
    with warnings.catch_warnings(action="error"):
        assert opened(display_copy(with_exif(entries), side=120)).size == (120, 80)


def with_exif(entries: bytes) -> bytes:
    """Return a photo whose EXIF holds a directory of these bytes."""
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries
    photo = any_photo()
    return photo[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + photo[2:]


def should_put_a_transparent_picture_on_white():
    copy = opened(display_copy(any_photo(kind="PNG", mode="RGBA", colour=(0, 0, 0, 0))))

    assert copy.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no picture"),
        (b"plain text", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        (giant_png(), "14000 x 12000 pixels"),
        (truncated_jpeg(any_photo((2000, 2000), quality=100)), "not readable"),
    ],
)
def should_say_why_there_is_no_copy(data, message):
    with pytest.raises(PictureError, match=message):
        display_copy(data)


def should_escape_every_text_of_the_page():
    cell = Cell(HOSTILE, None, HOSTILE, 0.5, 0.9, False, HOSTILE)

    page = contact_sheet(HOSTILE, [Strip(cell, (cell,), HOSTILE)], [(HOSTILE, HOSTILE)], HOSTILE)

    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 9


def should_load_nothing_and_run_nothing():
    cell = Cell("photos/a.jpg", display_copy(any_photo()), "meal", 0.9, 0.8)

    page = contact_sheet("Alike", [Strip(cell, (cell,))])

    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "https://" not in page
    assert "url(" not in page
    assert "0.800" in page
    assert "90 %" in page

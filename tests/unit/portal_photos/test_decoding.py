"""Display copies: what is taken, what it becomes, and what is told of the rest."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from menulens.core.photos import PhotoFault
from menulens.portal.decoding import Caps, DisplayCopy, DisplayFault, NotShownError, make_copy
from tests.unit.portal_photos.generators import files

CAPS = Caps(20_000_000, 50_000_000)


def fault(data: bytes, caps: Caps = CAPS) -> str:
    with pytest.raises(NotShownError) as caught:
        make_copy(data, caps)
    assert caught.value.reason.endswith(".")
    return str(caught.value.code)


def shown(data: bytes, caps: Caps = CAPS) -> Image.Image:
    copy = make_copy(data, caps)
    image = files.opened(copy.jpeg)
    assert image.format == "JPEG"
    assert image.size == (copy.width, copy.height)
    assert image.mode == "RGB"
    return image


def colour(image: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    value = image.getpixel(place)
    assert isinstance(value, tuple)
    return tuple(round(part) for part in value)


def near(left: tuple[int, ...], right: tuple[int, ...], most: int = 12) -> bool:
    return max(abs(a - b) for a, b in zip(left, right, strict=True)) <= most


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((640, 480), (640, 480)),
        ((1600, 1), (1600, 1)),
        ((3200, 2400), (1600, 1200)),
        ((2000, 3001), (1066, 1600)),
        ((5000, 20), (1600, 6)),
        ((9000, 2), (1600, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def should_bring_the_longer_side_down_to_the_cap(size: tuple[int, int], small: tuple[int, int], kind: str) -> None:
    assert shown(files.encoded(files.any_image(size), kind)).size == small


def should_keep_what_is_seen_when_it_makes_a_photo_smaller() -> None:
    pixels = files.any_image((4000, 3000))
    due = np.asarray(pixels.resize((1600, 1200), Image.Resampling.LANCZOS), np.int16)
    for kind in ("JPEG", "PNG"):
        got = np.asarray(shown(files.encoded(pixels, kind)), np.int16)
        assert np.abs(got - due).mean() < 1.5
        assert np.abs(got - due).max() < 25


def should_follow_its_settings() -> None:
    photo = files.any_jpeg((1200, 900))
    small = make_copy(photo, Caps(CAPS.max_bytes, CAPS.max_pixels, longest_side=320, quality=60))
    assert (small.width, small.height) == (320, 240)
    assert len(small.jpeg) < len(make_copy(photo, CAPS).jpeg) / 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def should_turn_a_photo_as_it_was_held(orientation: int, kind: str) -> None:
    image = shown(files.held(orientation, kind))
    assert image.size == (64, 48)
    assert near(colour(image, (10, 8)), (255, 0, 0), 30)
    for place in ((54, 8), (10, 40), (54, 40)):
        assert near(colour(image, place), (255, 255, 255), 30)


def should_leave_a_photo_as_stored_when_its_exif_is_broken() -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0*" + b"\xff" * 60, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 40):
        assert shown(files.any_jpeg(exif=exif)).size == (64, 48)


def should_leave_nothing_but_pixels() -> None:
    photo = files.private_jpeg()
    assert photo.count(files.SECRET) == 4
    copy = make_copy(photo, CAPS)
    assert files.SECRET not in copy.jpeg
    for data in (copy.jpeg, make_copy(files.any_jpeg(icc_profile=files.swapped_profile()), CAPS).jpeg):
        # JFIF's own segment, tables, a progressive frame: no EXIF, XMP, profile, IPTC or comment.
        assert {marker for marker, _ in files.segments(data)} == {0xE0, 0xDB, 0xC2, 0xC4}
        assert data.endswith(b"\xff\xd9")


def should_give_the_same_bytes_again() -> None:
    photo = files.any_jpeg((900, 700), icc_profile=files.swapped_profile())
    assert make_copy(photo, CAPS) == make_copy(photo, CAPS)


def should_convert_colours_from_the_profile_of_the_photo() -> None:
    red = Image.new("RGB", (64, 48), (220, 30, 30))
    for kind in ("JPEG", "PNG"):
        image = shown(files.encoded(red, kind, icc_profile=files.swapped_profile()))
        assert near(colour(image, (30, 20)), (30, 220, 30))


def should_go_on_without_a_profile_that_is_broken_or_for_other_pixels() -> None:
    red = Image.new("RGB", (64, 48), (220, 30, 30))
    for profile in (b"x", b"\0" * 3000, files.swapped_profile()[:200]):
        assert near(colour(shown(files.encoded(red, "JPEG", icc_profile=profile)), (30, 20)), (220, 30, 30))
    gray = Image.new("L", (64, 48), 90)
    assert near(colour(shown(files.encoded(gray, icc_profile=files.swapped_profile())), (30, 20)), (90, 90, 90))


def should_show_cmyk_as_colours_of_a_screen() -> None:
    for ink, due in (((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 0), (255, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))):
        cmyk = Image.new("CMYK", (64, 48), ink)
        assert near(colour(shown(files.encoded(cmyk, "JPEG")), (30, 20)), due)
        assert near(colour(shown(files.encoded(cmyk, "JPEG", icc_profile=files.swapped_profile())), (30, 20)), due)


def should_lay_what_is_transparent_on_white() -> None:
    clear = Image.new("RGBA", (64, 48), (10, 200, 10, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 32, 48))
    palette = clear.quantize(8)
    gray = clear.convert("LA")
    for image in (clear, palette, gray):
        for size in ((64, 48), (6400, 4800)):
            result = shown(files.encoded(image.resize(size, Image.Resampling.NEAREST), "PNG", compress_level=1))
            assert near(colour(result, (5, 20)), (255, 255, 255))
            assert not near(colour(result, (result.width - 5, 20)), (255, 255, 255), 60)
    one = files.encoded(Image.new("RGB", (64, 48), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert near(colour(shown(one), (30, 20)), (255, 255, 255))


def should_show_16_bits_gray_and_palettes() -> None:
    gray = shown(files.png_of_16_bits_gray())
    assert near(colour(gray, (5, 20)), (0, 0, 0))
    assert near(colour(gray, (60, 20)), (0xC0, 0xC0, 0xC0))
    seen_through = shown(files.png_of_16_bits_gray(see_through=0))
    assert near(colour(seen_through, (5, 20)), (255, 255, 255))
    for see_through in (None, (1, 2, 3), (0x1234, 0xC0DE, 0x8000)):
        assert near(colour(shown(files.png_of_16_bits_colour(see_through)), (30, 20)), (0x12, 0xC0, 0x80))
    for mode in ("1", "L", "P"):
        assert shown(files.any_png(mode=mode)).size == (64, 48)
    assert near(
        colour(shown(files.any_jpeg(mode="L")), (5, 5)), colour(files.any_image(mode="L").convert("RGB"), (5, 5))
    )


def should_show_the_first_picture_of_several_and_nothing_that_is_appended() -> None:
    several = files.multi_picture_jpeg()
    assert files.opened(several).format == "MPO"
    due = np.asarray(files.any_image(), np.int16)
    assert np.abs(np.asarray(shown(several), np.int16) - due).mean() < 9  # a flat red one is 80 off
    copy = make_copy(files.any_jpeg() + files.HTML + b"PK\x03\x04", CAPS)
    assert files.HTML not in copy.jpeg
    assert b"PK\x03\x04" not in copy.jpeg
    assert b"script" not in make_copy(files.any_jpeg(comment=files.HTML), CAPS).jpeg
    assert b"script" not in make_copy(files.any_png() + files.HTML, CAPS).jpeg


def should_not_read_the_text_of_a_png() -> None:
    due = make_copy(files.any_png(), CAPS).jpeg
    for extra in (files.text_bomb(), files.profile_bomb(), files.chunk(b"iCCP", b"x" * 90), files.chunk(b"eXIf", b"?")):
        assert make_copy(files.png_with(extra), CAPS).jpeg == due


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", PhotoFault.EMPTY),
        (files.SVG, PhotoFault.WRONG_TYPE),
        (files.HTML + files.any_jpeg(), PhotoFault.WRONG_TYPE),
        (files.animated("GIF"), PhotoFault.WRONG_TYPE),
        (files.animated("WEBP"), PhotoFault.WRONG_TYPE),
        (files.encoded(files.any_image(), "WEBP"), PhotoFault.WRONG_TYPE),
        (files.encoded(files.any_image(), "TIFF"), PhotoFault.WRONG_TYPE),
        (files.animated("PNG"), PhotoFault.ANIMATED),
        (files.arithmetic_jpeg(), PhotoFault.UNDECODABLE_KIND),
        (files.jpeg_of_components(2), PhotoFault.UNDECODABLE_KIND),
        (files.jpeg_of_components(255), PhotoFault.UNDECODABLE_KIND),
        (files.jpeg_of_size(14_000, 12_000), PhotoFault.TOO_MANY_PIXELS),
        (files.jpeg_of_size(65_535, 65_535), PhotoFault.TOO_MANY_PIXELS),
        (files.jpeg_of_size(0, 48), PhotoFault.BROKEN_HEADER),
        (files.jpeg_of_two_sizes(), PhotoFault.BROKEN_HEADER),
        (files.png((14_000, 12_000), 8, 2, bytes(1000)), PhotoFault.TOO_MANY_PIXELS),
        (files.png((2**31 - 1, 2**31 - 1), 8, 2, b""), PhotoFault.TOO_MANY_PIXELS),
        (files.png((0, 10), 8, 2, b""), PhotoFault.BROKEN_HEADER),
        (files.png((64, 48), 8, 2, bytes(100)), PhotoFault.TRUNCATED),
        (files.any_jpeg((640, 480))[:4000], PhotoFault.TRUNCATED),
        (files.any_png((640, 480))[:4000], PhotoFault.TRUNCATED),
        (files.any_jpeg()[:12], PhotoFault.TRUNCATED),
        (files.png((64, 48), 7, 2, bytes(10_000)), DisplayFault.UNDECODABLE),
    ],
)
def should_say_why_a_file_is_not_shown(data: bytes, code: str) -> None:
    assert fault(data) == code


def should_hold_its_caps_to_the_byte_and_the_pixel() -> None:
    photo = files.any_jpeg((64, 48))
    assert fault(photo, Caps(len(photo) - 1, 64 * 48)) == PhotoFault.TOO_LARGE
    assert fault(photo, Caps(len(photo), 64 * 48 - 1)) == PhotoFault.TOO_MANY_PIXELS
    assert make_copy(photo, Caps(len(photo), 64 * 48)).width == 64


SOUND = (
    files.any_jpeg((96, 64)),
    files.any_jpeg((96, 64), progressive=True, exif=files.held(6)[6:60], icc_profile=files.swapped_profile()),
    files.any_jpeg((96, 64), mode="CMYK"),
    files.any_png((96, 64), icc_profile=files.swapped_profile()),
    files.any_png((96, 64), mode="P"),
    files.png_of_16_bits_gray(see_through=0),
    files.multi_picture_jpeg(),
)
changes = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=8)), max_size=6)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SOUND), changes, st.integers(0, 10_000), st.booleans())
def should_answer_a_copy_or_a_reason_whatever_bytes_come(
    sound: bytes, changed: list[tuple[int, bytes]], end: int, mended: bool
) -> None:
    data = sound[: end % len(sound)] if end % 3 == 0 else sound
    for place, new in changed:
        data = files.patched(data, place % max(1, len(data)), new)[: len(data)]
    if mended and data.startswith(b"\x89PNG"):
        data = _with_sums(data)
    try:
        copy = make_copy(data, CAPS)
    except NotShownError as told:
        assert told.code
        assert told.reason
    else:
        _check(copy)


def _check(copy: DisplayCopy) -> None:
    image = files.opened(copy.jpeg)
    image.load()
    assert image.size == (copy.width, copy.height)
    assert max(image.size) <= 1600


def _with_sums(data: bytes) -> bytes:
    """Mend a PNG's check sums, so that its changed chunks are read."""
    mended, position = data[:8], 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length]
        if len(content) < length:
            break
        mended += files.chunk(kind, content)
        position += 12 + length
    return mended + data[position:]

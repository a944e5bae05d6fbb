"""EXIF orientation in the graph, beside Pillow's."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_ops import PhotoLimits, safe_decode
from PIL import Image, ImageOps

LIMITS = PhotoLimits(image_size=32, max_bytes=1_000_000, max_pixels=1_000_000)
ORIENTATION = 0x0112
decode = tf.function(lambda photos: safe_decode(photos, LIMITS), input_signature=[tf.TensorSpec([None], tf.string)])


def any_jpeg(size: tuple[int, int] = (96, 64), **save: object) -> bytes:
    """A smooth picture that no turn and no mirror leaves as it is."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    pixels = np.stack([across, down, across * down], axis=-1)
    stream = io.BytesIO()
    Image.fromarray((pixels * 255).astype(np.uint8)).save(stream, "JPEG", quality=95, subsampling=0, **save)
    return stream.getvalue()


def any_exif(orientation: int, order: str = "<", **parts: int) -> bytes:
    """EXIF as cameras write it: other entries around the orientation, and a directory that begins late."""
    begin, kind, count = parts.get("begin", 8), parts.get("kind", 3), parts.get("count", 3)
    entry = struct.Struct(f"{order}HHI4s")
    value = struct.pack(f"{order}HH", orientation, 0)
    entries = [
        entry.pack(0x0100, 4, 1, struct.pack(f"{order}I", 4032)),
        entry.pack(ORIENTATION, kind, 1, value),
        entry.pack(0x0213, 3, 1, struct.pack(f"{order}HH", 1, 0)),
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", begin)
    directory = struct.pack(f"{order}H", count) + b"".join(entries) + bytes(4)
    return b"Exif\0\0" + head + bytes(begin - 8) + directory


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """Put segments in front of a JPEG's own."""
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return jpeg[:2] + added + jpeg[2:]


def decoded(*photos: bytes) -> tuple[np.ndarray, list[int]]:
    images, codes = decode(tf.constant(list(photos)))
    return images.numpy(), codes.numpy().tolist()


def pillow(photo: bytes) -> np.ndarray:
    """What Pillow shows, resized as the graph resizes."""
    with Image.open(io.BytesIO(photo)) as image:
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.float32) / 255
    side = LIMITS.image_size
    return tf.image.resize(pixels, [side, side], antialias=True).numpy()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def should_turn_a_photo_as_pillow_does(orientation: int, order: str) -> None:
    photo = any_jpeg(exif=any_exif(orientation, order))
    (image,), codes = decoded(photo)
    assert codes == [0]
    assert np.abs(image - pillow(photo)).max() < 0.03
    (stored,), _ = decoded(any_jpeg())
    assert (np.abs(image - stored).max() < 0.03) == (orientation == 1)


def should_read_what_pillow_itself_writes() -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = 6, "a camera"
    photo = any_jpeg(exif=exif)
    assert np.abs(decoded(photo)[0][0] - pillow(photo)).max() < 0.03


@pytest.mark.parametrize(
    "segments",
    [
        [(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), (0xE1, any_exif(8))],
        [(0xE2, b"ICC_PROFILE\0" + bytes(60_000)), (0xFE, b"a comment"), (0xE1, any_exif(8))],
        [(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), (0xE1, any_exif(8))],
        [(0xE1, any_exif(8, begin=500))],
        [(0xE1, any_exif(8, count=900))],
    ],
)
def should_find_the_orientation_wherever_it_stands(segments: list[tuple[int, bytes]]) -> None:
    turned, _ = decoded(with_segments(any_jpeg(), *segments))
    expected, _ = decoded(any_jpeg(exif=any_exif(8)))
    assert np.abs(turned - expected).max() < 1e-6


@pytest.mark.parametrize(
    "body",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0XX*\0" + any_exif(6)[10:],
        any_exif(6)[:18],
        any_exif(0),
        any_exif(9),
        any_exif(6, kind=7),
        b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(40),
        b"Exif\0\0MM\0*\x80\0\0\0" + bytes(40),
    ],
)
def should_show_a_photo_as_stored_when_its_exif_says_nothing(body: bytes) -> None:
    images, codes = decoded(with_segments(any_jpeg(), (0xE1, body)), any_jpeg())
    assert codes == [0, 0]
    assert np.array_equal(images[0], images[1])


@settings(deadline=None)  # the first example traces the graph
@given(body=st.binary(max_size=80), order=st.sampled_from([b"II*\0", b"MM\0*", b""]), cut=st.integers(0, 60))
def should_never_lose_a_photo_to_its_exif(body: bytes, order: bytes, cut: int) -> None:
    noise = b"Exif\0\0" + order + body
    _, codes = decoded(
        with_segments(any_jpeg((24, 16)), (0xE1, noise)), with_segments(any_jpeg((24, 16)), (0xE1, any_exif(6)[:cut]))
    )
    assert codes == [0, 0]

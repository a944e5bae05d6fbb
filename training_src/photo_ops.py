"""Decoding of photos as TensorFlow graph operations: the same in training, evaluation and the exported model.

A photo is measured before it is decoded, and one over the caps is never decoded. JPEGs far larger than needed are
decoded at a half, a quarter or an eighth (scaled DCT), which is several times as fast. A PNG's transparency is laid on
white, as a page shows it, and a JPEG is turned as its EXIF orientation says, as browsers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import tensorflow as tf
from orientation import jpeg_orientation, upright

# What may be wrong with a photo, by code; a decoded photo has code 0.
REASONS: Final = (
    "",
    "empty",
    "too many bytes",
    "neither JPEG nor PNG",
    "too many pixels",
    "can't be decoded",
)
OK, EMPTY, TOO_MANY_BYTES, WRONG_TYPE, TOO_MANY_PIXELS, UNDECODABLE = range(6)

_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """Side length in pixels of what the backbone takes, and the most that is decoded."""

    image_size: int
    max_bytes: int
    max_pixels: int


def decode_photo(photo: Any, limits: PhotoLimits) -> Any:
    """Decode one photo that passed :func:`check_header`; fails where libjpeg or libpng fails.

    Returns
    -------
    tf.Tensor
        float32 [image_size, image_size, 3] in 0 to 1; the whole photo, its aspect ratio not kept.
    """
    size = limits.image_size
    is_png = tf.strings.substr(photo, 0, len(_PNG)) == _PNG
    pixels = tf.cond(is_png, lambda: _decode_png(photo), lambda: _decode_jpeg(photo, size))
    pixels.set_shape([None, None, 3])
    resized = tf.image.resize(pixels, [size, size], method="bilinear", antialias=True)
    orientation = tf.cond(is_png, lambda: tf.constant(1), lambda: jpeg_orientation(photo))
    return tf.clip_by_value(upright(resized, orientation), 0.0, 1.0)


def _decode_png(photo: Any) -> Any:
    rgba = tf.cast(tf.io.decode_png(photo, channels=4), tf.float32) / 255.0
    alpha = rgba[..., 3:]
    return rgba[..., :3] * alpha + (1.0 - alpha)


def _decode_jpeg(photo: Any, size: int) -> Any:
    shape = tf.image.extract_jpeg_shape(photo)
    shorter = tf.minimum(shape[0], shape[1])

    def at(ratio: int) -> Any:
        return lambda: tf.io.decode_jpeg(photo, channels=3, ratio=ratio, dct_method="INTEGER_FAST")

    # The largest reduction that leaves at least the size that is needed.
    pixels = tf.case(
        [(shorter >= 8 * size, at(8)), (shorter >= 4 * size, at(4)), (shorter >= 2 * size, at(2))], default=at(1)
    )
    return tf.cast(pixels, tf.float32) / 255.0


def check_header(photo: Any, limits: PhotoLimits) -> Any:
    """Judge a photo by its length and its header alone.

    Returns
    -------
    tf.Tensor
        int32 scalar, a place in :data:`REASONS`. A JPEG whose header can't be parsed makes the operation fail.
    """
    length = tf.strings.length(photo)
    is_png = tf.logical_and(tf.strings.substr(photo, 0, len(_PNG)) == _PNG, length >= 33)
    is_jpeg = tf.logical_and(tf.strings.substr(photo, 0, len(_JPEG)) == _JPEG, length > len(_JPEG))

    def png_pixels() -> Any:
        sides = tf.io.decode_raw(tf.strings.substr(photo, 16, 8), tf.int32, little_endian=False)
        # A side over 2^31 reads as negative; it is over every cap.
        return tf.where(
            tf.reduce_all(sides > 0), tf.reduce_prod(tf.cast(sides, tf.int64)), tf.constant(1 << 62, tf.int64)
        )

    def jpeg_pixels() -> Any:
        return tf.reduce_prod(tf.cast(tf.image.extract_jpeg_shape(photo)[:2], tf.int64))

    def pixels_code() -> Any:
        pixels = tf.cond(is_png, png_pixels, jpeg_pixels)
        return tf.where(pixels > limits.max_pixels, TOO_MANY_PIXELS, OK)

    return tf.case(
        [
            (length == 0, lambda: tf.constant(EMPTY)),
            (length > limits.max_bytes, lambda: tf.constant(TOO_MANY_BYTES)),
            (tf.logical_or(is_png, is_jpeg), pixels_code),
        ],
        default=lambda: tf.constant(WRONG_TYPE),
    )


def safe_decode(photos: Any, limits: PhotoLimits) -> tuple[Any, Any]:
    """Decode a batch; a photo that can't be decoded becomes zeros and never an error.

    A graph has no try and except, but a dataset can leave out the elements whose map failed: so each photo carries its
    place, and those that come through are scattered back to it.

    Parameters
    ----------
    photos
        string [n].

    Returns
    -------
    images : tf.Tensor
        float32 [n, image_size, image_size, 3] in 0 to 1.
    codes : tf.Tensor
        int32 [n], places in :data:`REASONS`.
    """
    count = tf.shape(photos, out_type=tf.int64)[0]
    size = limits.image_size
    blank = tf.zeros([size, size, 3])

    def one(place: Any, photo: Any) -> tuple[Any, Any, Any]:
        code = check_header(photo, limits)
        image = tf.cond(code == OK, lambda: decode_photo(photo, limits), lambda: blank)
        return place, tf.ensure_shape(image, [size, size, 3]), code

    judged = tf.data.Dataset.from_tensor_slices((tf.range(count), photos)).map(
        one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    # One extra element at place n, so that there is something to fetch when every photo failed.
    extra = tf.data.Dataset.from_tensors((count, blank, tf.constant(OK)))
    places, images, codes = judged.ignore_errors().concatenate(extra).batch(count + 1).get_single_element()
    places = places[:, tf.newaxis]
    whole = tf.scatter_nd(places, images, tf.stack([count + 1, size, size, 3]))[:-1]
    told = tf.tensor_scatter_nd_update(tf.fill([count + 1], UNDECODABLE), places, codes)[:-1]
    return tf.ensure_shape(whole, [None, size, size, 3]), told

"""How a photo was held: EXIF orientation, read and applied as TensorFlow graph operations.

A phone stores the sensor's rows as they come and says in EXIF how to turn them. Browsers do; TensorFlow's JPEG decoder
does not. What is broken in EXIF never fails a photo: it is then shown as stored. (Only JPEG is read: no phone writes
photos as PNG.)
"""

from __future__ import annotations

from typing import Any, Final

import tensorflow as tf

_EXIF: Final = b"Exif\0\0"
_TAG: Final = 0x0112
_SHORT: Final = 3
_ENTRY: Final = 12  # bytes


def upright(image: Any, orientation: Any) -> Any:
    """Turn and mirror an image as its orientation says.

    Parameters
    ----------
    image
        [s, s, 3]; a square stays one, so that an image may be turned after it was resized, when it is small.
    orientation
        int32 scalar, 1 to 8.
    """

    # In the order of the numbers from 1; a branch runs alone, so an upright photo costs nothing.
    return tf.switch_case(
        orientation - 1,
        [
            lambda: image,
            lambda: tf.reverse(image, [1]),
            lambda: tf.reverse(image, [0, 1]),
            lambda: tf.reverse(image, [0]),
            lambda: tf.transpose(image, [1, 0, 2]),
            lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [1]),
            lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0, 1]),
            lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0]),
        ],
    )


def jpeg_orientation(photo: Any) -> Any:
    """Return the EXIF orientation of a JPEG, 1 where it has none: int32 scalar, 1 to 8."""
    length = tf.strings.length(photo)

    def unread(place: Any, found: Any) -> Any:
        return tf.logical_and(place + 10 <= length, tf.logical_not(found))

    def look(place: Any, _: Any) -> Any:
        """Look at one segment: marker, size, content; EXIF stands before the first that is neither APPn nor comment."""
        head = tf.cast(tf.io.decode_raw(tf.strings.substr(photo, place, 4), tf.uint8), tf.int32)
        marker, size = head[1], head[2] * 256 + head[3]
        found = tf.logical_and(marker == 0xE1, tf.strings.substr(photo, place + 4, len(_EXIF)) == _EXIF)
        passed = tf.logical_or(tf.logical_and(marker >= 0xE0, marker <= 0xEF), marker == 0xFE)
        after = tf.where(marker == 0xFF, place + 1, tf.where(passed, place + 2 + size, length))
        after = tf.where(head[0] == 0xFF, after, length)
        return tf.where(found, place, after), found

    place, found = tf.while_loop(unread, look, (tf.constant(2), tf.constant(False)))

    def read() -> Any:
        size = tf.cast(tf.io.decode_raw(tf.strings.substr(photo, place + 2, 2), tf.uint8), tf.int32)
        begin = place + 4 + len(_EXIF)
        return _tiff_orientation(tf.strings.substr(photo, begin, tf.maximum(size[0] * 256 + size[1] - 8, 0)))

    return tf.cond(found, read, lambda: tf.constant(1))


def _tiff_orientation(tiff: Any) -> Any:
    """Look the tag up in the first directory of what EXIF holds, a small TIFF file of either byte order."""
    length = tf.cast(tf.strings.length(tiff), tf.int64)
    order = tf.strings.substr(tiff, 0, 4)
    big = order == b"MM\0*"

    def words(begin: Any, count: Any) -> Any:
        """Return 16-bit words as int64 [count]."""
        text = tf.strings.substr(tiff, tf.cast(begin, tf.int32), tf.cast(count * 2, tf.int32))
        pairs = tf.reshape(tf.cast(tf.io.decode_raw(text, tf.uint8), tf.int64), [-1, 2])
        pairs = tf.where(big, pairs, pairs[:, ::-1])
        return pairs[:, 0] * 256 + pairs[:, 1]

    def directory() -> Any:
        high, low = tf.unstack(words(tf.constant(4, tf.int64), tf.constant(2, tf.int64)), num=2)
        begin = tf.where(big, high * 65536 + low, low * 65536 + high)
        return tf.cond(begin + 2 <= length, lambda: entries(begin), lambda: tf.constant(1))

    def entries(begin: Any) -> Any:
        told = words(begin, tf.constant(1, tf.int64))[0]
        count = tf.minimum(told, (length - begin - 2) // _ENTRY)  # a directory that was cut is read as far as it goes
        table = tf.reshape(words(begin + 2, count * (_ENTRY // 2)), [-1, _ENTRY // 2])
        ours = tf.logical_and(table[:, 0] == _TAG, table[:, 1] == _SHORT)
        value = tf.reduce_max(tf.where(ours, table[:, 4], 0))
        value = tf.cast(value, tf.int32)
        return tf.where(tf.logical_and(value >= 1, value <= 8), value, 1)

    known = tf.logical_and(tf.logical_or(big, order == b"II*\0"), length >= 8)
    return tf.cond(known, directory, lambda: tf.constant(1))

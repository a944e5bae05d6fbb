"""Photos that show the same thing: a perceptual hash of each, and groups of those that nearly agree.

The hash is PDQ, which Meta published in 2019 with its measurements: 256 bits, one for each of the 16 × 16 lowest
frequencies of the photo's brightness (without its mean), set where the frequency is stronger than their median. Bits
change little when a photo is resized, compressed again or brightened. The formula is linear up to the comparison, so it
is computed here as two products of small matrices; ``pdqhash``, the reference's binding, has no wheels and can't ship.

Groups have a leader: its first photo. A photo joins the nearest leader within the distance, so members are never more
than that from their leader; there are no chains in which the first and the last have nothing in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

HASH_BITS: Final = 256
HASH_BYTES: Final = HASH_BITS // 8
BEST_QUALITY: Final = 100

_SAMPLES: Final = 64  # rows and columns that a photo's brightness is brought down to
_FREQUENCIES: Final = 16
_SMALLEST: Final = 5  # pixels a side; below, a photo has no hash
_BLOCK: Final = 512  # photos compared with all leaders at once
_LEADERS: Final = 8192  # of which so many at once: 512 × 8,192 × 16 bytes fit a few tens of megabytes

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class PerceptualHash:
    """A photo's hash, and how much there is in the photo to tell it by.

    Attributes
    ----------
    bits
        64 hexadecimal digits, the highest frequency first, as PDQ writes them.
    quality
        0 (a flat surface) to 100.
    """

    bits: str
    quality: int


def perceptual_hash(brightness: Floats) -> PerceptualHash:
    """Return the PDQ hash of a photo.

    Parameters
    ----------
    brightness
        [h, w], 0 to 255: luma of ITU-R BT.601. PDQ's own measurements took photos of 512 pixels a side at most.

    Returns
    -------
    PerceptualHash
        Quality 0 and no bit set for a photo under 5 pixels a side.
    """
    height, width = brightness.shape
    if min(height, width) < _SMALLEST:
        return PerceptualHash("0" * (HASH_BITS // 4), 0)
    small = _both_ways(_shrinking(height), brightness, _shrinking(width))
    spectrum = _both_ways(_cosines(), small, _cosines())
    # The lower of the two middle values, as the reference's median is one of the values.
    median = np.partition(spectrum, HASH_BITS // 2 - 1, axis=None)[HASH_BITS // 2 - 1]
    bits = (spectrum > median).ravel()[::-1]
    return PerceptualHash(np.packbits(bits).tobytes().hex(), _quality(small))


def _both_ways(down: Floats, image: Floats, across: Floats) -> Floats:
    product: Floats = np.matmul(np.matmul(down, image), across.T, dtype=np.float32)
    return product


def _quality(small: Floats) -> int:
    """Return how much the brightness changes from sample to sample; only changes of a hundredth or more count."""
    steps = sum(int(np.abs(np.trunc(np.diff(small, axis=axis) * (100 / 255))).sum()) for axis in (0, 1))
    return min(BEST_QUALITY, steps // 90)


@lru_cache(maxsize=64)
def _shrinking(length: int) -> Floats:
    """Return the matrix [64, length] that averages twice over a moving window and takes every length/64th value."""
    if length == _SAMPLES:
        return np.eye(_SAMPLES, dtype=np.float32)
    window = -(-length // (2 * _SAMPLES))
    # At the ends the window is cut off, and the mean is of what is left.
    place = np.arange(length)
    first = np.maximum(place - (window - 1) // 2, 0)
    last = np.minimum(place + window // 2, length - 1)
    inside = (place[None, :] >= first[:, None]) & (place[None, :] <= last[:, None])
    mean = (inside / (last - first + 1)[:, None]).astype(np.float32)
    taken = ((np.arange(_SAMPLES) + 0.5) * length / _SAMPLES).astype(int)
    twice: Floats = np.ascontiguousarray(mean[taken] @ mean)
    return twice


@lru_cache(maxsize=1)
def _cosines() -> Floats:
    """Return the DCT-II matrix [16, 64] of the frequencies 1 to 16."""
    frequency, place = np.arange(1, _FREQUENCIES + 1)[:, None], np.arange(_SAMPLES)[None, :]
    wave = np.cos(np.pi / (2 * _SAMPLES) * frequency * (2 * place + 1))
    matrix: Floats = (np.sqrt(2 / _SAMPLES) * wave).astype(np.float32)
    return matrix


def hash_words(hashes: list[str]) -> Words:
    """Return hashes of 64 hexadecimal digits as numbers: [n, 4]."""
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    return packed.reshape(-1, HASH_BYTES).view(np.uint64)


def distances(left: Words, right: Words) -> NDArray[np.uint16]:
    """Return how many bits differ: of [n, 4] and [m, 4] words, [n, m]."""
    total = np.zeros((len(left), len(right)), np.uint16)
    for word in range(left.shape[1]):
        total += np.bitwise_count(left[:, word, None] ^ right[None, :, word])
    return total


def leaders(words: Words, most_apart: int) -> NDArray[np.int64]:
    """Group hashes in their order.

    Each joins the leader nearest to it among those before it, the earliest if there are several, if at most
    ``most_apart`` bits differ; else it leads a group of its own.

    Parameters
    ----------
    words
        [n, 4], from :func:`hash_words`.
    most_apart
        0 to 256.

    Returns
    -------
    ndarray
        [n]: the place of each one's leader (its own if it leads).
    """
    count = len(words)
    answer = np.arange(count)
    found = np.empty(count, np.int64)  # places of the leaders so far
    known = 0
    for begin in range(0, count, _BLOCK):
        block = words[begin : begin + _BLOCK]
        near, apart = _nearest(block, words[found[:known]], most_apart)
        inside = distances(block, block)
        fresh: list[int] = []  # leaders of this very block
        for row in range(len(block)):
            least, leader = int(apart[row]), int(near[row])
            if fresh:
                place = int(np.argmin(inside[row, fresh]))
                # An earlier block's leader stands before: this one must be nearer, not just as near.
                if inside[row, fresh[place]] < least:
                    least, leader = int(inside[row, fresh[place]]), known - len(fresh) + place
            if least <= most_apart:
                answer[begin + row] = found[leader]
            else:
                found[known] = begin + row
                known += 1
                fresh.append(row)
    return answer


def _nearest(block: Words, led: Words, most_apart: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each of a block, the place of the nearest leader, and the distance (257: none is near enough)."""
    near = np.zeros(len(block), np.int64)
    apart = np.full(len(block), HASH_BITS + 1, np.int64)
    for begin in range(0, len(led), _LEADERS):
        some = led[begin : begin + _LEADERS]
        # Half of the bits tell nearly all pairs apart, and more of them can only add to the distance.
        rows, columns = np.nonzero(distances(block[:, :2], some[:, :2]) <= most_apart)
        if not len(rows):
            continue
        rest = np.bitwise_count(block[rows] ^ some[columns]).sum(axis=1, dtype=np.int64)
        # The nearest of each row, the earliest first.
        order = np.lexsort((columns, rest, rows))
        rows, columns, rest = rows[order], columns[order], rest[order]
        first = np.unique(rows, return_index=True)[1]
        rows, columns, rest = rows[first], columns[first], rest[first]
        better = (rest <= most_apart) & (rest < apart[rows])
        near[rows[better]], apart[rows[better]] = columns[better] + begin, rest[better]
    return near, apart

"""Photos that show the same thing: a fingerprint of each, and groups of those that agree.

A fingerprint has two parts. The first is PDQ, a perceptual hash that Meta published in 2019 with its measurements: 256
bits, one for each of the 16 × 16 lowest frequencies of the photo's brightness (without its mean), set where the
frequency is stronger than their median. Bits change little when a photo is resized, compressed again or brightened. The
formula is linear up to the comparison, so it is computed here as two products of small matrices; ``pdqhash``, the
reference's binding, has no wheels and can't ship. The second part is a grid of 8 × 8 mean colours: PDQ sees no colour,
and few of its bits change when one of several dishes on a plate is another. Two photos agree if few bits differ *and*
their grids are the same up to light (gain and offset of each colour).

Groups have a leader: its first photo. A photo joins the nearest leader that it agrees with, so every member agrees with
its leader; there are no chains in which the first and the last have nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

HASH_BITS: Final = 256
HASH_BYTES: Final = HASH_BITS // 8
BEST_QUALITY: Final = 100

MOST_APART: Final = 31
"""Bits of 256 in which two photos that agree may differ; see ``docs/decisions/0012-near-duplicates.md``."""
MOST_OFF: Final = 40.0
"""How far (of 255) the two places of the grid that fit worst may be off; see the same page."""
LEAST_QUALITY: Final = 50
"""PDQ's quality under which a photo is too flat to be told from another by it."""

SIDE: Final = 512  # pixels: a fingerprint is of a photo stretched to this square, so that its size has no part in it
GRID: Final = 8
COLOUR_BYTES: Final = GRID * GRID * 3

_SAMPLES: Final = 64  # rows and columns that a photo's brightness is brought down to
_FREQUENCIES: Final = 16
_SMALLEST: Final = 5  # pixels a side; below, a photo has no hash
_BLOCK: Final = 512  # photos compared with all leaders at once
_WORST: Final = 2  # places of the grid whose mean misfit counts: one dish covers more than one
_PAIRS: Final = 8192  # whose colours are compared at once
_LEADERS: Final = 8192  # of which so many at once: 512 × 8,192 × 16 bytes fit a few tens of megabytes

_LUMA: Final = np.asarray([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]
Grids = NDArray[np.uint8]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a photo is told by.

    Attributes
    ----------
    bits
        PDQ hash, 64 hexadecimal digits, the highest frequency first, as PDQ writes them.
    quality
        How much there is to tell the photo by: 0 (a flat surface) to 100.
    colours
        192 bytes: red, green, blue of 8 rows of 8 places.
    """

    bits: str
    quality: int
    colours: bytes


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Return a photo's fingerprint.

    Parameters
    ----------
    pixels
        [512, 512, 3]: the photo stretched to a square, red, green, blue.
    """
    bits, quality = perceptual_hash(pixels.astype(np.float32) @ _LUMA)
    step = SIDE // GRID
    colours = pixels.reshape(GRID, step, GRID, step, 3).mean(axis=(1, 3))
    return Fingerprint(bits, quality, np.round(colours).astype(np.uint8).tobytes())


def perceptual_hash(brightness: Floats) -> tuple[str, int]:
    """Return the PDQ hash of a picture, and its quality.

    Parameters
    ----------
    brightness
        [h, w], 0 to 255: luma of ITU-R BT.601.

    Returns
    -------
    tuple
        64 hexadecimal digits, and 0 to 100; nothing but zeros for a picture under 5 pixels a side.
    """
    height, width = brightness.shape
    if min(height, width) < _SMALLEST:
        return "0" * (HASH_BITS // 4), 0
    small = _both_ways(_shrinking(height), brightness, _shrinking(width))
    spectrum = _both_ways(_cosines(), small, _cosines())
    # The lower of the two middle values, as the reference's median is one of the values.
    median = np.partition(spectrum, HASH_BITS // 2 - 1, axis=None)[HASH_BITS // 2 - 1]
    bits = (spectrum > median).ravel()[::-1]
    return np.packbits(bits).tobytes().hex(), _quality(small)


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


def _half_apart(left: Words, right: Words) -> NDArray[np.uint8]:
    """Return in how many of the first 128 bits hashes differ: [n, m].

    Half of the bits tell nearly all pairs apart, and the rest can only add to the distance.
    """
    differing = left[:, 0, None] ^ right[None, :, 0]
    total: NDArray[np.uint8] = np.bitwise_count(differing)
    np.bitwise_xor(left[:, 1, None], right[None, :, 1], out=differing)
    total += np.bitwise_count(differing)
    return total


def colour_grids(colours: list[bytes]) -> Grids:
    """Return fingerprints' colours: [n, 64, 3]."""
    return np.frombuffer(b"".join(colours), np.uint8).reshape(-1, GRID * GRID, 3)


def misfit(left: Grids, right: Grids) -> Floats:
    """Return how far photos' colours are off where they fit worst, once the light is the same.

    Each colour of the left grid is brought to the right one by the gain and offset of the least squares.

    Parameters
    ----------
    left, right
        [n, 64, 3].

    Returns
    -------
    ndarray
        [n], 0 to 255: mean of the two worst places.
    """
    spread, other = (grids - grids.mean(axis=1, keepdims=True, dtype=np.float32) for grids in (left, right))
    gain = (spread * other).sum(axis=1, keepdims=True) / np.maximum((spread**2).sum(axis=1, keepdims=True), 1)
    off = np.abs(gain * spread - other).max(axis=2)
    worst: Floats = np.partition(off, -_WORST, axis=1)[:, -_WORST:].mean(axis=1)
    return worst


def leaders(words: Words, grids: Grids, most_apart: int = MOST_APART, most_off: float = MOST_OFF) -> Places:
    """Group photos in their order.

    Each joins the leader nearest to it (by bits) among those before it that it agrees with, the earliest if there are
    several; else it leads a group of its own.

    Parameters
    ----------
    words, grids
        [n, 4] and [n, 64, 3], from :func:`hash_words` and :func:`colour_grids`.

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
        block = np.arange(begin, min(begin + _BLOCK, count))
        options: dict[int, tuple[int, int]] = {}  # distance and leader; the smaller pair is the better one
        for place, leader, apart in _agreeing(
            words, grids, block, found[:known], most_apart=most_apart, most_off=most_off
        ):
            options[place] = min((apart, leader), options.get(place, (apart, leader)))
        inside: dict[int, list[tuple[int, int]]] = {}
        for place, other, apart in _agreeing(words, grids, block, block, most_apart=most_apart, most_off=most_off):
            if other < place:
                inside.setdefault(place, []).append((apart, other))
        for place in range(begin, begin + len(block)):
            near = [(apart, other) for apart, other in inside.get(place, ()) if answer[other] == other]
            if place in options:
                near.append(options[place])
            if near:
                answer[place] = min(near)[1]
            else:
                found[known] = place
                known += 1
    return answer


def _agreeing(
    words: Words, grids: Grids, some: Places, others: Places, *, most_apart: int, most_off: float
) -> Iterator[tuple[int, int, int]]:
    """Yield pairs of places that agree, and the bits in which they differ."""
    for begin in range(0, len(others), _LEADERS):
        part = others[begin : begin + _LEADERS]
        rows, columns = np.nonzero(_half_apart(words[some], words[part]) <= most_apart)
        for start in range(0, len(rows), _PAIRS):
            left, right = some[rows[start : start + _PAIRS]], part[columns[start : start + _PAIRS]]
            apart = np.bitwise_count(words[left] ^ words[right]).sum(axis=1, dtype=np.int64)
            near = np.flatnonzero(apart <= most_apart)
            left, right, apart = left[near], right[near], apart[near]
            fits = np.flatnonzero(misfit(grids[right], grids[left]) <= most_off)
            yield from zip(left[fits].tolist(), right[fits].tolist(), apart[fits].tolist(), strict=True)

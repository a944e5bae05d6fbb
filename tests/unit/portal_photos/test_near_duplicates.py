"""Fingerprints and groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from menulens.portal.near_duplicates import (
    GRID,
    LEAST_QUALITY,
    MOST_APART,
    MOST_OFF,
    SIDE,
    Fingerprint,
    Grids,
    Words,
    colour_grids,
    distances,
    fingerprint,
    hash_words,
    leaders,
    misfit,
    perceptual_hash,
)
from tests.unit.portal_photos.generators import files

# What pdqhash 0.2.8, the binding of Meta's reference, gives for the same pixels (three equal colours): size or
# contrast, hash and quality.
NOISE = (
    ((64, 64), "99c286399d9774c724ed7541fe2f0f778c990299e593b030e29606b3cc279d6a", 100),
    ((5, 5), "69d86e5b9627318c9627348dcb72cb7221c8ce7369d86e5b9627318c9e27348d", 100),
    ((100, 70), "9a9dc78d216ca979772372a7b732d2363af936e33a9a50c84d251101daf58366", 100),
    ((480, 640), "c7b20f161fc2bb34a77a5640ba636335f42a7eb345eb1384cd049218a72fb467", 100),
    ((512, 512), "4ba1587f6a0a937cae2d478a41dee0e0f2620d1de058a7f7a9549e753888d7c7", 100),
    ((33, 1000), "7f8715c621ffdf1509a7270088a995ebaa901a79f9b292263de46b198569cf83", 100),
)
SOFT = (
    (4, "279f21479f9ee411c28d1bee6061deb8d860f1821ddde922c20de58af5b4f3d0", 3),
    (12, "d3dff3b2c2601d2affcee2d53d9f0c4d2c2021ba000718fc2c8acb1ada0cfd9e", 18),
    (25, "bef1b32832080b0312b5f4fccdf74cd7410e20eef3ecc1f512b52de628acdd03", 50),
    (40, "14e23c9ce353d504a1632afb1cacc363eb1df64ab7d4da822161fedf9c190278", 84),
)


def any_hashes(count: int, seed: int = 0) -> Words:
    return np.random.default_rng(seed).integers(0, 1 << 64, (count, 4), np.uint64)


def any_grids(count: int, seed: int = 0) -> Grids:
    return np.random.default_rng(seed).integers(0, 256, (count, GRID * GRID, 3), np.uint8)


def of(image: Image.Image) -> Fingerprint:
    return fingerprint(np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)))


def grouped(*prints: Fingerprint) -> list[int]:
    words = hash_words([one.bits for one in prints])
    return [int(place) for place in leaders(words, colour_grids([one.colours for one in prints]))]


def turned(words: Words, bits: range) -> Words:
    """Turn bits of hashes over."""
    changed = words.copy()
    for bit in bits:
        changed[..., bit // 64] ^= np.uint64(1 << bit % 64)
    return changed


def one_by_one(words: Words, grids: Grids, most_apart: int, most_off: float) -> list[int]:
    """Group as the rule says it, pair by pair."""
    lead: list[int] = []
    for place in range(len(words)):
        options = []
        for other in range(place):
            bits = sum(int(left ^ right).bit_count() for left, right in zip(words[place], words[other], strict=True))
            off = misfit(grids[other : other + 1], grids[place : place + 1])[0]
            if lead[other] == other and bits <= most_apart and off <= most_off:
                options.append((bits, other))
        lead.append(min(options)[1] if options else place)
    return lead


@pytest.mark.parametrize(("size", "bits", "quality"), NOISE)
def should_hash_noise_as_the_reference_does(size: tuple[int, int], bits: str, quality: int) -> None:
    pixels = np.random.default_rng(sum(size)).integers(0, 256, size, np.uint8)
    assert perceptual_hash(pixels.astype(np.float32)) == (bits, quality)


@pytest.mark.parametrize(("contrast", "bits", "quality"), SOFT)
def should_hash_soft_pictures_as_the_reference_does(contrast: int, bits: str, quality: int) -> None:
    small = np.random.default_rng(contrast).integers(100, 101 + contrast, (12, 16), np.uint8)
    assert perceptual_hash(np.kron(small, np.ones((25, 25), np.uint8)).astype(np.float32)) == (bits, quality)


def should_have_no_hash_of_what_is_too_small_and_no_quality_of_what_is_flat() -> None:
    assert perceptual_hash(np.full((4, 900), 9, np.float32)) == ("0" * 64, 0)
    assert of(Image.new("RGB", (640, 480), (200, 180, 90))).quality == 0
    assert of(files.any_image((640, 480))).quality > LEAST_QUALITY


def should_count_bits_that_differ() -> None:
    words = hash_words(["0" * 64, "f" * 64, "0" * 63 + "7", "8" + "0" * 63])
    assert distances(words, words).tolist() == [[0, 256, 3, 1], [256, 0, 253, 255], [3, 253, 0, 4], [1, 255, 4, 0]]


def should_take_other_light_for_the_same_and_other_colours_for_different() -> None:
    grid = any_grids(1)
    darker = (grid * 0.6 + 20).round().astype(np.uint8)
    assert misfit(grid, grid)[0] == 0
    assert misfit(grid, darker)[0] < 3
    other = grid.copy()
    other[0, 10:14, 0] = 255 - other[0, 10:14, 0] // 2
    assert misfit(grid, other)[0] > MOST_OFF


@pytest.mark.parametrize("seed", range(3))
def should_group_a_photo_with_its_smaller_brighter_and_compressed_copies(seed: int) -> None:
    image = files.any_image((900, 700), seed)
    copies = [
        image,
        image.resize((300, 233)),
        image.resize((1350, 1050)),
        files.opened(files.encoded(image, quality=25)),
        ImageEnhance.Brightness(image).enhance(0.8),
        image.crop((4, 4, 896, 696)),
    ]
    assert grouped(*map(of, copies)) == [0] * len(copies)


def should_tell_photos_apart_that_differ_in_brightness_or_in_colour_alone() -> None:
    first, second = files.any_image((400, 300), 1), files.any_image((400, 300), 2)
    assert grouped(of(first), of(second)) == [0, 1]
    # One corner has another colour of the same brightness: no bit of the hash can show it.
    red, blue = first.copy(), first.copy()
    red.paste((200, 60, 60), (0, 0, 130, 130))
    blue.paste((60, 108, 206), (0, 0, 130, 130))
    one, other = of(red), of(blue)
    assert distances(hash_words([one.bits]), hash_words([other.bits]))[0, 0] <= MOST_APART
    assert grouped(one, other) == [0, 1]


def should_merge_up_to_the_limit_and_not_beyond() -> None:
    first, grids = any_hashes(1), np.repeat(any_grids(1), 2, axis=0)
    for bits, due in ((0, 0), (MOST_APART, 0), (MOST_APART + 1, 1)):
        words = np.concatenate([first, turned(first, range(bits))])
        assert leaders(words, grids).tolist() == [0, due]


def should_not_chain() -> None:
    first, grids = any_hashes(1), np.repeat(any_grids(1), 4, axis=0)
    steps = np.concatenate([turned(first, range(20 * step)) for step in range(4)])
    # The second agrees with the first; the third with the second alone, which leads nothing; the fourth with the third.
    assert leaders(steps, grids).tolist() == [0, 0, 2, 2]


def should_join_the_nearest_leader_and_the_earliest_of_two_as_near() -> None:
    first = any_hashes(1)
    words = np.concatenate([first, turned(first, range(40)), turned(first, range(30)), turned(first, range(20))])
    assert leaders(words, np.repeat(any_grids(1), 4, axis=0)).tolist() == [0, 1, 1, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 60))
def should_group_as_the_rule_says_pair_by_pair(seed: int, count: int, most_apart: int) -> None:
    draw = np.random.default_rng(seed)
    # A few photos, each seen several times with bits and colours off.
    words, grids = any_hashes(4, seed)[draw.integers(0, 4, count)], any_grids(2, seed)[draw.integers(0, 2, count)]
    for _ in range(int(draw.integers(0, 30))):
        words[np.arange(count), draw.integers(0, 4, count)] ^= np.uint64(1) << draw.integers(0, 64, count, np.uint64)
    found = leaders(words, grids, most_apart, 20.0)
    assert found.tolist() == one_by_one(words, grids, most_apart, 20.0)


def should_group_beyond_one_block_as_within() -> None:
    draw = np.random.default_rng(5)
    count = 1_500
    words, grids = any_hashes(count), any_grids(count)
    copies = np.sort(draw.choice(np.arange(700, count), 200, replace=False))
    of_these = draw.integers(0, 500, 200)
    words[copies], grids[copies] = turned(words[of_these], range(9)), grids[of_these]
    due = np.arange(count)
    due[copies] = of_these
    # A copy of a copy has the same leader; a copy of the same photo as another, too: all are nine bits from it.
    assert leaders(words, grids).tolist() == due.tolist()


def should_give_the_same_groups_when_more_photos_come_behind() -> None:
    words, grids = any_hashes(900), any_grids(900)
    words[600:], grids[600:] = turned(words[:300], range(3)), grids[:300]
    whole = leaders(words, grids).tolist()
    for count in (1, 511, 512, 513, 700):
        assert leaders(words[:count], grids[:count]).tolist() == whole[:count]

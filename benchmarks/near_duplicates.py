"""How many near-duplicates are found, and how many different photos are taken for one, at each limit.

Composed pictures are changed as sites and phones change photos, and told by the fingerprints that the portal makes.
What must not be merged are two dishes on one plate: the same table, plate, light and camera with another dish. With
``--photos`` a folder of real photos is measured as well (every two files in it are taken to be different photos).

``python -m benchmarks.near_duplicates [--pictures 300] [--photos FOLDER]``
"""

import argparse
import io
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads would wait for each other by spinning

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from demo import pictures
from demo.concepts import CONCEPTS, RESTAURANTS
from menulens.portal.decoding import fingerprint_of
from menulens.portal.near_duplicates import (
    GRID,
    LEAST_QUALITY,
    Floats,
    Grids,
    Words,
    colour_grids,
    distances,
    hash_words,
    leaders,
    misfit,
)

NO_COLOURS: Final = 1e9
LIMITS: Final = ((16, NO_COLOURS), (24, NO_COLOURS), (31, NO_COLOURS), (24, 40.0), (31, 30.0), (31, 40.0), (40, 40.0))
Change = Callable[[Image.Image], Image.Image]


def resized(share: float) -> Change:
    """Return a change of size."""
    return lambda image: image.resize((round(image.width * share), round(image.height * share)))


def cropped(share: float) -> Change:
    """Return a change that cuts a share of the width and the height away, a little more from one side."""

    def cut(image: Image.Image) -> Image.Image:
        width, height = image.width * share, image.height * share
        return image.crop((round(width * 0.6), round(height * 0.4), *_from(image, width * 0.4, height * 0.6)))

    return cut


def _from(image: Image.Image, right: float, bottom: float) -> tuple[int, int]:
    return round(image.width - right), round(image.height - bottom)


def marked(image: Image.Image) -> Image.Image:
    """Write a site's name across the lower edge, as a watermark."""
    result = image.copy()
    draw = ImageDraw.Draw(result)
    draw.rectangle((0, image.height * 0.93, image.width, image.height), fill=(20, 20, 20))
    draw.text((8, image.height * 0.94), "menu.example.com", fill=(255, 255, 255), font_size=image.height * 0.05)
    return result


CHANGES: Final[Mapping[str, tuple[Change, int]]] = {
    "half the size": (resized(0.5), 85),
    "a quarter of the size": (resized(0.25), 85),
    "one and a half times the size": (resized(1.5), 85),
    "JPEG quality 50": (lambda image: image, 50),
    "JPEG quality 20": (lambda image: image, 20),
    "20 % brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), 85),
    "30 % darker": (lambda image: ImageEnhance.Brightness(image).enhance(0.7), 85),
    "30 % more contrast": (lambda image: ImageEnhance.Contrast(image).enhance(1.3), 85),
    "black and white": (lambda image: image.convert("L"), 85),
    "watermark": (marked, 85),
    "2 % cut off": (cropped(0.02), 85),
    "5 % cut off": (cropped(0.05), 85),
    "10 % cut off": (cropped(0.1), 85),
    "2° turned": (lambda image: image.rotate(2, Image.Resampling.BICUBIC, fillcolor=(127, 127, 127)), 85),
}


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    """Return an image as a JPEG."""
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality)
    return target.getvalue()


Told = tuple[Words, Grids, NDArray[np.int64]]
Apart = tuple[NDArray[np.int64], Floats]


def opened(photo: bytes) -> Image.Image:
    """Return a photo as it is shown; all of these are smaller than the largest copy."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("RGB")


def told(photos: Iterable[bytes]) -> Told:
    """Return hashes [n, 4], colours [n, 64, 3] and qualities [n], made as the portal makes them."""
    made = [fingerprint_of(opened(photo)) for photo in photos]
    qualities = np.asarray([one.quality for one in made])
    return hash_words([one.bits for one in made]), colour_grids([one.colours for one in made]), qualities


def apart(one: Told, other: Told) -> Apart:
    """Return how photos differ from their partners in bits and in colours: [n] each, of those that are not too flat."""
    good = np.minimum(one[2], other[2]) >= LEAST_QUALITY
    bits = np.bitwise_count(one[0] ^ other[0]).sum(axis=1, dtype=np.int64)
    return bits[good], misfit(one[1], other[1])[good]


def on_one_plate(folder: Path, count: int) -> list[tuple[bytes, bytes]]:
    """Draw pairs of pictures that differ in their dish alone: all else comes from the same seed."""
    pairs = []
    for name in RESTAURANTS:
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = np.random.default_rng((11, number))
        category = str(draw.choice(list(CONCEPTS)))
        dishes = [str(dish) for dish in draw.choice(CONCEPTS[category], 2, replace=False)]
        restaurant = number % len(RESTAURANTS)
        drawn = []
        for place, dish in enumerate(dishes):
            key = f"photos/{RESTAURANTS[restaurant]}/{number}-{place}.jpg"
            pictures._draw(folder, pictures._Plan(key, category, dish, restaurant, (12, number)))
            drawn.append((folder / key).read_bytes())
        pairs.append((drawn[0], drawn[1]))
    return pairs


def row(name: str, differing: Apart) -> None:
    """Print what share of pairs is merged at each limit."""
    bits, off = differing
    shares = "".join(f"{np.mean((bits <= most) & (off <= most_off)):11.1%}" for most, most_off in LIMITS)
    print(f"{name:32}{int(np.median(bits)):4} {int(bits.min()):3}–{int(bits.max()):<4}{np.median(off):4.0f}{shares}")


def heading(name: str) -> None:
    """Print a table's head."""
    limits = "".join(f"{f'{most}' + (f' & {off:.0f}' if off < NO_COLOURS else ''):>11}" for most, off in LIMITS)
    print(f"\n{name}\n{'':32}bits      colours{limits}")


def measure(name: str, photos: list[bytes]) -> None:
    """Print a set's table: changed photos (to be merged), and all pairs of different ones (not to be)."""
    these = told(photos)
    words, _, qualities = these
    heading(
        f"{name}: {len(photos)} photos, {np.mean(qualities >= LEAST_QUALITY):.1%} of quality {LEAST_QUALITY} or more"
    )
    images = [opened(photo) for photo in photos]
    for change, (applied, quality) in CHANGES.items():
        row(change, apart(these, told(encoded(applied(image), quality) for image in images)))
    pairs = distances(words, words)[np.triu_indices(len(words), 1)]
    print(f"the nearest two of {len(pairs):,} pairs of different photos differ in {int(pairs.min())} bits")


def speed(count: int) -> None:
    """Print the time that grouping so many hashes takes, 5 % of them near another."""
    draw = np.random.default_rng(0)
    words = draw.integers(0, 1 << 64, (count, 4), np.uint64)
    grids = draw.integers(0, 256, (count, GRID * GRID, 3), np.uint8)
    copies, of = draw.integers(0, count, (2, count // 20))
    words[copies], grids[copies] = words[of] ^ np.uint64(1 << 7), grids[of]
    begun = time.process_time()
    found = leaders(words, grids)
    took, memory = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"\n{count:,} photos in {took:.1f} s of one core, {memory:,} MB: {len(np.unique(found)):,} groups")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--pictures", type=int, default=300)
    options.add_argument("--photos", type=Path)
    options.add_argument("--most", type=int, default=500, help="real photos, spread evenly over the folder")
    options.add_argument("--hashes", type=int, default=100_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        truth = pictures.make_pictures(folder, given.pictures, workers=1)
        made = [(folder / one.key).read_bytes() for one in truth if one.kind == "picture"]
        measure("composed pictures", made)
        pairs = on_one_plate(folder, given.pictures * 2)
        heading(f"{len(pairs)} pairs of two dishes on one plate")
        row("two dishes on one plate", apart(told(one for one, _ in pairs), told(one for _, one in pairs)))
    if given.photos:
        files = sorted(file for file in given.photos.rglob("*.jpg"))
        measure("photos", [file.read_bytes() for file in files[:: max(1, len(files) // given.most)]])
    speed(given.hashes)


if __name__ == "__main__":
    main()

"""Make the demo's labeled pictures: food and drink icons composed on dishes and tables. They are not photos.

Every picture comes from its own seed, so the same call gives the same pictures on every machine with the same Pillow.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from demo import broken
from demo.concepts import CONCEPTS, RESTAURANTS, SHARES
from demo.textures import DISHES, TABLES, Array, clouds, dish, table

PROJECT: Final = Path(__file__).resolve().parents[1]
VENDORS: Final = ("google", "twitter")
TRUTH_FILE: Final = "truth.jsonl"
SIZES: Final = ((640, 480), (640, 480), (640, 480), (480, 640), (560, 560))
DISH_SIZE: Final = 400
DUPLICATES_IN_100: Final = 2

Kind = Literal["picture", "duplicate", "broken"]


class PicturesError(Exception):
    """The pictures can't be made; the message says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One file of the set, and what is true of it (``category`` is None for a broken file)."""

    key: str
    category: str | None
    concept: str | None
    kind: Kind
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one worker needs to draw one picture; ``mixed``: other things of the category may lie beside."""

    key: str
    category: str
    concept: str
    restaurant: int
    seed: tuple[int, int]
    mixed: bool = True


class Making:
    """A set of pictures that processes of their own draw while the block does something else.

    A folder that already holds this very set is left as it is. Leaving the block ends the processes.

    Parameters
    ----------
    folder
        Its ``photos/<restaurant>/`` folders receive the files, its ``truth.jsonl`` the answers.
    count
        Sound, different pictures; duplicates (2 %) and broken files (one of each kind) come on top.

    Raises
    ------
    PicturesError
        If the icon packages are not installed.
    """

    def __init__(self, folder: Path, count: int = 800, seed: int = 7, workers: int = 2) -> None:
        for vendor in VENDORS:
            if not _package(vendor).is_dir():
                raise PicturesError(f"The icons of emoji-datasource-{vendor} are missing. Install them: npm ci")
        self.folder, self._seed, self._workers = folder, seed, workers
        self._mark = folder / "made.json"
        self._identity = json.dumps({"count": count, "seed": seed, "source": _source_hash()})
        self._plans = _plan(count, seed)
        self._pool: ProcessPoolExecutor | None = None
        self._drawing: list[Future[int]] = []

    def __enter__(self) -> Self:
        if self._mark.is_file() and self._mark.read_text() == self._identity:
            return self
        shutil.rmtree(self.folder / "photos", ignore_errors=True)
        for restaurant in RESTAURANTS:
            (self.folder / "photos" / restaurant).mkdir(parents=True, exist_ok=True)
        self._pool = ProcessPoolExecutor(self._workers, initializer=_stay_in_the_background)
        # Neighbours in the list share a restaurant, so a chunk draws each of its tables once.
        chunks = [self._plans[start : start + 20] for start in range(0, len(self._plans), 20)]
        self._drawing = [self._pool.submit(_draw_all, self.folder, chunk) for chunk in chunks]
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def finish(self, progress: Callable[[int, int], None] | None = None) -> list[Picture]:
        """Wait for the last picture, add duplicates and broken files, and return what is true of each file.

        Parameters
        ----------
        progress
            Called with (done, all) after each chunk of pictures.
        """
        if self._pool is None:
            return read_truth(self.folder)
        done = 0
        for future in as_completed(self._drawing):
            done += future.result()
            if progress is not None:
                progress(done, len(self._plans))
        truth = [Picture(plan.key, plan.category, plan.concept, "picture") for plan in self._plans]
        truth += _duplicates(self.folder, truth, np.random.default_rng((self._seed, 1)))
        broken_files = broken.write_all(self.folder, truth[0].key, RESTAURANTS)
        truth += [Picture(key, None, None, "broken", note) for key, note in broken_files]
        lines = (json.dumps(asdict(picture), ensure_ascii=False) + "\n" for picture in truth)
        (self.folder / TRUTH_FILE).write_text("".join(lines), encoding="utf-8")
        self._mark.write_text(self._identity)
        return truth


def make_pictures(folder: Path, count: int = 800, seed: int = 7, workers: int = 2) -> list[Picture]:
    """Fill ``folder`` with pictures and return what is true of each; see :class:`Making`."""
    with Making(folder, count, seed, workers) as making:
        return making.finish()


def draw_one(path: Path, category: str, concept: str, seed: int) -> None:
    """Draw a picture of one concept and nothing else: what a menu that has its name would show."""
    _draw(path.parent, _Plan(path.name, category, concept, seed % len(RESTAURANTS), (seed, 0), mixed=False))


def _stay_in_the_background() -> None:
    """Let whoever waits for the set be interrupted, not the one who draws; and let others go first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(5)


def read_truth(folder: Path) -> list[Picture]:
    """Read what is true of each file of a set."""
    return [Picture(**json.loads(line)) for line in (folder / TRUTH_FILE).read_text(encoding="utf-8").splitlines()]


def _plan(count: int, seed: int) -> list[_Plan]:
    """Deal categories and concepts to restaurants: each restaurant serves about two thirds of all concepts."""
    rng = np.random.default_rng((seed, 0))
    names = list(SHARES)
    exact = np.cumsum([SHARES[name] for name in names]) * count / 100
    bounds = np.round(exact).astype(int)
    categories = [names[int(np.searchsorted(bounds, index, side="right"))] for index in range(count)]
    rng.shuffle(categories)
    menus = [
        {name: list(rng.permutation(CONCEPTS[name])[: max(5, len(CONCEPTS[name]) * 2 // 3)]) for name in names}
        for _ in RESTAURANTS
    ]
    plans = []
    for index, category in enumerate(categories):
        restaurant = index * len(RESTAURANTS) // count
        concept = str(rng.choice(menus[restaurant][category]))
        ending = "png" if rng.random() < 0.06 else "jpg"
        key = f"photos/{RESTAURANTS[restaurant]}/{index:04d}.{ending}"
        plans.append(_Plan(key, category, concept, restaurant, (seed, 1000 + index)))
    return plans


def _duplicates(folder: Path, pictures: list[Picture], rng: np.random.Generator) -> list[Picture]:
    """Copy some pictures under another name, as sites do when two restaurants share a photo."""
    chosen = rng.choice(len(pictures), size=max(1, len(pictures) * DUPLICATES_IN_100 // 100), replace=False)
    copies = []
    for number, index in enumerate(sorted(int(place) for place in chosen)):
        original = pictures[index]
        restaurant = RESTAURANTS[int(rng.integers(len(RESTAURANTS)))]
        key = f"photos/{restaurant}/copy-{number:03d}{Path(original.key).suffix}"
        shutil.copyfile(folder / original.key, folder / key)
        copies.append(Picture(key, original.category, original.concept, "duplicate", f"a copy of {original.key}"))
    return copies


def _draw_all(folder: Path, plans: list[_Plan]) -> int:
    for plan in plans:
        _draw(folder, plan)
    return len(plans)


def _draw(folder: Path, plan: _Plan) -> None:
    """Draw one picture and save it."""
    rng = np.random.default_rng(plan.seed)
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    scene = _table_view(rng, plan, width, height)
    tilt = float(rng.uniform(0.62, 0.95))
    light = (float(rng.uniform(-14, 14)), float(rng.uniform(6, 16)))
    radius = float(rng.uniform(0.36, 0.54)) * min(width, height)
    centre = (width * float(rng.uniform(0.4, 0.6)), height * float(rng.uniform(0.46, 0.6)))
    plate = _dish_sprite(plan.restaurant, int(rng.integers(3)), int(rng.choice([-12, -6, 0, 5, 11])))
    if plate is not None:
        scale = 2 * radius / DISH_SIZE
        size = (round(plate.width * scale), round(plate.height * scale * tilt))
        sprite = plate.resize(size, Image.Resampling.BILINEAR)
        at = (round(centre[0] - size[0] / 2), round(centre[1] - size[1] / 2))
        _shadow(scene, sprite.getchannel("A"), (at[0] + round(light[0] / 2), at[1] + round(light[1])), 9, 0.5)
        scene.paste(sprite, at, sprite)
    room = radius * (0.62 if plate is not None else 0.8)
    _place_items(scene, rng, plan, centre=centre, radius=room, tilt=tilt, light=light)
    _save(_as_camera(scene, rng), folder / plan.key, rng)


def _place_items(
    scene: Image.Image,
    rng: np.random.Generator,
    plan: _Plan,
    *,
    centre: tuple[float, float],
    radius: float,
    tilt: float,
    light: tuple[float, float],
) -> None:
    """Put one to five icons on the dish, the far ones first."""
    count = int(rng.choice([1, 1, 1, 2, 2, 3, 3, 4, 5]))
    # A second thing of the same category now and then, so that a picture is no single icon's.
    others = [name for name in CONCEPTS[plan.category] if name != plan.concept]
    concepts = [plan.concept] + [
        str(rng.choice(others)) if plan.mixed and rng.random() < 0.3 else plan.concept for _ in range(count - 1)
    ]
    start = float(rng.uniform(0, 2 * np.pi))
    spread = 0.0 if count == 1 else radius * (0.55 if count == 2 else 0.66)
    places = []
    for number, concept in enumerate(concepts):
        angle = start + 2 * np.pi * number / count + float(rng.uniform(-0.25, 0.25))
        x = centre[0] + spread * np.cos(angle) + float(rng.uniform(-8, 8))
        y = centre[1] + spread * np.sin(angle) * tilt + float(rng.uniform(-8, 8))
        places.append((y, x, concept))
    base = radius * {1: 2.05, 2: 1.3, 3: 1.15, 4: 1.0, 5: 0.92}[count]
    for y, x, concept in sorted(places):
        size = base * float(rng.uniform(0.86, 1.14))
        sprite = _item(rng, concept, int(rng.integers(len(VENDORS))), size, (1 + tilt) / 2)
        at = (round(x - sprite.width / 2), round(y - sprite.height * 0.56))
        foot = sprite.getchannel("A").resize((sprite.width, max(8, round(sprite.height * 0.42))))
        _shadow(scene, foot, (at[0] + round(light[0] * 1.2), at[1] + round(sprite.height * 0.64)), 8, 0.48)
        _shadow(scene, sprite.getchannel("A"), (at[0] + round(light[0] * 0.3), at[1] + 4), 4, 0.34)
        scene.paste(sprite, at, sprite)


def _item(rng: np.random.Generator, concept: str, vendor: int, size: float, squash: float) -> Image.Image:
    """Return an icon enlarged, rounded by light, its colours a little off, turned a little: RGBA."""
    icon = _icon(VENDORS[vendor], concept)
    side = max(24, round(size))
    image = icon.resize((side, round(side * squash)), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    alpha = np.asarray(image.getchannel("A"), np.float32) / 255
    alpha = np.clip((alpha - 0.3) / 0.4, 0, 1)  # an enlarged edge is soft: draw it in again
    relief = np.asarray(image.getchannel("A").filter(ImageFilter.GaussianBlur(side / 14)), np.float32) / 255
    slope_y, slope_x = np.gradient(relief)
    shade = 1 + np.clip((slope_x + slope_y) * side / 7, -0.5, 0.32)
    grain = 1 + (clouds(rng, image.height, image.width, scale=(10, 10), octaves=3) - 0.5) * 0.2
    colours = np.asarray(image.convert("RGB"), np.float32) * (shade * grain)[..., None]
    colours *= rng.uniform(0.9, 1.08, 3).astype(np.float32)
    lit = Image.fromarray(np.dstack([np.clip(colours, 0, 255), alpha * 255]).astype(np.uint8))
    turned = lit.rotate(float(rng.normal(0, 14)), Image.Resampling.BILINEAR, expand=True)
    colour = ImageEnhance.Color(turned.convert("RGB")).enhance(float(rng.uniform(0.7, 1.1)))
    colour.putalpha(turned.getchannel("A"))
    return colour


def _shadow(scene: Image.Image, mask: Image.Image, at: tuple[int, int], blur: float, strength: float) -> None:
    """Darken the scene under a shape."""
    margin = round(blur * 3)
    size = (mask.width + 2 * margin, mask.height + 2 * margin)
    # What is blurred anyway can be blurred at a third of the size.
    small = Image.new("L", (size[0] // 3 + 1, size[1] // 3 + 1))
    small.paste(mask.resize((max(1, mask.width // 3), max(1, mask.height // 3))), (margin // 3, margin // 3))
    faint = small.filter(ImageFilter.GaussianBlur(blur / 3)).point([round(value * strength) for value in range(256)])
    scene.paste((12, 9, 8), (at[0] - margin, at[1] - margin), faint.resize(size, Image.Resampling.BILINEAR))


def _table_view(rng: np.random.Generator, plan: _Plan, width: int, height: int) -> Image.Image:
    """Return a part of one of the restaurant's two tables, seen slanted."""
    top = _table_top(plan.restaurant, int(rng.integers(2)))
    x = float(rng.uniform(0, top.width - width - 120)) + 60
    y = float(rng.uniform(0, max(1, top.height - height - 30))) + 15
    slant, turn = float(rng.uniform(0, 55)), float(rng.uniform(-16, 16))
    corners = (
        x - slant, y + turn, x, y + height * 0.96, x + width, y + height * 0.96 + turn, x + width + slant, y,
    )  # fmt: skip
    return top.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)


def _as_camera(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add what a camera adds: light that falls off, a colour cast, a crop, a turn, blur and noise."""
    width, height = scene.size
    angle = float(np.clip(rng.normal(0, 4), -8, 8))
    corner = np.tan(np.radians(abs(angle))) * max(width, height) / min(width, height)
    zoom = float(rng.uniform(0.88, 0.98)) / (1 + float(corner))  # so far in that no empty corner shows
    cosine, sine = np.cos(np.radians(angle)) * zoom, np.sin(np.radians(angle)) * zoom
    middle = (width / 2, height / 2)
    shift = (middle[0] - cosine * middle[0] - sine * middle[1], middle[1] + sine * middle[0] - cosine * middle[1])
    turn = (cosine, sine, shift[0], -sine, cosine, shift[1])
    scene = scene.transform(scene.size, Image.Transform.AFFINE, turn, Image.Resampling.BILINEAR)
    blur = float(rng.choice([0.0, 0.4, 0.7, 1.1, 1.9], p=[0.3, 0.3, 0.2, 0.13, 0.07]))
    if blur:
        scene = scene.filter(ImageFilter.GaussianBlur(blur))
    y, x = np.ogrid[0:height, 0:width]
    lamp = (rng.uniform(-0.1, 0.8) * width, rng.uniform(-0.2, 0.6) * height)
    distance = np.sqrt((x - np.float32(lamp[0])) ** 2 + (y - np.float32(lamp[1])) ** 2) / np.float32(
        np.hypot(width, height)
    )
    fall = float(rng.uniform(0.86, 1.2)) * (1.14 - float(rng.uniform(0.15, 0.55)) * distance)
    warmth = float(rng.normal(0.02, 0.06))
    noise = np.resize(rng.standard_normal(60_013, np.float32) * np.float32(rng.uniform(1.5, 7.5)), (height, width))
    pixels: Array = np.asarray(scene, np.float32)
    pixels = pixels * fall.astype(np.float32)[..., None]
    pixels *= np.asarray([1 + warmth, 1.0, 1 - warmth], np.float32)
    pixels += noise[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))


def _save(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    quality = int(rng.integers(72, 93))
    if path.suffix == ".png":
        image.quantize(160, Image.Quantize.FASTOCTREE).convert("RGB").save(path, "PNG", compress_level=1)
    elif rng.random() < 0.01:
        # As a phone held sideways saves it: the pixels lie, the header says how to turn them.
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=quality, exif=exif)
    else:
        image.save(path, "JPEG", quality=quality)


@cache
def _table_top(restaurant: int, number: int) -> Image.Image:
    kind = TABLES[(restaurant * 3 + number * 5) % len(TABLES)]
    return Image.fromarray(table(kind, np.random.default_rng((90, restaurant, number))).astype(np.uint8))


@cache
def _dish_sprite(restaurant: int, number: int, angle: int) -> Image.Image | None:
    """Return one of the restaurant's three dishes, turned a little (its light was fixed at the upper left)."""
    sprite = _dish(restaurant, number)
    return None if sprite is None else sprite.rotate(angle, Image.Resampling.BICUBIC, expand=True)


@cache
def _dish(restaurant: int, number: int) -> Image.Image | None:
    kind = np.random.default_rng((91, restaurant)).permutation(len(DISHES))[number]
    return dish(DISHES[int(kind)], np.random.default_rng((92, restaurant, number)), DISH_SIZE)


@cache
def _icon(vendor: str, concept: str) -> Image.Image:
    path = _package(vendor) / "img" / vendor / "64" / _icon_files(vendor)[concept]
    # Thrice the size first, smoothly; a sprite is then made from that.
    image = (
        Image.open(path).convert("RGBA").convert("RGBa").resize((192, 192), Image.Resampling.LANCZOS).convert("RGBA")
    )
    sharp = image.convert("RGB").filter(ImageFilter.UnsharpMask(3, 90, 2))
    sharp.putalpha(image.getchannel("A"))
    return sharp


@cache
def _icon_files(vendor: str) -> dict[str, str]:
    entries = json.loads((_package(vendor) / "emoji.json").read_text(encoding="utf-8"))
    return {entry["short_name"]: entry["image"] for entry in entries}


def _package(vendor: str) -> Path:
    return PROJECT / "node_modules" / f"emoji-datasource-{vendor}"


def _source_hash() -> str:
    """Return a hash of what decides the pixels, so that a changed formula makes the set anew."""
    digest = hashlib.sha256()
    for name in ("pictures.py", "textures.py", "concepts.py", "broken.py"):
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()[:16]

"""Tables and dishes, made by formula: what the icons of the demo's pictures lie on."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
Colour = tuple[int, int, int]
Table = Literal["oak", "walnut", "marble", "slate", "linen", "tatami", "checked", "tiles", "concrete", "bamboo"]
Dish = Literal["porcelain", "stoneware", "blue rim", "board", "tray", "bowl", "glass plate", "none"]

TABLES: Final[tuple[Table, ...]] = (
    "oak", "walnut", "marble", "slate", "linen", "tatami", "checked", "tiles", "concrete", "bamboo",
)  # fmt: skip
DISHES: Final[tuple[Dish, ...]] = (
    "porcelain", "stoneware", "blue rim", "board", "tray", "bowl", "glass plate", "none",
)  # fmt: skip


def clouds(rng: np.random.Generator, height: int, width: int, *, scale: tuple[float, float], octaves: int = 4) -> Array:
    """Return smooth noise between 0 and 1, float32 [height, width]; ``scale`` is the largest blob, in pixels (y, x)."""
    total = np.zeros((height, width), np.float32)
    weight = 0.0
    for octave in range(octaves):
        rows = max(2, round(height / max(1.0, scale[0] / 2**octave)) + 2)
        columns = max(2, round(width / max(1.0, scale[1] / 2**octave)) + 2)
        grid = Image.fromarray(rng.random((rows, columns), np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 2**octave
        weight += 1 / 2**octave
    total /= weight
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low + 1e-6), np.float32)


def _mix(low: Colour, high: Colour, share: Array) -> Array:
    return np.asarray(low, np.float32) + (np.asarray(high, np.float32) - np.asarray(low, np.float32)) * share[..., None]


def _wood(rng: np.random.Generator, shape: tuple[int, int], dark: Colour, light: Colour, board: int) -> Array:
    """Return planks: stretched noise gives the grain, an offset per plank breaks it at the joints."""
    height, width = shape
    y = np.arange(height, dtype=np.float32)[:, None]
    grain = clouds(rng, height, width, scale=(26, 700), octaves=5)
    rings = np.sin((y / 9 + 26 * clouds(rng, height, width, scale=(240, 1600), octaves=2)) * 1.1) * 0.5 + 0.5
    plank = (y // board).astype(int).ravel()
    tone = rng.normal(0.0, 0.11, plank.max() + 1).astype(np.float32)[plank][:, None]
    share = np.clip(0.55 * grain + 0.3 * rings.astype(np.float32) + 0.1 + tone, 0, 1)
    picture = _mix(dark, light, share)
    edge = np.minimum(y % board, board - y % board)
    return np.asarray(picture * (0.72 + 0.28 * np.clip(edge / 3.0, 0, 1))[..., None], np.float32)


def table(kind: Table, rng: np.random.Generator, height: int = 760, width: int = 1000) -> Array:
    """Return a table top, float32 [height, width, 3] from 0 to 255."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    fine = clouds(rng, height, width, scale=(6, 6), octaves=2)
    if kind == "oak":
        picture = _wood(rng, (height, width), (150, 104, 62), (222, 182, 132), 120)
    elif kind == "walnut":
        picture = _wood(rng, (height, width), (52, 32, 22), (122, 82, 55), 150)
    elif kind == "bamboo":
        picture = _wood(rng, (height, width), (176, 150, 92), (232, 214, 160), 26)
    elif kind == "marble":
        swirl = clouds(rng, height, width, scale=(300, 420), octaves=5)
        vein = np.exp(-np.abs(np.sin((x * 0.6 + y) / 210 + swirl * 9.0)) * 9)
        picture = _mix((244, 243, 241), (128, 130, 138), np.clip(vein * 0.75 + 0.14 * swirl, 0, 1).astype(np.float32))
    elif kind == "slate":
        picture = _mix((34, 38, 44), (88, 94, 102), clouds(rng, height, width, scale=(90, 160), octaves=6))
    elif kind == "linen":
        weave = 0.5 + 0.22 * np.sin(x * 1.7) + 0.22 * np.sin(y * 1.7) + 0.35 * (fine - 0.5)
        hue = rng.integers(0, 3)
        low, high = [
            ((196, 186, 168), (240, 233, 220)),
            ((150, 172, 184), (212, 226, 232)),
            ((186, 150, 140), (234, 210, 200)),
        ][hue]
        picture = _mix(low, high, np.clip(weave, 0, 1).astype(np.float32))
    elif kind == "tatami":
        straw = (
            0.5 + 0.3 * np.sin(y * 2.1 + 2 * fine) + 0.3 * (clouds(rng, height, width, scale=(3, 60), octaves=2) - 0.5)
        )
        picture = _mix((164, 158, 96), (214, 206, 150), np.clip(straw, 0, 1).astype(np.float32))
        picture[:, width // 2 - 22 : width // 2 + 22] = (44, 66, 52)
    elif kind == "checked":
        across = (np.sin(x / 26) > 0).astype(np.float32) + (np.sin(y / 26) > 0)
        colour = [(186, 40, 46), (40, 78, 140), (52, 116, 78)][int(rng.integers(0, 3))]
        picture = _mix((246, 243, 236), colour, np.clip(across * 0.46 + 0.1 * (fine - 0.5), 0, 1).astype(np.float32))
    elif kind == "tiles":
        joint = np.minimum(np.minimum(x % 140, 140 - x % 140), np.minimum(y % 140, 140 - y % 140))
        tone = rng.random((height // 140 + 1, width // 140 + 1)).astype(np.float32)
        share = 0.6 + 0.4 * tone[(y // 140).astype(int), (x // 140).astype(int)]
        picture = _mix((70, 130, 128), (196, 226, 218), share.astype(np.float32))
        picture *= np.where(joint < 3, 0.72, 1.0)[..., None]
    else:
        picture = _mix((134, 132, 128), (198, 196, 190), clouds(rng, height, width, scale=(220, 260), octaves=6))
    return np.clip(picture + (fine[..., None] - 0.5) * 10, 0, 255).astype(np.float32)


def dish(kind: Dish, rng: np.random.Generator, size: int = 440) -> Image.Image | None:
    """Return a dish seen from above, lit from the upper left: RGBA, ``size`` pixels square (None: no dish).

    The surface is a height over the radius; its slope against the light gives the shade (Lambert), plus a gloss.
    """
    if kind == "none":
        return None
    y, x = (np.mgrid[0:size, 0:size].astype(np.float32) + 0.5) / size * 2 - 1
    power = {"board": 9.0, "tray": 7.0, "glass plate": 3.0}.get(kind, 2.0)
    radius = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power) / 0.98
    rim = {"bowl": 0.86, "tray": 0.93, "board": 0.985, "stoneware": 0.88}.get(kind, 0.7)
    depth = {"bowl": 1.5, "board": 0.35, "tray": 1.2}.get(kind, 0.8)
    wall = np.clip((radius - (rim - 0.16)) / 0.16, 0, 1)
    slope = depth * np.sin(wall * np.pi) + 0.5 * np.clip((radius - 0.965) / 0.035, 0, 1)
    length = np.maximum(np.hypot(x, y), 1e-3)
    light = 1 + slope * (x + y) / length * 0.36
    gloss = np.exp(-(((x + 0.5) ** 2 + (y + 0.62) ** 2) / 0.02)) * (0.3 if kind not in ("board", "stoneware") else 0.04)
    if kind in ("board", "tray"):
        dark, pale = ((110, 70, 40), (196, 146, 96)) if kind == "board" else ((30, 20, 20), (86, 34, 30))
        colour = _wood(rng, (size, size), dark, pale, 400)
    else:
        base, band = {
            "porcelain": ((246, 246, 243), (226, 224, 218)),
            "stoneware": ((72, 78, 84), (150, 128, 104)),
            "blue rim": ((243, 245, 247), (46, 84, 150)),
            "bowl": ((236, 230, 218), (150, 84, 60)),
            "glass plate": ((206, 226, 226), (170, 206, 210)),
        }[kind]
        ring = np.clip(1 - np.abs(radius - 0.93) / 0.028, 0, 1)
        colour = _mix(base, band, ring.astype(np.float32))
        if kind == "stoneware":
            colour = colour + (clouds(rng, size, size, scale=(14, 14))[..., None] - 0.5) * 34
    lit = np.clip(colour * light[..., None] + gloss[..., None] * 255, 0, 255)
    alpha = np.clip((1 - radius) * size / 3, 0, 1) * (215 if kind == "glass plate" else 255)
    return Image.fromarray(np.dstack([lit, alpha]).astype(np.uint8))

"""A small menu for pictures of the pages: each dish is drawn after its name, so that the two never contradict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.pictures import draw_one
from tests.browser.desks import Photo


@dataclass(frozen=True, slots=True)
class Dish:
    """What stands in a menu, in which kind of restaurant, and the icon that shows it; texts are (Japanese, English)."""

    category: str
    concept: str
    genre: tuple[str, str]
    name: tuple[str, str]
    seed: int


CAFE: Final = ("カフェ", "Café")
SWEETS: Final = ("甘味処", "Sweet shop")
BAR: Final = ("居酒屋", "Izakaya")
MENU: Final = (
    Dish("sweets", "dango", SWEETS, ("三色だんご", "Three-coloured dango"), 9),
    Dish("meal", "pancakes", CAFE, ("朝食のパンケーキ", "Breakfast pancakes"), 11),
    Dish("drink", "coffee", CAFE, ("ブレンドコーヒー", "House blend coffee"), 18),
    Dish("meal", "sushi", ("寿司", "Sushi"), ("にぎり寿司", "Nigiri sushi"), 0),
    Dish("sweets", "shaved_ice", SWEETS, ("かき氷", "Shaved ice"), 6),
    Dish("fruit", "strawberry", CAFE, ("いちご一皿", "A plate of strawberries"), 19),
    Dish("meal", "ramen", ("ラーメン", "Ramen"), ("しょうゆラーメン", "Soy sauce ramen"), 14),
    Dish("vegetable", "pea_pod", BAR, ("枝豆", "Edamame"), 18),
    Dish("drink", "beer", BAR, ("生ビール", "Draught beer"), 11),
    Dish("meal", "curry", ("カレー", "Curry"), ("チキンカレー", "Chicken curry"), 1),
    Dish("sweets", "cupcake", CAFE, ("カップケーキ", "Cupcakes"), 19),
    Dish("meal", "rice_ball", ("定食", "Set meals"), ("おにぎり", "Rice balls"), 4),
)


def photos(folder: Path, language: str) -> list[Photo]:
    """Draw the menu."""
    made = []
    for number, dish in enumerate(MENU):
        path = folder / f"{number:02d}.jpg"
        draw_one(path, dish.category, dish.concept, dish.seed)
        made.append(Photo(path.read_bytes(), _beside(dish, 0 if language == "ja" else 1)))
    return made


def _beside(dish: Dish, language: int) -> Mapping[str, str]:
    return {"genre": dish.genre[language], "menu-text": dish.name[language]}

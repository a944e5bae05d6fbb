"""Cleaning: which photos are held out."""

import json
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from menulens.core.manifest import DatasetTooSmallError
from menulens.core.split import both_sided
from tests.unit.core.cleaning import run
from tests.unit.core.generators.manifests import (
    KEYS,
    MemoryStore,
    any_line,
    any_manifest,
    any_rules,
    of_lines,
)


def sides(store: MemoryStore) -> dict[str, str]:
    return {
        json.loads(line)["source-ref"]: side
        for side in ("train", "eval")
        for line in store.objects[f"out/{side}.manifest"].split(b"\n")[:-1]
    }


@pytest.mark.parametrize("pattern", [None, "^photos/([^/]+)/"])
def should_hold_out_the_share_of_every_category(pattern: str | None) -> None:
    _, cleaned = run(any_manifest(3000, restaurants=500), any_rules(group_pattern=pattern))
    for key in ("meal", "sweets", "drink"):
        train, held = (cleaned.card["counts"][side][key] for side in ("train", "eval"))
        assert 0.18 < held / (train + held) < 0.32


@settings(max_examples=40, deadline=None)
@given(st.integers(6, 200), st.integers(2, 40))
def should_put_every_restaurant_on_one_side(photos: int, restaurants: int) -> None:
    rules = any_rules(group_pattern="^photos/([^/]+)/")
    try:
        store, _ = run(any_manifest(photos, restaurants), rules)
    except DatasetTooSmallError as error:
        assert "restaurants" in str(error)
        return
    found = sides(store)
    by_restaurant: dict[str, set[str]] = {}
    for source, side in found.items():
        by_restaurant.setdefault(source.split("/")[4], set()).add(side)
    assert all(len(both) == 1 for both in by_restaurant.values())
    assert {"train", "eval"} == set(found.values())


@pytest.mark.parametrize("pattern", [None, "^photos/([^/]+)/"])
def should_keep_photos_on_their_side_when_the_dataset_grows(pattern: str | None) -> None:
    rules = any_rules(group_pattern=pattern)
    before, _ = run(any_manifest(3000, restaurants=600), rules)
    after, _ = run(any_manifest(6000, restaurants=600), rules)
    later = sides(after)
    assert all(later[source] == side for source, side in sides(before).items())


def should_move_few_photos_when_a_small_dataset_grows() -> None:
    before, _ = run(any_manifest(90))
    after, _ = run(any_manifest(120))
    earlier, later = sides(before), sides(after)
    assert sum(later[source] != side for source, side in earlier.items()) <= 9


def should_not_depend_on_the_order_of_lines() -> None:
    data = any_manifest(90)
    turned = of_lines(data.split(b"\n")[:-1][::-1])
    assert sides(run(data)[0]) == sides(run(turned)[0])


@pytest.mark.parametrize("photos", range(6, 40, 3))
def should_hold_out_at_least_one_of_each_category(photos: int) -> None:
    _, cleaned = run(any_manifest(photos))
    assert all(cleaned.card["counts"][side][key] >= 1 for side in ("train", "eval") for key in KEYS[:3])


def _divisible(units_of: dict[int, set[int]], units: int) -> bool:
    """Try every way to divide the units: is every category on both sides in one of them?"""
    masks = [sum(1 << one for one in held) for held in units_of.values()]
    return any(all(mask & way and mask & ~way for mask in masks) for way in range(1 << units))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any), min_size=2, max_size=8), st.randoms())
def should_have_every_category_on_both_sides_wherever_restaurants_can_be_divided_so(
    menus: list[list[int]], luck: random.Random
) -> None:
    names = luck.sample(range(10_000), len(menus))  # which side a restaurant is on follows from its name
    lines = [
        any_line(f"photos/r{name}/{category}-{photo}.jpg", category)
        for name, menu in zip(names, menus, strict=True)
        for category, count in enumerate(menu)
        for photo in range(count)
    ]
    assume(all(sum(menu[category] for menu in menus) >= 2 for category in range(3)))
    had = {category: {place for place, menu in enumerate(menus) if menu[category]} for category in range(3)}
    rules = any_rules(group_pattern="^photos/([^/]+)/")
    if not _divisible(had, len(menus)):
        with pytest.raises(DatasetTooSmallError, match="too few restaurants"):
            run(of_lines(lines), rules)
        return
    _, cleaned = run(of_lines(lines), rules)
    assert all(cleaned.card["counts"][side][key] >= 1 for side in ("train", "eval") for key in KEYS[:3])


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.integers(0, 8), st.sets(st.integers(0, 7), min_size=2), min_size=1, max_size=9),
    st.sets(st.integers(0, 7)),
)
def should_find_a_division_of_restaurants_wherever_there_is_one(
    units_of: dict[int, set[int]], evaluating: set[int]
) -> None:
    found = both_sided({category: sorted(held) for category, held in units_of.items()}, evaluating.__contains__)
    assert bool(found) == _divisible(units_of, 8)
    if found:
        assert all({found.get(unit) for unit in held} >= {True, False} for held in units_of.values())

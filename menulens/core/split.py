"""Which side of the split a photo is on: told by its restaurant's name alone, so that it stays when a dataset grows.

The unit of the split is the restaurant (or the photo, where the rules name none). A hash of its name is a number from
0 up to 2**32; below ``eval_share`` of that range it evaluates. Large datasets come out close to the share in every
category. Where a category does not (it is small, or one restaurant holds much of it), :func:`balance` moves the units
whose numbers lie nearest to the border, and no others. That each category is on both sides comes before the shares.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from hashlib import blake2b

from menulens.core.rules import CleaningRules

RANGE = 1 << 32
TOLERANCE = 0.25  # of a category's due part; beyond it the split is balanced
MOST_UNITS = 200_000  # units kept in memory while balancing: those nearest to the border


def border(rules: CleaningRules) -> int:
    """Return the number below which a unit evaluates."""
    return round(rules.eval_share * RANGE)


def unit_number(name: str, *, is_group: bool) -> int:
    """Return a unit's number, 0 up to 2**32, from its name."""
    tagged = (b"g\0" if is_group else b"p\0") + name.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(tagged, digest_size=4).digest(), "big")


def grouper(rules: CleaningRules) -> Callable[[str], str | None]:
    """Return the function that finds a photo's restaurant in its key; None: it has none, and stands for itself."""
    if rules.group_pattern is None:
        return lambda key: None  # noqa: ARG005
    search = re.compile(rules.group_pattern).search

    def group(key: str) -> str | None:
        found = search(key)
        return found[1] if found else None

    return group


def due(photos: int, share: float) -> tuple[int, int]:
    """Return the fewest and most photos of a category that should evaluate, of so many."""
    target = photos * share
    slack = max(1.0, TOLERANCE * min(target, photos - target))
    return max(1, math.ceil(target - slack)), min(photos - 1, math.floor(target + slack))


def unbalanced(totals: Mapping[int, int], evaluating: Mapping[int, int], share: float) -> set[int]:
    """Return the categories whose evaluating photos are too few or too many."""
    wrong = set()
    for category, total in totals.items():
        low, high = due(total, share)
        if total >= 2 and not low <= evaluating.get(category, 0) <= high:
            wrong.add(category)
    return wrong


class UnitTable:
    """Photos of each category in each unit, for the units nearest to the border."""

    def __init__(self, middle: int) -> None:
        self._middle = middle
        self._window = RANGE
        self.units: dict[int, dict[int, int]] = {}

    def add(self, number: int, category: int) -> None:
        """Count one photo."""
        if abs(number - self._middle) > self._window:
            return
        counts = self.units.setdefault(number, {})
        counts[category] = counts.get(category, 0) + 1
        while len(self.units) > MOST_UNITS:
            self._window //= 2
            near = {key: value for key, value in self.units.items() if abs(key - self._middle) <= self._window}
            self.units = near


def balance(
    table: UnitTable, middle: int, totals: Mapping[int, int], evaluating: Mapping[int, int], share: float
) -> set[int]:
    """Return the units that must change sides for every category to be near its share, as far as units allow.

    A category that is in at least as many units as there are categories always comes out on both sides: each other
    category can keep one unit at most where it is.

    Parameters
    ----------
    table
        What the units hold.
    middle
        The border between the sides.
    totals, evaluating
        Photos of each category in all, and on the evaluating side before any move.
    share
        Part that should evaluate.
    """
    now = Counter(evaluating)
    limits = {category: due(total, share) for category, total in totals.items() if total >= 2}
    one_sided = sum(totals.values())  # no sum of shares that are off outweighs a category that is on one side alone
    moved: set[int] = set()
    nearest = sorted(table.units, key=lambda number: (abs(number - middle), number))
    by_category: dict[int, list[int]] = defaultdict(list)
    for number in nearest:
        for category in table.units[number]:
            by_category[category].append(number)

    def fault(category: int, photos: int) -> int:
        if category not in limits:
            return 0
        low, high = limits[category]
        off = max(low - photos, photos - high, 0)
        return off if 0 < photos < totals[category] else one_sided + off

    def gain(number: int, step: int) -> int:
        counts = table.units[number].items()
        return sum(fault(kind, now[kind]) - fault(kind, now[kind] + step * count) for kind, count in counts)

    improved = True
    while improved:
        improved = False
        for category in sorted(limits):
            for number in by_category[category]:
                off = fault(category, now[category])
                if not off:
                    break
                step = 1 if now[category] < limits[category][0] else -1
                evaluates = (number < middle) != (number in moved)
                if evaluates == (step < 0) and gain(number, step) > 0:
                    moved ^= {number}
                    for kind, count in table.units[number].items():
                        now[kind] += step * count
                    improved = True
    return moved

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
from collections.abc import Callable, Mapping, Sequence
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

    Wherever the units can be divided so that every category is on both sides, they are.

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
    sides = _Sides(table, middle, totals, evaluating, share)
    sides.improve()
    if sides.has_one_sided():
        for number, evaluates in both_sided(sides.by_category, sides.evaluates).items():
            if sides.evaluates(number) != evaluates:
                sides.move(number)
        sides.improve()
    return sides.moved


class _Sides:
    """Which units evaluate, and what that comes to; units change sides one at a time, those at the border first."""

    def __init__(
        self, table: UnitTable, middle: int, totals: Mapping[int, int], evaluating: Mapping[int, int], share: float
    ) -> None:
        self._units, self._middle, self._totals = table.units, middle, totals
        self._now = Counter(evaluating)
        self._limits = {category: due(total, share) for category, total in totals.items() if total >= 2}
        self._one_sided = sum(totals.values())  # no sum of shares that are off outweighs a category on one side alone
        self.moved: set[int] = set()
        self.by_category: dict[int, list[int]] = defaultdict(list)
        for number in sorted(self._units, key=lambda number: (abs(number - middle), number)):
            for category in self._units[number]:
                self.by_category[category].append(number)

    def evaluates(self, number: int) -> bool:
        """Return whether a unit is on the evaluating side."""
        return (number < self._middle) != (number in self.moved)

    def move(self, number: int) -> None:
        """Bring a unit to the other side."""
        step = -1 if self.evaluates(number) else 1
        self.moved ^= {number}
        for category, count in self._units[number].items():
            self._now[category] += step * count

    def has_one_sided(self) -> bool:
        """Return whether any category of two photos or more is on one side alone."""
        return any(not 0 < self._now[category] < self._totals[category] for category in self._limits)

    def improve(self) -> None:
        """Move units as long as that brings categories nearer to their shares."""
        improved = True
        while improved:
            improved = False
            for category in sorted(self._limits):
                for number in self.by_category[category]:
                    if not self._fault(category, self._now[category]):
                        break
                    too_few = self._now[category] < self._limits[category][0]
                    if self.evaluates(number) != too_few and self._gain(number) > 0:
                        self.move(number)
                        improved = True

    def _fault(self, category: int, photos: int) -> int:
        if category not in self._limits:
            return 0
        low, high = self._limits[category]
        off = max(low - photos, photos - high, 0)
        return off if 0 < photos < self._totals[category] else self._one_sided + off

    def _gain(self, number: int) -> int:
        step = -1 if self.evaluates(number) else 1
        counts = self._units[number].items()
        return sum(
            self._fault(category, self._now[category]) - self._fault(category, self._now[category] + step * count)
            for category, count in counts
        )


def both_sided(
    units: Mapping[int, Sequence[int]], evaluates: Callable[[int], bool], most_steps: int = 20_000
) -> dict[int, bool]:
    """Return sides for some of the units (True: it evaluates) that put every category on both sides.

    One unit that evaluates and one that trains are looked for category by category, those in the fewest units first,
    with as few changes as the first way that fits needs. It is found wherever there is one; the answer is empty where
    there is none, or (never seen with real menus) none was found in so many steps. Categories of a single unit, which
    nothing helps, are left out.

    Parameters
    ----------
    units
        Category to the units that hold it, the ones to move first at the beginning.
    evaluates
        The side of each unit now.
    most_steps
        Choices to try.
    """
    order = sorted((one for one in units if len(units[one]) > 1), key=lambda category: (len(units[category]), category))
    # All categories together need two units each, so among two more than that of one category some are always free.
    enough = 2 * len(order)
    tried: set[tuple[int, frozenset[tuple[int, bool]]]] = set()

    def search(place: int, sides: dict[int, bool]) -> dict[int, bool] | None:
        if place == len(order):
            return sides
        state = (place, frozenset(sides.items()))
        if state in tried or len(tried) >= most_steps:
            return None
        tried.add(state)
        some = units[order[place]][:enough]
        if {sides.get(one) for one in some} >= {True, False}:
            return search(place + 1, sides)
        pairs = [
            {held: True, trained: False}
            for held in some
            for trained in some
            if held != trained and sides.get(held, True) and not sides.get(trained, False)
        ]
        pairs.sort(key=lambda pair: sum(evaluates(one) != side for one, side in pair.items()))
        return next((found for pair in pairs if (found := search(place + 1, sides | pair)) is not None), None)

    return search(0, {}) or {}

"""How far people agree beyond chance: Krippendorff's alpha for categories, with a bootstrap confidence interval.

``alpha = 1 − D_o / D_e`` (Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section B: nominal data, any
number of observers, missing data). The point estimate equals that of the package ``krippendorff``, which has no
interval; here both come from one pass over counts, so that a thousand resamples of 100,000 items take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

RESAMPLES: Final = 1_000
LEAST_RESAMPLES: Final = 200
MOST_DRAWS: Final = 20_000_000
"""Items times resamples, about: a second's work. Of many items fewer resamples do: the interval is narrow then."""
LEVEL: Final = 0.95
LEAST_ITEMS: Final = 5
"""With fewer items that two people answered an interval says nothing."""
_BLOCK: Final = 2_000_000  # numbers of one block of resamples' weights


@dataclass(frozen=True, slots=True)
class Alpha:
    """Agreement of a job.

    Attributes
    ----------
    alpha
        1: always; 0: as often as chance; under 0: less. None where nothing can be said: nobody answered what another
        answered, or only one category was ever given.
    low, high
        The interval's ends; None where there are too few items.
    items, answers
        Items with two answers or more, and the answers to them.
    """

    alpha: float | None
    low: float | None
    high: float | None
    items: int
    answers: int


def krippendorff(votes: Iterable[tuple[str, str, int]], *, resamples: int = RESAMPLES, seed: int = 0) -> Alpha:
    """Return Krippendorff's alpha of (item, person, category) votes; items are resampled for the interval.

    Parameters
    ----------
    votes
        Each person's answer to each item, once.
    seed
        The same seed gives the same interval.
    """
    counts = _counts(votes)
    given = counts.sum(axis=1)
    counts, given = counts[given > 1], given[given > 1]
    items, answers = len(given), int(given.sum())
    if items == 0:
        return Alpha(None, None, None, 0, 0)
    # Of each item: pairs of answers that differ, each weighed by 1 / (m − 1).
    differing = (given**2 - (counts**2).sum(axis=1)) / (given - 1)
    [alpha] = _alphas(np.ones((1, items)), counts, given, differing)
    if items < LEAST_ITEMS or np.isnan(alpha):
        return Alpha(None if np.isnan(alpha) else float(alpha), None, None, items, answers)
    resamples = min(resamples, max(LEAST_RESAMPLES, MOST_DRAWS // items))
    found = np.concatenate(list(_resampled(counts, given, differing, resamples, seed)))
    found = found[~np.isnan(found)]
    if not len(found):
        return Alpha(float(alpha), None, None, items, answers)
    tail = (1.0 - LEVEL) / 2
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return Alpha(float(alpha), float(low), float(high), items, answers)


def _counts(votes: Iterable[tuple[str, str, int]]) -> Array:
    """Return how often each item was given each category: float64 [items, K]."""
    rows: dict[str, int] = {}
    pairs = [(rows.setdefault(item, len(rows)), label) for item, _, label in votes]
    if not pairs:
        return np.zeros((0, 1))
    places = np.array(pairs, dtype=np.int64)
    counts: Array = np.zeros((len(rows), int(places[:, 1].max()) + 1))
    np.add.at(counts, (places[:, 0], places[:, 1]), 1.0)
    return counts


def _resampled(counts: Array, given: Array, differing: Array, resamples: int, seed: int) -> Iterable[Array]:
    random, items = np.random.default_rng(seed), len(given)
    left, at_once = resamples, max(1, _BLOCK // items)
    while left > 0:
        now = min(left, at_once)
        weights = random.multinomial(items, np.full(items, 1.0 / items), size=now).astype(np.float64)
        yield _alphas(weights, counts, given, differing)
        left -= now


def _alphas(weights: Array, counts: Array, given: Array, differing: Array) -> Array:
    """Return alpha for each row of item weights; not a number where one category alone was given."""
    total = weights @ given
    by_category = weights @ counts
    observed = (weights @ differing) / total
    expected = (total**2 - (by_category**2).sum(axis=1)) / (total * (total - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(expected > 0, 1.0 - observed / expected, np.nan)
    return found

"""Labels that asking by need takes for the accuracy of a fixed three per photo, on simulated people of mixed skill.

Both sides ask the same people about the same photos: a person's answer to a photo is drawn once. Where on the way from
few labels to many the accuracies are equal is read between the thresholds tried, from means over worlds; its interval
is the bootstrap's over worlds. Two baselines: three answers and their majority, as is usual; and three answers and
Dawid–Skene, which is harder to beat, for it has learned of people what asking by need learns.

Exits with 1 if in any mix more than 60 % of the labels of three per photo and their majority are needed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from menulens.labeling.consensus import dawid_skene, dawid_skene_with_prior, majority
from menulens.labeling.simulation import ByNeed, Kind, accuracy, any_world, ask_fixed

Array = np.ndarray[Any, Any]

MIXES: Final[Mapping[str, Mapping[Kind, int]]] = {
    "careful": {"expert": 2, "careful": 6, "average": 2},
    "mixed": {"expert": 2, "careful": 4, "average": 3, "hasty": 2, "biased": 1},
    "rough": {"expert": 1, "careful": 2, "average": 4, "hasty": 4, "biased": 1},
    "spammed": {"expert": 2, "careful": 3, "average": 3, "hasty": 2, "guesser": 1, "monotone": 1},
}
SHARES: Final = (22, 16, 14, 12, 10, 9, 7, 5, 5)  # nine categories of unequal size
PHOTOS: Final = 3000
FIXED: Final = 3
MOST: Final = 5
WORLDS: Final = 6
THRESHOLDS: Final = (0.7, 0.8, 0.87, 0.92, 0.95, 0.97)
DEFAULT: Final = 0.95
LEAST_WORTH: Final = 0.35
TARGET: Final = 0.60
RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Run:
    """What one world gave.

    Attributes
    ----------
    majority, likely, with_prior
        Accuracy of three answers by majority, maximum likelihood Dawid–Skene, and the one with prior knowledge.
    by_need
        float64 [thresholds, 3]: labels per photo, accuracy and mean confidence.
    """

    majority: float
    likely: float
    with_prior: float
    by_need: Array


def one(mix: str, seed: int, least_worth: float) -> Run:
    """Ask both ways in one world."""
    world = any_world(items=PHOTOS, kinds=MIXES[mix], shares=SHARES, seed=seed)
    fixed = ask_fixed(world, FIXED, seed)
    said = [way(fixed, len(SHARES)) for way in (majority, dawid_skene, dawid_skene_with_prior)]
    found = []
    for threshold in THRESHOLDS:
        answers = ByNeed(world, threshold, max_answers=MOST, least_worth=least_worth).ask(seed)
        end = dawid_skene_with_prior(answers, len(SHARES))
        found.append((len(answers) / PHOTOS, accuracy(world, end.items, end.labels), end.confidence.mean()))
    votes, likely, with_prior = (accuracy(world, end.items, end.labels) for end in said)
    return Run(votes, likely, with_prior, np.array(found))


def needed(curves: Array, goals: Array) -> float:
    """Return the labels per photo at which the mean accuracy is the mean goal; infinite where no threshold reaches it.

    Parameters
    ----------
    curves
        float64 [worlds, thresholds, 2]: labels per photo and accuracy.
    goals
        float64 [worlds].
    """
    labels, reached = curves.mean(axis=0).T
    goal = float(goals.mean())
    if goal > reached.max():
        return float("inf")
    return float(np.interp(goal, np.maximum.accumulate(reached), labels))  # below all thresholds: the first one's


def interval(curves: Array, goals: Array) -> tuple[float, float, float]:
    """Return the labels needed and their 95 % interval over worlds (Efron 1979)."""
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, len(goals), len(goals)) for _ in range(RESAMPLES)]
    low, high = np.percentile([needed(curves[at], goals[at]) for at in drawn], [2.5, 97.5])
    return needed(curves, goals), float(low), float(high)


def main() -> int:
    """Print the table; the exit code tells whether the target holds."""
    print(
        f"{PHOTOS:,} photos, {len(SHARES)} categories, at most {MOST} people a photo, {WORLDS} worlds a mix.\n"
        "Labels by need for the same accuracy, as a share of three per photo (95 % interval over worlds):\n"
    )
    print(
        f"{'':28}{'accuracy of fixed three':^27}{'labels by need, accuracy as':^56}\n"
        f"{'people':28}{'majority':>9}{'D–S':>8}{'prior':>8}{'majority':>26}{'D–S':>24}   at threshold {DEFAULT}"
    )
    worst = 0.0
    with ProcessPoolExecutor(2) as pool:
        for mix, least_worth in (*((mix, 0.0) for mix in MIXES), ("spammed", LEAST_WORTH)):
            runs = list(pool.map(one, [mix] * WORLDS, range(WORLDS), [least_worth] * WORLDS))
            worst = max(worst, _row(mix + (", guessers sent home" if least_worth else ""), runs))
    met = "met" if worst <= TARGET else "MISSED"
    print(f"\nWorst beside the majority: {worst:.1%}; target: at most {TARGET:.0%}: {met}.")
    return int(worst > TARGET)


def _row(what: str, runs: list[Run]) -> float:
    """Print a row, and return the share of labels that it needs beside the majority of three."""
    curves = np.stack([run.by_need for run in runs])
    fixed = np.array([[run.majority, run.likely, run.with_prior] for run in runs])
    easy, hard = interval(curves[:, :, :2], fixed[:, 0]), interval(curves[:, :, :2], fixed[:, 1])
    shares = [f"{value / FIXED:.1%} ({low / FIXED:.1%}–{high / FIXED:.1%})" for value, low, high in (easy, hard)]
    labels, reached, confidence = curves[:, THRESHOLDS.index(DEFAULT)].mean(axis=0)
    votes, likely, prior = fixed.mean(axis=0)
    print(
        f"{what:28}{votes:>9.4f}{likely:>8.4f}{prior:>8.4f}{shares[0]:>26}{shares[1]:>24}"
        f"   {labels:.2f} a photo, accuracy {reached:.4f}, confidence {confidence:.4f}",
        flush=True,
    )
    return easy[0] / FIXED


if __name__ == "__main__":
    sys.exit(main())

"""Labels that asking by need takes for the accuracy of a fixed three per photo, on simulated people of mixed skill.

Asking by need is what the portal does with the settings' defaults: until the posterior of the consensus passes the
threshold, at most so many people, and none of those whose answers tell little beside the others'. The lower rows show
the same with everybody asked to the end.

Both sides ask the same people about the same photos: a person's answer to a photo is drawn once. Where on the way from
few labels to many the accuracies are equal is read between the thresholds tried, from means over worlds; its interval
is the bootstrap's over worlds. Three answers are joined in three ways: by majority, as is usual; by Dawid–Skene, which
is harder to beat, for it has learned of people what asking by need learns; and by Dawid–Skene with prior knowledge of
people, the very consensus that asking by need ends with.

Exits with 1 if in any mix more than 60 % of the labels of three per photo are needed, however these are joined.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from menulens.labeling.consensus import dawid_skene, dawid_skene_with_prior, majority
from menulens.labeling.simulation import ByNeed, Kind, accuracy, any_world, ask_fixed
from menulens.settings import Portal

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
WORLDS: Final = 8
THRESHOLDS: Final = (0.7, 0.8, 0.87, 0.92, 0.95, 0.97)
DEFAULT: Final = Portal()
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
        answers = ByNeed(world, threshold, max_answers=DEFAULT.max_answers, least_worth=least_worth).ask(seed)
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
        f"{PHOTOS:,} photos, {len(SHARES)} categories, {WORLDS} worlds a mix. By need: at most {DEFAULT.max_answers} "
        f"people a photo, and\nnone who tells less than {DEFAULT.least_worth:.0%} of the average; in the lower rows "
        "everybody.\nLabels by need for the accuracy of three a photo, as a share of these, with its 95 % interval "
        "over worlds:\n"
    )
    by_need = f"by need at {DEFAULT.confidence}"
    print(
        f"{'':20}{'accuracy of three':^24}{'labels by need for the accuracy of three joined by':^60}\n"
        f"{'people':20}{'majority':>8}{'D–S':>8}{'prior':>8}{'majority':>20}{'D–S':>20}{'prior':>20}   {by_need}"
    )
    worst = 0.0
    with ProcessPoolExecutor(2) as pool:
        for mix in MIXES:
            worst = max(worst, *_row(mix, _runs(pool, mix, DEFAULT.least_worth)))
        for mix in MIXES:
            _row(f"{mix}, everybody", _runs(pool, mix, 0.0))
    met = "met" if worst <= TARGET else "MISSED"
    print(f"\nWorst of the first {len(MIXES)} rows: {worst:.1%}; target: at most {TARGET:.0%}: {met}.")
    return int(worst > TARGET)


def _runs(pool: Executor, mix: str, least_worth: float) -> list[Run]:
    return list(pool.map(one, [mix] * WORLDS, range(WORLDS), [least_worth] * WORLDS))


def _row(what: str, runs: list[Run]) -> list[float]:
    """Print a row, and return the shares of labels that it needs beside three joined in each way."""
    curves = np.stack([run.by_need for run in runs])
    fixed = np.array([[run.majority, run.likely, run.with_prior] for run in runs])
    found = [[100 * value / FIXED for value in interval(curves[:, :, :2], goals)] for goals in fixed.T]
    accuracies = "".join(f"{value:>8.4f}" for value in fixed.mean(axis=0))
    shares = "".join(f"{f'{value:.1f}% ({low:.1f}–{high:.1f})':>20}" for value, low, high in found)
    labels, reached, confidence = curves[:, THRESHOLDS.index(DEFAULT.confidence)].mean(axis=0)
    told = f"{labels:.2f} a photo, accuracy {reached:.4f}, confidence {confidence:.4f}"
    print(f"{what:20}{accuracies}{shares}   {told}", flush=True)
    return [share / 100 for share, _, _ in found]


if __name__ == "__main__":
    sys.exit(main())

"""Labels by machine where it is surely right: what it would say, how sure it is, and which photos it should offer.

The order of things: predictions are calibrated on people's labels that they never saw; photos over a threshold become
candidates; people check a random probe of them (see :mod:`menulens.labeling.probing`); and only when the probe bounds
the error do the machine's labels stand.

Since the probe proves, the threshold need not: it is the one that promises to spare people most. A batch that fails
costs its share of what later batches may be wrong by, so none is begun that is not likely to stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import optimize, stats

from menulens.labeling import probing
from menulens.labeling.prediction import out_of_fold, predict
from menulens.labeling.probing import CERTAINTY, ERROR, Plan

Array = np.ndarray[Any, Any]

LIKELY: Final = 0.8
"""How likely a batch must be to stand for it to be begun. What is believed is of the best of many thresholds, and so a
little too good; and a batch that fails leaves less for the next."""
BELIEF: Final = 20.0
"""So many held-out photos does the calibrated confidence count for, when the error of a batch is guessed."""
STRATA: Final = 5
"""Strata of confidence in which held-out photos and candidates are compared."""
SIZES: Final = 24
"""Sizes of batches that are tried."""
RATES: Final = 15
"""Points at which a belief about an error rate is taken."""
TINY: Final = 1e-12


# --- calibration -----------------------------------------------------------------------------------


def fit_temperature(probabilities: Array, labels: Array) -> float:
    """Return the temperature at which probabilities fit labels best (Guo et al. 2017, section 4.2).

    Parameters
    ----------
    probabilities
        float64 [n, K], of photos that the model never saw.
    labels
        int64 [n].
    """
    logs = np.log(np.maximum(probabilities, TINY))

    def loss(log_temperature: float) -> float:
        return -float(_log_softmax(logs / math.exp(log_temperature))[np.arange(len(labels)), labels].mean())

    found = optimize.minimize_scalar(loss, bounds=(math.log(0.05), math.log(20.0)), method="bounded")
    return float(math.exp(found.x))


def calibrated(probabilities: Array, temperature: float) -> Array:
    """Return probabilities at a temperature: float64 [n, K]. The order of the categories stays."""
    found: Array = np.exp(_log_softmax(np.log(np.maximum(probabilities, TINY)) / temperature))
    return found


def calibration_error(probabilities: Array, labels: Array, bins: int = 15) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart (Guo et al. 2017, eq. 5)."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, confidence, bins) - np.bincount(place, right.astype(np.float64), bins)
    return float(np.abs(gaps).sum() / len(labels))


def uncertainty(probabilities: Array) -> Array:
    """Return how little is known of each photo: entropy as a share of the most, float64 [n], 0 to 1."""
    logs = np.log(np.maximum(probabilities, TINY))
    found: Array = -(probabilities * logs).sum(axis=1) / math.log(max(2, probabilities.shape[1]))
    return np.clip(found, 0.0, 1.0)


# --- what is offered -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a machine would say of photos that nobody has answered, and from which confidence on it should.

    Attributes
    ----------
    temperature
        At which predictions fit the labels that they never saw.
    error_before, error_after
        Expected calibration error before and after.
    probabilities
        float64 [asked, K], calibrated.
    threshold
        None where no batch is likely to stand.
    plan
        Of the batch; None without.
    """

    temperature: float
    error_before: float
    error_after: float
    probabilities: Array
    threshold: float | None
    plan: Plan | None


def propose(
    vectors: Array,
    labels: Array,
    categories: int,
    *,
    batch: int,
    groups: Array | None = None,
    error: float = ERROR,
    certainty: float = CERTAINTY,
) -> Proposal:
    """Say what a machine would label, and whether it should be probed now.

    Parameters
    ----------
    vectors, labels
        float32 [n, d] and int64 [n]: photos that people labeled, and with label -1 those that nobody has answered.
    batch
        Number of the batch in its job, from 1.
    groups
        What must not be divided, as a photo's restaurant; [n].

    Raises
    ------
    menulens.labeling.prediction.TooFewLabelsError
        If there is too little to learn from.
    """
    known, asked = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    truth = labels[known]
    held_out = out_of_fold(vectors, labels, categories, groups=groups)[known]
    temperature = fit_temperature(held_out, truth)
    sure = calibrated(held_out, temperature)
    probabilities = calibrated(predict(vectors, labels, categories)[asked], temperature)
    threshold, planned = choose_threshold(
        sure.max(axis=1), sure.argmax(axis=1) == truth, probabilities.max(axis=1),
        batch=batch, error=error, certainty=certainty,
    )  # fmt: skip
    before, after = (calibration_error(one, truth) for one in (held_out, sure))
    return Proposal(temperature, before, after, probabilities, threshold, planned)


def choose_threshold(
    confidence: Array,
    right: Array,
    asked: Array,
    *,
    batch: int,
    error: float = ERROR,
    certainty: float = CERTAINTY,
) -> tuple[float | None, Plan | None]:
    """Return the confidence from which on candidates promise to spare people most, and their plan; None if none does.

    Parameters
    ----------
    confidence, right
        float64 and bool [n] of held-out photos.
    asked
        float64 [m]: confidence of the photos that nobody has answered.
    """
    falling = np.sort(asked)[::-1]
    best: tuple[float, float | None, Plan | None] = (0.0, None, None)
    quantiles = (np.arange(RATES) + 0.5) / RATES
    sizes = np.unique(np.linspace(len(falling) / SIZES, len(falling), SIZES).astype(np.int64))
    for size in sizes[sizes > 0]:
        threshold = float(falling[size - 1])
        candidates = int(np.searchsorted(-falling, -threshold, side="right"))  # photos of equal confidence go together
        belief = _belief(confidence, right, falling[:candidates])
        if belief.mean() > error:
            continue  # it can't be likely to stand
        planned = probing.plan(candidates, batch, error=error, certainty=certainty)
        spared, stands = probing.expected_spared(planned, belief.ppf(quantiles))
        if stands >= LIKELY and spared > best[0]:
            best = (spared, threshold, planned)
    return best[1], best[2]


# --- who is asked about what -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a machine would say of an item, and how sure it is."""

    item: str
    label: int
    confidence: float


def _belief(confidence: Array, right: Array, candidates: Array) -> Any:
    """Return what is believed of candidates' error rate: a beta distribution.

    People's labels are of the most uncertain photos rather than of the surest, so that held-out photos are not as
    candidates are. Hence they are compared in strata of confidence: in each, the held-out photos count, and as much as
    a few more of them what the calibrated confidence itself says.

    Parameters
    ----------
    candidates
        Their confidence, falling.
    """
    ends = np.unique([part[-1] for part in np.array_split(candidates, STRATA) if len(part)])[::-1]
    mean, variance, ceiling = 0.0, 0.0, math.inf
    for end in ends:
        part = candidates[(candidates >= end) & (candidates < ceiling)]
        within = (confidence >= end) & (confidence < ceiling)
        share, weight, ceiling = len(part) / len(candidates), BELIEF / len(ends), float(end)
        count = float(within.sum()) + weight
        rate = (float(np.sum(within & ~right)) + weight * float((1.0 - part).mean())) / count
        rate = min(max(rate, 0.1 / count), 0.99)  # a rate of exactly 0 is not believed
        mean, variance = mean + share * rate, variance + share**2 * rate * (1.0 - rate) / (count + 1.0)
    strength = mean * (1.0 - mean) / variance - 1.0
    return stats.beta(mean * strength, (1.0 - mean) * strength)


def batch(
    items: Sequence[str], probabilities: Array, threshold: float | None, *, seed: int
) -> tuple[list[Candidate], dict[str, int]]:
    """Divide items into candidates, in the order in which they are probed, and the others by who needs people most.

    Parameters
    ----------
    items
        Items that nobody has answered.
    probabilities
        float64 [items, K], calibrated.
    threshold
        None: there are no candidates.

    Returns
    -------
    tuple
        Candidates in random order (the first so many are the probe), and a priority for every item: 1 for the most
        uncertain to 98, 99 for candidates. Probes get 0 when they are asked.
    """
    confidence, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    over = confidence >= (math.inf if threshold is None else threshold)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(over))
    candidates = [Candidate(items[at], int(best[at]), float(confidence[at])) for at in order]
    rest = np.flatnonzero(~over)
    ranked = rest[np.argsort(-uncertainty(probabilities[rest]), kind="stable")]
    priorities = {items[at]: 1 + place * 98 // max(1, len(ranked)) for place, at in enumerate(ranked)}
    return candidates, priorities | {one.item: 99 for one in candidates}


def _log_softmax(logs: Array) -> Array:
    top = logs.max(axis=1, keepdims=True)
    found: Array = logs - top - np.log(np.exp(logs - top).sum(axis=1, keepdims=True))
    return found

"""Labels by machine where it is surely right, and proof that it is.

The order of things: a model's confidence is calibrated on people's labels that it never saw; photos over a threshold
become candidates; people check a random probe of them; and only when the probe bounds the candidates' error do their
machine labels stand.

The probe is looked at more than once, and stopping at the first look that pleases would void an ordinary bound: with
four looks at 5 % each, a batch over the limit passes far more often than that. So the looks are planned beforehand, at
fixed numbers of probes in an order drawn beforehand, and share the error rate evenly among them (alpha spending with
Bonferroni's inequality; Pocock 1977 for equal shares); batches of one job share it as ``6 / (π² batch²)``, whose sum is
1. Each bound is exact (Clopper & Pearson 1934). A confidence sequence (Howard et al. 2021) would allow a look at any
moment; a command that is run now and then has no use for that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from scipy import optimize, stats

Array = np.ndarray[Any, Any]

ERROR: Final = 0.05
CERTAINTY: Final = 0.95
LOOKS: Final = 4
AIM: Final = 0.5
"""Candidates are chosen for so much of the error that they may have: to prove a batch that is just under the limit
would take more probes than it has photos."""
MOST_PROBED: Final = 0.5
"""A look at more of the candidates than this spares nobody anything."""
TINY: Final = 1e-12

State = Literal["waiting", "stands", "stopped"]


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


# --- bounds ----------------------------------------------------------------------------------------


def upper_bound(errors: int, count: int, level: float) -> float:
    """Return the upper end of the one-sided exact interval for an error rate (Clopper & Pearson 1934).

    Parameters
    ----------
    level
        The chance that the true rate is over the bound, at most.
    """
    return 1.0 if errors >= count else float(stats.beta.ppf(1.0 - level, errors + 1, count - errors))


def lower_bound(errors: int, count: int, level: float) -> float:
    """Return the lower end of the one-sided exact interval for an error rate (Clopper & Pearson 1934)."""
    return 0.0 if errors == 0 else float(stats.beta.ppf(level, errors, count - errors + 1))


def choose_threshold(
    confidence: Array, right: Array, *, error: float = ERROR, certainty: float = CERTAINTY, steps: int = 100
) -> float | None:
    """Return the lowest confidence from which on machine labels look good enough to be probed; None if there is none.

    Thresholds are tried from the highest downward, each by the exact bound of the photos over it, until the first
    that fails: tests in a fixed order need no correction (Maurer et al. 1995; Angelopoulos et al. 2021, "Learn then
    test", section 3). The photos are the ones that calibrated the model, so this chooses; the probe decides.

    Parameters
    ----------
    confidence, right
        float64 and bool [n] of held-out photos.
    """
    order = np.argsort(-confidence, kind="stable")
    over, wrong = confidence[order], np.cumsum(~right[order])
    least = math.ceil(math.log(1.0 - certainty) / math.log(1.0 - error))  # fewer can't pass, even without an error
    found = None
    for count in np.unique(np.linspace(least, len(over), steps).astype(np.int64)) if len(over) >= least else ():
        if count < len(over) and over[count] == over[count - 1]:
            continue  # photos of equal confidence go together
        if upper_bound(int(wrong[count - 1]), int(count), 1.0 - certainty) > error:
            break
        found = float(over[count - 1])
    return found


# --- the probe -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """When a batch's probe is looked at, and what each look may spend.

    Attributes
    ----------
    error
        The error rate that machine labels may have.
    level
        The chance that a look passes a batch whose rate is over ``error``, at most.
    looks
        Numbers of probes.
    """

    error: float
    level: float
    looks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probe says of a batch.

    Attributes
    ----------
    state
        ``waiting`` for the look at ``due`` probes, ``stands``, or ``stopped``.
    probes, errors, bound
        Of the last look: probes looked at, wrong ones, the upper bound of the error rate. None before the first.
    due
        Probes that the next look needs; None if there is none.
    """

    state: State
    probes: int
    errors: int
    bound: float | None
    due: int | None


def plan(candidates: int, batch: int, *, error: float = ERROR, certainty: float = CERTAINTY) -> Plan:
    """Plan the looks at a batch's probe: the first passes if nothing is wrong, each next has twice as many probes.

    Parameters
    ----------
    candidates
        Photos that may be labeled; a look at more than half of them is none.
    batch
        Number of the batch in its job, from 1.
    """
    share = (1.0 - certainty) * 6.0 / (math.pi * batch) ** 2
    level = share / LOOKS
    first = math.ceil(math.log(level) / math.log(1.0 - error))
    looks = tuple(first * 2**look for look in range(LOOKS) if first * 2**look <= MOST_PROBED * candidates)
    return Plan(error, level, looks)


def judge(planned: Plan, wrong: Sequence[bool | None], *, beyond: int = 0) -> Verdict:
    """Judge a batch by its probes.

    Parameters
    ----------
    wrong
        Of each probe in the order drawn, whether people said otherwise; None where they have not said yet. What
        follows the first None is not looked at: which answers come early must not choose the sample.
    beyond
        Look on until at least so many probes even where a batch stands already.
    """
    known = next((place for place, one in enumerate(wrong) if one is None), len(wrong))
    last: tuple[int, int, float | None] = (0, 0, None)
    passed = False
    for look in planned.looks:
        if look > known:
            keep = passed and look > beyond
            return Verdict("stands" if passed else "waiting", *last, due=None if keep else look)
        errors = sum(map(bool, wrong[:look]))
        bound = upper_bound(errors, look, planned.level)
        last, passed = (look, errors, bound), bound <= planned.error
        if lower_bound(errors, look, planned.level) > planned.error:
            return Verdict("stopped", *last, due=None)
    return Verdict("stands" if passed else "stopped", *last, due=None)


# --- who is asked about what -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a machine would say of an item, and how sure it is."""

    item: str
    label: int
    confidence: float


def batch(
    items: Sequence[str], probabilities: Array, threshold: float, *, seed: int
) -> tuple[list[Candidate], dict[str, int]]:
    """Divide items into candidates, in the order in which they are probed, and the others by who needs people most.

    Parameters
    ----------
    items
        Items that nobody has answered.
    probabilities
        float64 [items, K], calibrated.

    Returns
    -------
    tuple
        Candidates in random order (the first so many are the probe), and a priority for every item: 1 for the most
        uncertain to 98, 99 for candidates. Probes get 0 when they are asked.
    """
    confidence, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    over = confidence >= threshold
    order = np.random.default_rng(seed).permutation(np.flatnonzero(over))
    candidates = [Candidate(items[at], int(best[at]), float(confidence[at])) for at in order]
    rest = np.flatnonzero(~over)
    ranked = rest[np.argsort(-uncertainty(probabilities[rest]), kind="stable")]
    priorities = {items[at]: 1 + place * 98 // max(1, len(ranked)) for place, at in enumerate(ranked)}
    return candidates, priorities | {one.item: 99 for one in candidates}


def spared(candidates: int, probes: int, answers_each: float) -> Mapping[str, float]:
    """Return how many labels people did not have to give.

    Parameters
    ----------
    answers_each
        Answers that an item took where people were asked.
    """
    photos = candidates - probes
    return {"photos": photos, "labels": photos * answers_each}


def _log_softmax(logs: Array) -> Array:
    top = logs.max(axis=1, keepdims=True)
    found: Array = logs - top - np.log(np.exp(logs - top).sum(axis=1, keepdims=True))
    return found

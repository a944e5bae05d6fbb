"""The probe: how many of a batch's candidates people check, and what their answers prove.

A batch is finite, and what stands is what was not probed. So the bounds are those of drawing without replacement, for
the rate of errors in the rest: of ``N`` candidates in random order the first ``n`` are checked, ``k`` are wrong, and
the labels of the other ``N - n`` stand if chance would rarely show so few were more than the allowed share of them
wrong.

The probe is looked at more than once, and stopping at the first look that pleases would void an ordinary bound. So the
looks are planned beforehand, each for a number of errors that it forgives, all at one nominal level (Pocock 1977). How
often such a plan passes a batch that is over the limit is summed exactly over all ways that the errors may fall and
all numbers of errors that the batch may have; the nominal level is the largest at which that is within the batch's
share. Batches of one job share what is allowed as ``6 / (π² batch²)``, whose sum is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from scipy import special, stats

Array = np.ndarray[Any, Any]

ERROR: Final = 0.05
CERTAINTY: Final = 0.95
FORGIVEN: Final = (0, 1, 2, 3, 5, 7, 10, 14, 19, 25)
"""Errors that the looks forgive. A look for every number would gain little and have people come back more often."""
MOST_PROBED: Final = 0.5
"""A look at more of the candidates than this spares nobody much."""
HALVINGS: Final = 10

State = Literal["waiting", "stands", "stopped"]


@dataclass(frozen=True, slots=True)
class Look:
    """A moment at which a batch is judged: after so many probes, forgiving so many errors."""

    probes: int
    errors: int


@dataclass(frozen=True, slots=True)
class Plan:
    """When a batch's probe is looked at.

    Attributes
    ----------
    candidates
        Photos of the batch.
    error
        The error rate that the labels that stand may have.
    share
        The chance that a batch over ``error`` stands at any look, at most.
    level
        What each look's bound is taken at, so that all together keep to ``share``.
    looks
        Fewest probes first; none if there are too few candidates to prove anything.
    """

    candidates: int
    error: float
    share: float
    level: float
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probe says of a batch.

    Attributes
    ----------
    state
        ``waiting`` for the look at ``due`` probes, ``stands``, or ``stopped``.
    probes, errors, bound
        Of the last look: probes looked at, wrong ones, the upper bound of the rate of errors among the candidates that
        were not probed. None before the first.
    due
        Probes that the next look needs; None if there is none.
    """

    state: State
    probes: int
    errors: int
    bound: float | None
    due: int | None


def remainder_bound(errors: int, probes: int, candidates: int, level: float) -> float:
    """Return the exact upper bound of the error rate among candidates that were not probed.

    Parameters
    ----------
    level
        The chance that the true rate is over the bound, at most.
    """
    rest = candidates - probes
    low, high = 0, rest  # the most errors in the rest that would show so few probes wrong more often than by level
    while low < high:
        middle = (low + high + 1) // 2
        if stats.hypergeom.cdf(errors, candidates, errors + middle, probes) > level:
            low = middle
        else:
            high = middle - 1
    return low / rest if rest else 0.0


def lower_bound(errors: int, count: int, level: float) -> float:
    """Return the lower end of the one-sided exact interval for an error rate (Clopper & Pearson 1934)."""
    return 0.0 if errors == 0 else float(stats.beta.ppf(level, errors, count - errors + 1))


@lru_cache(maxsize=1024)
def plan(candidates: int, batch: int, *, error: float = ERROR, certainty: float = CERTAINTY) -> Plan:
    """Plan the looks at a batch's probe: the largest nominal level at which all of them together keep to the share.

    Parameters
    ----------
    candidates
        Photos that may be labeled; a look at more than half of them is none.
    batch
        Number of the batch in its job, from 1.
    """
    share = (1.0 - certainty) * 6.0 / (math.pi * batch) ** 2
    low, high = share / (2 * len(FORGIVEN)), share
    found = Plan(candidates, error, share, low, _looks(candidates, low, error))
    for _ in range(HALVINGS):
        level = math.sqrt(low * high)
        tried = Plan(candidates, error, share, level, _looks(candidates, level, error))
        if chance_over_limit(tried) <= share:
            found, low = tried, level
        else:
            high = level
    return found


def chance_over_limit(planned: Plan) -> float:
    """Return how often, at the worst, a plan lets labels stand of which more than the allowed share are wrong.

    Exact: the largest over all numbers of errors in the batch, of the chance that at some look few enough probes are
    wrong while too many of the rest are.
    """
    if not planned.looks:
        return 0.0
    rests = [_too_many(planned, look) for look in planned.looks]
    # With fewer errors than these no rest has too many; with more than those every look's pass is a bad one, and more
    # errors only make it rarer.
    fewest, most = min(rests), max(rest + look.errors for rest, look in zip(rests, planned.looks, strict=True))
    totals = np.arange(fewest, min(most, planned.candidates) + 1)
    forgiven = [np.minimum(look.errors, totals - rest) for rest, look in zip(rests, planned.looks, strict=True)]
    return float(_passes(planned, totals, forgiven).sum(axis=1).max())


def expected_spared(planned: Plan, rates: Array) -> tuple[float, float]:
    """Return how many candidates people are spared on average, and how often a batch stands.

    Parameters
    ----------
    rates
        float64 [n]: error rates that the batch may have, equally likely.
    """
    if not planned.looks:
        return 0.0, 0.0
    totals = np.rint(rates * planned.candidates).astype(np.int64)
    stands = _passes(planned, totals, [np.full(len(totals), look.errors) for look in planned.looks])
    left = planned.candidates - np.array([look.probes for look in planned.looks])
    return float((stands @ left).mean()), float(stands.sum(axis=1).mean())


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
    for place, look in enumerate(planned.looks):
        if look.probes > known:
            if passed:
                return Verdict("stands", *last, due=None if look.probes > beyond else look.probes)
            # Errors only grow: a look that forgives fewer than there are can't pass.
            hopeful = next((one.probes for one in planned.looks[place:] if one.errors >= last[1]), None)
            return Verdict("waiting" if hopeful else "stopped", *last, due=hopeful)
        errors = sum(map(bool, wrong[: look.probes]))
        bound = remainder_bound(errors, look.probes, planned.candidates, planned.level)
        last, passed = (look.probes, errors, bound), errors <= look.errors
        if lower_bound(errors, look.probes, planned.level) > planned.error:
            return Verdict("stopped", *last, due=None)
    return Verdict("stands" if passed else "stopped", *last, due=None)


def _too_many(planned: Plan, look: Look) -> int:
    """Return the fewest errors among those not probed that are over the limit."""
    return math.floor(planned.error * (planned.candidates - look.probes) + 1e-9) + 1


def _looks(candidates: int, level: float, error: float) -> tuple[Look, ...]:
    """Return for each number of forgiven errors the fewest probes at which it is within a level."""
    found: list[Look] = []
    most = math.floor(MOST_PROBED * candidates)
    for errors in FORGIVEN:
        low, high = (found[-1].probes if found else 0) + 1, most
        if high < low or not _proves(errors, high, candidates, level, error):
            break
        while low < high:
            middle = (low + high) // 2
            if _proves(errors, middle, candidates, level, error):
                high = middle
            else:
                low = middle + 1
        found.append(Look(low, errors))
    return tuple(found)


def _proves(errors: int, probes: int, candidates: int, level: float, error: float) -> bool:
    rest = math.floor(error * (candidates - probes) + 1e-9) + 1
    total = errors + rest
    return total > candidates or bool(stats.hypergeom.cdf(errors, candidates, total, probes) <= level)


def _passes(planned: Plan, totals: Array, forgiven: Sequence[Array]) -> Array:
    """Return the chance that each look is the first at which no more errors are seen than it forgives.

    Parameters
    ----------
    totals
        int64 [t]: errors in the whole batch.
    forgiven
        Of each look, int64 [t]; under 0: it does not pass.

    Returns
    -------
    numpy.ndarray
        float64 [t, looks].
    """
    seen = np.arange(planned.looks[-1].errors + 1)  # who has seen more can't pass any more
    chance = np.zeros((len(totals), len(seen)))
    chance[:, 0] = 1.0
    before, found = 0, []
    for look, most in zip(planned.looks, forgiven, strict=True):
        drawn, rest = look.probes - before, planned.candidates - before
        more = seen[None, :] - seen[:, None]  # [seen before, seen now]
        left = totals[:, None, None] - seen[None, :, None]
        ways = _log_ways(left, more[None]) + _log_ways(rest - left, drawn - more[None]) - _log_ways(rest, drawn)
        chance = np.einsum("ts,tsn->tn", chance, np.exp(ways))
        passed = seen[None, :] <= most[:, None]
        found.append(np.where(passed, chance, 0.0).sum(axis=1))
        chance = np.where(passed, 0.0, chance)
        before = look.probes
    return np.stack(found, axis=1)


def _log_ways(of: Any, take: Any) -> Array:
    """Return the logarithm of the number of ways to take so many of so many; of none, minus infinity."""
    of, take = np.broadcast_arrays(np.asarray(of, dtype=np.float64), np.asarray(take, dtype=np.float64))
    fits = (take >= 0) & (take <= of)
    n, k = np.where(fits, of, 0.0), np.where(fits, take, 0.0)
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    found: Array = np.where(fits, ways, -np.inf)
    return found

"""What the people who answered agree on: Dawid–Skene, with and without prior knowledge of people.

Errors of a person are a confusion matrix: row the true category, column the answer. Both ways alternate between how
probable each category of each item is (E) and how each person errs (M) (Dawid & Skene 1979, "Maximum likelihood
estimation of observer error-rates using the EM algorithm", Applied Statistics 28(1), eq. 2.3–2.5).

Which items are asked again follows from answers alone, so the likelihood is that of a design fixed beforehand (Rubin
1976): stopping early does not bias either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np

from menulens.labeling.adaptive import DEFAULT_ACCURACY, DEFAULT_WEIGHT, LEAST, ConsensusError, Skill

Array = np.ndarray[Any, Any]

ITERATIONS: Final = 100
TOLERANCE: Final = 1e-5
FLOOR: Final = 1e-10
"""The least probability, as crowd-kit has it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Who answered what, sorted, so that the order in which answers came changes no bit of what follows.

    Attributes
    ----------
    items, workers
        Names, sorted; the arrays hold places in them.
    item, worker, label
        int64 [answers].
    """

    items: tuple[str, ...]
    workers: tuple[str, ...]
    item: Array
    worker: Array
    label: Array

    @classmethod
    def of(cls, triples: Iterable[tuple[str, str, int]]) -> Answers:
        """Take (item, worker, label) triples.

        Raises
        ------
        ConsensusError
            If a person answered an item twice.
        """
        given = sorted(triples)
        for (item, worker, _), (next_item, next_worker, _) in pairwise(given):
            if (item, worker) == (next_item, next_worker):
                raise ConsensusError(f"{worker} answered {item} twice; give the answer that replaces the other alone.")
        items = sorted({item for item, _, _ in given})
        workers = sorted({worker for _, worker, _ in given})
        item_of, worker_of = {name: at for at, name in enumerate(items)}, {name: at for at, name in enumerate(workers)}
        return cls(
            tuple(items),
            tuple(workers),
            np.array([item_of[item] for item, _, _ in given], dtype=np.int64),
            np.array([worker_of[worker] for _, worker, _ in given], dtype=np.int64),
            np.array([label for _, _, label in given], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.label)

    def counts(self, categories: int) -> Array:
        """Return how often each item was given each category: int64 [items, categories]."""
        found: Array = np.zeros((len(self.items), categories), dtype=np.int64)
        np.add.at(found, (self.item, self.label), 1)
        return found


@dataclass(frozen=True, slots=True)
class Consensus:
    """What is believed after all answers.

    Attributes
    ----------
    items, workers
        Names of the rows.
    posteriors
        float64 [items, K]: how probable each category is; a row sums to 1.
    confusion
        float64 [workers, K, K]: [person, true category, answer].
    priors
        float64 [K].
    iterations
        How often both steps ran.
    named
        bool [items, K]: the categories that may become an item's label; None: all.
    """

    items: tuple[str, ...]
    workers: tuple[str, ...]
    posteriors: Array
    confusion: Array
    priors: Array
    iterations: int
    named: Array | None = None

    @property
    def labels(self) -> Array:
        """The most probable category of each item that may become its label, of equals the first: int64 [items]."""
        allowed = self.posteriors if self.named is None else np.where(self.named, self.posteriors, -1.0)
        found: Array = allowed.argmax(axis=1)
        return found

    @property
    def confidence(self) -> Array:
        """Its probability: float64 [items]."""
        found: Array = np.take_along_axis(self.posteriors, self.labels[:, None], axis=1)[:, 0]
        return found

    def skills(self) -> dict[str, list[list[float]]]:
        """Return each person's confusion matrix by name, as ``adaptive.decide`` takes it."""
        return {name: self.confusion[at].tolist() for at, name in enumerate(self.workers)}


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a person before there are answers, in numbers of answers that this belief is worth.

    Attributes
    ----------
    accuracy, accuracy_weight
        How often people are right. A person's own share of right answers moves away from it as answers come.
    row_weight
        How much the person's share of right answers, and where the crowd's errors fall, stand in for what is not seen
        yet of each row of the person's confusion matrix.
    crowd_weight
        How much errors that fall evenly stand in for what is not seen yet of the crowd's.
    category_weight
        Answers that each category is thought to have had.
    """

    accuracy: float = DEFAULT_ACCURACY
    accuracy_weight: float = DEFAULT_WEIGHT
    row_weight: float = 20.0
    crowd_weight: float = 20.0
    category_weight: float = 1.0


def majority(answers: Answers, categories: int) -> Consensus:
    """Return each category's share of an item's answers as its posterior; of equals the first category wins."""
    _check(answers, categories)
    votes = answers.counts(categories).astype(np.float64)
    shares = votes / votes.sum(axis=1, keepdims=True)
    frame = _Frame(answers, categories)
    return _consensus(answers, shares, _rows(frame.told(shares)), shares.mean(axis=0), 0)


def dawid_skene(
    answers: Answers,
    categories: int,
    *,
    gold: Mapping[str, int] | None = None,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Consensus:
    """Return the maximum likelihood consensus; it agrees with crowd-kit 1.4.2's ``DawidSkene`` and has its defaults.

    Parameters
    ----------
    answers
        At least one.
    categories
        How many there are, K. One that nobody ever answered has probability 0.
    gold
        Items whose category is known.
    iterations, tolerance
        Stop after so many, or when the evidence lower bound grows by less, per answer.

    Raises
    ------
    ConsensusError
        If there is no answer, or an answer or a gold item names no category.
    """
    _check(answers, categories, gold)
    # As crowd-kit, know only the categories that occur: another could grow from its floor.
    items = set(answers.items)
    golden = [label for name, label in (gold or {}).items() if name in items]
    used = np.union1d(answers.label, np.array(golden, dtype=np.int64))
    label = np.searchsorted(used, answers.label)
    frame = _Frame(replace(answers, label=label), len(used))
    known = _known(answers, gold, {int(category): at for at, category in enumerate(used)})
    seen = np.zeros((len(answers.workers), len(used)), dtype=bool)
    seen[answers.worker, label] = True

    def errors(posteriors: Array) -> Array:
        # A category that a person never answers gets no floor: crowd-kit has no row for it.
        told = np.where(seen[:, None, :], np.maximum(frame.told(posteriors), FLOOR), 0.0)
        return _rows(told)

    votes = frame.answers.counts(len(used)).astype(np.float64)
    posteriors = _fixed(votes / votes.sum(axis=1, keepdims=True), known)
    priors, confusion = posteriors.mean(axis=0), errors(posteriors)
    bound, done = -np.inf, 0
    for done in range(1, iterations + 1):  # noqa: B007 (how many were needed is part of the result)
        posteriors = _fixed(frame.believed(np.log(np.maximum(priors, FLOOR)), _logs(confusion)), known)
        priors, confusion = posteriors.mean(axis=0), errors(posteriors)
        reached = frame.bound(posteriors, np.maximum(priors, FLOOR), confusion) / len(answers)
        if reached - bound < tolerance:
            break
        bound = reached
    return _spread(_consensus(answers, posteriors, confusion, priors, done), used, categories)


def dawid_skene_with_prior(
    answers: Answers,
    categories: int,
    *,
    prior: Prior | None = None,
    gold: Mapping[str, int] | None = None,
    start: tuple[Mapping[str, Skill], Sequence[float]] | None = None,
    iterations: int = ITERATIONS,
    tolerance: float = 1e-4,
) -> Consensus:
    """Return the consensus of the same model with prior knowledge of people: for few answers, and for asking by need.

    Each row of a person's confusion matrix has a Dirichlet prior (Raykar et al. 2010, "Learning from crowds", JMLR 11).
    Its mean is that person's own share of right answers, itself drawn towards ``prior.accuracy``, with errors where the
    whole crowd's fall: people take the same things for each other. Those who are seldom right weigh less in the crowd.
    Unlike majority votes, the start believes nobody fully: an item with one answer does not prove its giver right.

    A label is a category that somebody named. Where few items have two answers, little tells whether a rare category is
    rare or an error of those who name it, and the model leans towards error; the confidence is low then, but the label
    is what people said.

    Parameters
    ----------
    start
        What was believed at the last refit, to begin from; it costs fewer rounds and changes the end by rounding.
    iterations, tolerance
        Stop after so many, or when no posterior changes by more.
    answers, categories, gold
        As for ``dawid_skene``.

    Raises
    ------
    ConsensusError
        As for ``dawid_skene``.
    """
    _check(answers, categories, gold)
    prior = prior or Prior()
    frame = _Frame(answers, categories)
    known = _known(answers, gold, {category: category for category in range(categories)})
    confusion = _one_coin(np.full(len(answers.workers), prior.accuracy), categories)
    priors: Array = np.full(categories, 1.0 / categories)
    if start is not None and len(start[1]) == categories:
        priors = np.asarray(start[1], dtype=np.float64)
        for at, name in enumerate(answers.workers):
            if len(matrix := start[0].get(name, ())) == categories:
                confusion[at] = matrix
    posteriors, done = None, 0
    for done in range(1, iterations + 1):  # noqa: B007
        before = posteriors
        posteriors = _fixed(frame.believed(np.log(np.maximum(priors, LEAST)), _logs(confusion)), known)
        told = frame.told(posteriors)
        confusion = _rows(told + prior.row_weight * _expected(told, prior))
        priors = posteriors.sum(axis=0) + prior.category_weight
        priors = priors / priors.sum()
        if before is not None and np.abs(posteriors - before).max() < tolerance:
            break
    assert posteriors is not None
    named = answers.counts(categories) > 0
    named[known] = True
    return replace(_consensus(answers, posteriors, confusion, priors, done), named=named)


class _Frame:
    """The sums of both steps over answers, as sums over sorted runs."""

    def __init__(self, answers: Answers, categories: int) -> None:
        self.answers, self._categories = answers, categories
        _, self._starts = np.unique(answers.item, return_index=True)  # answers are sorted by item
        self._pair = answers.worker * categories + answers.label

    def told(self, posteriors: Array) -> Array:
        """Return how often each person gave each answer to each true category, expected: [workers, K, K]."""
        shape = len(self.answers.workers) * self._categories
        given = posteriors[self.answers.item]
        sums = [np.bincount(self._pair, given[:, truth], shape) for truth in range(self._categories)]
        found: Array = np.stack(sums).reshape(self._categories, -1, self._categories).transpose(1, 0, 2)
        return found

    def believed(self, log_priors: Array, log_confusion: Array) -> Array:
        """Return the posteriors: [items, K]."""
        told = log_confusion[self.answers.worker, :, self.answers.label]
        logs = log_priors + np.add.reduceat(told, self._starts, axis=0)
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        found: Array = weights / weights.sum(axis=1, keepdims=True)
        return found

    def bound(self, posteriors: Array, priors: Array, confusion: Array) -> float:
        """Return the evidence lower bound as crowd-kit counts it: with the prior once for each answer."""
        told = _logs(confusion)[self.answers.worker, :, self.answers.label] + np.log(priors)
        floored = np.maximum(posteriors, FLOOR)
        return float((posteriors[self.answers.item] * told).sum() - (floored * np.log(floored)).sum())


def _check(answers: Answers, categories: int, gold: Mapping[str, int] | None = None) -> None:
    if not len(answers):
        raise ConsensusError("There is no answer; a consensus needs one at least.")
    for what, labels in (("was answered", answers.label.tolist()), ("is a gold item's", list((gold or {}).values()))):
        wrong = [label for label in labels if not 0 <= label < categories]
        if wrong:
            raise ConsensusError(f"Category {wrong[0]} {what}; there are 0 to {categories - 1}.")


def _known(answers: Answers, gold: Mapping[str, int] | None, places: Mapping[int, int]) -> tuple[Array, Array]:
    """Return the rows of gold items and their categories' places."""
    at = {name: row for row, name in enumerate(answers.items)}
    found = [
        (at[name], places[label]) for name, label in sorted((gold or {}).items()) if name in at and label in places
    ]
    return np.array([row for row, _ in found], dtype=np.int64), np.array([to for _, to in found], dtype=np.int64)


def _fixed(posteriors: Array, known: tuple[Array, Array]) -> Array:
    rows, places = known
    posteriors[rows] = 0.0
    posteriors[rows, places] = 1.0
    return posteriors


def _rows(told: Array) -> Array:
    """Divide each row by its sum; a row of zeros stays."""
    total = told.sum(axis=-1, keepdims=True)
    found: Array = np.divide(told, total, out=np.zeros_like(told), where=total > 0)
    return found


def _logs(confusion: Array) -> Array:
    """Return logarithms; what cannot be answered is never looked up, and its logarithm is no error."""
    found: Array = np.log(np.where(confusion > 0.0, confusion, 1.0))
    return found


def _expected(told: Array, prior: Prior) -> Array:
    """Return the confusion matrix that each person's answers and the crowd's lead one to expect: [workers, K, K]."""
    categories = told.shape[-1]
    right = np.einsum("wkk->w", told) + prior.accuracy_weight * prior.accuracy
    share = right / (told.sum(axis=(1, 2)) + prior.accuracy_weight)
    if categories < 2:
        return np.ones_like(told)
    crowd = (told * share[:, None, None]).sum(axis=0)
    crowd = crowd + prior.crowd_weight * _one_coin(np.array([prior.accuracy]), categories)[0]
    same: Array = np.eye(categories, dtype=bool)
    errors = _rows(np.where(same, 0.0, crowd))
    found: Array = np.where(same, share[:, None, None], (1.0 - share)[:, None, None] * errors)
    return found


def _one_coin(accuracy: Array, categories: int) -> Array:
    """Return confusion matrices [people, K, K] of people who are right so often, and whose errors fall evenly."""
    if categories < 2:
        return np.ones((len(accuracy), 1, 1))
    accuracy = np.clip(accuracy, LEAST, 1.0 - LEAST)
    same: Array = np.eye(categories, dtype=bool)
    error = (1.0 - accuracy) / (categories - 1)
    found: Array = np.where(same, accuracy[:, None, None], error[:, None, None])
    return found


def _spread(found: Consensus, used: Array, categories: int) -> Consensus:
    """Give the categories that nobody answered their zeros back."""
    posteriors: Array = np.zeros((len(found.items), categories))
    posteriors[:, used] = found.posteriors
    confusion: Array = np.zeros((len(found.workers), categories, categories))
    confusion[np.ix_(np.arange(len(found.workers)), used, used)] = found.confusion
    priors: Array = np.zeros(categories)
    priors[used] = found.priors
    return replace(found, posteriors=posteriors, confusion=confusion, priors=priors)


def _consensus(answers: Answers, posteriors: Array, confusion: Array, priors: Array, done: int) -> Consensus:
    return Consensus(answers.items, answers.workers, posteriors, confusion, priors, done)

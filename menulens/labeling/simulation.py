"""Annotators who never lived: mixed skill, known truth, the same answers for the same seed.

For tests and benchmarks of how labels are gathered. A person's answer to an item is drawn once: whichever way of asking
comes to that pair gets the same answer, so that two ways are compared on the same people and items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

Array = np.ndarray[Any, Any]

Kind = Literal["expert", "careful", "average", "hasty", "biased", "guesser", "monotone"]

ACCURACY: Final[Mapping[str, float]] = {"expert": 0.97, "careful": 0.92, "average": 0.82, "hasty": 0.65, "biased": 0.9}
"""How often people are right about easy items. The others do not look: a guesser answers anything, a monotone person
always the same."""

ERRORS_ALIKE: Final = 0.5
"""Share of the errors that fall on the category that everyone takes a category for; the rest fall anywhere."""


@dataclass(frozen=True, slots=True)
class Person:
    """An annotator.

    Attributes
    ----------
    kind
        What sort of person.
    confusion
        float64 [K, K]: row the true category, column the answer, for an item that is not hard.
    looks
        False for people whose answers do not depend on the photo; a hard photo is no harder for them.
    pace
        Share of all answers that this person gives, before it is taken away by others' pace.
    """

    kind: Kind
    confusion: Array
    looks: bool
    pace: float


@dataclass(frozen=True, slots=True)
class World:
    """Items, people, and what each person would answer for each item.

    Attributes
    ----------
    truth
        int64 [items].
    difficulty
        float64 [items], 0 to 1: the share of people's attention that does not help. At 1 everyone who looks is torn
        between the truth and its decoy.
    decoy
        int64 [items]: what a hard item looks like.
    people
        The annotators.
    answers
        int64 [items, people].
    """

    truth: Array
    difficulty: Array
    decoy: Array
    people: tuple[Person, ...]
    answers: Array

    @property
    def paces(self) -> Array:
        """Each person's share of the answers: float64 [people], sum 1."""
        paces = np.array([person.pace for person in self.people])
        found: Array = paces / paces.sum()
        return found


def any_person(kind: Kind, alike: Sequence[int], generator: np.random.Generator) -> Person:
    """Return a person of a kind, no two quite the same.

    Parameters
    ----------
    alike
        For each category the one that it is taken for.
    """
    categories = len(alike)
    pace = float(generator.uniform(0.5, 1.5))
    if kind == "guesser":
        return Person(kind, np.full((categories, categories), 1.0 / categories), False, pace)
    if kind == "monotone":
        always = np.zeros((categories, categories))
        always[:, generator.integers(categories)] = 1.0
        return Person(kind, always, False, pace)
    # Beta with the kind's mean: accuracy differs between people and between one person's categories.
    mean = ACCURACY[kind]
    own = generator.beta(mean * 60, (1 - mean) * 60)
    confusion = np.empty((categories, categories))
    for truth in range(categories):
        right = generator.beta(own * 40 + 1e-3, (1 - own) * 40 + 1e-3)
        errors = np.where(np.arange(categories) == truth, 0.0, (1 - ERRORS_ALIKE) / (categories - 1))
        errors[alike[truth]] += ERRORS_ALIKE
        confusion[truth] = (1 - right) * errors / errors.sum()
        confusion[truth, truth] += right
    if kind == "biased":  # takes two categories for another nearly always
        for truth in generator.choice(categories, size=min(2, categories - 1), replace=False):
            confusion[truth] *= 0.3
            confusion[truth, alike[int(truth)]] += 0.7
    return Person(kind, confusion, True, pace)


def any_world(
    *,
    items: int,
    kinds: Mapping[Kind, int],
    shares: Sequence[float],
    seed: int,
    hard: float = 0.12,
) -> World:
    """Return a world; the same arguments give the same one.

    Parameters
    ----------
    items
        How many.
    kinds
        How many people of each kind.
    shares
        How much of the items each category has; their number is K.
    hard
        The mean difficulty; most items are easy, few are very hard.
    """
    generator = np.random.default_rng(seed)
    categories = len(shares)
    alike = [int((truth + generator.integers(1, categories)) % categories) for truth in range(categories)]
    people = tuple(any_person(kind, alike, generator) for kind, count in kinds.items() for _ in range(count))
    truth = generator.choice(categories, size=items, p=np.asarray(shares) / np.sum(shares))
    difficulty = generator.beta(0.5, 0.5 / hard - 0.5, size=items)
    decoy = np.array(alike)[truth]
    return World(truth, difficulty, decoy, people, _answers(truth, difficulty, decoy, people, generator))


def _answers(
    truth: Array, difficulty: Array, decoy: Array, people: tuple[Person, ...], generator: np.random.Generator
) -> Array:
    places = np.arange(len(truth))
    found: Array = np.empty((len(truth), len(people)), dtype=np.int64)
    for column, person in enumerate(people):
        chances = person.confusion[truth]
        if person.looks:
            torn = np.zeros_like(chances)
            torn[places, truth] += 0.5
            torn[places, decoy] += 0.5
            chances = (1 - difficulty[:, None]) * chances + difficulty[:, None] * torn
        drawn = generator.random(len(truth))[:, None]
        # The last category takes what rounding leaves of 1.
        found[:, column] = np.minimum((chances.cumsum(axis=1) < drawn).sum(axis=1), chances.shape[1] - 1)
    return found

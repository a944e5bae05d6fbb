"""Annotators who never lived: mixed skill, known truth, the same answers for the same seed.

For tests and benchmarks of how labels are gathered. A person's answer to an item is drawn once: whichever way of asking
comes to that pair gets the same answer, so that two ways are compared on the same people and items.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from menulens.labeling import adaptive
from menulens.labeling.consensus import Answers, dawid_skene_with_prior

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


def ask_fixed(world: World, each: int, seed: int) -> Answers:
    """Ask so many people about every item, whoever comes by."""
    generator, paces = np.random.default_rng(seed), world.paces
    return Answers.of(
        (_item(item), _name(person), int(world.answers[item, person]))
        for item in range(len(world.truth))
        for person in generator.choice(len(paces), size=each, replace=False, p=paces)
    )


@dataclass(slots=True)
class ByNeed:
    """Asks as the portal does: items that are begun first, each until it is settled.

    Whoever comes by gets a hand of items: of the first in the queue those that suit them best. Nobody else gets these
    until they are answered.

    Attributes
    ----------
    threshold, max_answers
        As for ``adaptive.decide``.
    first, growth
        People are judged anew, and with them what is settled, after so many answers; then when there are so many times
        the answers of the last time; and when all is settled.
    looked_at, hand
        Of so many items from the queue a person gets so many that suit them best.
    least_worth
        Who turns out to tell less than this share of what people tell on average gets no more work, while there are
        ``max_answers`` others; 0: everybody goes on.
    """

    world: World
    threshold: float
    max_answers: int = 5
    first: int = 40
    growth: float = 1.25
    looked_at: int = 100
    hand: int = 5
    least_worth: float = 0.0
    _told: list[dict[str, int]] = field(default_factory=list)
    _asked: set[str] = field(default_factory=set)
    _open: set[int] = field(default_factory=set)
    _skills: Mapping[str, adaptive.Skill] = field(default_factory=dict)
    _priors: list[float] = field(default_factory=list)
    _queue: list[tuple[int, int]] = field(default_factory=list)
    _hands: dict[str, list[int]] = field(default_factory=dict)
    _edges: dict[tuple[str, tuple[tuple[str, int], ...]], float] = field(default_factory=dict)

    def ask(self, seed: int) -> Answers:
        """Ask until every item is settled, or nobody is left who may be asked about the rest."""
        items, people = self.world.answers.shape
        categories = self.world.people[0].confusion.shape[0]
        self._told, self._open = [{} for _ in range(items)], set(range(items))
        self._skills, self._priors = {}, adaptive.uniform(categories)
        self._hands = {_name(person): [] for person in range(people)}
        self._asked = set(self._hands)
        self._fill_queue()
        generator, paces = np.random.default_rng(seed), self.world.paces
        asked, idle, due = 0, 0, float(self.first)
        while self._open and idle < 100 * people:
            person = int(generator.choice(people, p=paces))
            item = self._next(_name(person))
            idle = 0 if item is not None else idle + 1
            if item is None:
                continue
            self._told[item][_name(person)] = int(self.world.answers[item, person])
            asked += 1
            if self._settled(item):
                self._open.discard(item)
            else:
                heapq.heappush(self._queue, self._place(item))
            if asked >= due or not self._open:
                due = asked * self.growth
                self._refit(categories)
                self._send_home()
                paces = np.where([_name(person) in self._asked for person in range(people)], self.world.paces, 0.0)
                paces = paces / paces.sum()
                self._fill_queue()
        return self._answers()

    def _next(self, person: str) -> int | None:
        """Take an item from a person's hand; one that is settled by now is laid aside."""
        hand = self._hands[person]
        while hand and hand[-1] not in self._open:
            hand.pop()
        if not hand:
            hand = self._hands[person] = self._dealt(person)
        return hand.pop() if hand else None

    def _dealt(self, person: str) -> list[int]:
        """Take a hand for a person, of the first items in the queue that they have not answered; the best is last."""
        seen: list[tuple[int, int]] = []
        places: list[tuple[int, int]] = []
        while self._queue and len(places) < self.looked_at:
            place = heapq.heappop(self._queue)
            if place[1] in self._open:
                (seen if person in self._told[place[1]] else places).append(place)
        places.sort(key=lambda place: (-self._edge(place[1], person), place))
        for place in (*seen, *places[self.hand :]):
            heapq.heappush(self._queue, place)
        return [item for _, item in reversed(places[: self.hand])]

    def _edge(self, item: int, person: str) -> float:
        if person not in self._skills:
            return 0.0
        known = person, tuple(sorted(self._told[item].items()))
        if known not in self._edges:
            beliefs = adaptive.posteriors(self._told[item], self._skills, self._priors)
            self._edges[known] = adaptive.edge(beliefs, self._skills[person])
        return self._edges[known]

    def _fill_queue(self) -> None:
        held = {item for hand in self._hands.values() for item in hand}
        self._queue = sorted(self._place(item) for item in self._open - held)

    def _place(self, item: int) -> tuple[int, int]:
        return -len(self._told[item]), item

    def _settled(self, item: int) -> bool:
        return adaptive.decide(
            self._told[item],
            self._skills,
            self._priors,
            threshold=self.threshold,
            min_answers=1,
            max_answers=self.max_answers,
        ).settled

    def _refit(self, categories: int) -> None:
        start = (self._skills, self._priors)
        found = dawid_skene_with_prior(self._answers(), categories, start=start)
        self._skills, self._priors = found.skills(), found.priors.tolist()
        self._edges.clear()
        sure = found.confidence >= self.threshold
        for at, name in enumerate(found.items):
            item = int(name)
            if sure[at] or len(self._told[item]) >= self.max_answers:
                self._open.discard(item)
            else:
                self._open.add(item)

    def _send_home(self) -> None:
        worths = {name: adaptive.worth(skill, self._priors) for name, skill in self._skills.items()}
        compared = Counter(name for told in self._told if len(told) > 1 for name in told)
        spare = len(self._asked) - self.max_answers
        asked = {name: compared[name] for name in self._asked & worths.keys()}
        for name in adaptive.telling_little(worths, asked, least=self.least_worth, spare=spare):
            self._asked.discard(name)
            self._hands[name] = []

    def _answers(self) -> Answers:
        return Answers.of(
            (_item(item), person, label) for item, told in enumerate(self._told) for person, label in told.items()
        )


def accuracy(world: World, items: Sequence[str], labels: Array) -> float:
    """Return the share of all items whose label is the truth; one that has no label counts as wrong."""
    places = np.array([int(name) for name in items])
    return float(np.sum(world.truth[places] == labels) / len(world.truth))


def _item(item: int) -> str:
    return f"{item:06d}"


def _name(person: int) -> str:
    return f"person-{person:03d}"

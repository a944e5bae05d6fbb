"""Whether an item needs another answer, and from whom.

Standard library alone: this runs in the function that takes an annotator's answer, once for each answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

DEFAULT_ACCURACY: Final = 0.8
"""What is thought of a person before the first refit: right four times in five, the errors spread evenly."""

DEFAULT_WEIGHT: Final = 8.0
"""Answers that this belief is worth beside a person's own."""

LEAST: Final = 1e-6
"""No probability is less: one answer that nobody thought possible must not outweigh any number of others."""

MOST_ANSWERS: Final = 9

JUDGED_AFTER: Final = 20
"""Answers to items that others answered as well, after which a person may be judged. One that nobody else gave shows
nothing of who gave it."""

Skill = Sequence[Sequence[float]]
"""A person's confusion matrix: row the true category, column the answer; a row sums to 1."""


class ConsensusError(Exception):
    """Answers that name no category, or limits that contradict each other; the message says which."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an item's answers amount to.

    Attributes
    ----------
    settled
        No more answers are due: the posterior has passed the threshold, or the most answers are in.
    label
        The most probable category that somebody named, of equals the first; None where nobody has answered.
    posterior
        Its probability given the answers; without answers the largest prior.
    sure
        The posterior has passed the threshold. An item that is settled and not sure is one to review.
    """

    settled: bool
    label: int | None
    posterior: float
    sure: bool


def default_skill(categories: int, accuracy: float = DEFAULT_ACCURACY) -> list[list[float]]:
    """Return the confusion matrix of a person who is right so often, and whose errors fall evenly."""
    if categories < 2:
        return [[1.0]] * categories
    error = (1.0 - accuracy) / (categories - 1)
    return [[accuracy if truth == told else error for told in range(categories)] for truth in range(categories)]


def uniform(categories: int) -> list[float]:
    """Return the priors where nothing is known."""
    return [1.0 / categories] * categories


def posteriors(labels: Mapping[str, int], skills: Mapping[str, Skill], priors: Sequence[float]) -> list[float]:
    """Return the probability of each category given an item's answers.

    ``p(k | answers) ∝ prior[k] · Π_person skill[person][k][answer]``: Bayes' rule for people who err independently once
    the truth is known (Dawid & Skene 1979, eq. 2.5).

    Parameters
    ----------
    labels
        Each person's answer, a category's index.
    skills
        Confusion matrices; a person without one is as ``default_skill`` says, and so is what a matrix from before a
        category was added does not know.
    priors
        The share of each category; its length is the number of categories.

    Raises
    ------
    ConsensusError
        If an answer names no category.
    """
    count = len(priors)
    unknown = default_skill(count)
    given = [(_usable(skills.get(person), unknown), _answer(person, label, count)) for person, label in labels.items()]
    # fsum is exact, so that the order of the answers changes no bit.
    logs = [
        math.fsum(
            [math.log(max(priors[truth], LEAST)), *(math.log(max(skill[truth][told], LEAST)) for skill, told in given)]
        )
        for truth in range(count)
    ]
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def decide(
    labels: Mapping[str, int],
    skills: Mapping[str, Skill],
    priors: Sequence[float],
    *,
    threshold: float,
    min_answers: int,
    max_answers: int,
) -> Decision:
    """Decide whether an item is settled.

    Parameters
    ----------
    labels, skills, priors
        As in ``posteriors``.
    threshold
        Ask no more when the most probable category is at least so probable.
    min_answers, max_answers
        Ask so many people at least and at most, 1 to 9.

    Raises
    ------
    ConsensusError
        If an answer names no category, or the limits contradict each other.
    """
    if not 1 <= min_answers <= max_answers <= MOST_ANSWERS:
        raise ConsensusError(
            f"min_answers = {min_answers}, max_answers = {max_answers}: "
            f"1 ≤ min_answers ≤ max_answers ≤ {MOST_ANSWERS} is due."
        )
    beliefs = posteriors(labels, skills, priors)
    # What nobody named becomes no label, however unlikely it is that they are right.
    best = max(sorted(set(labels.values())) or range(len(beliefs)), key=beliefs.__getitem__)
    sure = len(labels) >= min_answers and beliefs[best] >= threshold
    return Decision(
        settled=sure or len(labels) >= max_answers,
        label=best if labels else None,
        posterior=beliefs[best],
        sure=sure,
    )


def need(beliefs: Sequence[float], skill: Skill | None = None) -> float:
    """Return how much one more answer would tell about an item, 0 to 1.

    The mutual information of the truth and the next answer (Lindley 1956), as a share of the most there is to know:
    ``H(answer) − Σ_k p(k) H(answer | k)`` over ``log K``. It is nearly 0 where the category is certain already, and 0
    for a person whose answers do not depend on the truth.

    Parameters
    ----------
    beliefs
        The probability of each category, as ``posteriors`` or a model gives it.
    skill
        Who would answer; by default the person of ``default_skill``.
    """
    count = len(beliefs)
    if count < 2:
        return 0.0
    matrix = _usable(skill, default_skill(count))
    told = [math.fsum(beliefs[truth] * matrix[truth][answer] for truth in range(count)) for answer in range(count)]
    noise = math.fsum(beliefs[truth] * _entropy(matrix[truth]) for truth in range(count))
    return min(1.0, max(0.0, (_entropy(told) - noise) / math.log(count)))


def worth(skill: Skill, priors: Sequence[float]) -> float:
    """Return how much a person's answers tell, beside those of the person of ``default_skill``: 0 nothing, 1 as much.

    It sees through people who are right by chance, or by always naming the largest category, which accuracy does not.
    """
    usual = need(priors)
    return need(priors, skill) / usual if usual else 0.0


def telling_little(
    worths: Mapping[str, float], compared: Mapping[str, int], *, least: float, spare: int
) -> dict[str, float]:
    """Return who need be asked no more, since others' answers tell more, with their share of the average; least first.

    Whoever comes by costs a label. The fewer of them come from people who tell little, the fewer are needed. What is
    thought of everybody at first is still in a worth that is known of few answers; here it counts as what people tell
    on average (empirical Bayes), so that nobody is let go of for being new.

    Parameters
    ----------
    worths
        How much everybody's answers tell who has given some, asked still or not, as ``worth`` says. The average is
        over all of them: when the weakest go, the next weakest are not measured against fewer.
    compared
        Who may go: of the people who are still asked, how many of their answers are to items that others answered,
        too. Fewer than ``JUDGED_AFTER`` show too little.
    least
        Who tells less than this share of the average goes.
    spare
        So many may go at most.
    """
    average = math.fsum(worths.values()) / len(worths) if worths else 0.0
    if not average:
        return {}
    found = []
    for person, answers in compared.items():
        supposed = DEFAULT_WEIGHT / (DEFAULT_WEIGHT + answers)
        tells = worths[person] + supposed * (average - 1.0)
        if answers >= JUDGED_AFTER and tells < least * average:
            found.append((tells / average, person))
    return {person: share for share, person in sorted(found)[: max(0, spare)]}


def edge(beliefs: Sequence[float], skill: Skill | None = None) -> float:
    """Return how much more a person's answer would tell about an item than the answer of an unknown person would.

    Giving each person the items where this is largest leaves what is hard to those who can tell, and what nearly anyone
    can settle to those who can't: more is known after as many answers than when everyone goes down the same list.

    Parameters
    ----------
    beliefs
        The probability of each category.
    skill
        The person's; without one the edge is 0 everywhere.
    """
    return 0.0 if skill is None else need(beliefs, skill) - need(beliefs)


def _answer(person: str, label: int, count: int) -> int:
    if not 0 <= label < count:
        raise ConsensusError(f"{person}: category {label} was answered; there are 0 to {count - 1}.")
    return label


def _usable(skill: Skill | None, unknown: Skill) -> Skill:
    """Fill up a matrix that is from before a category was added."""
    if skill is None:
        return unknown
    count, known = len(unknown), len(skill)
    if known >= count:
        return skill
    return [_longer(skill[truth], unknown[truth]) if truth < known else unknown[truth] for truth in range(count)]


def _longer(row: Sequence[float], unknown: Sequence[float]) -> list[float]:
    """Leave to new categories what an unknown person would give them; the row still sums to 1."""
    known = len(row)
    share = math.fsum(unknown[:known])
    return [*(share * value for value in row), *unknown[known:]]


def _entropy(shares: Sequence[float]) -> float:
    return -math.fsum(share * math.log(share) for share in shares if share > 0.0)

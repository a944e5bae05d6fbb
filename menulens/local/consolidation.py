"""What Ground Truth's ``ACS-ImageMultiClass`` does: one category and a confidence from several people's answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

_PRIOR_RIGHT, _PRIOR_ASKED = 4.0, 5.0  # a new worker counts as right in 4 answers of 5


class Consolidator:
    """Weighs answers by how often each worker agreed with the outcome before: Dawid and Skene (1979) in one pass."""

    def __init__(self, categories: Sequence[str]) -> None:
        self._categories = tuple(categories)
        self._right: dict[str, float] = defaultdict(float)
        self._asked: dict[str, float] = defaultdict(float)

    def accuracy(self, worker: str) -> float:
        """Return how often a worker is taken to be right, over 0 and under 1."""
        return (self._right[worker] + _PRIOR_RIGHT) / (self._asked[worker] + _PRIOR_ASKED)

    def consolidate(self, answers: Mapping[str, str]) -> tuple[str, float]:
        """Return the likeliest category and its probability, and learn from the outcome.

        Parameters
        ----------
        answers
            Worker to category; at least one.
        """
        others = max(1, len(self._categories) - 1)
        likelihood = dict.fromkeys(self._categories, 1.0)
        for worker, answer in answers.items():
            right = self.accuracy(worker)
            for category in self._categories:
                likelihood[category] *= right if answer == category else (1.0 - right) / others
        total = sum(likelihood.values())
        best = max(self._categories, key=lambda category: likelihood[category])
        confidence = likelihood[best] / total
        for worker, answer in answers.items():
            self._asked[worker] += 1.0
            self._right[worker] += confidence if answer == best else 0.0
        return best, round(confidence, 2)

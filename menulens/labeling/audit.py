"""Labels that are likely wrong, most likely first: cleanlab's confident learning on predictions out of fold.

A label is suspect where a model that never saw it is confident of another category, by the standards of that category
(Northcutt, Jiang & Chuang 2021, "Confident learning", JAIR 70). Command line only: it needs cleanlab and scikit-learn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that is likely wrong.

    Attributes
    ----------
    name
        Whose label it is: a photo or an item.
    given, likely
        Category indices: the label, and what the model would say.
    quality
        cleanlab's score of the label, 0 to 1: the model's probability of it.
    """

    name: str
    given: int
    likely: int
    quality: float


@dataclass(frozen=True, slots=True)
class Change:
    """A label before and after people looked again."""

    name: str
    before: int | None
    after: int | None


def suspects(names: Sequence[str], labels: Array, probabilities: Array, limit: int | None = None) -> list[Suspect]:
    """Return the labels that are likely wrong, worst first; of equals, the lesser name.

    Parameters
    ----------
    names, labels
        Photos and their category indices, int64 [n].
    probabilities
        float64 [n, K], out of fold: no row by a model that saw its label.
    limit
        So many at most.
    """
    # cleanlab knows only categories that have a label; the others are taken out and the rest shared anew.
    used, places = np.unique(labels, return_inverse=True)
    if len(used) < 2:
        return []
    known = probabilities[:, used] + 1e-9
    known = known / known.sum(axis=1, keepdims=True)
    wrong = find_label_issues(places, known, n_jobs=1)
    quality = get_label_quality_scores(places, known, method="self_confidence")
    ranked = sorted((float(quality[at]), names[at], at) for at in np.flatnonzero(wrong).tolist())
    return [Suspect(name, int(labels[at]), int(used[known[at].argmax()]), score) for score, name, at in ranked[:limit]]


def changes(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> list[Change]:
    """Return the labels that differ, by name; a label that was taken away is None after."""
    return [Change(name, before.get(name), label) for name, label in sorted(after.items()) if before.get(name) != label]


def between(found: Iterable[Change]) -> list[tuple[int | None, int | None, int]]:
    """Return how many labels went from which category to which, most first."""
    counts = Counter((change.before, change.after) for change in found)
    return [(a, b, count) for (a, b), count in sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))]

"""What a linear head on feature vectors makes of photos: predictions for those without a label, and honest ones for
those that have one.

The deployed model was trained on people's labels, so that it flatters itself about them; and it knows only the
categories that train. A head of its own, fitted on the vectors without the photo in question, does neither. Command
line only: it needs scikit-learn.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

Array = np.ndarray[Any, Any]

FOLDS: Final = 5
STRENGTH: Final = 30.0
"""Inverse of the penalty; vectors have length 1, for which scikit-learn's 1.0 is far too tight."""
LEAST_LABELS: Final = 20


class TooFewLabelsError(Exception):
    """There are not enough labels to learn from; the message says how many are due."""


def head(vectors: Array, labels: Array, asked: Array, categories: int) -> Array:
    """Return the probability of each category for other photos: float64 [asked, categories].

    Parameters
    ----------
    vectors, labels
        float32 [n, d] and int64 [n]: photos that have a label. One category alone gets probability 1.
    asked
        float32 [m, d].
    """
    found: Array = np.zeros((len(asked), categories))
    known = np.unique(labels)
    if len(known) == 1:
        found[:, known[0]] = 1.0
        return found
    model = LogisticRegression(C=STRENGTH, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 500 rounds are near enough; calibration comes after
        model.fit(vectors.astype(np.float64), labels)
    found[:, model.classes_] = model.predict_proba(asked.astype(np.float64))
    return found


def out_of_fold(
    vectors: Array, labels: Array, categories: int, *, groups: Array | None = None, folds: int = FOLDS, seed: int = 0
) -> Array:
    """Return predictions for labeled photos by heads that never saw them: float64 [n, categories].

    Parameters
    ----------
    groups
        What must not be divided, as a photo's restaurant; [n].

    Raises
    ------
    TooFewLabelsError
        If there are fewer than 20 labels, two groups, or categories.
    """
    if len(labels) < LEAST_LABELS or len(np.unique(labels)) < 2:
        raise TooFewLabelsError(
            f"{len(labels)} labels of {len(np.unique(labels))} categories; at least {LEAST_LABELS} of two are due."
        )
    if groups is not None and len(np.unique(groups)) < 2:
        raise TooFewLabelsError("All labeled photos are of one group; photos of at least two are due.")
    found: Array = np.zeros((len(labels), categories))
    for learn, test in _folds(labels, groups, folds, seed):
        found[test] = head(vectors[learn], labels[learn], vectors[test], categories)
    return found


def _folds(labels: Array, groups: Array | None, folds: int, seed: int) -> Any:
    if groups is not None:
        return GroupKFold(min(folds, len(np.unique(groups))), shuffle=True, random_state=seed).split(
            labels, groups=groups
        )
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    kind = StratifiedKFold if rarest >= folds else KFold  # with fewer of a category than folds no share can be kept
    return kind(folds, shuffle=True, random_state=seed).split(labels, labels)

"""What two learners on feature vectors make of photos: predictions for those without a label, and honest ones for
those that have one.

The deployed model was trained on people's labels, so that it flatters itself about them; and it knows only the
categories that train. Learners of their own, fitted on the vectors without the photo in question, do neither. One is a
linear head; the other lets labels spread over the graph of photos that are alike (Zhou et al. 2004), so that photos
that nobody has labeled help as well. Their geometric mean is more often right, and surest where the two agree.
Command line only: it needs scikit-learn.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
from scipy import sparse, special
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.semi_supervised import LabelSpreading
from threadpoolctl import threadpool_limits

Array = np.ndarray[Any, Any]

FOLDS: Final = 5
STRENGTH: Final = 30.0
"""Inverse of the penalty; vectors have length 1, for which scikit-learn's 1.0 is far too tight."""
LEAST_LABELS: Final = 20
NEIGHBOURS: Final = 8
NEARNESS: Final = 0.1
"""Width of the graph's kernel, as a share of the median squared distance between neighbours: so it fits any model."""
HANDED_ON: Final = 0.8
"""Share of what a photo says that it has from its neighbours (Zhou et al.'s alpha)."""
FLOOR: Final = 1e-4
"""What is added to a spread label's share of each category: a photo that no label reaches says nothing."""


class TooFewLabelsError(Exception):
    """There are not enough labels to learn from; the message says how many are due."""


def predict(vectors: Array, labels: Array, categories: int) -> Array:
    """Return the probability of each category for all photos: float64 [n, categories].

    Parameters
    ----------
    vectors
        float32 [n, d] of length 1: photos with a label and without.
    labels
        int64 [n]; -1 for a photo without. One category alone gets probability 1.
    """
    return _predict(vectors, labels, categories, alike(vectors))


def out_of_fold(
    vectors: Array, labels: Array, categories: int, *, groups: Array | None = None, folds: int = FOLDS, seed: int = 0
) -> Array:
    """Return predictions for labeled photos by learners that never saw their labels: float64 [n, categories].

    Parameters
    ----------
    vectors, labels
        As for :func:`predict`; photos without a label help, and get probabilities of 0.
    groups
        What must not be divided, as a photo's restaurant; [n].

    Raises
    ------
    TooFewLabelsError
        If there are fewer than 20 labels, two groups, or categories.
    """
    known = np.flatnonzero(labels >= 0)
    given = labels[known]
    if len(given) < LEAST_LABELS or len(np.unique(given)) < 2:
        raise TooFewLabelsError(
            f"{len(given)} labels of {len(np.unique(given))} categories; at least {LEAST_LABELS} of two are due."
        )
    together = None if groups is None else groups[known]
    if together is not None and len(np.unique(together)) < 2:
        raise TooFewLabelsError("All labeled photos are of one group; photos of at least two are due.")
    graph = alike(vectors)
    found: Array = np.zeros((len(labels), categories))
    for _, test in _folds(given, together, folds, seed):
        hidden = labels.copy()
        hidden[known[test]] = -1
        found[known[test]] = _predict(vectors, hidden, categories, graph)[known[test]]
    return found


def alike(vectors: Array) -> sparse.csr_array:
    """Return how alike each photo and its nearest are: a symmetric matrix [n, n] of weights from 0 to 1."""
    count = len(vectors)
    nearest = min(NEIGHBOURS, count - 1)
    if nearest < 1:
        return sparse.csr_array((count, count))
    distances, places = NearestNeighbors(n_neighbors=nearest, algorithm="brute").fit(vectors).kneighbors()
    squares = distances.astype(np.float64) ** 2
    width = NEARNESS * max(float(np.median(squares)), float(np.finfo(np.float32).eps))
    rows = np.repeat(np.arange(count), nearest)
    one_way = sparse.csr_array((np.exp(-squares / width).ravel(), (rows, places.ravel())), shape=(count, count))
    return sparse.csr_array(one_way.maximum(one_way.T))


def _predict(vectors: Array, labels: Array, categories: int, graph: sparse.csr_array) -> Array:
    known = np.unique(labels[labels >= 0])
    if len(known) == 1:
        found: Array = np.zeros((len(labels), categories))
        found[:, known[0]] = 1.0
        return found
    # The mean of the logarithms: where one learner does not believe in a category, the other has to be very sure.
    both = np.maximum([_head(vectors, labels), _spread(labels, graph)], 1e-12)
    found = np.zeros((len(labels), categories))
    found[:, known] = special.softmax(np.log(both).mean(axis=0), axis=1)
    return found


def _head(vectors: Array, labels: Array) -> Array:
    learn = labels >= 0
    model = LogisticRegression(C=STRENGTH, max_iter=500)
    # One thread: the matrices are so small that threads wait for each other ten times as long as they work.
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 500 rounds are near enough; calibration comes after
        model.fit(vectors[learn].astype(np.float64), labels[learn])
    found: Array = model.predict_proba(vectors.astype(np.float64))
    return found


def _spread(labels: Array, graph: sparse.csr_array) -> Array:
    model = LabelSpreading(kernel=lambda *_: graph, alpha=HANDED_ON, max_iter=100, tol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0 where no label reaches a photo
        model.fit(np.zeros((len(labels), 1)), labels)
    found: Array = np.nan_to_num(model.label_distributions_) + FLOOR
    shares: Array = found / found.sum(axis=1, keepdims=True)
    return shares


def _folds(labels: Array, groups: Array | None, folds: int, seed: int) -> Any:
    if groups is not None:
        return GroupKFold(min(folds, len(np.unique(groups))), shuffle=True, random_state=seed).split(
            labels, groups=groups
        )
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    kind = StratifiedKFold if rarest >= folds else KFold  # with fewer of a category than folds no share can be kept
    return kind(folds, shuffle=True, random_state=seed).split(labels, labels)

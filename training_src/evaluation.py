"""How good a model is: figures with their uncertainty, and the baselines that it must beat.

NumPy alone: the training container is not ours to add to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

RESAMPLES: Final = 2000
_BINS: Final = 8  # per colour channel; 512 in all
NEIGHBOURS: Final = 5


def accuracy(truth: Array, predicted: Array) -> float:
    """Return the share of photos whose class was found."""
    return float(np.mean(truth == predicted))


def balanced_accuracy(truth: Array, predicted: Array) -> float:
    """Return the mean over the classes that occur of the share found: a large class does not hide a small one."""
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))


def confusion_matrix(truth: Array, predicted: Array, classes: int) -> Array:
    """Return int64 [classes, classes]; rows are the truth."""
    matrix: Array = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def bootstrap_interval(count: int, statistic: Callable[[Array], float], seed: int) -> list[float]:
    """Return the 95% percentile interval of a statistic of resampled photos (Efron 1979).

    Parameters
    ----------
    count
        Photos.
    statistic
        Takes the places of one resample, int64 [count], drawn with replacement.
    """
    generator = np.random.default_rng(seed)
    values = [statistic(generator.integers(0, count, count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(values, [2.5, 97.5])
    return [round(float(low), 4), round(float(high), 4)]


def colour_histogram(images: Array) -> Array:
    """Return the square root of each image's share of pixels in 512 colours: float32 [n, 512].

    The dot product of two such vectors is one minus their squared Hellinger distance.
    """
    levels = np.minimum((images * _BINS).astype(np.int64), _BINS - 1)
    bins = (levels[..., 0] * _BINS + levels[..., 1]) * _BINS + levels[..., 2]
    pixels = images.shape[1] * images.shape[2]
    counts = np.stack([np.bincount(one.ravel(), minlength=_BINS**3) for one in bins])
    shares: Array = np.sqrt(counts / pixels).astype(np.float32)
    return shares


def normalise(vectors: Array) -> Array:
    """Return vectors [n, d] of length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Array = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit


def nearest_neighbours(known: Array, labels: Array, asked: Array, classes: int) -> Array:
    """Return the class that the five nearest known vectors (by dot product) vote for: int64 [asked].

    Votes weigh as their similarity, which also settles a tie.
    """
    k = min(NEIGHBOURS, len(known))
    predicted = []
    for start in range(0, len(asked), 1024):
        similar = asked[start : start + 1024] @ known.T
        nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        votes = np.zeros((len(similar), classes), dtype=np.float64)
        weights = 1.0 + np.take_along_axis(similar, nearest, axis=1)
        for column in range(k):
            np.add.at(votes, (np.arange(len(similar)), labels[nearest[:, column]]), weights[:, column])
        predicted.append(votes.argmax(axis=1))
    return np.concatenate(predicted)


def report(
    truth: Array,
    predicted: Array,
    classes: Sequence[str],
    baselines: dict[str, Array],
    *,
    skipped: int,
    seed: int,
) -> dict[str, Any]:
    """Return the evaluation report without its champion part.

    Parameters
    ----------
    truth, predicted
        Class indexes, int64 [photos].
    baselines
        What each baseline predicted for the same photos.
    skipped
        Evaluation photos that could not be decoded.
    """
    count = len(truth)
    matrix = confusion_matrix(truth, predicted, len(classes))
    recall = {
        name: round(float(matrix[place, place] / matrix[place].sum()), 4) if matrix[place].sum() else None
        for place, name in enumerate(classes)
    }
    return {
        "photos": count,
        "accuracy": round(accuracy(truth, predicted), 4),
        "accuracy_ci": bootstrap_interval(count, lambda at: accuracy(truth[at], predicted[at]), seed),
        "balanced_accuracy": round(balanced_accuracy(truth, predicted), 4),
        "balanced_accuracy_ci": bootstrap_interval(count, lambda at: balanced_accuracy(truth[at], predicted[at]), seed),
        "recall": recall,
        "confusion": matrix.tolist(),
        "classes": list(classes),
        "skipped": skipped,
        "baselines": {name: _baseline(truth, guess, seed) for name, guess in baselines.items()},
        "champion": None,
    }


def _baseline(truth: Array, guess: Array, seed: int) -> dict[str, Any]:
    return {
        "accuracy": round(accuracy(truth, guess), 4),
        "balanced_accuracy": round(balanced_accuracy(truth, guess), 4),
        "balanced_accuracy_ci": bootstrap_interval(
            len(truth), lambda at: balanced_accuracy(truth[at], guess[at]), seed
        ),
    }


def compare(truth: Array, challenger: Array, champion: Array, seed: int) -> dict[str, Any]:
    """Return the champion's accuracy on the same photos, and the interval of challenger minus champion.

    Parameters
    ----------
    champion
        Its predictions in the challenger's class indexes; -1 where it named a class that the challenger lacks.
    """
    gain = (challenger == truth).astype(np.float64) - (champion == truth)
    return {
        "accuracy": round(accuracy(truth, champion), 4),
        "difference": round(float(gain.mean()), 4),
        "difference_ci": bootstrap_interval(len(truth), lambda at: float(gain[at].mean()), seed),
    }

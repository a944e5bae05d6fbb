"""How good the similar photos are: the model's neighbours beside those of a colour histogram, and beside chance."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.report import Bar
from menulens.search.index import ExactIndex, Hit, Vectors

HITS: Final = 10
RESAMPLES: Final = 2000
SAME_PICTURE: Final = 0.99995  # two copies of one file; showing one says nothing
_SEARCHED: Final = 120  # so many that ten are left without those of the query's own restaurant
_BINS: Final = 8  # per colour channel; 512 in all, as in the evaluation of the classifier
_SIDE: Final = 128

Shares = NDArray[np.float64]
Home = Callable[[str], str]


class Neighbours:
    """Every photo's nearest others.

    Parameters
    ----------
    ids, vectors
        Photos, and one unit vector of each: float32 [n, d].
    home
        Returns the restaurant of a photo; None if photos have none.
    """

    def __init__(self, ids: Sequence[str], vectors: Vectors, home: Home | None) -> None:
        self.ids = tuple(ids)
        self.home = home
        self._hits = dict(zip(ids, ExactIndex(ids, vectors).search(vectors, _SEARCHED), strict=True))

    def nearest(self, photo: str, *, elsewhere: bool = False) -> list[Hit]:
        """Return the ten nearest, without the photo and its copies (and without its own restaurant's photos)."""
        away = self.home if elsewhere else None
        return [
            hit
            for hit in self._hits[photo]
            if hit.id != photo and hit.score < SAME_PICTURE and not (away and away(hit.id) == away(photo))
        ][:HITS]

    def shares(self, queries: Sequence[str], truth: Mapping[str, str], *, elsewhere: bool = False) -> Shares:
        """Return, for each query, how many of its ten nearest show what it shows: float64 [queries], from 0 to 1."""
        found = [(photo, self.nearest(photo, elsewhere=elsewhere)) for photo in queries]
        return np.array(
            [sum(truth.get(hit.id) == truth[photo] for hit in hits) / max(1, len(hits)) for photo, hits in found]
        )

    def chance(self, queries: Sequence[str], truth: Mapping[str, str], *, elsewhere: bool = False) -> Shares:
        """Return, for each query, the share that photos drawn blindly would have: float64 [queries]."""
        away = self.home if elsewhere else None
        shares = []
        for photo in queries:
            others = [one for one in self.ids if one != photo and not (away and away(one) == away(photo))]
            shares.append(sum(truth.get(one) == truth[photo] for one in others) / max(1, len(others)))
        return np.array(shares)


def compare(
    model: Neighbours, colours: Neighbours, truth: Mapping[str, str], classes: Sequence[str], *, elsewhere: bool = False
) -> list[Bar]:
    """Return how many of the ten nearest are of the query's category: by the model, by colour, by chance.

    The queries are all photos of a category that trains; the intervals come from resampling them (Efron 1979).
    """
    queries = [photo for photo in model.ids if truth.get(photo) in classes]
    if not queries:
        return []
    return [
        _bar("this model's vectors", model.shares(queries, truth, elsewhere=elsewhere), ours=True),
        _bar("colour histogram", colours.shares(queries, truth, elsewhere=elsewhere)),
        _bar("chance", model.chance(queries, truth, elsewhere=elsewhere), known=True),
    ]


def colour_vectors(ids: Sequence[str], read: Callable[[str], bytes]) -> Vectors:
    """Return the square root of each photo's share of pixels in 512 colours: unit vectors, float32 [n, 512]."""
    return np.stack([_histogram(read(photo)) for photo in ids])


def _histogram(data: bytes) -> Vectors:
    even = np.full(_BINS**3, _BINS**-1.5, np.float32)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the model's own caps let it through
            image = Image.open(BytesIO(data), formats=("JPEG", "PNG"))
            image.draft("RGB", (_SIDE, _SIDE))
            small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return even  # what Pillow can't read has no colour that would make it like another
    levels = np.asarray(small, np.int64) * _BINS // 256
    bins = (levels[..., 0] * _BINS + levels[..., 1]) * _BINS + levels[..., 2]
    counts = np.bincount(bins.ravel(), minlength=_BINS**3)
    shares: Vectors = np.sqrt(counts / counts.sum()).astype(np.float32)
    return shares


def _bar(name: str, shares: Shares, *, ours: bool = False, known: bool = False) -> Bar:
    """Return the mean with its 95 % interval; what is ``known`` exactly has none."""
    mean = float(shares.mean())
    if known:
        return Bar(name, mean, mean, mean)
    drawn = np.random.default_rng(5).integers(0, len(shares), (RESAMPLES, len(shares)))
    low, high = np.percentile(shares[drawn].mean(axis=1), [2.5, 97.5])
    return Bar(name, mean, float(low), float(high), ours)

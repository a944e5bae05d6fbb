"""Five photos of three restaurants on a quarter circle: small enough to check by hand."""

from __future__ import annotations

import numpy as np

from menulens.search.index import Vectors, normalised

TRUTH = {
    "photos/a/1.jpg": "meal",
    "photos/a/2.jpg": "meal",
    "photos/b/1.jpg": "meal",
    "photos/b/2.jpg": "drink",
    "photos/c/1.jpg": "drink",
}


def any_vectors() -> tuple[tuple[str, ...], Vectors]:
    turns = np.radians(np.array([0, 5, 20, 80, 90], np.float32))
    return tuple(TRUTH), normalised(np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32))

"""Find the vectors nearest to a query: the small interface, and the exact index behind it.

Similarity is the cosine. Vectors are made unit length in one place, :func:`normalised`; an index takes unit vectors
only and checks them once, so a score is a plain dot product.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

SCORE_BYTES = 64 << 20
CHECK_ROWS = 16_384
UNIT_TOLERANCE = 1e-3  # float32 vectors that went through float16 or base64 are still within this


class VectorIndexError(Exception):
    """Vectors or queries that an index can't take; the message says which row and why."""


class Hit(NamedTuple):
    """One found vector: its id and its cosine similarity to the query, from -1 to 1."""

    id: str
    score: float


class VectorIndex(Protocol):
    """What every index does: exact, approximate or a service."""

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        ...

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int) -> list[list[Hit]]:
        """Return the ``k`` nearest of each query, the best first; fewer where the index holds fewer.

        Parameters
        ----------
        queries
            Unit vectors, float32 [n, width].
        k
            Hits per query, at least 1.
        """
        ...


def normalised(vectors: Vectors) -> Vectors:
    """Return vectors scaled to length 1, float32 [n, d].

    Raises
    ------
    VectorIndexError
        If a row holds NaN or infinity, or is all zeros and so has no direction.
    """
    rows = np.atleast_2d(np.asarray(vectors, np.float32))
    _check_finite(rows, "vector")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise VectorIndexError(f"vector {int(np.argmin(lengths))} is all zeros: it has no direction to compare.")
    return np.asarray(rows / lengths, np.float32)


class ExactIndex:
    """Compares a query with every vector, block by block; equal scores stand in the order of their ids.

    Beyond the vectors themselves (not copied) a search holds one block of scores, rows x queries float32, of 64 MiB at
    most: so long a block that one query is a single pass, and many share each pass.

    Parameters
    ----------
    ids
        One text per row, each once.
    vectors
        Unit vectors, float32 [n, d], n and d at least 1.
    block_rows
        Rows of a block; None: as many as fit.

    Raises
    ------
    VectorIndexError
        If there is nothing to search, ids and rows differ in number, an id stands twice, or a row is not finite or
        not of length 1.
    """

    def __init__(self, ids: Sequence[str], vectors: Vectors, block_rows: int | None = None) -> None:
        rows = np.ascontiguousarray(vectors, np.float32)
        if rows.ndim != 2 or rows.size == 0:
            raise VectorIndexError(f"vectors of shape {rows.shape} were given; at least one row of one number is due.")
        if len(ids) != len(rows):
            raise VectorIndexError(f"{len(ids):,} ids came with {len(rows):,} vectors; each vector needs one id.")
        if block_rows is not None and block_rows < 1:
            raise ValueError(f"block_rows is {block_rows}; at least 1 is due")
        self._ids = tuple(ids)
        order = sorted(range(len(rows)), key=self._ids.__getitem__)
        for one, next_one in pairwise(order):
            if self._ids[one] == self._ids[next_one]:
                raise VectorIndexError(f"id {self._ids[one]!r} stands twice (rows {one} and {next_one}).")
        self._rank = np.empty(len(rows), np.int64)
        self._rank[order] = np.arange(len(rows))
        self._rows, self._block = rows, block_rows
        for start in range(0, len(rows), CHECK_ROWS):
            _check_unit(rows[start : start + CHECK_ROWS], "vector", start)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self._rows.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def search(self, queries: Vectors, k: int) -> list[list[Hit]]:
        """Return the ``k`` nearest of each query; see :meth:`VectorIndex.search`.

        Raises
        ------
        VectorIndexError
            If a query is not finite, not of length 1, or of another width.
        """
        if k < 1:
            raise VectorIndexError(f"k is {k}; at least 1 is due.")
        asked = np.atleast_2d(np.asarray(queries, np.float32))
        if asked.ndim != 2 or (asked.size and asked.shape[1] != self.width):
            raise VectorIndexError(
                f"queries of shape {asked.shape} were given; rows of {self.width} numbers are due. "
                "Were they made by another model?"
            )
        if asked.size == 0:
            return []
        _check_unit(asked, "query", 0)
        best: list[tuple[NDArray[np.int64], Vectors]] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(asked)
        size = self._block or max(1, SCORE_BYTES // (4 * len(asked)))
        for start in range(0, len(self), size):
            block = self._rows[start : start + size]
            # One query is a matrix-vector product: memory speed. Several share each pass over the block.
            scores = (block @ asked[0])[None] if len(asked) == 1 else asked @ block.T
            for number, row in enumerate(scores):
                places, values = best[number]
                # Only what beats the k-th best so far can change the answer (an equal score may win by its id).
                if len(places) == k:
                    found = np.flatnonzero(row >= values[-1])
                elif len(row) > k:
                    found = np.flatnonzero(row >= np.partition(row, len(row) - k)[len(row) - k])
                else:
                    found = np.arange(len(row))
                places = np.concatenate([places, found + start])
                values = np.concatenate([values, row[found]])
                if len(places) > 4 * k:
                    enough = np.partition(values, len(values) - k)[len(values) - k]
                    places, values = places[values >= enough], values[values >= enough]
                order = np.lexsort((self._rank[places], -values))[:k]
                best[number] = (places[order], values[order])
        return [
            [Hit(self._ids[place], float(score)) for place, score in zip(places, values, strict=True)]
            for places, values in best
        ]


def _check_finite(rows: Vectors, what: str, start: int = 0) -> None:
    # A sum is NaN or infinite as soon as one part is, and costs a tenth of looking at every number.
    sums = rows.sum(axis=1)
    if not np.isfinite(sums).all():
        raise VectorIndexError(f"{what} {start + int(np.argmin(np.isfinite(sums)))} holds NaN or infinity.")


def _check_unit(rows: Vectors, what: str, start: int) -> None:
    _check_finite(rows, what, start)
    squares = np.einsum("nd,nd->n", rows, rows)
    off = np.abs(squares - 1) > 2 * UNIT_TOLERANCE
    if off.any():
        row = int(np.argmax(off))
        raise VectorIndexError(
            f"{what} {start + row} has length {float(np.sqrt(squares[row])):.4f}; length 1 is due: "
            "use normalised() first."
        )

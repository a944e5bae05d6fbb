"""The exact index: by hand on a few vectors, and against brute force on many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.search.index import ExactIndex, VectorIndexError, normalised

SQUARE = np.array([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]], np.float32)
NAMES = ["east", "north", "west", "north-east"]


def should_rank_by_cosine():
    hits = ExactIndex(NAMES, SQUARE).search(np.array([1, 0], np.float32), 4)[0]

    assert [hit.id for hit in hits] == ["east", "north-east", "north", "west"]
    assert [round(hit.score, 6) for hit in hits] == [1.0, 0.6, 0.0, -1.0]


def should_order_equal_scores_by_id_whatever_their_row():
    same = np.tile(np.array([[0, 1]], np.float32), (5, 1))

    hits = ExactIndex(["d", "a", "e", "c", "b"], same, block_rows=2).search(same[0], 3)[0]

    assert [hit.id for hit in hits] == ["a", "b", "c"]


def should_return_all_when_k_is_more_than_there_are():
    assert len(ExactIndex(NAMES, SQUARE).search(SQUARE[0], 99)[0]) == 4


def should_answer_no_query_with_no_list():
    assert ExactIndex(NAMES, SQUARE).search(np.empty((0, 2), np.float32), 3) == []


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 60),
    width=st.integers(1, 9),
    k=st.integers(1, 70),
    block=st.integers(1, 70),
    queries=st.integers(1, 4),
    copies=st.integers(1, 3),
)
def should_agree_with_brute_force(seed, rows, width, k, block, queries, copies):
    rng = np.random.default_rng(seed)
    # Small whole numbers, so that dot products are exact and ties are common; two zeros avoid a zero row.
    vectors = np.repeat(rng.choice([-1.0, 1.0], (rows, width)), copies, axis=0).astype(np.float32)
    scale = np.float32(2.0 ** -np.ceil(np.log2(np.sqrt(width))))
    vectors = normalised(vectors * scale)
    names = [f"p{number:04d}" for number in rng.permutation(len(vectors))]
    asked = normalised(rng.standard_normal((queries, width)).astype(np.float32))

    found = ExactIndex(names, vectors, block_rows=block).search(asked, k)

    for query, hits in zip(asked, found, strict=True):
        scores = dict(zip(names, (vectors.astype(np.float64) @ query.astype(np.float64)), strict=True))
        best = sorted(scores.values(), reverse=True)[:k]
        assert len(hits) == len(best)
        assert len({hit.id for hit in hits}) == len(hits)
        np.testing.assert_allclose([hit.score for hit in hits], best, atol=1e-5)
        for hit in hits:
            assert abs(scores[hit.id] - hit.score) < 1e-5


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 40), k=st.integers(1, 45), block=st.integers(1, 45), seed=st.integers(0, 999))
def should_give_exactly_the_sorted_order_where_scores_are_exact(rows, k, block, seed):
    rng = np.random.default_rng(seed)
    axes = np.eye(4, dtype=np.float32)
    vectors = axes[rng.integers(0, 4, rows)] * rng.choice([-1, 1], (rows, 1)).astype(np.float32)
    names = [f"{number:03d}" for number in rng.permutation(rows)]

    hits = ExactIndex(names, vectors, block_rows=block).search(axes[0], k)[0]

    due = sorted(zip((-vectors[:, 0]).tolist(), names, strict=True))[:k]
    assert [(-hit.score, hit.id) for hit in hits] == due


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        ([], np.empty((0, 3), np.float32), "at least one row"),
        (["a"], np.empty((1, 0), np.float32), "at least one row"),
        (["a"], SQUARE, "1 ids came with 4 vectors"),
        (["a", "b", "a", "c"], SQUARE, "'a' stands twice"),
        (NAMES, SQUARE * 2, "vector 0 has length 2.0000"),
        (NAMES, np.where(SQUARE == -1, np.nan, SQUARE), "vector 2 holds NaN"),
        (NAMES, np.where(SQUARE == -1, np.inf, SQUARE), "vector 2 holds NaN or infinity"),
        (["a", "b"], np.ones(2, np.float32), "shape"),
    ],
)
def should_refuse_vectors_that_cannot_be_searched(ids, vectors, message):
    with pytest.raises(VectorIndexError, match=message):
        ExactIndex(ids, vectors.astype(np.float32))


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        ([1, 0, 0], 1, "made by another model"),
        ([np.nan, 0], 1, "query 0 holds NaN"),
        ([3, 4], 1, "length 5.0000"),
        ([1, 0], 0, "k is 0"),
    ],
)
def should_refuse_a_query_of_another_kind(query, k, message):
    with pytest.raises(VectorIndexError, match=message):
        ExactIndex(NAMES, SQUARE).search(np.array(query, np.float32), k)


def should_name_the_bad_row_of_a_later_block():
    vectors = np.tile(SQUARE, (5, 1))
    vectors[13] *= 1.5

    with pytest.raises(VectorIndexError, match=r"vector 13 has length 1\.5"):
        ExactIndex([str(number) for number in range(20)], vectors, block_rows=4)


def should_make_unit_length_and_refuse_zeros():
    np.testing.assert_allclose(normalised(np.array([[3, 4]], np.float32)), [[0.6, 0.8]], rtol=1e-6)
    with pytest.raises(VectorIndexError, match="vector 1 is all zeros"):
        normalised(np.array([[1, 0], [0, 0]], np.float32))

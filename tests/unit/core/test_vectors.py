"""Vectors as bytes: what numpy writes we read, and the other way round."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from menulens.core import vectors

floats = st.floats(width=32, allow_nan=False)


@given(st.integers(0, 5), st.integers(0, 7), st.data())
def should_agree_with_numpy(rows: int, width: int, data: st.DataObject) -> None:
    matrix = data.draw(st.lists(st.lists(floats, min_size=width, max_size=width), min_size=rows, max_size=rows))
    ours = vectors.write_npy(matrix, width)
    read = np.load(io.BytesIO(ours), allow_pickle=False)
    assert read.dtype == np.dtype("<f4")
    assert read.shape == (rows, width)
    assert read.tolist() == matrix
    theirs = io.BytesIO()
    np.save(theirs, np.array(matrix, "<f4").reshape(rows, width))
    assert [row.tolist() for row in vectors.read_npy(theirs.getvalue())] == matrix
    assert theirs.getvalue() == ours


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3)), np.zeros(3, "f4"), np.zeros((2, 3), "<f4", order="F"), np.zeros((2, 3), ">f4")]
)
def should_refuse_what_is_no_float32_matrix(array: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    with pytest.raises(vectors.VectorError, match="C-ordered float32"):
        vectors.read_npy(stream.getvalue())


def should_refuse_a_file_that_was_cut_anywhere() -> None:
    whole = vectors.write_npy([[1.0, 2.0], [3.0, 4.0]])
    for cut in range(len(whole)):
        with pytest.raises(vectors.VectorError):
            vectors.read_npy(whole[:cut])
    with pytest.raises(vectors.VectorError, match="due"):
        vectors.read_npy(whole + b"\0")


def should_refuse_vectors_of_two_widths() -> None:
    with pytest.raises(vectors.VectorError, match="Vector 1 has 1 numbers; 2 are due"):
        vectors.write_npy([[1.0, 2.0], [3.0]])


@given(st.lists(floats, max_size=9))
def should_travel_as_base64(vector: list[float]) -> None:
    text = vectors.encode(vector)
    assert vectors.decode(text, len(vector)).tolist() == vector
    with pytest.raises(vectors.VectorError, match="are due"):
        vectors.decode(text, len(vector) + 1)


@pytest.mark.parametrize("text", ["AAA", "?", "AAAA", "é"])
def should_refuse_text_that_is_no_vector(text: str) -> None:
    with pytest.raises(vectors.VectorError):
        vectors.decode(text)


def should_normalise_in_the_l2_sense() -> None:
    assert vectors.norm([3.0, 4.0]) == 5.0
    assert vectors.normalised([3.0, 4.0]).tolist() == pytest.approx([0.6, 0.8])
    assert vectors.normalised([0.0, 0.0]).tolist() == [0.0, 0.0]
    with pytest.raises(vectors.VectorError, match="finite"):
        vectors.normalised([float("inf"), 1.0])

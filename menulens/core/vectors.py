"""Feature vectors as bytes: ``.npy`` files and base64, with the standard library alone.

Everything here is float32, little-endian, row after row: what numpy calls ``<f4`` in C order.
"""

from __future__ import annotations

import array
import ast
import base64
import binascii
import math
import struct
import sys
from collections.abc import Iterable, Sequence

NPY_MAGIC = b"\x93NUMPY"
FLOAT_BYTES = 4
_ALIGNMENT = 64


class VectorError(Exception):
    """Bytes that are no float32 vectors; the message says why."""


def npy_header(rows: int, width: int) -> bytes:
    """Return the header of a ``.npy`` file (format 1.0) that holds float32 ``[rows, width]``."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    fixed = len(NPY_MAGIC) + 4
    padding = -(fixed + len(text) + 1) % _ALIGNMENT
    body = (text + " " * padding + "\n").encode("latin-1")
    return NPY_MAGIC + b"\x01\x00" + struct.pack("<H", len(body)) + body


def parse_npy_header(data: bytes) -> tuple[int, int, int]:
    """Read the header of a ``.npy`` file.

    Parameters
    ----------
    data
        The file's first bytes (or all of them).

    Returns
    -------
    rows, width, offset
        The shape, and the byte at which the first float stands.

    Raises
    ------
    VectorError
        If the file is no ``.npy``, or holds something else than a C-ordered float32 matrix.
    """
    if data[:6] != NPY_MAGIC:
        raise VectorError(f"No .npy file: it starts with {data[:6]!r}.")
    if len(data) < 12 or data[6] not in (1, 2, 3):
        raise VectorError("A .npy file of an unknown version, or cut off inside its header.")
    start = 10 if data[6] == 1 else 12
    length = struct.unpack_from("<H" if data[6] == 1 else "<I", data, 8)[0]
    if len(data) < start + length:
        raise VectorError(f"A .npy file cut off inside its header: {len(data)} of {start + length} bytes.")
    try:
        header = ast.literal_eval(data[start : start + length].decode("latin-1"))
        kind, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise VectorError(f"A .npy file with a header that can't be read: {error!r}.") from None
    whole = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if kind != "<f4" or fortran is not False or not whole or len(shape) != 2:
        raise VectorError(
            f"A .npy file with dtype {kind!r}, shape {shape!r}, fortran_order {fortran!r}; "
            "a C-ordered float32 ('<f4') matrix [rows, width] is due."
        )
    return shape[0], shape[1], start + length


def write_npy(vectors: Sequence[Sequence[float]], width: int | None = None) -> bytes:
    """Return vectors as a ``.npy`` file; ``width`` is needed only where there are none.

    Raises
    ------
    VectorError
        If the vectors differ in width.
    """
    width = (len(vectors[0]) if vectors else 0) if width is None else width
    for row, vector in enumerate(vectors):
        if len(vector) != width:
            raise VectorError(f"Vector {row} has {len(vector)} numbers; {width} are due.")
    return npy_header(len(vectors), width) + b"".join(map(pack, vectors))


def read_npy(data: bytes) -> list[array.array[float]]:
    """Return the rows of a ``.npy`` file that holds float32 ``[rows, width]``.

    Raises
    ------
    VectorError
        If it is no such file, or has more or fewer bytes than its header says.
    """
    rows, width, offset = parse_npy_header(data)
    due = offset + rows * width * FLOAT_BYTES
    if len(data) != due:
        raise VectorError(f"A .npy file of shape ({rows}, {width}) with {len(data)} bytes; {due} are due.")
    step = width * FLOAT_BYTES
    return [unpack(data[offset + row * step : offset + (row + 1) * step]) for row in range(rows)]


def pack(vector: Iterable[float]) -> bytes:
    """Return a vector's float32 bytes, little-endian."""
    numbers = vector if isinstance(vector, array.array) and vector.typecode == "f" else array.array("f", vector)
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def unpack(data: bytes) -> array.array[float]:
    """Return the vector that float32 bytes hold.

    Raises
    ------
    VectorError
        If the length is no multiple of four.
    """
    if len(data) % FLOAT_BYTES:
        raise VectorError(f"{len(data)} bytes are no float32 vector: no multiple of {FLOAT_BYTES}.")
    numbers = array.array("f")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def encode(vector: Iterable[float]) -> str:
    """Return a vector as base64 of its float32 bytes."""
    return base64.b64encode(pack(vector)).decode("ascii")


def decode(text: str, width: int | None = None) -> array.array[float]:
    """Return the vector that :func:`encode` wrote.

    Raises
    ------
    VectorError
        If the text is no base64, no float32 vector, or not ``width`` wide (where a width is given).
    """
    try:
        vector = unpack(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise VectorError(f"A vector that is no base64: {error}.") from None
    if width is not None and len(vector) != width:
        raise VectorError(f"A vector with {len(vector)} numbers; {width} are due.")
    return vector


def norm(vector: Iterable[float]) -> float:
    """Return a vector's L2 norm."""
    return math.sqrt(math.fsum(number * number for number in vector))


def normalised(vector: Sequence[float]) -> array.array[float]:
    """Return a vector divided by its L2 norm; a vector of zeros stays one.

    Raises
    ------
    VectorError
        If a number is not finite.
    """
    length = norm(vector)
    if not math.isfinite(length):
        raise VectorError("A vector with a number that is not finite can't be normalised.")
    return array.array("f", vector if length == 0.0 else (number / length for number in vector))

"""Turn embeddings into unit float16 rows, with a reason for each row that cannot be one, and bytes into a matrix.

In: an Arrow column of float or double lists (variable or fixed size) or of encoded bytes. From here on an embedding
*is* its float16 value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

NULL_VECTOR, EMPTY, NULL_ELEMENT, NAN, INFINITE, ZERO, TINY_NORM, BAD_LENGTH = (
    "null_vector",
    "empty",
    "null_element",
    "nan",
    "infinite",
    "zero",
    "tiny_norm",
    "bad_length",
)
"""Why a row is set aside; ``bad_length``: its encoded bytes are not a multiple of the size of a value."""

SMALLEST_NORM = 1e-12


def decode(column: Any, dimension: int) -> NDArray[np.float16]:
    """Return a binary column of float16 vectors as a matrix, without copying.

    Parameters
    ----------
    column : pa.BinaryArray
        No nulls, each value of ``2 * dimension`` bytes.
    dimension : int

    Returns
    -------
    ndarray of float16, shape (n, dimension)
        Read-only.
    """
    wide = pa.types.is_large_binary(column.type)
    offsets = np.frombuffer(column.buffers()[1], np.int64 if wide else np.int32)
    first, last = offsets[column.offset], offsets[column.offset + len(column)]
    values = np.frombuffer(column.buffers()[2] or b"", np.uint8)[first:last]
    return values.view(np.float16).reshape(len(column), dimension)


def encode(matrix: NDArray[np.float16]) -> pa.BinaryArray:
    """Return the rows of a float16 matrix as a binary column."""
    width = 2 * matrix.shape[1]
    offsets = pa.array(np.arange(len(matrix) + 1, dtype=np.int32) * width)
    data = pa.py_buffer(np.ascontiguousarray(matrix).tobytes())
    return pa.BinaryArray.from_buffers(pa.binary(), len(matrix), [None, offsets.buffers()[1], data])


def unit_rows(matrix: NDArray[Any]) -> tuple[NDArray[np.float16], NDArray[np.object_]]:
    """Normalise rows in float64 and round them to float16.

    Parameters
    ----------
    matrix : ndarray of float, shape (n, d)

    Returns
    -------
    vectors : ndarray of float16, shape (n, d)
        Meaningless if there is a reason.
    reasons : ndarray of object, shape (n,)
        None where the row is good.

    Examples
    --------
    >>> vectors, reasons = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0]]))
    >>> vectors[0].tolist(), reasons.tolist()
    ([0.60009765625, 0.7998046875], [None, 'zero', 'nan'])
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN, as foreign bytes may hold
        exact = matrix.astype(np.float64)
    # Scale by the largest entry first: squares of large or small values would overflow or vanish.
    largest = np.abs(exact).max(axis=1, initial=0.0)
    finite = np.isfinite(largest)
    scaled = exact / np.where(finite & (largest > 0), largest, 1.0)[:, None]
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    reasons = np.full(len(exact), None, object)
    reasons[finite & (length * largest < SMALLEST_NORM)] = TINY_NORM
    reasons[finite & (largest == 0)] = ZERO
    odd = np.flatnonzero(~finite)
    reasons[odd] = np.where(np.isnan(exact[odd]).any(axis=1), NAN, INFINITE)
    good = np.array([reason is None for reason in reasons], bool)
    with np.errstate(invalid="ignore", over="ignore"):
        vectors = np.where(good[:, None], scaled / np.where(good, length, 1.0)[:, None], 0.0).astype(np.float16)
    return vectors, reasons


def checked_vectors(column: pa.Array, encoding: str | None = None) -> tuple[pa.Array, NDArray[np.object_]]:
    """Turn a column of embeddings into float16 unit vectors and reasons.

    Parameters
    ----------
    column : pa.Array
        Lists (also fixed-size) of float or double, or binary when ``encoding`` says what the bytes are.
    encoding : {"float16", "float32"}, optional

    Returns
    -------
    vectors : pa.BinaryArray
        float16 bytes, null if there is a reason.
    reasons : ndarray of object
    """
    valid = np.asarray(column.is_valid())
    lengths, flat, has_null = _bytes_as_values(column, encoding) if encoding else _lists_as_values(column)
    reasons = np.full(len(column), None, object)
    reasons[lengths == 0] = EMPTY
    reasons[lengths < 0] = BAD_LENGTH
    reasons[has_null] = NULL_ELEMENT
    reasons[~valid] = NULL_VECTOR
    starts = np.concatenate([[0], np.cumsum(np.maximum(lengths, 0))])
    vectors: NDArray[np.object_] = np.full(len(column), None, object)
    candidates = np.array([reason is None for reason in reasons], bool)
    for length in np.unique(lengths[candidates]):
        rows = np.flatnonzero(candidates & (lengths == length))
        if len(rows) == len(column):
            # The common case, all rows good and of one length: Python touches no row.
            units, reasons = unit_rows(flat.reshape(len(column), length))
            bad = pa.array([reason is not None for reason in reasons], pa.bool_())
            return pa.compute.if_else(bad, pa.scalar(None, pa.binary()), encode(units)), reasons
        units, rejected = unit_rows(np.stack([flat[starts[row] : starts[row] + length] for row in rows]))
        reasons[rows] = rejected
        vectors[rows] = [None if why else unit.tobytes() for unit, why in zip(units, rejected, strict=True)]
    return pa.array(vectors, pa.binary()), reasons


class _Values(NamedTuple):
    """Length of each row, all values, and which rows hold a null element."""

    lengths: NDArray[np.int64]
    values: NDArray[Any]
    has_null: NDArray[np.bool_]


def _lists_as_values(column: pa.Array) -> _Values:
    lengths = np.asarray(pa.compute.list_value_length(column).fill_null(0)).astype(np.int64)
    values = column.flatten()
    has_null = np.zeros(len(column), bool)
    if values.null_count:
        owner = np.repeat(np.arange(len(column)), lengths)
        has_null[owner[np.asarray(values.is_null())]] = True
        values = values.fill_null(0.0)
    return _Values(lengths, values.to_numpy(zero_copy_only=False), has_null)


def _bytes_as_values(column: pa.Array, encoding: str) -> _Values:
    """Do the same for encoded bytes; length -1: not a multiple of a value's size."""
    kind = np.dtype({"float16": "<f2", "float32": "<f4"}[encoding])
    sizes = np.asarray(pa.compute.binary_length(column).fill_null(0)).astype(np.int64)
    fits = sizes % kind.itemsize == 0
    blobs = column if fits.all() and not column.null_count else column.filter(pa.array(fits)).drop_null()
    values = np.frombuffer(b"".join(blobs.to_pylist()), kind)
    return _Values(np.where(fits, sizes // kind.itemsize, -1), values, np.zeros(len(column), bool))

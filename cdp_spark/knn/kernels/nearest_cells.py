"""Find the cells nearest to vectors: integer or float32 scores nominate, float64 scores decide.

The score of a cell for vector x is ``x . c - |c|^2 / 2``. The nominees depend on the processor, the answer does not:
where more cells are too close to call than there is room for, finer scores follow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled, read_only
from cdp_spark.base.numeric.best_of_many import best_columns, empty_pools, finish, thin
from cdp_spark.base.numeric.float16 import Bits, bits_of, dot_with, row_norms, slack_of, spread, values_of
from cdp_spark.knn.kernels import int16_products

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Float16s = NDArray[np.float16]
Ints = NDArray[np.int64]
Vectors = NDArray[np.floating[Any]]

_OVERFETCH = 6
"""Nominees in addition to the cells that are wanted."""

_TILE_ROWS = 512
"""Vectors scored against all cells at a time."""

_POOLS = 8_192
"""Vectors whose nominees are held at a time."""


class Ranking:
    """Cells, to be ranked by their nearness to vectors.

    Attributes
    ----------
    centroids : ndarray of float32, shape (m, d)
        float16 values.
    half : ndarray of float64, shape (m,)
        ``|c|^2 / 2``, subtracted from the product of a vector and a centroid.
    """

    def __init__(self, centroids: Float16s) -> None:
        self.centroids = centroids.astype(np.float32)
        self._bits = bits_of(centroids)
        exact = centroids.astype(np.float64)
        self.half = np.einsum("ij,ij->i", exact, exact) / 2
        self._rounded_half = self.half.astype(np.float32)
        self._fit = bool((2 * self.half <= int16_products.LARGEST_NORM**2).all())

    def scores(self, vectors: Vectors, position: Ints) -> Doubles:
        """Return the score of one cell for each vector."""
        scores = np.empty(len(position))
        bits = bits_of(vectors)
        _score((bits, np.ascontiguousarray(position)), (self._bits, self.half), scores, values_of(bits))
        return scores

    def ranked(self, vectors: Doubles, count: int) -> Ints:
        """Return the positions of the ``count`` nearest cells, the nearest first."""
        exact = self.centroids.astype(np.float64)
        return _top(vectors @ exact.T - self.half, min(count, len(exact)))

    def nearest(self, vectors: Vectors, count: int, among: Ints | None = None) -> Ints:
        """Return the ``count`` nearest cells in any order; ties are broken by position.

        Parameters
        ----------
        vectors : ndarray of floats, shape (n, d)
            float16 values.
        count : int
        among : ndarray of int64, ascending, optional
            Positions of the cells to choose from; default: all.

        Returns
        -------
        ndarray of int64, shape (n, min(count, cells))
            Positions.
        """
        cells = len(self.half) if among is None else len(among)
        if count >= cells:
            return np.broadcast_to(np.arange(cells) if among is None else among, (len(vectors), cells))
        float16s = np.ascontiguousarray(vectors, np.float16)
        chosen, left = np.empty((len(float16s), count), np.int64), np.arange(len(float16s))
        for sieve in (self._by_integers, self._by_floats) if self._may_be_coded(float16s) else (self._by_floats,):
            some = float16s if len(left) == len(float16s) else float16s[left]
            chosen[left], unsure = sieve(some, count, among)
            left = left[unsure]
            if not len(left):
                return chosen
        chosen[left] = self._exactly(float16s[left].astype(np.float64), count, among)
        return chosen

    def _may_be_coded(self, vectors: Float16s) -> bool:
        largest = int16_products.LARGEST_NORM
        return int16_products.pays() and self._fit and float(row_norms(vectors).max(initial=0)) <= largest

    def _by_integers(self, vectors: Float16s, count: int, among: Ints | None) -> tuple[Ints, NDArray[np.bool_]]:
        """Nominate by integer scores; also tell which vectors remain unsure."""
        bits = self._bits if among is None else read_only(self._bits[among])
        half = self._rounded_half if among is None else self._rounded_half[among]
        room, numbers = min(count + _OVERFETCH, len(half)), np.arange(len(half))
        scored = int16_products.Scored(read_only(numbers), bits, np.ones_like(half), -half)
        slack = 2 * int16_products.slack_of_codes(bits.shape[1]) + slack_of(bits.shape[1])
        chosen, unsure = np.empty((len(vectors), count), np.int64), np.zeros(len(vectors), np.bool_)
        for start in range(0, len(vectors), _POOLS):
            some = slice(start, min(start + _POOLS, len(vectors)))
            rows = some.stop - start
            pools = empty_pools(rows, room)
            asking = int16_products.Asking(read_only(np.full(rows, -1)), bits_of(vectors[some]))
            cells = np.array([0, len(half)]), np.arange(rows), np.array([0, rows])
            int16_products.nominate(asking, scored, cells, pools, room)
            finish(*pools[:3], room)
            columns, kept = pools[0][:, :room], pools[1][:, :room]
            values = vectors[some].astype(np.float32)
            chosen[some], unsure[some] = self._settled((columns, kept), slack, values, count, among)
        return chosen, unsure

    def _by_floats(self, vectors: Float16s, count: int, among: Ints | None) -> tuple[Ints, NDArray[np.bool_]]:
        """Do the same by float32 scores."""
        centroids = self.centroids if among is None else self.centroids[among]
        half = self._rounded_half if among is None else self._rounded_half[among]
        room, slack = min(count + _OVERFETCH, len(half)), slack_of(centroids.shape[1])
        chosen, unsure = np.empty((len(vectors), count), np.int64), np.zeros(len(vectors), np.bool_)
        scores = np.empty((min(_TILE_ROWS, len(vectors)), len(half)), np.float32)
        for start in range(0, len(vectors), _TILE_ROWS):
            some = slice(start, min(start + _TILE_ROWS, len(vectors)))
            values = vectors[some].astype(np.float32)
            product = np.matmul(values, centroids.T, out=scores[: len(values)])
            product -= half
            columns, kept = best_columns(product, room)
            chosen[some], unsure[some] = self._settled((columns, kept), slack, values, count, among)
        return chosen, unsure

    def _settled(
        self, nominees: tuple[NDArray[np.int32], Floats], slack: float, vectors: Floats, count: int, among: Ints | None
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Choose the nearest of the nominees; changes them."""
        columns, kept = np.ascontiguousarray(nominees[0]), np.ascontiguousarray(nominees[1])
        if among is not None:
            columns = among[columns].astype(np.int32)
        room, unsure = columns.shape[1], np.zeros(len(columns), np.bool_)
        buffers = _Buffers(np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.float64))
        _settle((columns, kept), (count, slack), _Exact(vectors, self._bits, self.half), unsure, buffers)
        return columns[:, :count], unsure

    def _exactly(self, vectors: Doubles, count: int, among: Ints | None) -> Ints:
        """Return the same by float64 scores alone."""
        if among is None:
            return self.ranked(vectors, count)
        return among[_top(vectors @ self.centroids[among].astype(np.float64).T - self.half[among], count)]


class _Exact(NamedTuple):
    """Exact scores: ``vectors[i] . centroids[c] - half[c]`` in row i, column c.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n, d)
    centroids : ndarray of uint16 (bits), shape (m, d)
    half : ndarray of float64, shape (m,)
    """

    vectors: Floats
    centroids: Bits
    half: Doubles


class _Buffers(NamedTuple):
    """Memory for the close calls of one row, shape (room,) each."""

    indices: Ints
    columns: NDArray[np.int32]
    scores: Doubles


@compiled
def _score(asked: tuple[Bits, Ints], cells: tuple[Bits, Doubles], scores: Doubles, values: Floats) -> None:
    (vectors, position), (centroids, half) = asked, cells
    for row in range(len(vectors)):
        spread(vectors[row], values)
        scores[row] = dot_with(values, centroids[position[row]]) - half[position[row]]


@compiled
def _settle(
    nominees: tuple[NDArray[np.int32], Floats],
    limits: tuple[int, float],
    exact: _Exact,
    unsure: NDArray[np.bool_],
    buffers: _Buffers,
) -> None:
    """Choose the best columns of each row; float64 scores decide close calls.

    Parameters
    ----------
    nominees : (columns, scores), ndarrays of shape (n, room)
        The ``room`` best by rounded scores, the worst of them last; ``room > count``. Changed: the first ``count``
        are the chosen ones.
    limits : (count, slack)
        Scores that differ by more than the slack are in their exact order.
    exact : _Exact
        Equal scores are ordered by column.
    unsure : ndarray of bool, shape (n,)
        Written: True where the close calls of a row exceed the room.
    buffers : _Buffers
    """
    (columns, scores), (count, slack), (vectors, centroids, half) = nominees, limits, exact
    index, column, score = buffers
    room = columns.shape[1]
    for row in range(len(columns)):
        last = scores[row, room - 1]
        bound = thin(scores[row], columns[row], room, count)
        unsure[row] = last >= bound - slack
        asked, beyond = 0, False
        for i in range(room):
            if abs(scores[row, i] - bound) <= slack:
                index[asked] = i
                beyond |= i >= count
                asked += 1
        if unsure[row] or not beyond:
            continue
        for i in range(asked):
            c = columns[row, index[i]]
            _insert_exact(dot_with(vectors[row], centroids[c]) - half[c], c, score, column, i)
        for i in range(asked):
            columns[row, index[i]] = column[i]


@compiled(inline="always")
def _insert_exact(total: float, column: int, scores: Doubles, columns: NDArray[np.int32], used: int) -> None:
    at = used
    while at > 0 and (scores[at - 1] < total or (scores[at - 1] == total and columns[at - 1] > column)):
        scores[at], columns[at] = scores[at - 1], columns[at - 1]
        at -= 1
    scores[at], columns[at] = total, column


def _top(scores: Doubles, width: int) -> Ints:
    """Return the columns of the ``width`` largest scores, best first, ties by column."""
    if width < scores.shape[1]:
        last = -np.partition(-scores, width - 1, axis=1)[:, width - 1 : width]
        ties = scores == last
        room = width - (scores > last).sum(axis=1, keepdims=True)
        columns = np.nonzero((scores > last) | (ties & (np.cumsum(ties, axis=1) <= room)))[1].reshape(-1, width)
    else:
        columns = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    kept = np.take_along_axis(scores, columns, axis=1)
    return np.take_along_axis(columns, np.argsort(-kept, axis=1, kind="stable"), axis=1)

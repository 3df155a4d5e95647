"""Rank candidates by their exact similarity, and keep the best in lists of row numbers.

In: vectors as bits, and candidates with an upper bound of their similarity. Out: lists by (-similarity, item).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.best_of_many import thin
from cdp_spark.base.numeric.float16 import Bits, similarity_with, spread, values_of
from cdp_spark.base.numeric.simd import prefetch, prefetch_one

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Longs = NDArray[np.int64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]

_AHEAD = 6
"""Prefetch distance, in candidates: random reads are latency-bound."""


class Rows(NamedTuple):
    """A ``search_cells.Block`` for compiled code: float16 values as their bits."""

    items: Longs
    vectors: Bits
    norms: Doubles


class Near(NamedTuple):
    """Lists of row numbers, shape (n, k); unused entries have -1 and -inf."""

    rows: Ints
    similarities: Floats


@compiled
def insert_row(similarity: np.float32, row: int | np.int32, items: Longs, near: Ints, similarities: Floats) -> int:
    """Insert a row into a list by (-similarity, item); return 1 if it enters, or 0."""
    at = len(near) - 1
    if similarity < similarities[at] or (
        similarity == similarities[at] and near[at] >= 0 and items[row] > items[near[at]]
    ):
        return 0
    while at > 0 and (
        similarities[at - 1] < similarity or (similarities[at - 1] == similarity and items[near[at - 1]] > items[row])
    ):
        similarities[at] = similarities[at - 1]
        near[at] = near[at - 1]
        at -= 1
    similarities[at] = similarity
    near[at] = row
    return 1


def rank(queries: Rows, rows: Rows, nominated: Near, numbers: Longs, lists: Near) -> Bools:
    """Rank the nominees of some queries exactly.

    Parameters
    ----------
    queries, rows : Rows
    nominated : Near
        Nominees of each query, with upper bounds of their similarity. There may be more columns of nominees than of
        bounds; only as many as the latter count.
    numbers : ndarray of int64, shape (queries,)
        Which of ``lists`` belongs to each query.
    lists : Near
        Written.

    Returns
    -------
    ndarray of bool, shape (queries,)
        Queries for which a row that is not nominated could be near enough; their lists stay empty.
    """
    unsettled = np.zeros(len(numbers), np.bool_)
    _rank(queries, rows, nominated, (numbers, unsettled), lists, values_of(queries.vectors))
    return unsettled


def rank_all(queries: Rows, rows: Rows, cells: tuple[Longs, Ints], numbers: Longs, lists: Near) -> None:
    """Rank all candidates of the queries with these numbers."""
    if len(numbers):
        _rank_all(queries, rows, cells, numbers, lists, values_of(queries.vectors))


@compiled
def _rank(queries: Rows, rows: Rows, nominated: Near, asked: tuple[Longs, Bools], lists: Near, values: Floats) -> None:
    _, query_bits, query_norms = queries
    row_items, row_bits, row_norms = rows
    nominees, greatest = nominated
    numbers, unsettled = asked
    room = greatest.shape[1]
    for q in range(len(numbers)):
        near, similarities = lists.rows[numbers[q]], lists.similarities[numbers[q]]
        k, beyond = len(near), greatest[q, room - 1]
        thin(greatest[q], nominees[q], room, k)  # rank these first: few of the others can enter the list afterwards
        spread(query_bits[q], values)
        for i in range(-_AHEAD, room):
            ahead = i + _AHEAD
            if ahead < room and nominees[q, ahead] >= 0 and greatest[q, ahead] >= similarities[k - 1]:
                prefetch(row_bits, nominees[q, ahead])
                prefetch_one(row_norms, nominees[q, ahead])
            if i < 0 or nominees[q, i] < 0 or greatest[q, i] < similarities[k - 1]:
                continue
            row = nominees[q, i]
            similarity = similarity_with(values, row_bits[row], query_norms[q] * row_norms[row])
            insert_row(similarity, row, row_items, near, similarities)
        unsettled[q] = beyond >= similarities[k - 1] and beyond > -np.inf
        if unsettled[q]:
            near[:], similarities[:] = -1, -np.inf


@compiled
def _rank_all(
    queries: Rows, rows: Rows, cells: tuple[Longs, Ints], numbers: Longs, lists: Near, values: Floats
) -> None:
    query_items, query_bits, query_norms = queries
    row_items, row_bits, row_norms = rows
    offsets, probes = cells
    for q in numbers:
        spread(query_bits[q], values)
        for cell in probes[q]:
            if cell < 0:
                continue
            for row in range(offsets[cell], offsets[cell + 1]):
                if row_items[row] != query_items[q]:
                    similarity = similarity_with(values, row_bits[row], query_norms[q] * row_norms[row])
                    insert_row(similarity, np.int32(row), row_items, lists.rows[q], lists.similarities[q])

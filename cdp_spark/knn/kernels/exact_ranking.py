"""Rank candidates by their exact similarity, and keep the best in lists of row numbers.

In: vectors as bits, and candidates each with what its similarity can be at most. Out: lists by (-similarity, item).
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

_AHEAD = 6
"""So many candidates before it is their turn they are asked for: what is random takes its time to come."""


class Rows(NamedTuple):
    """A ``search.Block`` as compiled code reads it: float16 values as their bits."""

    items: Longs
    vectors: Bits
    norms: Doubles


class Near(NamedTuple):
    """Lists of row numbers, shape (n, places): -1 and -inf where a place is not used."""

    rows: Ints
    similarities: Floats


@compiled
def insert_row(similarity, row, items, near, similarities):  # type: ignore[no-untyped-def]
    """Insert into one list of row numbers kept by (-similarity, item); tell whether it was good enough."""
    place = len(near) - 1
    if similarity < similarities[place] or (
        similarity == similarities[place] and near[place] >= 0 and items[row] > items[near[place]]
    ):
        return 0
    while place > 0 and (
        similarities[place - 1] < similarity
        or (similarities[place - 1] == similarity and items[near[place - 1]] > items[row])
    ):
        similarities[place] = similarities[place - 1]
        near[place] = near[place - 1]
        place -= 1
    similarities[place] = similarity
    near[place] = row
    return 1


def rank(queries: Rows, rows: Rows, nominated: Near, places: Longs, found: Near) -> NDArray[np.bool_]:
    """Rank the nominees exactly; tell of which queries what is not nominated can be near enough, too.

    Rows of ``nominated`` may have more places than scores: the first are meant.
    """
    unsettled = np.zeros(len(places), np.bool_)
    _rank(queries, rows, nominated, (places, unsettled), found, values_of(queries.vectors))
    return unsettled


def rank_all(queries: Rows, rows: Rows, cells: tuple[Longs, Ints], places: Longs, found: Near) -> None:
    """Rank all candidates of the queries in some places."""
    if len(places):
        _rank_all(queries, rows, cells, places, found, values_of(queries.vectors))


@compiled
def _rank(queries, rows, nominated, asked, found, values):  # type: ignore[no-untyped-def]
    _, query_bits, query_norms = queries
    row_items, row_bits, row_norms = rows
    nominees, greatest = nominated
    places, unsettled = asked
    room = greatest.shape[1]
    for q in range(len(places)):
        near, similarities = found.rows[places[q]], found.similarities[places[q]]
        k, beyond = len(near), greatest[q, room - 1]
        thin(greatest[q], nominees[q], room, k)  # these are ranked before the others, few of which are left then
        spread(query_bits[q], values)
        for place in range(-_AHEAD, room):
            ahead = place + _AHEAD
            if ahead < room and nominees[q, ahead] >= 0 and greatest[q, ahead] >= similarities[k - 1]:
                prefetch(row_bits, nominees[q, ahead])
                prefetch_one(row_norms, nominees[q, ahead])
            if place < 0 or nominees[q, place] < 0 or greatest[q, place] < similarities[k - 1]:
                continue
            row = nominees[q, place]
            similarity = similarity_with(values, row_bits[row], query_norms[q] * row_norms[row])
            insert_row(similarity, row, row_items, near, similarities)
        unsettled[q] = beyond >= similarities[k - 1] and beyond > -np.inf
        if unsettled[q]:
            near[:], similarities[:] = -1, -np.inf


@compiled
def _rank_all(queries, rows, cells, places, found, values):  # type: ignore[no-untyped-def]
    query_items, query_bits, query_norms = queries
    row_items, row_bits, row_norms = rows
    offsets, probes = cells
    for q in places:
        spread(query_bits[q], values)
        for cell in probes[q]:
            if cell < 0:
                continue
            for row in range(offsets[cell], offsets[cell + 1]):
                if row_items[row] != query_items[q]:
                    similarity = similarity_with(values, row_bits[row], query_norms[q] * row_norms[row])
                    insert_row(similarity, np.int32(row), row_items, found.rows[q], found.similarities[q])

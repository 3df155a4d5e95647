"""Nominate the nearest rows of queries by integer products, tile by tile.

A vector of at most unit norm is rounded to ``code / SCALE``, with codes of 16 bits. Products of codes are exact, cost
half as much as those of float32 where the processor has an instruction for them, and have a small error
(``slack_of_codes``). In: float16 rows in the order of their cells, and the queries that probe each cell. Out: pools
(``best_of_many``) of the rows with the greatest scores. A tile is twelve queries and a group of rows; only products of
rows that pass leave the processor's registers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.best_of_many import Pools, thin
from cdp_spark.base.numeric.float16 import Bits, spread, values_of
from cdp_spark.base.numeric.int16_tiles import GROUP, QUERIES, WORD, has_instruction, multiply
from cdp_spark.base.numeric.simd import lowest, prefetch

Codes = NDArray[np.int16]
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Cells = tuple[Longs, Longs, Longs]

SCALE = 32_000
"""Code of the value 1."""

LARGEST_NORM = 1.02
"""Largest norm of a vector: the product of two vectors of codes fits 32 bits."""

_TILE_GROUPS = 16
"""Groups that are coded at once; their codes stay in the cache while all queries of the cell pass."""


@compiled
def pays() -> bool:
    """Return whether one instruction multiplies and adds; if not, float32 is as fast."""
    return bool(has_instruction())


def slack_of_codes(dimension: int) -> float:
    """Return the error bound of a product of codes, for vectors of the largest norm.

    Cauchy-Schwarz: rounding changes each of the two by a vector of norm at most ``sqrt(dimension) / 2`` codes.
    """
    return (LARGEST_NORM + 0.01) * math.sqrt(dimension) / SCALE


class Asking(NamedTuple):
    """Queries of norms up to ``LARGEST_NORM``: float16 values as their bits."""

    items: Longs
    vectors: Bits


class Scored(NamedTuple):
    """Rows of norms up to ``LARGEST_NORM``.

    The score is ``factors * (query . row) + offsets``.
    """

    items: Longs
    vectors: Bits
    factors: Floats
    offsets: Floats


class _Span(NamedTuple):
    """Some queries, and the first and last row (exclusive) of a tile."""

    queries: Longs
    low: int
    high: int


class _Packing(NamedTuple):
    """Codes of the rows by group; codes, words and float32 values of one row."""

    groups: Ints
    codes: Codes
    words: Ints
    values: Floats


class _Tile(NamedTuple):
    """Codes and bounds of a tile's queries; scores of a group, and bits of the best."""

    codes: Codes
    bounds: Floats
    scores: Floats
    masks: NDArray[np.uint32]


class _Buffers(NamedTuple):
    """Memory of :func:`_nominate`: codes, factors and offsets of the rows, and more."""

    packed: Codes
    factors: Floats
    offsets: Floats
    packing: _Packing
    tile: _Tile


def nominate(queries: Asking, rows: Scored, cells: Cells, pools: Pools, room: int) -> None:
    """Put the nearest rows of each query, in the cells that it probes, into its pool.

    Parameters
    ----------
    queries : Asking
    rows : Scored
    cells : (offsets, asking, starts)
        Start of each cell's rows; the queries that probe each cell, cell by cell; start of each cell's queries.
    pools : Pools
        Entries are row numbers.
    room : int
    """
    _nominate(queries, rows, cells, pools, room, _buffers(rows.vectors))


def _buffers(bits: Bits) -> _Buffers:
    words = (bits.shape[1] + WORD - 1) // WORD
    packed, row = np.zeros((_TILE_GROUPS, words * GROUP * WORD), np.int16), np.zeros(words * WORD, np.int16)
    factors, offsets = np.zeros(_TILE_GROUPS * GROUP, np.float32), np.zeros(_TILE_GROUPS * GROUP, np.float32)
    codes, bounds = np.zeros((QUERIES, words * WORD), np.int16), np.empty(QUERIES, np.float32)
    scores, masks = np.empty((QUERIES, GROUP), np.float32), np.empty(QUERIES, np.uint32)
    packing = _Packing(packed.view(np.int32), row, row.view(np.int32), values_of(bits))
    return _Buffers(packed, factors, offsets, packing, _Tile(codes, bounds, scores, masks))


@compiled
def _nominate(queries: Asking, rows: Scored, cells: Cells, pools: Pools, room: int, buffers: _Buffers) -> None:
    offsets, asking, starts = cells
    for cell in range(len(starts) - 1):
        first, last = starts[cell], starts[cell + 1]
        if first == last:
            continue
        for low in range(offsets[cell], offsets[cell + 1], _TILE_GROUPS * GROUP):
            high = min(low + _TILE_GROUPS * GROUP, offsets[cell + 1])
            _pack(rows, low, high, buffers)
            for start in range(first, last, QUERIES):
                some = asking[start : min(start + QUERIES, last)]
                for following in asking[start + QUERIES : min(start + 2 * QUERIES, last)]:
                    prefetch(queries.vectors, following)
                _compare(queries, rows, _Span(some, low, high), buffers, pools, room)


@compiled(inline="always")
def _pack(rows: Scored, low: int, high: int, buffers: _Buffers) -> None:
    """Interleave the codes of some rows, and write what turns a product into a score."""
    _, factors, offsets, (of_groups, codes, words, values), _ = buffers
    for row in range(low, high):
        spread(rows.vectors[row], values)
        _write_codes(values, codes)
        factors[row - low] = rows.factors[row] / np.float32(SCALE * SCALE)
        offsets[row - low] = rows.offsets[row]
        group, lane = (row - low) // GROUP, (row - low) % GROUP
        for word in range(len(words)):
            of_groups[group, word * GROUP + lane] = words[word]


@compiled(inline="always")
def _write_codes(values: Floats, codes: Codes) -> None:
    for i in range(len(values)):
        codes[i] = np.int16(np.rint(values[i] * np.float32(SCALE)))


@compiled(inline="always")
def _compare(queries: Asking, rows: Scored, span: _Span, buffers: _Buffers, pools: Pools, room: int) -> None:
    """Compare up to ``QUERIES`` queries with the packed rows."""
    some, low, high = span
    packed, factors, offsets, (_, _, _, values), (codes, passing, products, masks) = buffers
    nominees, scores, used, bounds = pools
    for i in range(QUERIES):
        query = some[min(i, len(some) - 1)]  # the last query fills up an incomplete tile
        spread(queries.vectors[query], values)
        _write_codes(values, codes[i])
        passing[i] = bounds[query]
    for first in range(low, high, GROUP):
        multiply(packed, (first - low) // GROUP, factors, offsets, codes, passing, products, masks)
        inside = np.uint32((np.uint64(1) << np.uint64(min(high - first, GROUP))) - np.uint64(1))
        for i in range(len(some)):
            bits, query = masks[i] & inside, some[i]
            if not bits:
                continue
            n = used[query]
            while bits:
                lane = lowest(bits)
                bits &= bits - np.uint32(1)
                if rows.items[first + lane] != queries.items[query]:
                    scores[query, n], nominees[query, n] = products[i, lane], first + lane
                    n += 1
            if n >= 2 * room:
                bounds[query], n = thin(scores[query], nominees[query], n, room), room
                passing[i] = bounds[query]
            used[query] = n

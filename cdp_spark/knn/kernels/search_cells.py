"""Find the nearest rows of each query in the cells that it probes, exactly ranked.

In: rows in the order of their cells, queries, and the cells that each query probes. Out: the k best rows of each
query by (-similarity, item).

Pairs of query and cell are grouped by cell, so that each group is one matrix product with a running top list instead of
many vector products (as in ``faiss.contrib.big_batch_search``). Integer products (``int16_products``), and those of
float32, whose rounding depends on the shape of the tiles, only *nominate* candidates. The similarity is
float32(clip(dot / (norm * norm), -1, 1)) with dot and norms in float64. Vectors are float16 values of at most unit
norm: their products are multiples of 2**-48 and sum up exactly in float64, in any order. Where a row that is not
nominated could be near enough, the query goes through a finer sieve: float32 after integers, and finally float64 for
all of its candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled, read_only
from cdp_spark.base.numeric.best_of_many import Pools, empty_pools, finish, thin
from cdp_spark.base.numeric.float16 import bits_of, floats_of, row_norms, slack_of
from cdp_spark.base.numeric.simd import LANES, bits_above_scaled, lowest
from cdp_spark.knn.kernels import int16_products
from cdp_spark.knn.kernels.exact_ranking import Near, Rows, rank, rank_all

_OVERFETCH = 6
"""Nominees in addition to the k that are wanted."""

_SMALLEST_NORM = 0.99
"""Smallest norm of a vector that is rounded to integers: the error of their product is divided by the norms."""

QUERY_BLOCK = 65_536
MOST_THREADS = 8
"""Most threads of one task, if there are more cores than tasks."""
_TILE_QUERIES = 1024
_TILE_ROWS = 2048

Float16s = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Longs = NDArray[np.int64]
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Block:
    """Vectors that one task searches.

    Attributes
    ----------
    items : ndarray of int64, shape (n,)
    vectors : ndarray of float16, shape (n, d)
        With norms of about 1.
    norms : ndarray of float64, shape (n,)
    """

    items: Longs
    vectors: Float16s
    norms: Doubles

    @classmethod
    def of(cls, items: Longs, vectors: NDArray[Any]) -> Block:
        """Make a block of float16 values, which may have a wider type, and their norms."""
        return cls(items, np.ascontiguousarray(vectors, np.float16), row_norms(vectors))

    def take(self, rows: Longs | slice) -> Block:
        """Return the block of some rows."""
        return Block(self.items[rows], self.vectors[rows], self.norms[rows])


class Lists(NamedTuple):
    """Neighbour lists of k entries each, of which ``counts`` are used.

    Attributes
    ----------
    neighbors : ndarray of int64, shape (n, k)
    similarities : ndarray of float32, shape (n, k), descending in each row
    counts : ndarray of int64, shape (n,)
    """

    neighbors: Longs
    similarities: Floats
    counts: Longs


class _TileRows(NamedTuple):
    """First row of a tile, the scale of each of its rows, and the items of all rows."""

    first: int
    scale: Floats
    items: Longs


def rows_of(block: Block) -> Rows:
    """Return a block as compiled code reads it."""
    return Rows(read_only(block.items), bits_of(block.vectors), block.norms)


def search(queries: Block, rows: Block, offsets: Longs, probes: Ints, k: int) -> Lists:
    """Find the k nearest items of each query; see :func:`nearest_rows`."""
    near, similarities = nearest_rows(queries, rows, offsets, probes, k)
    return lists_of(rows.items, near, similarities)


def lists_of(items: Longs, near: Ints, similarities: Floats) -> Lists:
    """Make lists of items out of lists of row numbers, in which -1 is unused."""
    used = near >= 0
    neighbors = np.where(used, items[near], -1) if len(items) else np.full(near.shape, -1, np.int64)
    return Lists(neighbors, similarities, used.sum(axis=1))


def nearest_rows(queries: Block, rows: Block, offsets: Longs, probes: Ints, k: int) -> tuple[Ints, Floats]:
    """Find the k nearest rows of each query in the cells that it probes.

    Parameters
    ----------
    queries : Block
    rows : Block
        In the order of their cells.
    offsets : ndarray of int64, shape (cells + 1,)
        Cell ``c`` holds rows ``offsets[c]`` to ``offsets[c + 1]``.
    probes : ndarray of int32, shape (queries, p)
        Cells that each query probes, without repetition; negative: none. Those of the first column are searched
        first; the search is fastest if they hold the most neighbours, since few rows of the others then pass.
    k : int

    Returns
    -------
    near : ndarray of int32, shape (queries, k)
        Row numbers by (-similarity, item), without the query's own item; -1 if there are fewer.
    similarities : ndarray of float32, shape (queries, k)
        -inf if there are fewer.
    """
    near = np.full((len(queries.items), k), -1, np.int32)
    similarities = np.full(near.shape, -np.inf, np.float32)
    sieves = (_by_integers, _by_floats) if _may_be_coded(queries, rows) else (_by_floats,)
    for start in range(0, len(queries.items), QUERY_BLOCK):
        some = slice(start, min(start + QUERY_BLOCK, len(queries.items)))
        block, lists = queries.take(some), Near(near[some], similarities[some])
        left = np.arange(len(block.items))
        for sieve in sieves:
            asking = block if len(left) == len(block.items) else block.take(left)
            left = left[sieve(asking, rows, (offsets, probes[some][left]), left, lists)]
            if not len(left):
                break
        rank_all(rows_of(block), rows_of(rows), (offsets, probes[some]), left, lists)
    return near, similarities


def everything(queries: int) -> Ints:
    """Return the probes of a search in a single cell."""
    return np.zeros((queries, 1), np.int32)


def _may_be_coded(queries: Block, rows: Block) -> bool:
    """Return whether integer products are faster, and all norms allow them."""
    largest = int16_products.LARGEST_NORM
    return int16_products.pays() and all(
        bool(((some.norms >= _SMALLEST_NORM) & (some.norms <= largest)).all()) for some in (queries, rows)
    )


def _by_integers(
    queries: Block, rows: Block, cells: tuple[Longs, Ints], numbers: Longs, lists: Near
) -> NDArray[np.bool_]:
    """Write the numbered lists by integer products; tell which are unsettled."""
    offsets, probes = cells
    room = lists.rows.shape[1] + _OVERFETCH
    pools, factors = empty_pools(len(numbers), room), (1.0 / rows.norms).astype(np.float32)
    asking = int16_products.Asking(read_only(queries.items), bits_of(queries.vectors))
    scored = int16_products.Scored(read_only(rows.items), bits_of(rows.vectors), factors, np.zeros_like(factors))
    for by_cell, starts in _queries_of_cells(probes, len(offsets) - 1):
        int16_products.nominate(asking, scored, (offsets, by_cell, starts), pools, room)
    slack = int16_products.slack_of_codes(rows.vectors.shape[1]) / _SMALLEST_NORM**2
    nominated = _nominated(pools, room, slack, queries.norms)
    return rank(rows_of(queries), rows_of(rows), nominated, numbers, lists)


def _by_floats(
    queries: Block, rows: Block, cells: tuple[Longs, Ints], numbers: Longs, lists: Near
) -> NDArray[np.bool_]:
    """Do the same by float32 products."""
    offsets, probes = cells
    room = lists.rows.shape[1] + _OVERFETCH
    pools = empty_pools(len(numbers), room)
    scale = (1.0 / rows.norms).astype(np.float32)
    (asking_items, asking_bits, _), (items, bits, _) = rows_of(queries), rows_of(rows)
    left, right = (np.empty((tile, bits.shape[1]), np.float32) for tile in (_TILE_QUERIES, _TILE_ROWS))
    products = np.empty(_TILE_QUERIES * _TILE_ROWS, np.float32)
    for cell, asking in _asked(probes, len(offsets) - 1):
        for tile in _tiles(asking):
            tile_vectors = floats_of(asking_bits[tile], left[: len(tile)])
            for b in range(offsets[cell], offsets[cell + 1], _TILE_ROWS):
                stop = min(b + _TILE_ROWS, offsets[cell + 1])
                product = products[: len(tile) * (stop - b)].reshape(len(tile), stop - b)
                np.matmul(tile_vectors, floats_of(bits[b:stop], right[: stop - b]).T, out=product)
                _keep_best(product, tile, asking_items, _TileRows(b, scale[b:stop], items), pools, room)
    nominated = _nominated(pools, room, slack_of(bits.shape[1]), queries.norms)
    return rank(rows_of(queries), rows_of(rows), nominated, numbers, lists)


def _nominated(pools: Pools, room: int, slack: float, norms: Doubles) -> Near:
    """Return the best ``room`` of each pool, with upper bounds of their similarity.

    The worst of them is last. Row numbers are whole pools, of which the first ``room`` count.
    """
    nominees, scores, used, _ = pools
    finish(nominees, scores, used, room)
    return Near(nominees, scores[:, :room] / norms.astype(np.float32)[:, None] + np.float32(slack))


def _asked(probes: Ints, cells: int) -> Iterator[tuple[int, Longs]]:
    """Yield each cell with the queries that probe it, first by the first column."""
    for by_cell, starts in _queries_of_cells(probes, cells):
        for cell in np.flatnonzero(np.diff(starts)).tolist():
            yield cell, by_cell[starts[cell] : starts[cell + 1]]


def _queries_of_cells(probes: Ints, cells: int) -> Iterator[tuple[Longs, Longs]]:
    """Yield the queries of each cell and their starts: first column, then the rest."""
    for first, last in ((0, 1), (1, probes.shape[1])):
        starts, asking = np.zeros(cells + 1, np.int64), np.empty(len(probes) * max(0, last - first), np.int64)
        _sort_by_cell(np.ascontiguousarray(probes), (first, last), starts, asking)
        yield asking[: starts[-1]], starts


def _tiles(queries: Longs) -> list[Longs]:
    """Divide evenly, because a product with few rows is far slower."""
    return np.array_split(queries, -(-len(queries) // _TILE_QUERIES))


@compiled
def _sort_by_cell(probes: Ints, columns: tuple[int, int], starts: Longs, asking: Longs) -> None:
    """Sort queries by the cells that they probe (counting sort); write the starts."""
    first, last = columns
    cells = len(starts) - 1
    for query in range(len(probes)):
        for column in range(first, last):
            if probes[query, column] >= 0:
                starts[probes[query, column]] += 1
    total = 0
    for cell in range(cells):
        total, starts[cell] = total + starts[cell], total
    for query in range(len(probes)):
        for column in range(first, last):
            cell = probes[query, column]
            if cell >= 0:
                asking[starts[cell]] = query
                starts[cell] += 1
    for cell in range(cells, 0, -1):  # each holds the start of the next cell
        starts[cell] = starts[cell - 1]
    starts[0] = 0


@compiled
def _keep_best(product: Floats, tile: Longs, query_items: Longs, rows: _TileRows, pools: Pools, room: int) -> None:
    """Put the products of a tile that pass their query's bound into the query's pool."""
    first_row, scale, row_items = rows
    nominees, scores, used, bounds = pools
    for r in range(len(tile)):
        query = tile[r]
        item, bound, n = query_items[query], bounds[query], used[query]
        for start in range(0, product.shape[1], LANES):
            bits = bits_above_scaled(product, r, start, scale, bound)
            while bits:
                j = start + lowest(bits)
                bits &= bits - np.uint32(1)
                if row_items[first_row + j] != item:
                    scores[query, n], nominees[query, n] = product[r, j] * scale[j], first_row + j
                    n += 1
            if n >= 2 * room:
                bound, n = thin(scores[query], nominees[query], n, room), room
        bounds[query], used[query] = bound, n

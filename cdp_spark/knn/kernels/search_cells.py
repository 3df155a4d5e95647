"""Find each query's nearest rows among the cells that it probes, exactly ranked.

In: rows in the order of their cells, queries, and the cells that each query probes. Out: the k best rows of each
query by (-similarity, item).

The pairs of query and cell are grouped by cell, so that each group is one matrix product with a running top list
instead of many vector products (as in ``faiss.contrib.big_batch_search``). Products of whole numbers
(``integer_products``), or of float32, whose rounding depends on the shape of the tiles, only *nominate* candidates. The
similarity is float32(clip(dot / (norm * norm), -1, 1)) with dot and norms in float64. Vectors are float16 values of at
most unit norm: their products are multiples of 2**-48 and sum up exactly in float64, in any order. A query of which a
row that is not nominated could be near enough goes through a finer sieve: float32 after whole numbers, and at last
float64 of all its candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled, read_only
from cdp_spark.base.numeric.best_of_many import empty_pools, finish, thin
from cdp_spark.base.numeric.float16 import bits_of, floats_of, row_norms, slack_of
from cdp_spark.base.numeric.simd import LANES, bits_above_scaled, lowest
from cdp_spark.knn.kernels import int16_products
from cdp_spark.knn.kernels.exact_ranking import Near, Rows, rank, rank_all

_OVERFETCH = 6
"""Nominees beside the k that are wanted."""

_SMALLEST_NORM = 0.99
"""Of vectors that are made whole numbers: what these are off is divided by the norms."""

QUERY_BLOCK = 65_536
MOST_THREADS = 8
"""Of one task, where there are more cores than tasks."""
_TILE_QUERIES = 1024
_TILE_ROWS = 2048

Halves = NDArray[np.float16]
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
        Of norm about one.
    norms : ndarray of float64, shape (n,)
    """

    items: Longs
    vectors: Halves
    norms: Doubles

    @classmethod
    def of(cls, items: Longs, vectors: NDArray[Any]) -> Block:
        """Make a block of float16 values, which may lie in a wider type, taking the norms."""
        return cls(items, np.ascontiguousarray(vectors, np.float16), row_norms(vectors))

    def take(self, rows: Longs | slice) -> Block:
        """Return the block of some rows."""
        return Block(self.items[rows], self.vectors[rows], self.norms[rows])


class Lists(NamedTuple):
    """Neighbour lists of equal room; ``counts`` says how many places of a list are used.

    Attributes
    ----------
    neighbors : ndarray of int64, shape (n, k)
    similarities : ndarray of float32, shape (n, k), falling in each row
    counts : ndarray of int64, shape (n,)
    """

    neighbors: Longs
    similarities: Floats
    counts: Longs


def rows_of(block: Block) -> Rows:
    """Return a block as compiled code reads it."""
    return Rows(read_only(block.items), bits_of(block.vectors), block.norms)


def search(queries: Block, rows: Block, offsets: Longs, probes: Ints, k: int) -> Lists:
    """Find the k nearest items of each query in the cells that it probes: :func:`nearest_rows`, by item."""
    near, similarities = nearest_rows(queries, rows, offsets, probes, k)
    return lists_of(rows.items, near, similarities)


def lists_of(items: Longs, near: Ints, similarities: Floats) -> Lists:
    """Make lists of items out of lists of row numbers, whose places that are not used are -1."""
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
        Cells that each query probes, without repetition; negative: none. That of the first column is searched before
        the others: best the one that holds the most neighbours, so that of the others few rows are good enough.
    k : int

    Returns
    -------
    near : ndarray of int32, shape (queries, k)
        Row numbers by (-similarity, item), without the query's own item; -1 where fewer are found.
    similarities : ndarray of float32, shape (queries, k)
        -inf where fewer are found.
    """
    near = np.full((len(queries.items), k), -1, np.int32)
    similarities = np.full(near.shape, -np.inf, np.float32)
    sieves = (_by_integers, _by_floats) if _may_be_coded(queries, rows) else (_by_floats,)
    for start in range(0, len(queries.items), QUERY_BLOCK):
        part = slice(start, min(start + QUERY_BLOCK, len(queries.items)))
        block, found = queries.take(part), Near(near[part], similarities[part])
        left = np.arange(len(block.items))
        for sieve in sieves:
            asking = block if len(left) == len(block.items) else block.take(left)
            left = left[sieve(asking, rows, (offsets, probes[part][left]), left, found)]
            if not len(left):
                break
        rank_all(rows_of(block), rows_of(rows), (offsets, probes[part]), left, found)
    return near, similarities


def everything(queries: int) -> Ints:
    """Return the probes of a search over one single cell."""
    return np.zeros((queries, 1), np.int32)


def _may_be_coded(queries: Block, rows: Block) -> bool:
    """Tell whether products of whole numbers are faster, and the vectors are such as these can be made of."""
    largest = int16_products.LARGEST_NORM
    return int16_products.pays() and all(
        bool(((some.norms >= _SMALLEST_NORM) & (some.norms <= largest)).all()) for some in (queries, rows)
    )


def _by_integers(
    queries: Block, rows: Block, cells: tuple[Longs, Ints], places: Longs, found: Near
) -> NDArray[np.bool_]:
    """Find the lists of some queries by products of whole numbers, put them in place; tell which are not settled."""
    offsets, probes = cells
    room = found.rows.shape[1] + _OVERFETCH
    pools, factors = empty_pools(len(places), room), (1.0 / rows.norms).astype(np.float32)
    asking = int16_products.Asking(read_only(queries.items), bits_of(queries.vectors))
    scored = int16_products.Scored(read_only(rows.items), bits_of(rows.vectors), factors, np.zeros_like(factors))
    for by_cell, starts in _queries_of_cells(probes, len(offsets) - 1):
        int16_products.nominate(asking, scored, (offsets, by_cell, starts), pools, room)
    slack = int16_products.slack_of_codes(rows.vectors.shape[1]) / _SMALLEST_NORM**2
    nominated = _nominated(pools, room, slack, queries.norms)
    return rank(rows_of(queries), rows_of(rows), nominated, places, found)


def _by_floats(queries: Block, rows: Block, cells: tuple[Longs, Ints], places: Longs, found: Near) -> NDArray[np.bool_]:
    """Do the same by products of float32."""
    offsets, probes = cells
    room = found.rows.shape[1] + _OVERFETCH
    pools = empty_pools(len(places), room)
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
                _keep_best(product, tile, asking_items, (b, scale[b:stop], items), pools, room)
    nominated = _nominated(pools, room, slack_of(bits.shape[1]), queries.norms)
    return rank(rows_of(queries), rows_of(rows), nominated, places, found)


def _nominated(pools: tuple[Ints, Floats, Longs, Floats], room: int, slack: float, norms: Doubles) -> Near:
    """Return the best ``room`` of each pool, the worst of them last, and how similar they can be at most.

    The row numbers are those of whole pools, whose first are meant.
    """
    nominees, scores, used, _ = pools
    finish(nominees, scores, used, room)
    return Near(nominees, scores[:, :room] / norms.astype(np.float32)[:, None] + np.float32(slack))


def _asked(probes: Ints, cells: int) -> Iterator[tuple[int, Longs]]:
    """Go through the cells, and the queries that probe each: first those of the first column."""
    for by_cell, starts in _queries_of_cells(probes, cells):
        for cell in np.flatnonzero(np.diff(starts)).tolist():
            yield cell, by_cell[starts[cell] : starts[cell + 1]]


def _queries_of_cells(probes: Ints, cells: int) -> Iterator[tuple[Longs, Longs]]:
    """Return for the first column, and for all others, the queries that probe each cell, and where its begin."""
    for first, last in ((0, 1), (1, probes.shape[1])):
        starts, asking = np.zeros(cells + 1, np.int64), np.empty(len(probes) * max(0, last - first), np.int64)
        _sort_by_cell(np.ascontiguousarray(probes), (first, last), starts, asking)
        yield asking[: starts[-1]], starts


def _tiles(queries: Longs) -> list[Longs]:
    """Divide evenly: a product with few rows runs at a fraction of the speed."""
    return np.array_split(queries, -(-len(queries) // _TILE_QUERIES))


@compiled
def _sort_by_cell(probes, columns, starts, asking):  # type: ignore[no-untyped-def]
    """Sort the queries by the cells that they probe (counting sort), and tell where each cell's begin."""
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
    for cell in range(cells, 0, -1):  # each stands where the next begins
        starts[cell] = starts[cell - 1]
    starts[0] = 0


@compiled
def _keep_best(product, tile, query_items, rows, pools, room):  # type: ignore[no-untyped-def]
    """Put what passes the bound of its query, out of one tile of products, into the query's pool."""
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

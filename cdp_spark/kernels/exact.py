"""The exact nearest rows of some queries among all rows, few of which are compared in full.

In: queries, rows in blocks. Out: the k best rows of each query by (-similarity, item), as a search of everything finds.

Vectors are split into their part along a few principal directions of the queries and a rest. The product of two
vectors is at most that of the parts along the directions plus the lengths of the rests (Cauchy and Schwarz), so one
small matrix product rules out all rows but those that may be among the best: only these are compared, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cdp_spark.kernels.search import Block, Lists, insert, similarity_of

Floats = NDArray[np.float32]

_REST = 0.2
"""Share of the queries' square length that the rests may hold on average: what is left out decides how much a bound
rules out, what is kept what it costs."""

_TILE_QUERIES = 1024
_TILE_ROWS = 4096
_ROUNDED = 1e-5
"""More than float32 errs in a square length near one."""


def principal_directions(vectors: Floats) -> Floats:
    """Return orthonormal directions that hold most of the vectors' length, shape (d, m)."""
    exact = vectors.astype(np.float64)
    values, directions = np.linalg.eigh(exact.T @ exact)
    kept = np.cumsum(values[::-1]) / max(values.sum(), np.finfo(np.float64).tiny)
    count = min(len(values), int(np.searchsorted(kept, 1 - _REST)) + 1)
    found: Floats = np.ascontiguousarray(directions[:, ::-1][:, :count]).astype(np.float32)
    return found


@dataclass(frozen=True)
class ExactSearch:
    """Queries, and the best rows of all blocks seen so far.

    Attributes
    ----------
    queries : Block
    directions : ndarray of float32, shape (d, m)
        Orthonormal; decide how fast it is, never what is found.
    found : Lists
    """

    queries: Block
    directions: Floats
    found: Lists

    @classmethod
    def of(cls, queries: Block, directions: Floats, k: int) -> ExactSearch:
        """Begin with empty lists."""
        count = len(queries.items)
        lists = Lists(np.full((count, k), -1), np.full((count, k), -np.inf, np.float32), np.zeros(count, np.int64))
        return cls(queries, directions, lists)

    def add(self, rows: Block) -> None:
        """Compare the queries with one more block."""
        asked, asked_rest = self._parts(self.queries)
        known, known_rest = self._parts(rows)
        products = np.empty((_TILE_QUERIES, _TILE_ROWS), np.float32)
        for a in range(0, len(asked), _TILE_QUERIES):
            tile = asked[a : a + _TILE_QUERIES]
            for b in range(0, len(known), _TILE_ROWS):
                of_rows = known[b : b + _TILE_ROWS]
                product = products.ravel()[: len(tile) * len(of_rows)].reshape(len(tile), len(of_rows))
                np.matmul(tile, of_rows.T, out=product)
                _compare(
                    *(product, a, b, asked_rest, known_rest),
                    *(self.queries.items, self.queries.vectors, self.queries.norms),
                    *(rows.items, rows.vectors, rows.norms),
                    *(self.found.neighbors, self.found.similarities, self.found.counts),
                )

    def _parts(self, block: Block) -> tuple[Floats, Floats]:
        """Return what vectors of length one have along the directions, and a bound on the length of the rest."""
        along = ((block.vectors @ self.directions) / block.norms[:, None]).astype(np.float32)
        square = 1 - np.square(along).sum(axis=1)
        return along, np.sqrt(np.maximum(square, 0) + _ROUNDED).astype(np.float32)


@njit(cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def _compare(  # type: ignore[no-untyped-def]
    product, first_query, first_row, asked_rest, known_rest, query_items, query_vectors, query_norms,
    row_items, row_vectors, row_norms, neighbors, similarities, counts,
):  # fmt: skip
    """Insert the rows of one tile that may be among the best of a query."""
    k = neighbors.shape[1]
    slack = np.float32(_ROUNDED)
    for r in range(product.shape[0]):
        query = first_query + r
        rest = asked_rest[query]
        # -inf until the list is full
        worst = similarities[query, k - 1] - slack
        for start in range(0, product.shape[1], 32):
            stop = min(start + 32, product.shape[1])
            best = np.float32(-2.0)
            for j in range(start, stop):
                best = max(best, product[r, j] + rest * known_rest[first_row + j])
            if best < worst:
                continue
            for j in range(start, stop):
                row = first_row + j
                if product[r, j] + rest * known_rest[row] >= worst and row_items[row] != query_items[query]:
                    similarity = similarity_of(
                        query_vectors[query], row_vectors[row], query_norms[query] * row_norms[row]
                    )
                    counts[query] = insert(
                        similarity, row_items[row], neighbors[query], similarities[query], counts[query]
                    )
                    worst = similarities[query, k - 1] - slack

"""Connected components of edges that arrive in batches, with memory for the items rather than the edges.

In: edges as pairs of arrays, in any order, with repeats and self loops. Out: every item that has an edge, ascending,
with the smallest item of its component.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as _scipy_components

from cdp_spark.base.numeric.dense_numbers import dense, numbered

Longs = npt.NDArray[np.int64]

_FOLD_EDGES = 4_000_000
"""Edges gathered before a fold: 64 MB, which makes the cost of folds negligible."""


class Components:
    """Components of all edges added so far.

    They are kept as one edge (item, smallest item) per item, and are folded with the new edges once these outnumber
    them: each edge is read a bounded number of times, and memory holds the items and one gathering.

    Examples
    --------
    >>> import numpy as np
    >>> components = Components()
    >>> components.add(np.array([7, 2]), np.array([9, 3]))
    >>> components.add(np.array([3]), np.array([7]))
    >>> [column.tolist() for column in components.result()]
    [[2, 3, 7, 9], [2, 2, 2, 2]]
    """

    def __init__(self, fold_edges: int = _FOLD_EDGES) -> None:
        """Start without edges; ``fold_edges`` are gathered before each fold."""
        self._fold_edges = fold_edges
        self._items: Longs = np.empty(0, np.int64)
        self._roots: Longs = np.empty(0, np.int64)
        self._gathered: list[tuple[Longs, Longs]] = []
        self._count = 0

    def add(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> None:
        """Add edges: two arrays of the same length, from 0 to the largest long."""
        self._gathered.append((src.astype(np.int64, copy=False), dst.astype(np.int64, copy=False)))
        self._count += len(src)
        if self._count >= max(self._fold_edges, len(self._items)):
            self._fold()

    def result(self) -> tuple[Longs, Longs]:
        """Return the items, ascending, and the smallest item of each one's component."""
        self._fold()
        return self._items, self._roots

    def _fold(self) -> None:
        edges = [(self._items, self._roots), *self._gathered]
        src, dst = (np.concatenate(column) for column in zip(*edges, strict=True))
        self._gathered, self._count = [], 0
        self._items, self._roots = connected_components(src, dst)


def connected_components(src: Longs, dst: Longs) -> tuple[Longs, Longs]:
    """Find the component of each item that has an edge.

    Parameters
    ----------
    src, dst : int64 array (m,)
        Ends of the edges, 0 or more; repeats and self loops are allowed.

    Returns
    -------
    items, roots : int64 array (n,)
        The items, ascending, and the smallest item of the component of each.

    Examples
    --------
    >>> [column.tolist() for column in connected_components(np.array([5, 9]), np.array([9, 2]))]
    [[2, 5, 9], [2, 2, 2]]
    """
    if not len(src):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    smallest, largest = int(min(src.min(), dst.min())), int(max(src.max(), dst.max()))
    if dense(smallest, largest, len(src)):
        # Dense items are their own index: relabelling by sorting costs several times the union itself.
        items, roots = _dense(src - smallest, dst - smallest, largest - smallest + 1)
        return items + smallest, roots + smallest
    known, index = numbered(np.concatenate((src, dst)))
    _, roots = _dense(index[: len(src)], index[len(src) :], len(known))
    return known, known[roots]


def _dense(src: Longs, dst: Longs, count: int) -> tuple[Longs, Longs]:
    kind = np.int32 if count < 2**31 else np.int64
    links = (np.ones(len(src), np.int8), (src.astype(kind), dst.astype(kind)))
    components, component = _scipy_components(coo_matrix(links, shape=(count, count)), directed=False)
    smallest = np.empty(components, np.int64)
    smallest[component[::-1]] = np.arange(count - 1, -1, -1)
    present = np.zeros(count, bool)
    present[src] = present[dst] = True
    items = np.flatnonzero(present)
    return items, smallest[component[items]]

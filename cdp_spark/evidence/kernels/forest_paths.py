"""The strongest path between two items, whose weakest edge is strongest: their path in the spanning forest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order

from cdp_spark.base.numeric.dense_numbers import numbered

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
_NONE = -9999  # scipy's predecessor of a node that has none


def strongest_path(src: Longs, dst: Longs, start: int, end: int) -> Longs:
    """Return the indices of the edges on the path between two items, in order.

    Parameters
    ----------
    src, dst : ndarray of int64, shape (m,)
        Edges of a maximum spanning forest.
    start, end : int

    Returns
    -------
    ndarray of int64
        Empty if there is no path, or if start and end are the same.

    Examples
    --------
    >>> strongest_path(np.array([1, 5, 2]), np.array([5, 9, 3]), 9, 1).tolist()
    [1, 0]
    >>> strongest_path(np.array([1, 5, 2]), np.array([5, 9, 3]), 9, 3).tolist()
    []
    """
    items, ends = numbered(np.concatenate((src, dst)))
    first, last = np.searchsorted(items, (start, end))
    if start == end or max(first, last) >= len(items) or items[first] != start or items[last] != end:
        return np.empty(0, np.int64)
    a, b = ends[: len(src)].astype(np.int32), ends[len(src) :].astype(np.int32)
    links = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(len(items),) * 2).tocsr()
    before = breadth_first_order(links, int(first), directed=False, return_predecessors=True)[1]
    steps = [int(last)]
    while before[steps[-1]] != _NONE:
        steps.append(int(before[steps[-1]]))
    if steps[-1] != first:
        return np.empty(0, np.int64)
    steps.reverse()
    return _edges_between(a, b, np.array(steps, np.int32))


def _edges_between(a: NDArray[np.int32], b: NDArray[np.int32], steps: NDArray[np.int32]) -> Longs:
    """Return the index of the edge of each step."""
    on_path = np.zeros(int(max(a.max(), b.max())) + 1, bool)
    on_path[steps] = True
    near = np.flatnonzero(on_path[a] & on_path[b])
    edge_of = {frozenset((int(a[edge]), int(b[edge]))): int(edge) for edge in near}
    return np.array([edge_of[frozenset(pair)] for pair in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True)])

"""Neighbour lists: merge them, widen them by exact duplicates (twins), move them to and from Arrow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled, read_only
from cdp_spark.knn.kernels.search_cells import Lists

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]


class Twins(NamedTuple):
    """Further items of the same vector.

    Attributes
    ----------
    items : ndarray of int64, rising
        Items that have twins.
    offsets, values : ndarray of int64
        Twins of ``items[i]`` are ``values[offsets[i]:offsets[i + 1]]``, rising; k at most are needed.
    """

    items: Longs
    offsets: Longs
    values: Longs

    @classmethod
    def of(cls, items: Longs, twins: pa.ListArray) -> Twins:
        """Make the table from a column of lists, null where an item has none."""
        known = twins.is_valid().to_numpy(zero_copy_only=False)
        items, twins = items[known], twins.drop_null()
        order = np.argsort(items)
        twins = twins.take(pa.array(order))
        lengths = np.diff(twins.offsets.to_numpy())
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(items[order], offsets, twins.flatten().to_numpy().astype(np.int64))


def empty_lists(rows: int, k: int) -> Lists:
    """Return lists without entries."""
    return Lists(np.full((rows, k), -1, np.int64), np.zeros((rows, k), np.float32), np.zeros(rows, np.int64))


def with_twins(queries: Longs, lists: Lists, twins: Twins) -> Lists:
    """Add the twins of each query and of each neighbour.

    The lists hold one item for each distinct vector; a vector outside such a list cannot have a twin that belongs
    into the longer one, because each vector inside gives at least one better item.
    """
    if not len(twins.items):
        return lists
    wide = empty_lists(len(queries), lists.neighbors.shape[1])
    known = Twins(read_only(twins.items), twins.offsets, read_only(twins.values))
    _add_twins(read_only(queries), lists, known, wide)
    return wide


@compiled
def _add_twins(queries, lists, twins, wide):  # type: ignore[no-untyped-def]
    neighbors, similarities, counts = lists
    items, offsets, values = twins
    wide_neighbors, wide_similarities, wide_counts = wide
    one = np.float32(1.0)
    for q in range(len(queries)):
        place = _place_of(queries[q], items)
        if place >= 0:
            for twin in values[offsets[place] : offsets[place + 1]]:
                wide_counts[q] = _insert(one, twin, wide_neighbors[q], wide_similarities[q], wide_counts[q])
        for i in range(counts[q]):
            item, similarity = neighbors[q, i], similarities[q, i]
            wide_counts[q] = _insert(similarity, item, wide_neighbors[q], wide_similarities[q], wide_counts[q])
            place = _place_of(item, items)
            if place >= 0:
                for twin in values[offsets[place] : offsets[place + 1]]:
                    wide_counts[q] = _insert(similarity, twin, wide_neighbors[q], wide_similarities[q], wide_counts[q])


@compiled
def _place_of(item, items):  # type: ignore[no-untyped-def]
    """Return where an item is among rising ones, -1 where it is not; numba's own search is long to compile."""
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low if low < len(items) and items[low] == item else -1


def merge(offsets: Longs, neighbors: Longs, similarities: Floats, k: int) -> Lists:
    """Merge the partial lists of each query, in any order and with repetitions, to its k best.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n + 1,)
        Entries of query ``i`` are ``offsets[i]`` to ``offsets[i + 1]``.
    neighbors : ndarray of int64
    similarities : ndarray of float32
    k : int
    """
    merged = empty_lists(len(offsets) - 1, k)
    _merge(offsets, read_only(neighbors), read_only(similarities), merged)
    return merged


@compiled
def _merge(offsets, neighbors, similarities, merged):  # type: ignore[no-untyped-def]
    best, best_similarities, counts = merged
    for q in range(len(counts)):
        for i in range(offsets[q], offsets[q + 1]):
            known = False
            for place in range(counts[q]):
                known = known or best[q, place] == neighbors[i]
            if not known:
                counts[q] = _insert(similarities[i], neighbors[i], best[q], best_similarities[q], counts[q])


def of_twin(item: Longs, twin_of: Longs, offsets: Longs, neighbors: Longs, similarities: Floats, *, k: int) -> Lists:
    """Make the lists of twins from those of the items they equal: that item comes in, the twin itself goes out."""
    found = empty_lists(len(item), k)
    _of_twin((read_only(item), read_only(twin_of)), offsets, read_only(neighbors), read_only(similarities), found)
    return found


@compiled
def _of_twin(twins, offsets, neighbors, similarities, found):  # type: ignore[no-untyped-def]
    (item, twin_of), (best, best_similarities, counts) = twins, found
    for q in range(len(item)):
        counts[q] = _insert(np.float32(1.0), twin_of[q], best[q], best_similarities[q], counts[q])
        for i in range(offsets[q], offsets[q + 1]):
            if neighbors[i] != item[q]:
                counts[q] = _insert(similarities[i], neighbors[i], best[q], best_similarities[q], counts[q])


def to_arrow(items: Longs, lists: Lists) -> pa.RecordBatch:
    """Return the columns item, neighbors, similarities."""
    used = np.arange(lists.neighbors.shape[1])[None, :] < lists.counts[:, None]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lists.counts)]).astype(np.int32))
    return pa.RecordBatch.from_arrays(
        [
            pa.array(items),
            pa.ListArray.from_arrays(offsets, pa.array(lists.neighbors[used])),
            pa.ListArray.from_arrays(offsets, pa.array(lists.similarities[used])),
        ],
        names=["item", "neighbors", "similarities"],
    )


def flat(column: Any) -> tuple[Longs, Any]:
    """Return offsets (from 0) and values of a list column without nulls."""
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], column.flatten()


@compiled
def _insert(similarity, item, neighbors, similarities, used):  # type: ignore[no-untyped-def]
    """Insert into one list kept by (-similarity, item); return how many places are used."""
    k = len(neighbors)
    if used == k and (
        similarity < similarities[k - 1] or (similarity == similarities[k - 1] and item > neighbors[k - 1])
    ):
        return used
    place = min(used, k - 1)
    while place > 0 and (
        similarities[place - 1] < similarity or (similarities[place - 1] == similarity and neighbors[place - 1] > item)
    ):
        similarities[place] = similarities[place - 1]
        neighbors[place] = neighbors[place - 1]
        place -= 1
    similarities[place] = similarity
    neighbors[place] = item
    return min(used + 1, k)

"""Neighbour lists: merge them, add exact duplicates (twins), convert them to and from Arrow."""

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
    """Items with the same vector as another item.

    Attributes
    ----------
    items : ndarray of int64, ascending
        Items that have twins.
    offsets, values : ndarray of int64
        Twins of ``items[i]`` are ``values[offsets[i]:offsets[i + 1]]``, ascending; at most k are needed.
    """

    items: Longs
    offsets: Longs
    values: Longs

    @classmethod
    def of(cls, items: Longs, twins: pa.ListArray) -> Twins:
        """Make the table from a column of lists, null where an item has no twins."""
        known = twins.is_valid().to_numpy(zero_copy_only=False)
        items, twins = items[known], twins.drop_null()
        order = np.argsort(items)
        twins = twins.take(pa.array(order))
        lengths = np.diff(twins.offsets.to_numpy())
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(items[order], offsets, twins.flatten().to_numpy().astype(np.int64))


class Entries(NamedTuple):
    """Lists of any length: query ``i`` has ``offsets[i]`` to ``offsets[i + 1]``.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n + 1,)
    neighbors : ndarray of int64
    similarities : ndarray of float32
    """

    offsets: Longs
    neighbors: Longs
    similarities: Floats


def empty_lists(rows: int, k: int) -> Lists:
    """Return lists without entries."""
    return Lists(np.full((rows, k), -1, np.int64), np.zeros((rows, k), np.float32), np.zeros(rows, np.int64))


def with_twins(queries: Longs, lists: Lists, twins: Twins) -> Lists:
    """Add the twins of each query and of each neighbour.

    The lists hold one item per distinct vector. A vector outside a list has no twin that belongs in it, because each
    vector inside contributes at least one better item.
    """
    if not len(twins.items):
        return lists
    wide = empty_lists(len(queries), lists.neighbors.shape[1])
    known = Twins(read_only(twins.items), twins.offsets, read_only(twins.values))
    _add_twins(read_only(queries), lists, known, wide)
    return wide


@compiled
def _add_twins(queries: Longs, lists: Lists, twins: Twins, wide: Lists) -> None:
    neighbors, similarities, counts = lists
    items, offsets, values = twins
    wide_neighbors, wide_similarities, wide_counts = wide
    one = np.float32(1.0)
    for q in range(len(queries)):
        own = _position(queries[q], items)
        if own >= 0:
            for twin in values[offsets[own] : offsets[own + 1]]:
                wide_counts[q] = _insert(one, twin, wide_neighbors[q], wide_similarities[q], wide_counts[q])
        for i in range(counts[q]):
            item, similarity = neighbors[q, i], similarities[q, i]
            wide_counts[q] = _insert(similarity, item, wide_neighbors[q], wide_similarities[q], wide_counts[q])
            at = _position(item, items)
            if at >= 0:
                for twin in values[offsets[at] : offsets[at + 1]]:
                    wide_counts[q] = _insert(similarity, twin, wide_neighbors[q], wide_similarities[q], wide_counts[q])


@compiled
def _position(item: int, items: Longs) -> int:
    """Return an item's position among ascending ones, or -1."""
    # numba's own search compiles slowly.
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low if low < len(items) and items[low] == item else -1


def merge(entries: Entries, k: int) -> Lists:
    """Merge the partial lists of each query into its k best.

    Parameters
    ----------
    entries : Entries
        In any order, with repetitions.
    k : int
    """
    merged = empty_lists(len(entries.offsets) - 1, k)
    _merge(entries.offsets, read_only(entries.neighbors), read_only(entries.similarities), merged)
    return merged


@compiled
def _merge(offsets: Longs, neighbors: Longs, similarities: Floats, merged: Lists) -> None:
    best, best_similarities, counts = merged
    for q in range(len(counts)):
        for i in range(offsets[q], offsets[q + 1]):
            known = False
            for j in range(counts[q]):
                known = known or best[q, j] == neighbors[i]
            if not known:
                counts[q] = _insert(similarities[i], neighbors[i], best[q], best_similarities[q], counts[q])


def of_twin(item: Longs, twin_of: Longs, entries: Entries, k: int) -> Lists:
    """Make the lists of twins from those of the items that they equal.

    That item enters the list, and the twin itself leaves it.
    """
    lists, (offsets, neighbors, similarities) = empty_lists(len(item), k), entries
    _of_twin((read_only(item), read_only(twin_of)), offsets, read_only(neighbors), read_only(similarities), lists)
    return lists


@compiled
def _of_twin(twins: tuple[Longs, Longs], offsets: Longs, neighbors: Longs, similarities: Floats, lists: Lists) -> None:
    (item, twin_of), (best, best_similarities, counts) = twins, lists
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
def _insert(similarity: np.float32, item: int, neighbors: Longs, similarities: Floats, used: int) -> int:
    """Insert into a list sorted by (-similarity, item); return its new length."""
    k = len(neighbors)
    if used == k and (
        similarity < similarities[k - 1] or (similarity == similarities[k - 1] and item > neighbors[k - 1])
    ):
        return used
    at = min(used, k - 1)
    while at > 0 and (
        similarities[at - 1] < similarity or (similarities[at - 1] == similarity and neighbors[at - 1] > item)
    ):
        similarities[at] = similarities[at - 1]
        neighbors[at] = neighbors[at - 1]
        at -= 1
    similarities[at] = similarity
    neighbors[at] = item
    return min(used + 1, k)

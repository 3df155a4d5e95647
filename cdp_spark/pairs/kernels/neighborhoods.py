"""What a block of items knows of itself: neighbour lists and vectors of all models, and the pairs it owns.

In: rows of one model as they arrive, in any order. Out: arrays in the order of the items, and the candidate pairs
of which each is owned by exactly one block: edge i -> j belongs to the block that owns i when i < j, or when i is
not among the candidates of j.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.float16 import bits_of, similarity_with, spread, values_of
from cdp_spark.base.numeric.pair_order import first_of_each_pair, order_of_pairs

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class Neighborhoods(NamedTuple):
    """One model's lists of the items of a block.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n + 1,)
        The list of row ``i`` is at places ``offsets[i]`` to ``offsets[i + 1]``.
    neighbors : ndarray of int64
        Items, by falling similarity.
    similarities : ndarray of float32
    """

    offsets: Longs
    neighbors: Longs
    similarities: Floats

    @classmethod
    def ordered(cls, order: Longs, offsets: Longs, neighbors: Longs, similarities: Floats) -> Neighborhoods:
        """Take lists in another order: row ``i`` is that of ``order[i]``."""
        lengths = np.diff(offsets)[order]
        into = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        place = np.repeat(offsets[order] - into[:-1], lengths) + np.arange(into[-1])
        return cls(into, neighbors[place], similarities[place])


def owned_pairs(items: Longs, own: Bools, graphs: Sequence[Neighborhoods]) -> tuple[Longs, Longs]:
    """Return the candidate pairs that this block owns, as rows of its items.

    Parameters
    ----------
    items : ndarray of int64, rising
        Items of the block: its own, and all that candidate edges of its own lead to.
    own : ndarray of bool
    graphs : sequence of Neighborhoods
        Whose edges are candidates: the base alone, or all models.

    Returns
    -------
    first, second : ndarray of int64
        Rows of the two ends, sorted by them; ``first`` is an own item's.
    """
    lists = graphs[0] if len(graphs) == 1 else _united(graphs)
    places = np.searchsorted(items, lists.neighbors)
    room = int(np.diff(lists.offsets)[own].sum())
    first, second = np.empty(room, np.int64), np.empty(room, np.int64)
    found = _owned(items, own, lists, places, first, second)
    first, second = first[:found], second[:found]
    order = order_of_pairs(first, second)
    return first[order], second[order]


def _united(graphs: Sequence[Neighborhoods]) -> Neighborhoods:
    """Return the distinct neighbours of each row over all graphs."""
    rows = np.concatenate([np.repeat(np.arange(len(graph.offsets) - 1), np.diff(graph.offsets)) for graph in graphs])
    neighbors = np.concatenate([graph.neighbors for graph in graphs])
    distinct = first_of_each_pair(rows, neighbors)
    counts = np.bincount(rows[distinct], minlength=len(graphs[0].offsets) - 1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Neighborhoods(offsets, neighbors[distinct], np.empty(0, np.float32))


@compiled
def _owned(items, own, lists, places, first, second):  # type: ignore[no-untyped-def]
    count, offsets, neighbors = 0, lists.offsets, lists.neighbors
    for row in range(len(items)):
        if not own[row]:
            continue
        for edge in range(offsets[row], offsets[row + 1]):
            place = places[edge]
            mine = items[row] < neighbors[edge]
            if not mine:
                mine = True
                for back in range(offsets[place], offsets[place + 1]):
                    if neighbors[back] == items[row]:
                        mine = False
                        break
            if mine:
                first[count], second[count] = row, place
                count += 1
    return count


def neighborhood_means(graph: Neighborhoods) -> tuple[Floats, Floats]:
    """Return the mean and the standard deviation of each row's similarities (0 and 0 without neighbours)."""
    mean, deviation = (np.zeros(len(graph.offsets) - 1, np.float32) for _ in range(2))
    _means(graph.offsets, graph.similarities, mean, deviation)
    return mean, deviation


@compiled
def _means(offsets, similarities, mean, deviation):  # type: ignore[no-untyped-def]
    for row in range(len(mean)):
        count = offsets[row + 1] - offsets[row]
        if count == 0:
            continue
        total = 0.0
        for place in range(offsets[row], offsets[row + 1]):
            total += np.float64(similarities[place])
        centre = total / count
        spread = 0.0
        for place in range(offsets[row], offsets[row + 1]):
            spread += (np.float64(similarities[place]) - centre) ** 2
        mean[row], deviation[row] = centre, np.sqrt(spread / count)


def shared_neighbors(
    items: Longs, graph: Neighborhoods, first: Longs, second: Longs
) -> tuple[NDArray[np.int32], Bools]:
    """Compare the two ends of each pair in one model's graph.

    Parameters
    ----------
    items : ndarray of int64, rising
    graph : Neighborhoods
    first, second : ndarray of int64
        Rows of the ends, sorted by ``first``.

    Returns
    -------
    shared : ndarray of int32
        Neighbours in common, each end counted among its own neighbours as the authors' lists do:
        ``|N(i) & N(j)| + [j in N(i)] + [i in N(j)]``.
    related : ndarray of bool
        Whether one is a neighbour of the other, in either direction.
    """
    shared, related = np.zeros(len(first), np.int32), np.zeros(len(first), np.bool_)
    _shared(items, graph, (first, second), empty_table(graph), (shared, related))
    return shared, related


@compiled
def _shared(items, graph, pairs, table, found):  # type: ignore[no-untyped-def]
    """Keep the list of the first end in a small hash table, and look the second end's list up in it."""
    offsets, neighbors = graph.offsets, graph.neighbors
    (first, second), (keys, filled), (shared, related) = pairs, table, found
    current = -1
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        if i != current:
            current = i
            for place in range(offsets[i], offsets[i + 1]):
                slot = free_slot(neighbors[place], filled, current)
                keys[slot], filled[slot] = neighbors[place], current
        forward, backward, common = slot_of(items[j], keys, filled, current) >= 0, 0, 0
        for place in range(offsets[j], offsets[j + 1]):
            other = neighbors[place]
            if other == items[i]:
                backward = 1
            else:
                common += slot_of(other, keys, filled, current) >= 0
        shared[pair] = common + forward + backward
        related[pair] = forward + backward > 0


@compiled(inline="always")
def _first_slot(item, room):  # type: ignore[no-untyped-def]
    # Fibonacci hashing; the upper bits are the mixed ones.
    return np.int64((np.uint64(item) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)) & (room - 1)


@compiled(inline="always")
def free_slot(item, filled, current):  # type: ignore[no-untyped-def]
    """Return where an item goes in a hash table whose room is a power of two; slots of others are free."""
    slot = _first_slot(item, len(filled))
    while filled[slot] == current:
        slot = (slot + 1) & (len(filled) - 1)
    return slot


@compiled(inline="always")
def slot_of(item, keys, filled, current):  # type: ignore[no-untyped-def]
    """Return where an item is in such a table, -1 where it is not."""
    slot = _first_slot(item, len(filled))
    while filled[slot] == current:
        if keys[slot] == item:
            return slot
        slot = (slot + 1) & (len(filled) - 1)
    return -1


def empty_table(graph: Neighborhoods) -> tuple[Longs, Longs]:
    """Return the keys of a hash table that is at most a quarter full with any one list, and who filled each slot."""
    room = 1 << int(np.ceil(np.log2(4 * int(np.diff(graph.offsets).max(initial=1)))))
    return np.empty(room, np.int64), np.full(room, -1, np.int64)


def cosines(vectors: NDArray[Any], norms: NDArray[np.float64], first: Longs, second: Longs) -> Floats:
    """Return the similarity of each pair: float32(clip(dot / (norm * norm), -1, 1)), the dot exact in float64.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
        float16 values.
    norms : ndarray of float64, shape (n,)
    first, second : ndarray of int64
        Rows of the ends, sorted by ``first``.
    """
    found = np.empty(len(first), np.float32)
    bits = bits_of(vectors)
    _cosines(bits, norms, (first, second), found, values_of(bits))
    return found


@compiled
def _cosines(bits, norms, pairs, found, values):  # type: ignore[no-untyped-def]
    (first, second), current = pairs, -1
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        if i != current:
            current = i
            spread(bits[i], values)
        found[pair] = similarity_with(values, bits[j], norms[i] * norms[j])


def edge_similarities(items: Longs, graph: Neighborhoods, first: Longs, second: Longs) -> Floats:
    """Return the similarity of pairs that are edges of the graph in either direction; NaN where one is none."""
    found = np.full(len(first), np.nan, np.float32)
    _edge_similarities(items, graph, first, second, found)
    return found


@compiled
def _edge_similarities(items, graph, first, second, found):  # type: ignore[no-untyped-def]
    offsets, neighbors, similarities = graph.offsets, graph.neighbors, graph.similarities
    for pair in range(len(first)):
        for row, other in ((first[pair], items[second[pair]]), (second[pair], items[first[pair]])):
            for place in range(offsets[row], offsets[row + 1]):
                if neighbors[place] == other:
                    found[pair] = similarities[place]

"""Neighbour lists of a block of items, the candidate pairs that the block owns, and comparisons of their ends.

In: rows of one model in any order. Out: arrays in the order of the items, and candidate pairs, each owned by exactly
one block: edge i -> j belongs to the block that owns i if i < j, or if i is not among the candidates of j.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.float16 import Bits, bits_of, row_norms, similarity_with, spread, values_of
from cdp_spark.base.numeric.pair_order import first_of_each_pair, order_of_pairs

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Float16s = NDArray[np.float16]

Slot = np.int64 | int


class Neighborhoods(NamedTuple):
    """Neighbour lists of the items of a block, in one model.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n + 1,)
        Row ``i`` has entries ``offsets[i]`` to ``offsets[i + 1]``.
    neighbors : ndarray of int64
        Items, by descending similarity.
    similarities : ndarray of float32
    """

    offsets: Longs
    neighbors: Longs
    similarities: Floats

    @classmethod
    def ordered(cls, order: Longs, offsets: Longs, neighbors: Longs, similarities: Floats) -> Neighborhoods:
        """Reorder lists: row ``i`` becomes that of ``order[i]``."""
        lengths = np.diff(offsets)[order]
        into = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.repeat(offsets[order] - into[:-1], lengths) + np.arange(into[-1])
        return cls(into, neighbors[entries], similarities[entries])


def owned_pairs(items: Longs, own: Bools, graphs: Sequence[Neighborhoods]) -> tuple[Longs, Longs]:
    """Return the candidate pairs that this block owns, as rows of its items.

    Parameters
    ----------
    items : ndarray of int64, ascending
        Items of the block: its own, and the ends of their candidate edges.
    own : ndarray of bool
    graphs : sequence of Neighborhoods
        Graphs whose edges are candidates: the base's alone, or those of all models.

    Returns
    -------
    first, second : ndarray of int64
        Rows of the two ends, sorted; ``first`` is a row of an own item.
    """
    lists = graphs[0] if len(graphs) == 1 else _united(graphs)
    rows = np.searchsorted(items, lists.neighbors)
    room = int(np.diff(lists.offsets)[own].sum())
    first, second = np.empty(room, np.int64), np.empty(room, np.int64)
    count = _owned(items, own, lists, rows, (first, second))
    first, second = first[:count], second[:count]
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
def _owned(items: Longs, own: Bools, lists: Neighborhoods, rows: Longs, pairs: tuple[Longs, Longs]) -> int:
    count, offsets, neighbors = 0, lists.offsets, lists.neighbors
    first, second = pairs
    for row in range(len(items)):
        if not own[row]:
            continue
        for edge in range(offsets[row], offsets[row + 1]):
            other = rows[edge]
            mine = items[row] < neighbors[edge]
            if not mine:
                mine = True
                for back in range(offsets[other], offsets[other + 1]):
                    if neighbors[back] == items[row]:
                        mine = False
                        break
            if mine:
                first[count], second[count] = row, other
                count += 1
    return count


def neighborhood_means(graph: Neighborhoods) -> tuple[Floats, Floats]:
    """Return mean and deviation of each row's similarities; 0 if it has none."""
    mean, deviation = (np.zeros(len(graph.offsets) - 1, np.float32) for _ in range(2))
    _means(graph.offsets, graph.similarities, mean, deviation)
    return mean, deviation


@compiled
def _means(offsets: Longs, similarities: Floats, mean: Floats, deviation: Floats) -> None:
    for row in range(len(mean)):
        count = offsets[row + 1] - offsets[row]
        if count == 0:
            continue
        total = 0.0
        for entry in range(offsets[row], offsets[row + 1]):
            total += np.float64(similarities[entry])
        centre = total / count
        squares = 0.0
        for entry in range(offsets[row], offsets[row + 1]):
            squares += (np.float64(similarities[entry]) - centre) ** 2
        mean[row], deviation[row] = centre, np.sqrt(squares / count)


def shared_neighbors(
    items: Longs, graph: Neighborhoods, first: Longs, second: Longs
) -> tuple[NDArray[np.int32], Bools]:
    """Compare the two ends of each pair in one model's graph.

    Parameters
    ----------
    items : ndarray of int64, ascending
    graph : Neighborhoods
    first, second : ndarray of int64
        Rows of the ends, sorted by ``first``.

    Returns
    -------
    shared : ndarray of int32
        Common neighbours, where each end counts among its own neighbours, as in the authors' lists:
        ``|N(i) & N(j)| + [j in N(i)] + [i in N(j)]``.
    related : ndarray of bool
        Whether either end is a neighbour of the other.
    """
    shared, related = np.zeros(len(first), np.int32), np.zeros(len(first), np.bool_)
    _shared(items, graph, (first, second), empty_table(graph), (shared, related))
    return shared, related


@compiled
def _shared(
    items: Longs,
    graph: Neighborhoods,
    pairs: tuple[Longs, Longs],
    table: tuple[Longs, Longs],
    out: tuple[NDArray[np.int32], Bools],
) -> None:
    """Look up the second end's list in a small hash table of the first end's."""
    offsets, neighbors = graph.offsets, graph.neighbors
    (first, second), (keys, filled), (shared, related) = pairs, table, out
    current = -1
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        if i != current:
            current = i
            for entry in range(offsets[i], offsets[i + 1]):
                slot = free_slot(neighbors[entry], filled, current)
                keys[slot], filled[slot] = neighbors[entry], current
        forward, backward, common = slot_of(items[j], keys, filled, current) >= 0, 0, 0
        for entry in range(offsets[j], offsets[j + 1]):
            other = neighbors[entry]
            if other == items[i]:
                backward = 1
            elif slot_of(other, keys, filled, current) >= 0:
                common += 1
        shared[pair] = common + forward + backward
        related[pair] = forward + backward > 0


@compiled(inline="always")
def _first_slot(item: int, room: int) -> np.int64:
    # Fibonacci hashing, which mixes the upper bits.
    return np.int64((np.uint64(item) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)) & (room - 1)


@compiled(inline="always")
def free_slot(item: int, filled: Longs, current: int) -> Slot:
    """Return the slot for a new item in a hash table of a power of two slots.

    A slot is free unless ``filled`` has the ``current`` list.
    """
    slot = _first_slot(item, len(filled))
    while filled[slot] == current:
        slot = (slot + 1) & (len(filled) - 1)
    return slot


@compiled(inline="always")
def slot_of(item: int, keys: Longs, filled: Longs, current: int) -> Slot:
    """Return the slot of an item in such a table, or -1."""
    slot = _first_slot(item, len(filled))
    while filled[slot] == current:
        if keys[slot] == item:
            return slot
        slot = (slot + 1) & (len(filled) - 1)
    return -1


def empty_table(graph: Neighborhoods) -> tuple[Longs, Longs]:
    """Return the keys of an empty hash table, and the list that filled each slot.

    Any one list fills at most a quarter of it.
    """
    room = 1 << int(np.ceil(np.log2(4 * int(np.diff(graph.offsets).max(initial=1)))))
    return np.empty(room, np.int64), np.full(room, -1, np.int64)


def cosines(vectors: NDArray[Any], norms: NDArray[np.float64], first: Longs, second: Longs) -> Floats:
    """Return the similarity of each pair: float32(clip(dot / (norm * norm), -1, 1)).

    The dot is exact in float64.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
        float16 values.
    norms : ndarray of float64, shape (n,)
    first, second : ndarray of int64
        Rows of the ends, sorted by ``first``.
    """
    similarities = np.empty(len(first), np.float32)
    bits = bits_of(vectors)
    _cosines(bits, norms, (first, second), similarities, values_of(bits))
    return similarities


@compiled
def _cosines(bits: Bits, norms: NDArray[np.float64], pairs: tuple[Longs, Longs], out: Floats, values: Floats) -> None:
    (first, second), current = pairs, -1
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        if i != current:
            current = i
            spread(bits[i], values)
        out[pair] = similarity_with(values, bits[j], norms[i] * norms[j])


def edge_similarities(items: Longs, graph: Neighborhoods, first: Longs, second: Longs) -> Floats:
    """Return the similarity of pairs that are edges, in either direction; else NaN."""
    edges = np.full(len(first), np.nan, np.float32)
    _edge_similarities(items, graph, first, second, edges)
    return edges


@compiled
def _edge_similarities(items: Longs, graph: Neighborhoods, first: Longs, second: Longs, out: Floats) -> None:
    offsets, neighbors, similarities = graph.offsets, graph.neighbors, graph.similarities
    for pair in range(len(first)):
        for row, other in ((first[pair], items[second[pair]]), (second[pair], items[first[pair]])):
            for entry in range(offsets[row], offsets[row + 1]):
                if neighbors[entry] == other:
                    out[pair] = similarities[entry]


@dataclass(frozen=True)
class PairBlock:
    """The items of a block and the pairs to be scored.

    Attributes
    ----------
    items : ndarray of int64, ascending
    graphs : sequence of Neighborhoods, base first
    vectors : callable of int -> ndarray of float16, shape (n, d), or None
        Vectors of one model, read when they are needed; None where the similarity of an edge suffices.
    first, second : ndarray of int64
        Rows of the ends, sorted by ``first``.
    """

    items: Longs
    graphs: Sequence[Neighborhoods]
    vectors: Callable[[int], Float16s | None]
    first: Longs
    second: Longs


def affinity(block: PairBlock, model: int) -> Floats:
    """Return each pair's similarity in one model, by vectors or else by edges."""
    vectors = block.vectors(model)
    if vectors is None:
        return edge_similarities(block.items, block.graphs[model], block.first, block.second)
    return cosines(vectors, row_norms(vectors), block.first, block.second)

"""Features of a pair in one view: that of a model, or the joint view of all.

In: neighbour lists of the items of a block, and how similar the pair is as each end sees it. Out: 25 numbers per pair
that mean the same in every set, since similarities are compared with the background of an item or with its own list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.simd import LINE, prefetch_one
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, empty_table, free_slot, slot_of

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Lists = tuple[Longs, Longs, Floats, Doubles]
"""Offsets, neighbours, similarities and weights."""

VIEW = (
    "units_low", "units_high",  # similarity in background units of either end
    "rank_low", "rank_high",  # log(1 + rank) in the other's list; the list's full length where it is not in it
    "above_first_low", "above_first_high",  # similarity less the end's at rank 1, in units
    "above_last_low", "above_last_high",  # less that at rank 15
    "shared_5", "shared_15", "shared_40",  # common neighbours as a share of the list
    "overlap",  # weighted Jaccard index of the lists of 15; weights: similarity above the end of the list
    "nep_10", "nep_15", "nep_30",  # half the sum of both probabilities over common neighbours
    "density_1_low", "density_1_high", "density_15_low", "density_15_high",  # similarity at a rank, in units
    "density_40_low", "density_40_high",
    "drop_low", "drop_high",  # from rank 1 to 5, over that from 1 to 15
    "near_low", "near_high",  # log(1 + lists of 15 that hold the item)
)  # fmt: skip
"""Features of a view, in order; low and high are the smaller and the larger over both ends."""

_NEP = (10, 15, 30)
_SHORT, _MIDDLE, _FULL = 5, 15, 40
_LEAST = 1e-6
_LINE = LINE // 8
_FILTER = 1023
"""Last bits of an item by which it is filtered."""
_MEDIAN, _SPREAD, _FIRST, _FIFTEENTH, _LAST, _DROP, _NEAR, _WEIGHT = range(8)


class Scale(NamedTuple):
    """How a view's similarities become weights, and how long a full list is.

    Attributes
    ----------
    top, sharpness : float
        A neighbour weighs ``exp(sharpness * (similarity - top))`` beside the item itself, which weighs 1.
    width : int
    """

    top: float
    sharpness: float
    width: int


MODEL_SCALE = Scale(1.0, 4.0, 40)
"""exp(-(2 - 2 cos) / .5)"""
JOINT_SCALE = Scale(8.0, 0.5, 15)
"""The top is a constant: the largest similarity of a set is one pair's, and would move all. Simulated sets reach 4 to
13 (median 5), real ones 7 to 12."""


@dataclass(frozen=True)
class View:
    """The items of a block in one view.

    Attributes
    ----------
    graph : Neighborhoods
    background : ndarray of float64, shape (n, 2)
        Median and spread; 0 and 1 where similarities are in background units.
    near : ndarray of int64, shape (n,)
        In how many lists of 15 of the whole set each item is.
    scale : Scale
    """

    graph: Neighborhoods
    background: Doubles
    near: Longs
    scale: Scale = MODEL_SCALE

    @cached_property
    def rows(self) -> tuple[Doubles, Doubles, Doubles]:
        """Weights of the neighbours; facts of each row; and 1 over the sums of weights that NEP divides by."""
        graph = self.graph
        weights = np.exp(self.scale.sharpness * (graph.similarities.astype(np.float64) - self.scale.top))
        count = len(graph.offsets) - 1
        facts, sums = np.zeros((count, _WEIGHT + 1), np.float64), np.ones((count, len(_NEP)), np.float64)
        background, near = np.ascontiguousarray(self.background), np.ascontiguousarray(self.near)
        _fill_row_facts((graph.offsets, graph.similarities, weights), background, near, (facts, sums))
        return weights, facts, 1 / sums


def view_features(items: Longs, view: View, ends: tuple[Longs, Longs], similarity: tuple[Floats, Floats]) -> Floats:
    """Compute the features of pairs in one view.

    Parameters
    ----------
    items : ndarray of int64, rising
        All items of the block.
    view : View
    ends : two of ndarray of int64, shape (m,)
        Rows of the ends, sorted by the first.
    similarity : two of ndarray of float32, shape (m,)
        As seen by either end; in a model both are the cosine.

    Returns
    -------
    ndarray of float32, shape (m, 25)
        See ``VIEW``.
    """
    graph = view.graph
    weights, facts, shares = view.rows
    ranks = np.full((len(ends[0]), 2), view.scale.width, np.int64)
    common = np.zeros((len(ends[0]), 7), np.float64)
    lists = (graph.offsets, graph.neighbors, graph.similarities, weights)
    keys, filled = empty_table(graph)
    probable = np.empty(int(np.diff(graph.offsets).max(initial=0)) + 1, np.int64)
    table = keys, filled, np.empty_like(keys), np.full(_FILTER + 1, -1, np.int64), probable
    _compare(items, lists, (facts, shares), ends, table, (ranks, common))
    features = np.empty((len(ends[0]), len(VIEW)), np.float32)
    _fill(facts, ends, similarity, (ranks, common, np.empty(int(ranks.max(initial=0)) + 1)), features)
    return features


@compiled
def _fill_row_facts(
    lists: tuple[Longs, Floats, Doubles], background: Doubles, near: Longs, out: tuple[Doubles, Doubles]
) -> None:
    """Fill in the facts of each row (background, similarities at ranks, ...), and the sums of its NEP weights."""
    (offsets, similarities, weights), (facts, sums) = lists, out
    for row in range(len(facts)):
        start, length = offsets[row], offsets[row + 1] - offsets[row]
        facts[row, _MEDIAN], facts[row, _SPREAD] = background[row, 0], background[row, 1]
        facts[row, _NEAR] = np.log1p(near[row])
        if length == 0:
            continue
        first, middle = np.float64(similarities[start]), np.float64(similarities[start + min(_MIDDLE, length) - 1])
        facts[row, _FIRST], facts[row, _FIFTEENTH] = first, middle
        facts[row, _LAST] = similarities[start + length - 1]
        fall = first - np.float64(similarities[start + min(_SHORT, length) - 1])
        facts[row, _DROP] = fall / max(first - middle, _LEAST)
        for rank in range(length):
            if rank < _MIDDLE:
                facts[row, _WEIGHT] += np.float64(similarities[start + rank]) - facts[row, _LAST]
            for number in range(3):
                if rank < _NEP[number]:
                    sums[row, number] += weights[start + rank]


@compiled
def _compare(
    items: Longs,
    lists: Lists,
    of_rows: tuple[Doubles, Doubles],
    ends: tuple[Longs, Longs],
    table: tuple[Longs, Longs, Longs, Longs, Longs],
    out: tuple[Longs, Doubles],
) -> None:
    """Compare two lists: both ranks; then shared neighbours of the first 5, 15, all; shared weight; NEP, three times.

    The second end's list is looked up in a hash table of the first's. Most neighbours are not in it, so they are
    filtered before.
    """
    (offsets, neighbors, similarities, weights), (facts, shares), (first, second) = lists, of_rows, ends
    (keys, filled, positions, seen, probable), (ranks, common) = table, out
    current = -1
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        if i != current:
            current = i
            for at in range(offsets[i], offsets[i + 1]):
                slot = free_slot(neighbors[at], filled, current)
                keys[slot], positions[slot], filled[slot] = neighbors[at], at, current
                seen[neighbors[at] & _FILTER] = current
            seen[items[i] & _FILTER] = current
        slot = slot_of(items[j], keys, filled, current)
        if slot >= 0:
            ranks[pair, 0] = positions[slot] - offsets[i]
            _add_end(weights[positions[slot]], shares[i], shares[j], ranks[pair, 0], common[pair])
        ahead = second[min(pair + 1, len(second) - 1)]
        for at in range(offsets[ahead], offsets[ahead + 1], _LINE):
            prefetch_one(neighbors, at)
        for each in range(_filter(neighbors, offsets[j], offsets[j + 1], (seen, current), probable)):
            at = probable[each]
            if neighbors[at] == items[i]:
                ranks[pair, 1] = at - offsets[j]
                _add_end(weights[at], shares[j], shares[i], ranks[pair, 1], common[pair])
                continue
            slot = slot_of(neighbors[at], keys, filled, current)
            if slot < 0:
                continue
            there = positions[slot]
            rank = max(at - offsets[j], there - offsets[i])
            common[pair, 0] += rank < _SHORT
            common[pair, 1] += rank < _MIDDLE
            common[pair, 2] += 1
            if rank < _MIDDLE:
                here = np.float64(similarities[at]) - facts[j, _LAST]
                common[pair, 3] += min(here, np.float64(similarities[there]) - facts[i, _LAST])
            for number in range(3):
                if rank < _NEP[number]:
                    common[pair, 4 + number] += weights[at] * shares[j, number] + weights[there] * shares[i, number]


@compiled(inline="always")
def _filter(neighbors: Longs, start: int, end: int, known: tuple[Longs, int], probable: Longs) -> int:
    """Keep where neighbours lie that a list probably has, without a branch; return how many."""
    seen, current = known
    count = 0
    for at in range(start, end):
        probable[count] = at
        count += seen[neighbors[at] & _FILTER] == current
    return count


@compiled(inline="always")
def _add_end(weight: float, shares_here: Doubles, shares_there: Doubles, rank: int, common: Doubles) -> None:
    """Count an end among the common neighbours: it is in the other's list, and in its own with weight 1."""
    for number in range(3):
        if rank < _NEP[number]:
            common[4 + number] += weight * shares_here[number] + shares_there[number]


@compiled
def _fill(
    facts: Doubles,
    ends: tuple[Longs, Longs],
    similarity: tuple[Floats, Floats],
    compared: tuple[Longs, Doubles, Doubles],
    out: Floats,
) -> None:
    (first, second), (here, there), (ranks, common, logs) = ends, similarity, compared
    for rank in range(len(logs)):
        logs[rank] = np.log1p(rank)
    for pair in range(len(first)):
        a, b = facts[first[pair]], facts[second[pair]]
        x, y, row = np.float64(here[pair]), np.float64(there[pair]), out[pair]
        _put(row, 0, (x - a[_MEDIAN]) / a[_SPREAD], (y - b[_MEDIAN]) / b[_SPREAD])
        _put(row, 2, logs[ranks[pair, 0]], logs[ranks[pair, 1]])
        _put(row, 4, (x - a[_FIRST]) / a[_SPREAD], (y - b[_FIRST]) / b[_SPREAD])
        _put(row, 6, (x - a[_FIFTEENTH]) / a[_SPREAD], (y - b[_FIFTEENTH]) / b[_SPREAD])
        row[8], row[9], row[10] = common[pair, 0] / _SHORT, common[pair, 1] / _MIDDLE, common[pair, 2] / _FULL
        row[11] = common[pair, 3] / (a[_WEIGHT] + b[_WEIGHT] - common[pair, 3] + _LEAST)
        for number in range(3):
            row[12 + number] = common[pair, 4 + number] / 2
        for column, rank in ((15, _FIRST), (17, _FIFTEENTH), (19, _LAST)):
            _put(row, column, (a[rank] - a[_MEDIAN]) / a[_SPREAD], (b[rank] - b[_MEDIAN]) / b[_SPREAD])
        _put(row, 21, a[_DROP], b[_DROP])
        _put(row, 23, a[_NEAR], b[_NEAR])


@compiled(inline="always")
def _put(row: Floats, column: int, one: float, other: float) -> None:
    row[column], row[column + 1] = min(one, other), max(one, other)

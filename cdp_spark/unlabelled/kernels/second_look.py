"""The second look: features of a pair from the log odds of the pairs around it.

In: for each item of a block the pairs that it is an end of, with their log odds by the first look. Out: 13 numbers per
pair. They depend on the pairs of the two ends alone, so the halo is one step deep: own items, and the other ends of the
pairs that the block owns, each with all its pairs, in either direction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.pair_order import order_of_pairs
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, empty_table, free_slot, slot_of

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Lists = tuple[Longs, Longs, Doubles, Doubles]
"""Offsets, neighbours, log odds and probabilities."""

AROUND = (
    "z",
    "degree_low", "degree_high",  # log(1 + expected matches of an end among its other pairs)
    "triangles",  # log(1 + sum of p_im p_jm over common partners m)
    "triangle_best",  # largest min(p_im, p_jm)
    "conflict",  # log(1 + sum of |p_im - p_jm| max(p_im, p_jm))
    "overlap",  # triangles over degrees
    "rival_low", "rival_high",  # z less that of the end's best other pair
    "inside_low", "inside_high",  # share of an end's expected matches that the other end meets
    "stance_low", "stance_high",  # mean z of an end to the other's matches, -4 for those that it does not meet
)  # fmt: skip

MOST = 8.0
"""Log odds are clipped at this."""

_STRANGER = -4.0
_NOBODY = -9.0
_LITTLE = 0.2


def lists_of_pairs(src: Longs, dst: Longs, z: Floats) -> tuple[Longs, Neighborhoods]:
    """Gather the pairs of each item, both ways.

    Returns
    -------
    items : ndarray of int64, rising
    lists : Neighborhoods
        Neighbours rising, not by similarity: sums then have one order.
    """
    ends, others = np.concatenate([src, dst]), np.concatenate([dst, src])
    order = order_of_pairs(ends, others)
    items, counts = np.unique(ends, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return items, Neighborhoods(offsets, others[order], np.concatenate([z, z])[order])


def around(items: Longs, lists: Neighborhoods, first: Longs, second: Longs) -> Floats:
    """Look around pairs.

    Parameters
    ----------
    items : ndarray of int64, rising
    lists : Neighborhoods
        See :func:`lists_of_pairs`; one list per row of ``items``. They may name items that are not there.
    first, second : ndarray of int64, shape (m,)
        Rows of the ends, sorted by ``first``; each pair is in both lists.

    Returns
    -------
    ndarray of float32, shape (m, 13)
        See ``AROUND``; the order of the ends changes nothing.
    """
    z = np.clip(lists.similarities.astype(np.float64), -MOST, MOST)
    probability = 1 / (1 + np.exp(-z))
    numbers = np.empty((len(first), len(AROUND)), np.float32)
    rows = len(lists.offsets) - 1
    of_rows = np.zeros(rows, np.float64), np.full((rows, 2), _NOBODY)
    _sum_up(lists.offsets, z, probability, of_rows)
    keys, filled = empty_table(lists)
    table = keys, filled, np.empty_like(keys)
    _around(items, (lists.offsets, lists.neighbors, z, probability), of_rows, (first, second), table, numbers)
    return numbers


@compiled
def _sum_up(offsets: Longs, z: Doubles, probability: Doubles, out: tuple[Doubles, Doubles]) -> None:
    """Sum up expected matches, and keep the two largest z, of each row."""
    degree, best = out
    for row in range(len(degree)):
        for position in range(offsets[row], offsets[row + 1]):
            degree[row] += probability[position]
            if z[position] > best[row, 0]:
                best[row, 0], best[row, 1] = z[position], best[row, 0]
            elif z[position] > best[row, 1]:
                best[row, 1] = z[position]


@compiled
def _around(
    items: Longs,
    lists: Lists,
    of_rows: tuple[Doubles, Doubles],
    ends: tuple[Longs, Longs],
    table: tuple[Longs, Longs, Longs],
    out: Floats,
) -> None:
    (offsets, neighbors, z, p), (first, second), (keys, filled, positions) = lists, ends, table
    current = -1
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        if i != current:
            current = i
            for position in range(offsets[i], offsets[i + 1]):
                slot = free_slot(neighbors[position], filled, current)
                keys[slot], positions[slot], filled[slot] = neighbors[position], position, current
        this = positions[slot_of(items[j], keys, filled, current)]
        triangles, best, conflict, met_i, met_j, z_i, z_j = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for position in range(offsets[j], offsets[j + 1]):
            slot = slot_of(neighbors[position], keys, filled, current)
            if slot < 0 or neighbors[position] == items[i]:
                continue
            there = positions[slot]
            low, high = min(p[there], p[position]), max(p[there], p[position])
            triangles, best, conflict = triangles + low * high, max(best, low), conflict + (high - low) * high
            met_i, met_j = met_i + p[there], met_j + p[position]
            z_i, z_j = z_i + p[there] * z[position], z_j + p[position] * z[there]
        _fill((z[this], p[this]), (triangles, best, conflict), of_rows, (i, met_i, z_i), (j, met_j, z_j), out[pair])


@compiled
def _fill(
    this: tuple[float, float],
    common: tuple[float, float, float],
    of_rows: tuple[Doubles, Doubles],
    one: tuple[int, float, float],
    other: tuple[int, float, float],
    out: Floats,
) -> None:
    (z, p), (triangles, best, conflict), (degrees, bests) = this, common, of_rows
    (i, met_i, z_i), (j, met_j, z_j) = one, other
    d_i, d_j = degrees[i] - p, degrees[j] - p
    out[0] = z
    out[1], out[2] = np.log1p(min(d_i, d_j)), np.log1p(max(d_i, d_j))
    out[3], out[4], out[5] = np.log1p(triangles), best, np.log1p(conflict)
    out[6] = triangles / (d_i + d_j - triangles + _LITTLE)
    over_i = z - (bests[i, 1] if z == bests[i, 0] else bests[i, 0])
    over_j = z - (bests[j, 1] if z == bests[j, 0] else bests[j, 0])
    out[7], out[8] = min(over_i, over_j), max(over_i, over_j)
    inside_i, inside_j = met_i / (d_i + 1e-6), met_j / (d_j + 1e-6)
    out[9], out[10] = min(inside_i, inside_j), max(inside_i, inside_j)
    stance_i = (z_i + _STRANGER * (d_i - met_i)) / (d_i + _LITTLE)
    stance_j = (z_j + _STRANGER * (d_j - met_j)) / (d_j + _LITTLE)
    out[11], out[12] = min(stance_i, stance_j), max(stance_i, stance_j)

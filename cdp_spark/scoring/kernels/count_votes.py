"""Count the committee's votes for each edge of a KNN graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled, read_only

Longs = NDArray[np.int64]
Adjacency = tuple[Longs, Longs]
"""Offsets and neighbours: row i has ``neighbors[offsets[i]:offsets[i + 1]]``."""


def votes(base: Adjacency, members: Sequence[Adjacency]) -> Longs:
    """Count the members that have each base edge in the same direction.

    >>> edge = lambda *rows: (np.cumsum([0, *map(len, rows)]), np.concatenate(rows).astype(np.int64))
    >>> votes(edge([1, 2], [0]), [edge([2], [5]), edge([2, 1], [])]).tolist()
    [1, 2, 0]
    """
    counts = np.zeros(len(base[1]), np.int64)
    lists = base[0], read_only(base[1])
    for offsets, neighbors in members:
        _add_votes(lists, (offsets, read_only(neighbors)), counts)
    return counts


@compiled
def _add_votes(base: Adjacency, member: Adjacency, counts: Longs) -> None:
    (base_offsets, base_neighbors), (offsets, neighbors) = base, member
    for row in range(len(base_offsets) - 1):
        for edge in range(base_offsets[row], base_offsets[row + 1]):
            for other in range(offsets[row], offsets[row + 1]):
                if neighbors[other] == base_neighbors[edge]:
                    counts[edge] += 1
                    break

"""Choose spill and probes before anything is written, and judge the result afterwards.

In: sample queries, their exact neighbours, and the trained cells. For every neighbour it is known which spill
(largest gap) and how many probes would find it, so the cheapest setting that finds enough is read off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.knn.kernels.cells import Cells
from cdp_spark.knn.kernels.home_and_spill import MAX_COPIES, Places, places

Doubles = NDArray[np.float64]

_PROBES = (*sorted({round(1.1**step) for step in range(100)}), 1 << 30)
_SPILLS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Probing:
    """How a model is searched: vectors spill to shards up to a gap of ``spill``; queries probe ``nprobe`` cells."""

    spill: float
    nprobe: int


@dataclass(frozen=True)
class Recall:
    """Share of true neighbours found, with the 95 % interval over queries."""

    recall: float
    low: float
    high: float
    queries: int

    @classmethod
    def of(cls, mean: float, deviation: float, queries: int) -> Recall:
        """Make the interval from the mean and standard deviation of the queries' own recalls."""
        # Where every query is right the deviation says nothing: the rule of three bounds what was not seen.
        half = max(1.96 * deviation, 3.0 / max(queries, 1) ** 0.5) / max(queries, 1) ** 0.5
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half) if deviation else mean, queries)


def choose(
    queries: Doubles,
    neighbours: Doubles,
    owner: NDArray[np.int64],
    cells: Cells,
    *,
    needed: float,
) -> Probing:
    """Choose the cheapest search of cells whose predicted recall exceeds what is needed by its own uncertainty.

    Parameters
    ----------
    queries : ndarray of float64, shape (q, d)
    neighbours : ndarray of float64, shape (m, d)
        Exact neighbours of the queries.
    owner : ndarray of int64, shape (m,)
        Row of the query that each neighbour belongs to.
    cells : Cells
    needed : float
        Share of neighbours that must be found.
    """
    asking, asked = places(queries, cells), places(neighbours, cells)
    found = _found_from(queries, asking, asked, owner, cells)
    largest = int(np.bincount(cells.shard).max())
    chosen = _cheapest(asking, found, owner, needed)
    return Probing(chosen.spill, min(chosen.nprobe, largest))


def _cheapest(
    asking: Places,
    found: tuple[Doubles, NDArray[np.int64]],
    owner: NDArray[np.int64],
    needed: float,
) -> Probing:
    (gaps, ranks), queries = found, len(asking.shard)
    finite = asking.gap[np.isfinite(asking.gap) & (asking.gap > 0)]
    spills = [0.0] if not len(finite) else [0.0, *np.quantile(finite, _SPILLS[1:])]
    best: tuple[float, Probing] | None = None
    for spill in spills:
        together = gaps <= spill
        if not _reached(together, owner, queries, needed):
            continue
        copies = float((asking.gap <= spill).sum(axis=1).mean())
        for nprobe in _PROBES:
            if best is not None and copies**2 * nprobe >= best[0]:
                break
            if _reached(together & (ranks < nprobe), owner, queries, needed):
                best = (copies**2 * nprobe, Probing(float(spill), nprobe))
                break
    return best[1] if best is not None else Probing(float(max(spills)), _PROBES[-1])


def _reached(found: NDArray[np.bool_], owner: NDArray[np.int64], queries: int, needed: float) -> bool:
    """Tell whether enough neighbours are found in any of the query's shards."""
    if not queries:
        return False
    per_query = np.bincount(owner, found.any(axis=1), queries) / np.maximum(1, np.bincount(owner, minlength=queries))
    return bool(per_query.mean() >= min(needed + margin(per_query), 1.0))


def margin(per_query: Doubles, stays: float = 1.0) -> float:
    """Return by how much the mean recall of some queries must exceed what an audit of others is to find for sure.

    Parameters
    ----------
    per_query : ndarray of float64
        Recalls.
    stays : float
        Share of what they miss that is still missed when the audit comes: its deviation falls with the square root.
    """
    of_queries, of_audit = stays / max(1, len(per_query)) ** 0.5, 1.96 * (stays / 2000) ** 0.5
    return float(per_query.std() * (of_queries + of_audit))


def wider(probing: Probing, cells: Cells) -> Probing:
    """Return the next probing after an audit has failed."""
    largest = int(np.bincount(cells.shard).max())
    return Probing(probing.spill * 1.25, min(largest, probing.nprobe + max(1, probing.nprobe // 2)))


def _found_from(
    queries: Doubles, asking: Places, asked: Places, owner: NDArray[np.int64], cells: Cells
) -> tuple[Doubles, NDArray[np.int64]]:
    """For each neighbour and each shard of its query: from which spill and number of probes it is found."""
    gaps = np.full((len(owner), MAX_COPIES), np.inf)
    ranks = np.full((len(owner), MAX_COPIES), np.iinfo(np.int64).max)
    for slot in range(MAX_COPIES):
        for number in np.unique(asking.shard[:, slot][asking.shard[:, slot] >= 0]):
            shard = cells.in_shard(int(number))
            rows = np.flatnonzero(asking.shard[:, slot] == number)
            position = _positions(shard.ranked(queries[rows]))
            row_of = np.full(len(queries), -1)
            row_of[rows] = np.arange(len(rows))
            pairs, there = np.nonzero((asked.shard == number) & (row_of[owner] >= 0)[:, None])
            gaps[pairs, slot] = np.maximum(asking.gap[owner[pairs], slot], asked.gap[pairs, there])
            row, cell = row_of[owner[pairs]], shard.number[asked.cell[pairs, there]]
            ranks[pairs, slot] = position[row, cell]
    return gaps, ranks


def _positions(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Invert each row of a permutation."""
    position = np.empty_like(order)
    np.put_along_axis(position, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    return position

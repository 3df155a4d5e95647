"""Choose spill and probes before anything is written, and measure the recall afterwards.

In: sample queries, their exact neighbours, and the trained cells. These give, for every neighbour, the spill (largest
gap) and the number of probes at which it is found; the cheapest setting that finds enough of them is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.knn.kernels.cells import MAX_COPIES, Assignment, Cells, assign

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

_PROBES = (*sorted({round(1.1**step) for step in range(100)}), 1 << 30)
_SPILLS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class _Reach(NamedTuple):
    """The spill and rank at which each neighbour is found.

    Attributes
    ----------
    gaps : ndarray of float64, shape (neighbours, MAX_COPIES)
        Smallest spill at which each shard of the query holds the neighbour; inf if there is none.
    ranks : ndarray of int64, shape (neighbours, MAX_COPIES)
        Rank of the neighbour's cell, for the query.
    """

    gaps: Doubles
    ranks: Ints


@dataclass(frozen=True)
class Probing:
    """The largest gap at which vectors spill, and the cells that a query probes."""

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
        """Make the interval from the mean and standard deviation of the queries' recalls."""
        # Where every query has recall 1 the deviation is 0; the rule of three bounds what was not seen.
        half = max(1.96 * deviation, 3.0 / max(queries, 1) ** 0.5) / max(queries, 1) ** 0.5
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half) if deviation else mean, queries)


def choose(
    queries: Doubles,
    neighbours: Doubles,
    owner: Ints,
    cells: Cells,
    *,
    needed: float,
) -> Probing:
    """Choose the cheapest search whose predicted recall suffices.

    The recall must exceed what is needed by its own uncertainty.

    Parameters
    ----------
    queries : ndarray of float64, shape (q, d)
    neighbours : ndarray of float64, shape (m, d)
        Exact neighbours of the queries.
    owner : ndarray of int64, shape (m,)
        Row of the query that each neighbour belongs to.
    cells : Cells
    needed : float
        Share of the neighbours that must be found.
    """
    assigned = assign(queries, cells)
    reach = _reach(queries, assigned, assign(neighbours, cells), owner, cells)
    largest = int(np.bincount(cells.shard).max())
    chosen = _cheapest(assigned, reach, owner, needed)
    return Probing(chosen.spill, min(chosen.nprobe, largest))


def _cheapest(assigned: Assignment, reach: _Reach, owner: Ints, needed: float) -> Probing:
    (gaps, ranks), queries = reach, len(assigned.shard)
    finite = assigned.gap[np.isfinite(assigned.gap) & (assigned.gap > 0)]
    spills = [0.0] if not len(finite) else [0.0, *np.quantile(finite, _SPILLS[1:])]
    best: tuple[float, Probing] | None = None
    for spill in spills:
        together = gaps <= spill
        if not _enough(together, owner, queries, needed):
            continue
        copies = float((assigned.gap <= spill).sum(axis=1).mean())
        for nprobe in _PROBES:
            if best is not None and copies**2 * nprobe >= best[0]:
                break
            if _enough(together & (ranks < nprobe), owner, queries, needed):
                best = (copies**2 * nprobe, Probing(float(spill), nprobe))
                break
    return best[1] if best is not None else Probing(float(max(spills)), _PROBES[-1])


def _enough(reached: NDArray[np.bool_], owner: Ints, queries: int, needed: float) -> bool:
    """Return whether enough neighbours are reached in any shard of their query."""
    if not queries:
        return False
    per_query = np.bincount(owner, reached.any(axis=1), queries) / np.maximum(1, np.bincount(owner, minlength=queries))
    return bool(per_query.mean() >= min(needed + margin(per_query), 1.0))


def margin(per_query: Doubles, stays: float = 1.0) -> float:
    """Return the margin by which the mean recall of queries must exceed the target.

    Parameters
    ----------
    per_query : ndarray of float64
        Recalls; other queries are audited afterwards.
    stays : float
        Share of the missed neighbours that the audit will still miss; the deviation of the audit falls with its
        square root.
    """
    by_queries, by_audit = stays / max(1, len(per_query)) ** 0.5, 1.96 * (stays / 2000) ** 0.5
    return float(per_query.std() * (by_queries + by_audit))


def wider(probing: Probing, cells: Cells) -> Probing:
    """Return the next probing after an audit has failed."""
    largest = int(np.bincount(cells.shard).max())
    return Probing(probing.spill * 1.25, min(largest, probing.nprobe + max(1, probing.nprobe // 2)))


def _reach(queries: Doubles, asking: Assignment, wanted: Assignment, owner: Ints, cells: Cells) -> _Reach:
    """Return where each neighbour is found, by shard of its query."""
    gaps = np.full((len(owner), MAX_COPIES), np.inf)
    ranks = np.full((len(owner), MAX_COPIES), np.iinfo(np.int64).max)
    for slot in range(MAX_COPIES):
        for number in np.unique(asking.shard[:, slot][asking.shard[:, slot] >= 0]):
            shard = cells.in_shard(int(number))
            rows = np.flatnonzero(asking.shard[:, slot] == number)
            rank = _inverted(shard.ranked(queries[rows]))
            row_of = np.full(len(queries), -1)
            row_of[rows] = np.arange(len(rows))
            pairs, there = np.nonzero((wanted.shard == number) & (row_of[owner] >= 0)[:, None])
            gaps[pairs, slot] = np.maximum(asking.gap[owner[pairs], slot], wanted.gap[pairs, there])
            row, cell = row_of[owner[pairs]], shard.number[wanted.cell[pairs, there]]
            ranks[pairs, slot] = rank[row, cell]
    return _Reach(gaps, ranks)


def _inverted(order: Ints) -> Ints:
    """Invert each row, a permutation."""
    position = np.empty_like(order)
    np.put_along_axis(position, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    return position

"""Links between clusters: the sums of all pairs between two clusters.

In: pairs of items with logits z. Out: one link for every two clusters with pairs between them, with the count, sum and
largest z of these; links are contracted as clusters merge. A cluster is named by its smallest item.

z is rounded to multiples of 2**-20, so that sums are exact in float64 and depend neither on the order of the pairs nor
on that of the merges.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

_UNIT = 2.0**20


class ItemPairs(NamedTuple):
    """Scored pairs of items that are numbered 0 to ``items - 1``.

    Attributes
    ----------
    src, dst : ndarray of int64, shape (m,)
        Ties are broken by number; pairs are in any order.
    z : ndarray of float32, shape (m,)
        Log odds that the two are one identity; finite.
    items : int
        At most 2**31 - 1.
    """

    src: Longs
    dst: Longs
    z: Floats
    items: int


class _Rows(NamedTuple):
    """Ends, number of pairs, sum and largest z of links."""

    a: Ints
    b: Ints
    pairs: Ints
    total: Doubles
    best: Floats


@dataclass(frozen=True)
class Links:
    """Links, in no order.

    Attributes
    ----------
    a, b : ndarray of int32, shape (m,)
        The two clusters, a < b; unique.
    count : ndarray of int32
        Pairs between them.
    total : ndarray of float64
        Sum of their z.
    best : ndarray of float32
        Largest z.
    score : ndarray of float64
        Score by the rule; NaN once the link has changed.
    rivals : ndarray of float32, shape (m, 0), (m, 2) or (m, 4)
        Values of :func:`~cdp_spark.agglomeration.kernels.link_features.rivals_of` when it was scored; NaN once it
        has changed.
    cosines : ndarray of float32, shape (m, models)
        Mean cosine between all items of the two, where a rule reads vectors; NaN once the link has changed.
    """

    a: Ints
    b: Ints
    count: Ints
    total: Doubles
    best: Floats
    score: Doubles
    rivals: Floats
    cosines: Floats

    def __len__(self) -> int:
        return len(self.a)

    @classmethod
    def of_pairs(cls, src: Longs, dst: Longs, z: Floats, *, rivals: int, models: int = 0) -> Links:
        """Link clusters of one item each.

        A repeated pair counts each time; a pair of an item with itself does not count. ``rivals`` and ``models`` are
        the numbers of columns of rivals and cosines that the rule needs.
        """
        total = np.round(z.astype(np.float64) * _UNIT) / _UNIT
        one = np.ones(len(z), np.int32)
        ends = src.astype(np.int32), dst.astype(np.int32)
        return _aggregated(_Rows(*ends, one, total, total.astype(np.float32)), (rivals, models))

    def take(self, rows: Longs | Bools) -> Links:
        """Return some of the links, by index or mask."""
        return Links(*(getattr(self, field.name)[rows] for field in fields(self)))

    def joined(self, other: Links) -> Links:
        """Return the links of both."""
        names = [field.name for field in fields(self)]
        return Links(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    @property
    def mean(self) -> Floats:
        """Mean z of each link."""
        mean: Floats = (self.total / self.count).astype(np.float32)
        return mean


def contracted(links: Links, into: Longs, changed: Bools) -> Links:
    """Return the links after clusters have merged.

    Parameters
    ----------
    links : Links
    into : ndarray of int64, shape (items,)
        New name of each cluster.
    changed : ndarray of bool, shape (items,)
        For each new name, whether several clusters became one.
    """
    names = into.astype(np.int32)
    a, b = names[links.a], names[links.b]
    touched = changed[a] | changed[b]
    if not touched.any():
        return links
    moved = np.flatnonzero(touched)
    rows = _Rows(a[moved], b[moved], links.count[moved], links.total[moved], links.best[moved])
    fresh = _aggregated(rows, (links.rivals.shape[1], links.cosines.shape[1]))
    return links.take(~touched).joined(fresh)


def _aggregated(rows: _Rows, unknown: tuple[int, int]) -> Links:
    """Make one link of all rows between the same two clusters; drop inner rows."""
    between = rows.a != rows.b
    if not between.all():
        rows = _Rows(*(column[between] for column in rows))
    low, high = np.minimum(rows.a, rows.b), np.maximum(rows.a, rows.b)
    order = np.argsort(low.astype(np.int64) << 32 | high.astype(np.int64))
    first, second, pairs = (np.empty(len(order), np.int32) for _ in range(3))
    totals, largest = np.empty(len(order), np.float64), np.empty(len(order), np.float32)
    used = slice(_sum(order, rows._replace(a=low, b=high), _Rows(first, second, pairs, totals, largest)))
    unscored = np.full(used.stop, np.nan)
    rivals, cosines = (np.full((used.stop, columns), np.nan, np.float32) for columns in unknown)
    sums = (first[used].copy(), second[used].copy(), pairs[used].copy(), totals[used].copy(), largest[used].copy())
    return Links(*sums, unscored, rivals, cosines)


@compiled
def _sum(order: Longs, rows: _Rows, links: _Rows) -> int:
    """Sum up adjacent rows of the same two clusters; return the number of links."""
    low, high, count, total, best = rows
    a, b, counts, totals, bests = links
    used = -1
    for row in order:
        if used < 0 or a[used] != low[row] or b[used] != high[row]:
            used += 1
            a[used], b[used] = low[row], high[row]
            counts[used], totals[used], bests[used] = count[row], total[row], best[row]
        else:
            counts[used] += count[row]
            totals[used] += total[row]
            bests[used] = max(bests[used], best[row])
    return used + 1

"""Clustering metrics from sums and size histograms, whose memory does not grow with the number of items.

In: sums over the non-empty cells of the table clusters x classes, and the number of clusters and classes of each size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Longs = NDArray[np.int64]
Histogram = tuple[Longs, Longs]
"""Distinct sizes, and the number of groups of each."""


@dataclass(frozen=True)
class Sums:
    """Sums that the metrics are made of.

    Attributes
    ----------
    items : int
    squares : int
        Sum of n_ij squared over clusters j and classes i.
    entropy : float
        Sum of n_ij log n_ij.
    precision, recall : float
        Sums of n_ij squared / cluster size and n_ij squared / class size.
    clusters, classes : Histogram
    """

    items: int
    squares: int
    entropy: float
    precision: float
    recall: float
    clusters: Histogram
    classes: Histogram


@dataclass(frozen=True)
class Groups:
    """Groups of one kind, such as clusters, by their size.

    Attributes
    ----------
    sizes, counts : ndarray of int64, shape (s,)
        Distinct sizes, ascending, and the number of groups of each.
    squares : ndarray of int64, shape (s,)
        Sum of n_ij squared over the cells of these groups.
    """

    sizes: Longs
    counts: Longs
    squares: Longs

    @classmethod
    def of(cls, size: Longs, groups: Longs, squares: Longs) -> Groups:
        """Sort the columns by size, so that sums do not depend on the order of the rows."""
        order = np.argsort(size)
        return cls(size[order], groups[order], squares[order])

    @property
    def items(self) -> int:
        """Number of items in all groups."""
        return int((self.sizes * self.counts).sum())


def sums_of_groups(clusters: Groups, classes: Groups, cells: Groups, *, alone: int = 0) -> Sums:
    """Sum up counts by size, so that no digit depends on the order of the items.

    Parameters
    ----------
    clusters, classes, cells : Groups
        ``classes`` also holds the items that are alone, each as a cell of its own.
    alone : int
        Clusters of one item in addition to ``clusters``.

    Examples
    --------
    >>> one = Groups(np.array([2]), np.array([1]), np.array([4]))
    >>> three = Groups(np.array([3]), np.array([1]), np.array([5]))
    >>> scores(sums_of_groups(one, three, one, alone=1))["pairwise_recall"]
    0.3333333333333333
    """
    n = cells.sizes.astype(np.float64)
    sizes, counts = clusters.sizes, clusters.counts
    if alone:
        sizes, counts = (np.append(column, more) for column, more in ((sizes, 1), (counts, alone)))
    return Sums(
        classes.items,
        sum(clusters.squares.tolist()) + alone,
        entropy=float((cells.counts * n * np.log(n)).sum()),
        precision=float((clusters.squares / clusters.sizes).sum()) + alone,
        recall=float((classes.squares / classes.sizes).sum()),
        clusters=_merged_sizes(sizes, counts),
        classes=(classes.sizes, classes.counts),
    )


def _merged_sizes(size: Longs, count: Longs) -> Histogram:
    distinct, group = np.unique(size, return_inverse=True)
    groups = np.zeros(len(distinct), np.int64)
    np.add.at(groups, group, count)
    return distinct, groups


def sums_of(group: Longs, label: Longs) -> Sums:
    """Sum up two groupings of the same items that are in memory.

    Parameters
    ----------
    group, label : ndarray of int64, shape (n,)

    >>> scores(sums_of(np.array([0, 0, 1, 1]), np.array([5, 5, 5, 6])))["pairwise_f"]
    0.4
    """
    (_, cluster, cluster_size), (_, label_at, label_size) = (
        np.unique(each, return_inverse=True, return_counts=True) for each in (group, label)
    )
    cell, count = np.unique(cluster.astype(np.int64) * max(1, len(label_size)) + label_at, return_counts=True)
    n = count.astype(np.float64)
    return Sums(
        len(group),
        int((count.astype(np.int64) ** 2).sum()),
        entropy=float((n * np.log(n)).sum()),
        precision=float((n * n / cluster_size[cell // max(1, len(label_size))]).sum()),
        recall=float((n * n / label_size[cell % max(1, len(label_size))]).sum()),
        clusters=_sizes(cluster_size),
        classes=_sizes(label_size),
    )


def _sizes(size: Longs) -> Histogram:
    distinct, groups = np.unique(size, return_counts=True)
    return distinct.astype(np.int64), groups.astype(np.int64)


def scores(sums: Sums) -> Mapping[str, float | None]:
    """Return all metrics; None where one is undefined.

    Precision is undefined when every cluster is a singleton.

    Notes
    -----
    Pairwise and BCubed as in Zhan et al. (ECCV 2018) and Amigo et al. (2009); NMI and AMI with the arithmetic
    normaliser, as scikit-learn since 0.22.
    """
    return {**_pairwise(sums), **_bcubed(sums), **_information(sums), "ari": _adjusted_rand(sums)}


def _pairs(histogram: Histogram) -> int:
    return sum(int(size) * int(size) * int(count) for size, count in zip(*histogram, strict=True))


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def _harmonic(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    return 2 * a * b / (a + b) if a + b else 0.0


def _pairwise(sums: Sums) -> dict[str, float | None]:
    true = sums.squares - sums.items
    precision = _ratio(true, _pairs(sums.clusters) - sums.items)
    recall = _ratio(true, _pairs(sums.classes) - sums.items)
    return {
        "pairwise_precision": precision,
        "pairwise_recall": recall,
        "pairwise_f": _harmonic(precision, recall),
    }


def _bcubed(sums: Sums) -> dict[str, float | None]:
    precision, recall = _ratio(sums.precision, sums.items), _ratio(sums.recall, sums.items)
    return {"bcubed_precision": precision, "bcubed_recall": recall, "bcubed_f": _harmonic(precision, recall)}


def _group_entropy(histogram: Histogram, items: int) -> float:
    sizes, counts = (column.astype(np.float64) for column in histogram)
    return float(np.log(items) - (counts * sizes * np.log(sizes)).sum() / items) if items else 0.0


def _information(sums: Sums) -> dict[str, float | None]:
    if not sums.items:
        return {"nmi": None, "ami": None, "v_measure": None}
    clusters, classes = _group_entropy(sums.clusters, sums.items), _group_entropy(sums.classes, sums.items)
    joint = float(np.log(sums.items) - sums.entropy / sums.items)
    mutual = max(0.0, clusters + classes - joint)
    mean = (clusters + classes) / 2
    one_each = len(sums.clusters[0]) == len(sums.classes[0]) == 1 and (sums.clusters[1].sum() == sums.classes[1].sum())
    if one_each and sums.clusters[1].sum() in (1, sums.items):
        return {"nmi": 1.0, "ami": 1.0, "v_measure": 1.0}
    normalised = mutual / mean if mean > 0 else 0.0
    expected = expected_mutual_information(sums.clusters, sums.classes, sums.items)
    room = mean - expected
    # As in scikit-learn: a denominator of the other sign is a rounding error.
    room = min(room, -np.finfo(float).eps) if room < 0 else max(room, np.finfo(float).eps)
    return {"nmi": normalised, "ami": float((mutual - expected) / room), "v_measure": normalised}


def f_scores(sums: Sums) -> tuple[float | None, float | None]:
    """Return only pairwise and BCubed F; None where one is undefined."""
    pairs = _pairs(sums.clusters) + _pairs(sums.classes) - 2 * sums.items
    return _ratio(2 * (sums.squares - sums.items), pairs), _bcubed(sums)["bcubed_f"]


def expected_mutual_information(clusters: Histogram, classes: Histogram, items: int) -> float:
    """Return the expected mutual information of random groupings of the same sizes.

    Source: Vinh et al., 2010.
    """
    if not items:
        return 0.0
    return _expected(*clusters, *classes, items)


_NEGLIGIBLE = 1e-20


@compiled
def _expected(sizes: Longs, counts: Longs, class_sizes: Longs, class_counts: Longs, items: int) -> float:
    """Sum up the hypergeometric law of each two sizes, from its mode outwards."""
    total = 0.0
    whole = math.lgamma(items + 1.0)
    for i in range(len(class_sizes)):
        a = float(class_sizes[i])
        of_a = math.lgamma(a + 1) + math.lgamma(items - a + 1) - whole
        for j in range(len(sizes)):
            b = float(sizes[j])
            low, high = max(1.0, a + b - items), min(a, b)
            mode = min(max(low, np.floor((a + 1) * (b + 1) / (items + 2.0))), high)
            log_mode = of_a + math.lgamma(b + 1) + math.lgamma(items - b + 1) - math.lgamma(mode + 1)
            log_mode -= math.lgamma(a - mode + 1) + math.lgamma(b - mode + 1) + math.lgamma(items - a - b + mode + 1)
            base = math.log(items) - math.log(a) - math.log(b)
            mean, share, n = 0.0, math.exp(log_mode), mode
            while n <= high and share > _NEGLIGIBLE:
                mean += share * n * (math.log(n) + base)
                share *= (a - n) * (b - n) / ((n + 1) * (items - a - b + n + 1))
                n += 1
            share, n = math.exp(log_mode), mode
            while n > low:
                share *= n * (items - a - b + n) / ((a - n + 1) * (b - n + 1))
                n -= 1
                if share <= _NEGLIGIBLE:
                    break
                mean += share * n * (math.log(n) + base)
            total += class_counts[i] * counts[j] * mean / items
    return total


def _adjusted_rand(sums: Sums) -> float | None:
    if sums.items < 2:
        return None
    together = (sums.squares - sums.items) / 2
    in_clusters = (_pairs(sums.clusters) - sums.items) / 2
    in_classes = (_pairs(sums.classes) - sums.items) / 2
    expected = in_clusters * in_classes / (sums.items * (sums.items - 1) / 2)
    most = (in_clusters + in_classes) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)

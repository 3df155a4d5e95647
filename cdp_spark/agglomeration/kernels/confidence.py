"""Confidence of clusters and items, and the cluster that each would join next.

In: an agglomeration and its pairs. Out: figures in [0, 1], so that users can select the confident ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Agglomeration, partners
from cdp_spark.networks.kernels.mlp import sigmoid

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

_UNIT = 2.0**30
"""Probabilities are rounded to multiples of 1 / _UNIT, so that their sums are exact in any order of the pairs."""


@dataclass(frozen=True)
class Confidence:
    """Confidence of items, and the best other cluster of each cluster.

    Attributes
    ----------
    item : ndarray of float32, shape (items,)
        Mean probability of the item's pairs inside its cluster (1 when alone), times the probability that its cluster
        and the best other are two.
    best_other : ndarray of int64, shape (items,)
        For each cluster, by name, the one that it would join next; -1: none is linked.
    other_probability : ndarray of float32, shape (items,)
        For each cluster, by name, the probability that it and the best other are one. At most .5, since they would
        otherwise have merged, except where the other has a better partner.
    """

    item: Floats
    best_other: Longs
    other_probability: Floats


def confidence(result: Agglomeration, src: Longs, dst: Longs, z: Floats) -> Confidence:
    """Compute the confidence of the clusters of an agglomeration.

    Parameters
    ----------
    result : Agglomeration
    src, dst, z : ndarray
        Its pairs.

    Examples
    --------
    >>> from cdp_spark.agglomeration.kernels.agglomeration import Rule, agglomerated
    >>> from cdp_spark.agglomeration.kernels.links import ItemPairs
    >>> pairs = np.array([0, 2]), np.array([1, 3]), np.float32([3.0, -3.0])
    >>> sure = confidence(agglomerated(ItemPairs(*pairs, 4), Rule()), *pairs)
    >>> (100 * sure.item).round().tolist(), sure.best_other.tolist()
    ([95.0, 95.0, 95.0, 95.0], [-1, -1, 3, 2])
    """
    count = len(result.root)
    inside = (result.root[src] == result.root[dst]) & (src != dst)
    probability = np.round(sigmoid(z[inside].astype(np.float64)) * _UNIT) / _UNIT
    ends = np.concatenate([src[inside], dst[inside]])
    pairs = np.bincount(ends, minlength=count)
    total = np.bincount(ends, weights=np.concatenate([probability, probability]), minlength=count)
    mean = np.divide(total, pairs, out=np.ones(count), where=pairs > 0)
    other, score = partners(result.links, count, above=-np.inf)
    joining = np.where(other >= 0, sigmoid(score), 0.0)
    item = (mean * (1 - joining[result.root])).astype(np.float32)
    return Confidence(item, other, joining.astype(np.float32))

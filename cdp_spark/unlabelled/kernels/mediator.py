"""The mediator without labels: two looks at each pair, then clusters.

In: features of pairs. Out: log odds that the two are one identity, up to a shift that depends on the set, and the rule
by which clusters merge. It has learned from simulated sets alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Rule, agglomerated
from cdp_spark.agglomeration.kernels.links import ItemPairs
from cdp_spark.base.numeric.connected import connected_components
from cdp_spark.base.numeric.dense_numbers import positions
from cdp_spark.networks.kernels.mlp import MOST_ODDS, Mlp
from cdp_spark.unlabelled.kernels.joint_view import NEAREST
from cdp_spark.unlabelled.kernels.networks import logits, mean_logits
from cdp_spark.unlabelled.kernels.second_look import around, lists_of_pairs

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class UnlabelledMediator:
    """Networks; those of a look answer with their mean.

    Attributes
    ----------
    first : tuple of Mlp
        Read the 85 features.
    second : tuple of Mlp
        Read these and the 13 numbers around the pair.
    clusters : Mlp
        Reads the 12 features of a link between two clusters.
    """

    first: tuple[Mlp, ...]
    second: tuple[Mlp, ...]
    clusters: Mlp

    def first_look(self, features: Halves) -> Floats:
        """Return the log odds of pairs by themselves."""
        return mean_logits(self.first, features).astype(np.float32)

    def second_look(self, features: Halves, seen: Floats) -> Floats:
        """Return the log odds of pairs with what is around them (``second_look.around``)."""
        return mean_logits(self.second, with_around(features, seen)).astype(np.float32)

    @property
    def rule(self) -> Rule:
        """How links between clusters are scored."""
        return Rule(lambda features: logits(self.clusters, features), k=NEAREST)


def with_around(features: Halves, seen: Floats) -> Floats:
    """Put features and what is around side by side."""
    return np.concatenate([features.astype(np.float32), seen], axis=1)


def seen_around(src: Longs, dst: Longs, z: Floats) -> Floats:
    """Look around all pairs of a set; they are sorted by ``src``."""
    items, lists = lists_of_pairs(src, dst, z)
    return around(items, lists, positions(items, src), positions(items, dst))


def clusters_of(src: Longs, dst: Longs, z: Floats, rule: Rule, count: int) -> Longs:
    """Return the smallest item of each item's cluster; components of z > 0 do not meet, so each can be a task's."""
    piece, above = np.arange(count), z > 0
    items, root = connected_components(src[above], dst[above])
    piece[items] = root
    inside = piece[src] == piece[dst]
    clipped = np.clip(z[inside], -MOST_ODDS, MOST_ODDS).astype(np.float32)
    return agglomerated(ItemPairs(src[inside], dst[inside], clipped, count), rule).root

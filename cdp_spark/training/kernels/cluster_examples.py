"""Examples for a cluster mediator: links that occur while labelled worlds are agglomerated.

In: the pairs of a labelled world with cross-fitted logits. Out: features of links, the share of true pairs between
their two clusters, and weights. In each round the best links of all clusters are taken, which decide the merges, and
some of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Moment, Rule, agglomerated, partners
from cdp_spark.agglomeration.kernels.link_features import Centroids, Clusters, link_features, rivals_of
from cdp_spark.agglomeration.kernels.links import ItemPairs, Links
from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.uniform_hashes import uniform

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

OTHERS = 0.05
"""Share of examples among the links that are not the best of any cluster."""


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of one world whose items are numbered 0 to n - 1.

    Attributes
    ----------
    src, dst : ndarray of int64, shape (m,)
    z : ndarray of float32, shape (m,)
        Cross-fitted, calibrated logits.
    identity : ndarray of int64, shape (n,)
    labelled : ndarray of bool, shape (n,)
        The others are the crowd: they have none of the labelled identities, and their own are unknown.
    """

    src: Longs
    dst: Longs
    z: Floats
    identity: Longs
    labelled: NDArray[np.bool_]


@dataclass(frozen=True)
class LinkExamples:
    """Examples of links.

    Attributes
    ----------
    features : ndarray of float32, shape (n, features)
        See :func:`~cdp_spark.agglomeration.kernels.link_features.link_feature_names`.
    same : ndarray of float32, shape (n,)
        Share of the possible pairs between two clusters that are of one identity.
    weight : ndarray of float32, shape (n,)
        Square root of the smaller cluster's size; half of it where one cluster holds items of the crowd, because such
        a link is an example for one end only.
    """

    features: Floats
    same: Floats
    weight: Floats


def trust_in(identities: int) -> float:
    """Return the trust in a cluster mediator by the number of its identities.

    The rest is the weight of the sum of z (see :class:`~cdp_spark.agglomeration.kernels.agglomeration.Rule`): as in a
    mean of two estimates, the one with few examples weighs less.

    >>> round(trust_in(64), 2), round(trust_in(2_000), 2)
    (0.5, 0.97)
    """
    return identities / (identities + _DOUBTED)


_DOUBTED = 64


def link_examples(world: LabelledPairs, rule: Rule, centroids: Centroids | None = None) -> LinkExamples:
    """Agglomerate a labelled world with its crowd, and return the examples.

    Parameters
    ----------
    world : LabelledPairs
    rule : Rule
        The first pass merges by the mean z, the second by the mediator trained in the first.
    centroids : Centroids, optional
        Centroids of the items, if vectors are read.
    """
    rounds: list[LinkExamples] = []

    def watch(moment: Moment) -> None:
        crowded = np.bincount(moment.root, weights=~world.labelled, minlength=len(world.identity)) > 0
        rows = _chosen(moment, len(rounds))
        # If one cluster has only labelled items, the number of true pairs with any other is known.
        rows = rows[~crowded[moment.links.a[rows]] | ~crowded[moment.links.b[rows]]]
        links = moment.links.take(rows)
        rivals = rivals_of(moment.links, moment.links.mean, len(world.identity))[rows]
        every = np.arange(len(rows))
        features = link_features(links, every, rivals, Clusters(moment.size, moment.centroids), rule.k)
        smaller = np.minimum(moment.size[links.a], moment.size[links.b])
        same = true_share(links, moment.root, world.identity, moment.size)
        weight = np.sqrt(smaller) * np.where(crowded[links.a] | crowded[links.b], 0.5, 1.0)
        rounds.append(LinkExamples(features, same, weight.astype(np.float32)))

    pairs = ItemPairs(world.src, world.dst, world.z, len(world.identity))
    agglomerated(pairs, rule, centroids=centroids, watch=watch)
    return joined(rounds)


def joined(examples: list[LinkExamples]) -> LinkExamples:
    """Concatenate examples."""
    return LinkExamples(
        np.concatenate([each.features for each in examples]),
        np.concatenate([each.same for each in examples]),
        np.concatenate([each.weight for each in examples]),
    )


def _chosen(moment: Moment, number: int) -> Longs:
    """Choose among the newly scored links, so that an unchanged link occurs once."""
    links = moment.links
    partner, _ = partners(links, len(moment.size), above=-np.inf)
    fresh = moment.fresh
    a, b = links.a[fresh], links.b[fresh]
    is_best = (partner[a] == b) | (partner[b] == a)
    drawn = uniform(a.astype(np.int64) << 32 | b.astype(np.int64), 2 * number) < OTHERS
    # In the order of the clusters, which does not depend on that of the links.
    rows = fresh[is_best | drawn]
    ordered: Longs = rows[np.lexsort((links.b[rows], links.a[rows]))]
    return ordered


def true_share(links: Links, root: Longs, identity: Longs, size: Longs) -> Floats:
    """Return the share of each link's possible pairs that are one identity."""
    order = np.lexsort((identity, root))
    clusters, identities = root[order], identity[order]
    new = np.ones(len(order), bool)
    new[1:] = (clusters[1:] != clusters[:-1]) | (identities[1:] != identities[:-1])
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(order)))
    offsets = np.searchsorted(clusters[starts], np.arange(len(root) + 1))
    shares = np.empty(len(links), np.float32)
    _true_shares((links.a, links.b), (offsets, identities[starts], counts), size, shares)
    return shares


@compiled
def _true_shares(ends: tuple[Ints, Ints], composition: tuple[Longs, Longs, Longs], size: Longs, out: Floats) -> None:
    (a, b), (offsets, identities, counts) = ends, composition
    for link in range(len(a)):
        here, there, same = offsets[a[link]], offsets[b[link]], 0
        while here < offsets[a[link] + 1] and there < offsets[b[link] + 1]:
            if identities[here] == identities[there]:
                same += counts[here] * counts[there]
                here, there = here + 1, there + 1
            elif identities[here] < identities[there]:
                here += 1
            else:
                there += 1
        out[link] = same / (float(size[a[link]]) * size[b[link]])

"""What a cluster mediator learns from: links that come up while labelled worlds are agglomerated.

In: a labelled world's pairs with honest logits. Out: features of links, the share of true pairs between their two
clusters, and weights. Of each round the best links of all clusters are taken, which decide, and some of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Moment, Rule, agglomerated, partners
from cdp_spark.agglomeration.kernels.centroids import Centroids
from cdp_spark.agglomeration.kernels.link_features import Clusters, link_features, rivals_of
from cdp_spark.agglomeration.kernels.links import ItemPairs, Links
from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.uniform_hashes import uniform

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

OTHERS = 0.05
"""Share of the links that are no cluster's best that are learned from."""


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of one world whose items are numbered 0 to n - 1.

    Attributes
    ----------
    src, dst : ndarray of int64, shape (m,)
    z : ndarray of float32, shape (m,)
        Honest calibrated logits.
    identity : ndarray of int64, shape (n,)
    labelled : ndarray of bool, shape (n,)
        The others are the crowd: of none of the identities of labelled items, and who belongs together is not known.
    """

    src: Longs
    dst: Longs
    z: Floats
    identity: Longs
    labelled: NDArray[np.bool_]


@dataclass(frozen=True)
class LinkExamples:
    """What is learned from.

    Attributes
    ----------
    features : ndarray of float32, shape (n, features)
        See :func:`~cdp_spark.agglomeration.kernels.link_features.link_feature_names`.
    same : ndarray of float32, shape (n,)
        Share of the possible pairs between two clusters that are of one identity.
    weight : ndarray of float32, shape (n,)
        Square root of the smaller cluster's size; half of it where one cluster holds some of the crowd, since such a
        link is met from one end only.
    """

    features: Floats
    same: Floats
    weight: Floats


def trust_in(identities: int) -> float:
    """Return how far a cluster mediator is trusted that has learned from so many identities, between 0 and 1.

    The rest goes by the sum of z (``kernels.agglomeration.Rule``): as in a mean of two estimates, the one that rests on
    few examples weighs less.

    >>> round(trust_in(64), 2), round(trust_in(2_000), 2)
    (0.5, 0.97)
    """
    return identities / (identities + _DOUBTED)


_DOUBTED = 64


def link_examples(world: LabelledPairs, rule: Rule, centroids: Centroids | None = None) -> LinkExamples:
    """Agglomerate a labelled world, and the crowd around it, by a rule, and return what comes up.

    Parameters
    ----------
    world : LabelledPairs
    rule : Rule
        The first pass is driven by the mean z, a second by the mediator that has learned from it.
    centroids : Centroids, optional
        Of the items, where vectors are read.
    """
    found: list[LinkExamples] = []

    def watch(moment: Moment) -> None:
        crowded = np.bincount(moment.root, weights=~world.labelled, minlength=len(world.identity)) > 0
        rows = _chosen(moment, len(found))
        # One cluster of labelled items alone is enough to know how many pairs with any other are of one identity.
        rows = rows[~crowded[moment.links.a[rows]] | ~crowded[moment.links.b[rows]]]
        links = moment.links.take(rows)
        rivals = rivals_of(moment.links, moment.links.mean, len(world.identity))[rows]
        every = np.arange(len(rows))
        features = link_features(links, every, rivals, Clusters(moment.size, moment.centroids), rule.k)
        smaller = np.minimum(moment.size[links.a], moment.size[links.b])
        same = true_share(links, moment.root, world.identity, moment.size)
        weight = np.sqrt(smaller) * np.where(crowded[links.a] | crowded[links.b], 0.5, 1.0)
        found.append(LinkExamples(features, same, weight.astype(np.float32)))

    pairs = ItemPairs(world.src, world.dst, world.z, len(world.identity))
    agglomerated(pairs, rule, centroids=centroids, watch=watch)
    return joined(found)


def joined(parts: list[LinkExamples]) -> LinkExamples:
    """Return all examples of several."""
    return LinkExamples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.same for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


def _chosen(moment: Moment, number: int) -> Longs:
    """Choose among the links scored in this round: one that stays as it is, is learned from once."""
    links = moment.links
    partner, _ = partners(links, len(moment.size), above=-np.inf)
    fresh = moment.fresh
    a, b = links.a[fresh], links.b[fresh]
    is_best = (partner[a] == b) | (partner[b] == a)
    drawn = uniform(a.astype(np.int64) << 32 | b.astype(np.int64), 2 * number) < OTHERS
    # In the order of the clusters, not in that in which links lie.
    rows = fresh[is_best | drawn]
    ordered: Longs = rows[np.lexsort((links.b[rows], links.a[rows]))]
    return ordered


def true_share(links: Links, root: Longs, identity: Longs, size: Longs) -> Floats:
    """Return, for each link, the share of the possible pairs between its clusters that are of one identity."""
    order = np.lexsort((identity, root))
    clusters, identities = root[order], identity[order]
    new = np.ones(len(order), bool)
    new[1:] = (clusters[1:] != clusters[:-1]) | (identities[1:] != identities[:-1])
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(order)))
    offsets = np.searchsorted(clusters[starts], np.arange(len(root) + 1))
    found = np.empty(len(links), np.float32)
    _true_shares((links.a, links.b), (offsets, identities[starts], counts), size, found)
    return found


@compiled
def _true_shares(ends, composition, size, found):  # type: ignore[no-untyped-def]
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
        found[link] = same / (float(size[a[link]]) * size[b[link]])

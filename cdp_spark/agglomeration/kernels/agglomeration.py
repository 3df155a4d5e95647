"""Agglomeration in rounds: clusters of scored pairs without a threshold.

In: pairs of items with calibrated logits z. Out: the cluster of each item, and the links left between clusters.

Each round scores the links between the present clusters. Two clusters that are each other's best partner merge if the
score is above 0. Another cluster whose best partner is one of the two joins them if its score is nearly as good and its
link to no other member of the group has a score of 0 or less; otherwise a cluster of hundreds would take hundreds of
rounds. The rounds end when no two clusters merge.

There are two rules. ``contraction``: the score is the sum of z, the log odds that all pairs between two clusters are
true if they are independent (greedy additive edge contraction: Keuper et al., Efficient decomposition of image and mesh
graphs by lifted multicuts, ICCV 2015). ``learned``: ``trust`` times a cluster mediator's logit, plus ``1 - trust``
times that sum.

Clusters without a link never affect each other, so pieces may be computed together or
apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.link_features import FLOOR, Centroids, Clusters, link_features, rivals_of
from cdp_spark.agglomeration.kernels.links import ItemPairs, Links, contracted
from cdp_spark.base.compiled import compiled

Bools = NDArray[np.bool_]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

TOGETHER = 0.5
"""Largest difference between the score of two best partners and that of a cluster that joins them."""

_ROWS = 1 << 18
"""Links whose features are in memory at a time."""


@dataclass(frozen=True)
class Rule:
    """How links are scored.

    Attributes
    ----------
    score : callable of ndarray of float32, shape (n, features), to ndarray of float64, shape (n,), or None
        Log odds that two clusters are one identity, from
        :func:`~cdp_spark.agglomeration.kernels.link_features.link_features`,
        each row by itself; None: the sum of z (contraction).
    k : int
        Neighbours in a full list.
    trust : float
        Weight of ``score``; the rest is the weight of the sum of z. A network trained on few identities is
        unreliable for clusters larger than theirs; the sum is not.
    """

    score: Callable[[Floats], Doubles] | None = None
    k: int = 15
    trust: float = 1.0


@dataclass(frozen=True)
class Moment:
    """The state of a round before clusters merge.

    Attributes
    ----------
    links : Links
        Scored; -inf where the mean z is at most ``FLOOR``.
    size : ndarray of int64, shape (items,)
        Items of each cluster, by name.
    root : ndarray of int64, shape (items,)
        Name of each item's cluster.
    fresh : ndarray of int64
        Indices of the links with a new score.
    centroids : Centroids or None
        Centroids of the clusters, if the rule reads vectors.
    """

    links: Links
    size: Longs
    root: Longs
    fresh: Longs
    centroids: Centroids | None = None


@dataclass(frozen=True)
class Agglomeration:
    """Clusters, and the links left between them.

    Attributes
    ----------
    root : ndarray of int64, shape (items,)
        Smallest item of each item's cluster.
    links : Links
        Scored links between the clusters: at most 0 where two are each other's best partner.
    rounds : int
    """

    root: Longs
    links: Links
    rounds: int


def agglomerated(
    pairs: ItemPairs,
    rule: Rule,
    *,
    centroids: Centroids | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> Agglomeration:
    """Merge clusters until no two are each other's best partner.

    Parameters
    ----------
    pairs : ItemPairs
    rule : Rule
    centroids : Centroids, optional
        Centroids of the items, if the rule reads them; changed.
    watch : callable of Moment, optional
        Called in every round.

    Examples
    --------
    >>> src, dst = np.array([0, 1, 0, 2]), np.array([1, 2, 2, 3])
    >>> agglomerated(ItemPairs(src, dst, np.float32([3.0, 2.0, -1.0, -4.0]), 4), Rule()).root.tolist()
    [0, 0, 0, 3]
    """
    count = pairs.items
    models = 0 if centroids is None else centroids.models
    rivals = 0 if rule.score is None else 2 if centroids is None else 4
    links = Links.of_pairs(pairs.src, pairs.dst, pairs.z, rivals=rivals, models=models)
    root, size = np.arange(count), np.ones(count, np.int64)
    rounds = 0
    while True:
        links, fresh = _scored(links, size, rule, centroids)
        if watch is not None:
            watch(Moment(links, size, root, fresh, centroids))
        partner, score = partners(links, count, above=0.0)
        into = _merged(links, partner, score)
        changed = np.bincount(into, minlength=count) > 1
        if not changed.any():
            return Agglomeration(root, links, rounds)
        root, rounds = into[root], rounds + 1
        size = np.bincount(into, weights=size, minlength=count).astype(np.int64)
        if centroids is not None:
            centroids.merge(into, changed)
        links = contracted(links, into, changed)


def _scored(links: Links, size: Longs, rule: Rule, centroids: Centroids | None) -> tuple[Links, Longs]:
    """Score the links that changed or whose rivals changed; return these as well."""
    if rule.score is None:
        return replace(links, score=links.total), np.flatnonzero(np.isnan(links.score))
    mean = links.mean
    near = mean > FLOOR
    if centroids is not None:
        links = _with_cosines(links, near, centroids, size)
    rivals = rivals_of(links, mean, len(size))
    # New links have NaN, which differs from everything.
    fresh = np.flatnonzero(near & (rivals != links.rivals).any(axis=1))
    score = np.where(near, links.score, -np.inf)
    for start in range(0, len(fresh), _ROWS):
        rows = fresh[start : start + _ROWS]
        learned = rule.score(link_features(links, rows, rivals[rows], Clusters(size, centroids), rule.k))
        score[rows] = rule.trust * learned + (1 - rule.trust) * links.total[rows]
    return replace(links, score=score, rivals=rivals), fresh


def _with_cosines(links: Links, near: Bools, centroids: Centroids, size: Longs) -> Links:
    """Compute the cosines of near links that have none."""
    rows = np.flatnonzero(near & np.isnan(links.cosines[:, 0]))
    cosines = links.cosines.copy()
    cosines[rows] = centroids.averages(links.a[rows], links.b[rows], size)
    return replace(links, cosines=cosines)


def partners(links: Links, count: int, *, above: float) -> tuple[Longs, Doubles]:
    """Return each cluster's best partner; ties go to the smaller name.

    Only links with a score above ``above`` count.

    Returns
    -------
    partner : ndarray of int64, shape (count,)
        -1: none.
    score : ndarray of float64, shape (count,)
    """
    partner, best = np.full(count, -1, np.int64), np.full(count, above, np.float64)
    _best_partners(links.a, links.b, links.score, partner, best)
    return partner, best


@compiled
def _best_partners(a: Ints, b: Ints, score: Doubles, partner: Longs, best: Doubles) -> None:
    for link in range(len(a)):
        value = score[link]
        for one, other in ((a[link], b[link]), (b[link], a[link])):
            if value > best[one] or (value == best[one] and 0 <= other < partner[one]):
                partner[one], best[one] = other, value


class _Scores(NamedTuple):
    """Ends and scores of links."""

    a: Ints
    b: Ints
    score: Doubles


def _merged(links: Links, partner: Longs, best: Doubles) -> Longs:
    """Return the new name of each cluster."""
    into = np.arange(len(partner))
    _group(partner, best, TOGETHER, into)
    _leave_out(_Scores(links.a, links.b, links.score), partner, best, into, np.zeros(len(into), np.bool_))
    smallest = np.empty(len(into), np.int64)
    smallest[into[::-1]] = np.arange(len(into) - 1, -1, -1)  # the smallest is written last
    named: Longs = smallest[into]
    return named


@compiled
def _group(partner: Longs, best: Doubles, together: float, into: Longs) -> None:
    """Put two best partners, and the clusters that join them, into one group."""
    for one in range(len(partner)):
        other = partner[one]
        if other < 0:
            continue
        back = partner[other]
        if back == one:
            into[one] = min(one, other)
        elif partner[back] == other and best[one] >= best[other] - together:
            into[one] = min(other, back)


@compiled
def _leave_out(links: _Scores, partner: Longs, best: Doubles, into: Longs, out: Bools) -> None:
    """Remove clusters that join a group despite a link with a score of 0 or less.

    They meet the merged cluster in the next round.
    """
    a, b, score = links
    for link in range(len(a)):
        x, y = a[link], b[link]
        if into[x] == into[y] and score[link] <= 0:
            x_joins, y_joins = partner[partner[x]] != x, partner[partner[y]] != y
            if x_joins and (not y_joins or best[x] < best[y]):
                out[x] = True
            elif y_joins:
                out[y] = True
    for one in range(len(into)):
        if out[one]:
            into[one] = one

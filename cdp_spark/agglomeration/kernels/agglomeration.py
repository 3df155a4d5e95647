"""Agglomeration in rounds: clusters of scored pairs without a threshold.

In: pairs of items with calibrated logits z. Out: the cluster of each item, and the links left between clusters.

Each round scores the links between the clusters there are. Two clusters that are each other's best partner merge when
the score is above 0. Others whose best partner is one of the two come along when their score is nearly as good and
nobody in the group would rather be apart from them, else a cluster of hundreds would take hundreds of rounds. It ends
when no two clusters would rather be one.

Two rules. ``contraction``: the score is the sum of z, the log odds that all pairs between two clusters are true were
they independent (greedy additive edge contraction: Keuper et al., Efficient decomposition of image and mesh graphs by
lifted multicuts, ICCV 2015). ``learned``: a cluster mediator's logit and, for the part in which it is not trusted, that
sum.

Rounds know no distance: what is not linked does not meet, so any pieces without links between them may be computed
together or apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.centroids import Centroids
from cdp_spark.agglomeration.kernels.link_features import FLOOR, link_features, rivals_of
from cdp_spark.agglomeration.kernels.links import Links, contracted
from cdp_spark.base.compiled import compiled

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

TOGETHER = 0.5
"""How much worse than a merging cluster's best partner another one may be to come along."""

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
        Share of ``score`` in what counts; the rest is the sum of z. A network that has learned from few identities
        misjudges clusters larger than they were; the sum does not.
    """

    score: Callable[[Floats], Doubles] | None = None
    k: int = 15
    trust: float = 1.0


@dataclass(frozen=True)
class Moment:
    """What there is in a round, before clusters merge.

    Attributes
    ----------
    links : Links
        Scored; -inf where not looked at.
    size : ndarray of int64, shape (items,)
        Items of each cluster, by name.
    root : ndarray of int64, shape (items,)
        Name of each item's cluster.
    fresh : ndarray of int64
        Places of the links whose score is new.
    centroids : Centroids or None
        Of the clusters, where the rule reads vectors.
    """

    links: Links
    size: Longs
    root: Longs
    fresh: Longs
    centroids: Centroids | None = None


@dataclass(frozen=True)
class Agglomeration:
    """Clusters, and what is left between them.

    Attributes
    ----------
    root : ndarray of int64, shape (items,)
        Smallest item of each item's cluster.
    links : Links
        Between the clusters, scored: at most 0 where two are each other's best.
    rounds : int
    """

    root: Longs
    links: Links
    rounds: int


def agglomerated(
    src: Longs,
    dst: Longs,
    z: Floats,
    rule: Rule,
    *,
    count: int,
    centroids: Centroids | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> Agglomeration:
    """Merge clusters until none would rather be one.

    Parameters
    ----------
    src, dst : ndarray of int64, shape (m,)
        Items, 0 to ``count - 1``, in the order by which ties are broken; pairs in any order.
    z : ndarray of float32, shape (m,)
        Log odds that the two are one identity; finite.
    rule : Rule
    count : int
        Items, at most 2**31 - 1.
    centroids : Centroids, optional
        Of the items, where the rule's score reads them; changed on the way.
    watch : callable of Moment, optional
        Is shown every round.

    Examples
    --------
    >>> src, dst = np.array([0, 1, 0, 2]), np.array([1, 2, 2, 3])
    >>> agglomerated(src, dst, np.float32([3.0, 2.0, -1.0, -4.0]), Rule(), count=4).root.tolist()
    [0, 0, 0, 3]
    """
    models = 0 if centroids is None else centroids.models
    rivals = 0 if rule.score is None else 2 if centroids is None else 4
    links = Links.of_pairs(src, dst, z, rivals=rivals, models=models)
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
    """Score the links that have changed, or whose ends have other rivals now; return also which these are."""
    if rule.score is None:
        return replace(links, score=links.total), np.flatnonzero(np.isnan(links.score))
    mean = links.mean
    looked_at = mean > FLOOR
    if centroids is not None:
        links = _with_cosines(links, looked_at, centroids, size)
    rivals = rivals_of(links, mean, len(size))
    # Those that are new have NaN, which differs from everything.
    fresh = np.flatnonzero(looked_at & (rivals != links.rivals).any(axis=1))
    score = np.where(looked_at, links.score, -np.inf)
    for start in range(0, len(fresh), _ROWS):
        rows = fresh[start : start + _ROWS]
        said = rule.score(link_features(links, rows, rivals[rows], size, rule.k, centroids=centroids))
        score[rows] = rule.trust * said + (1 - rule.trust) * links.total[rows]
    return replace(links, score=score, rivals=rivals), fresh


def _with_cosines(links: Links, looked_at: NDArray[np.bool_], centroids: Centroids, size: Longs) -> Links:
    """Compare the clusters of the links that are looked at and new."""
    rows = np.flatnonzero(looked_at & np.isnan(links.cosines[:, 0]))
    cosines = links.cosines.copy()
    cosines[rows] = centroids.averages(links.a[rows], links.b[rows], size)
    return replace(links, cosines=cosines)


def partners(links: Links, count: int, *, above: float) -> tuple[Longs, Doubles]:
    """Return each cluster's best partner by (score, smaller name) among links of a score above some value; -1: none.

    Returns
    -------
    partner : ndarray of int64, shape (count,)
    score : ndarray of float64, shape (count,)
    """
    partner, best = np.full(count, -1, np.int64), np.full(count, above, np.float64)
    _best_partners(links.a, links.b, links.score, partner, best)
    return partner, best


@compiled
def _best_partners(a, b, score, partner, best):  # type: ignore[no-untyped-def]
    for link in range(len(a)):
        value = score[link]
        for one, other in ((a[link], b[link]), (b[link], a[link])):
            if value > best[one] or (value == best[one] and 0 <= other < partner[one]):
                partner[one], best[one] = other, value


def _merged(links: Links, partner: Longs, best: Doubles) -> Longs:
    """Return the new name of each cluster."""
    into = np.arange(len(partner))
    _group(partner, best, TOGETHER, into)
    _leave_out((links.a, links.b, links.score), partner, best, into, np.zeros(len(into), np.bool_))
    smallest = np.empty(len(into), np.int64)
    smallest[into[::-1]] = np.arange(len(into) - 1, -1, -1)  # the last written is the smallest
    named: Longs = smallest[into]
    return named


@compiled
def _group(partner, best, together, into):  # type: ignore[no-untyped-def]
    """Put each cluster into the group of a pair of best partners, if it is one or comes along."""
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
def _leave_out(links, partner, best, into, out):  # type: ignore[no-untyped-def]
    """Leave out who came along but would rather be apart from another: it meets the merged cluster next round."""
    a, b, score = links
    for link in range(len(a)):
        x, y = a[link], b[link]
        if into[x] == into[y] and score[link] <= 0:
            x_came, y_came = partner[partner[x]] != x, partner[partner[y]] != y
            if x_came and (not y_came or best[x] < best[y]):
                out[x] = True
            elif y_came:
                out[y] = True
    for one in range(len(into)):
        if out[one]:
            into[one] = one

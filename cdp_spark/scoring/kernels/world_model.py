"""Describe data as a mixture of simulated worlds, which differ in the number of images per identity.

In: neighbour lists of the items of each world and of the data. Out: features of the density around each item, which
distinguish the worlds, and the shares in which a mixture of worlds explains the data.

The labelled data have other identities than the data to cluster, and seldom as many images of each. What a similarity
means depends on the density of its region, so a mediator must have seen dense and sparse regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.networks.kernels.mlp import Ensemble, Mlp, outputs
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


DENSITY_RANKS = (0, 1, 2, 4, 7, 10, 14)
DENSITY_DROPS = ((0, 4), (4, 14))
"""Ranks, in a list of 15, of the similarities and of the drops between them that describe an item."""

_LIST = 15
_CONVERGED = 1e-7
_MOST_ROUNDS = 1_000
_OUTSIDE = 0.01
_RIDGE = 1e-3


def density_features(graphs: Sequence[Neighborhoods], k: int) -> Floats:
    """Describe the density around each item by the similarities of its neighbours.

    Parameters
    ----------
    graphs : sequence of Neighborhoods
        One per model, of the same items.
    k : int
        Neighbours in a full list; ranks are scaled in proportion to k / 15.

    Returns
    -------
    ndarray of float32, shape (n, 9 per model)
        Similarities at ``DENSITY_RANKS``, then the drops. A short list repeats its last; an empty one gives 0.
    """
    scaled = {rank: round(rank * (k - 1) / (_LIST - 1)) for rank in DENSITY_RANKS}
    columns = []
    for graph in graphs:
        at = {rank: _similarity_at(graph, scaled[rank]) for rank in DENSITY_RANKS}
        columns += [at[rank] for rank in DENSITY_RANKS]
        columns += [at[near] - at[far] for near, far in DENSITY_DROPS]
    return np.stack(columns, axis=1)


def _similarity_at(graph: Neighborhoods, rank: int) -> Floats:
    lengths = np.diff(graph.offsets)
    similarities = np.zeros(len(lengths), np.float32)
    some = lengths > 0
    similarities[some] = graph.similarities[(graph.offsets[:-1] + np.minimum(rank, lengths - 1))[some]]
    return similarities


def world_shares(posterior: Doubles) -> Doubles:
    """Estimate the shares of the worlds in some data.

    Parameters
    ----------
    posterior : ndarray of float64, shape (n, worlds)
        Probability that each item is of each world, by a classifier with equal priors.

    Returns
    -------
    ndarray of float64, shape (worlds,)
        Sums to 1; equal shares if there are no items.

    Notes
    -----
    Expectation maximisation over the mixture (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002).

    >>> world_shares(np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])).round(2).tolist()
    [0.71, 0.29]
    """
    worlds = posterior.shape[1]
    shares = np.full(worlds, 1 / worlds)
    if not len(posterior):
        return shares
    for _ in range(_MOST_ROUNDS):
        joint = posterior * shares
        # An item that belongs to no world by the classifier does not count.
        updated = (joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0)
        updated = np.asarray(updated / updated.sum(), np.float64)
        if np.abs(updated - shares).max() < _CONVERGED:
            return updated
        shares = updated
    return shares


def world_weights(shares: Doubles, *, trust: float = 0.75) -> Doubles:
    """Return the weight of each world: mostly its share, but never 0.

    >>> world_weights(np.array([1.0, 0.0, 0.0, 0.0])).tolist()
    [0.8125, 0.0625, 0.0625, 0.0625]
    """
    weights: Doubles = trust * shares + (1 - trust) / len(shares)
    return weights


def pure_mixtures(worlds: int) -> list[tuple[float, ...]]:
    """Return the :func:`world_weights` of data of one single world, for each world.

    >>> pure_mixtures(2)
    [(0.875, 0.125), (0.125, 0.875)]
    """
    return [tuple(world_weights(shares).tolist()) for shares in np.eye(worlds)]


@dataclass(frozen=True)
class WorldRange:
    """The region of the items of one world.

    Attributes
    ----------
    centre : ndarray of float32, shape (features,)
    whitening : ndarray of float32, shape (features, features)
        Makes the features of the world's items uncorrelated, with variance 1.
    limit : float
        Squared distance from the centre that 1 % of the world's items exceed.
    """

    centre: Floats
    whitening: Floats
    limit: float

    @classmethod
    def of(cls, features: Floats) -> WorldRange:
        """Fit it to the items' :func:`density_features`."""
        rows = features.astype(np.float64)
        centre = rows.mean(axis=0)
        covariance = np.cov(rows, rowvar=False, ddof=0).reshape(rows.shape[1], -1)
        # Drops are differences of similarities, so that the covariance is singular.
        ridge = _RIDGE * max(np.trace(covariance) / len(covariance), 1e-12)
        values, vectors = np.linalg.eigh(covariance + ridge * np.eye(len(covariance)))
        whitening = (vectors / np.sqrt(values)).astype(np.float32)
        unlimited = cls(centre.astype(np.float32), whitening, np.inf)
        return cls(unlimited.centre, whitening, float(np.quantile(unlimited.distances(features), 1 - _OUTSIDE)))

    def distances(self, features: Floats) -> Doubles:
        """Return the squared distance of each item from the centre."""
        squared: Doubles = (((features - self.centre) @ self.whitening).astype(np.float64) ** 2).sum(axis=1)
        return squared


def unexplained_share(features: Floats, worlds: Sequence[WorldRange]) -> float:
    """Return the share of items outside the range of every world.

    It is at most .01 on the worlds themselves.

    >>> seen = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    >>> unexplained_share(seen, [WorldRange.of(seen)]), unexplained_share(seen + 9, [WorldRange.of(seen)])
    (0.01, 1.0)
    """
    if not len(features):
        return 0.0
    inside = [world.distances(features) <= world.limit for world in worlds]
    return float(np.logical_not(np.logical_or.reduce(inside)).mean())


@dataclass(frozen=True)
class WorldModel:
    """Adapts a mediator to data, by the worlds that its items resemble.

    Attributes
    ----------
    classifier : Mlp
        Has one output per world, and equal priors.
    ranges : tuple of WorldRange
    calibrations : ndarray of float64, shape (worlds, 2)
        Slope and shift that calibrate the logits in each world.
    """

    classifier: Mlp
    ranges: tuple[WorldRange, ...]
    calibrations: Doubles

    def fitted(self, pairs: Ensemble, shares: Sequence[float]) -> Ensemble:
        """Return the networks that score data with these shares of the worlds."""
        slope, shift = np.array(shares) @ self.calibrations / sum(shares)
        weights = world_weights(np.array(shares) / sum(shares))
        return replace(pairs, slope=float(slope), shift=float(shift), mixture=tuple(weights.tolist()))

    def shares(self, features: Floats) -> Doubles:
        """Estimate the shares of the worlds from the items' :func:`density_features`."""
        logit = outputs(self.classifier, features)
        likely = np.exp(logit - logit.max(axis=1, keepdims=True))
        return world_shares(likely / likely.sum(axis=1, keepdims=True))

    def unexplained(self, features: Floats) -> float:
        """Return the share of the items that resemble no world."""
        return unexplained_share(features, self.ranges)


BINS = 10
SHIFTED = 0.25
"""Population stability index above which a feature counts as shifted (the usual rule of thumb)."""

_FLOOR = 1e-3  # an empty bin, or a share of 0, would make the index infinite


def profile(features: Floats) -> list[dict[str, Any]]:
    """Describe each feature by its deciles and the shares of rows between them."""
    return [_described(column) for column in features.T]


def _described(column: Floats) -> dict[str, Any]:
    edges = np.unique(np.quantile(column.astype(np.float64), np.linspace(0, 1, BINS + 1)[1:-1]))
    return {"edges": edges.tolist(), "shares": _shares(column, edges).tolist()}


def population_stability(known: dict[str, Any], column: Floats) -> float:
    """Return the population stability index of a feature; 0: distributed as before.

    >>> rows = np.linspace(0, 1, 1000, dtype=np.float32)
    >>> seen = profile(rows[:, None])[0]
    >>> population_stability(seen, rows), population_stability(seen, rows + 1) > SHIFTED
    (0.0, True)
    """
    before = np.maximum(np.array(known["shares"]), _FLOOR)
    after = np.maximum(_shares(column, np.array(known["edges"])), _FLOOR)
    return float(((after - before) * np.log(after / before)).sum())


def estimated_share(counts: NDArray[np.int64], trained_share: float) -> float:
    """Estimate the share of true pairs without labels, as the mean of the scores.

    Scores are calibrated probabilities.

    Parameters
    ----------
    counts : ndarray of int64
        Number of pairs by score, in equal bins over [0, 1].
    trained_share : float in (0, 1)
        Share of true pairs at which the scores are calibrated.

    Returns
    -------
    float in (0, 1)
        ``trained_share`` when there are no pairs.

    Notes
    -----
    The estimate lies between the share of the training and that of the data. Expectation maximisation (Saerens, Latinne
    and Decaestecker, 2002) corrects fully if only the share has changed, but attributes any other change to the share:
    on data with the share of the training (Omniglot, .566) it gave .475, and the mean .540.

    Source: Bella et al., Quantification via probability estimators, ICDM 2010 (probability average).

    >>> estimated_share(np.array([70, 0, 0, 30]), 0.5)
    0.35
    """
    if not counts.sum():
        return trained_share
    score = (np.arange(len(counts)) + 0.5) / len(counts)
    return float(np.clip(np.average(score, weights=counts), _FLOOR, 1 - _FLOOR))


def reweighted(score: Doubles, trained_share: float, share: float) -> Doubles:
    """Return the probabilities of scores at another share of true pairs.

    >>> reweighted(np.array([0.5, 0.8]), 0.5, 0.2).round(3).tolist()
    [0.2, 0.5]
    """
    factor = odds(share) / odds(trained_share)
    probabilities: Doubles = factor * score / (factor * score + 1 - score)
    return probabilities


def odds(share: float) -> float:
    """Return p / (1 - p)."""
    return share / (1 - share)


def _shares(column: Floats, edges: Doubles) -> Doubles:
    bins = np.searchsorted(edges, column.astype(np.float64), side="left")
    shares: Doubles = np.bincount(bins, minlength=len(edges) + 1) / max(1, len(column))
    return shares

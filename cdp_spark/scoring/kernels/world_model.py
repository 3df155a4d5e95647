"""Simulated worlds: data sets made from the labelled part that differ in how many images an identity has.

In: identities and items of the labelled part. Out: which items a world keeps; how near each item's neighbours are, by
which one world is told from another; and in which shares a mixture of the worlds explains other data.

The labelled part has other identities than the data to cluster, and seldom as many images of each. What a similarity
means depends on how crowded a region is, so a mediator must have seen crowded and empty ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
"""Places, in a list of 15, of the similarities and of the drops between them that describe an item."""

_LIST = 15
_CONVERGED = 1e-7
_MOST_ROUNDS = 1_000
_OUTSIDE = 0.01
_RIDGE = 1e-3


def density_features(graphs: Sequence[Neighborhoods], k: int) -> Floats:
    """Describe how near the neighbours of each item are.

    Parameters
    ----------
    graphs : sequence of Neighborhoods
        One per model, of the same items.
    k : int
        Neighbours in a full list; for another k than 15 the places are those in proportion.

    Returns
    -------
    ndarray of float32, shape (n, 9 per model)
        Similarities at ``DENSITY_RANKS``, then the drops; a short list ends with its last, an empty one is 0.
    """
    place = {rank: round(rank * (k - 1) / (_LIST - 1)) for rank in DENSITY_RANKS}
    found = []
    for graph in graphs:
        at = {rank: _similarity_at(graph, place[rank]) for rank in DENSITY_RANKS}
        found += [at[rank] for rank in DENSITY_RANKS]
        found += [at[near] - at[far] for near, far in DENSITY_DROPS]
    return np.stack(found, axis=1)


def _similarity_at(graph: Neighborhoods, place: int) -> Floats:
    lengths = np.diff(graph.offsets)
    found = np.zeros(len(lengths), np.float32)
    some = lengths > 0
    found[some] = graph.similarities[(graph.offsets[:-1] + np.minimum(place, lengths - 1))[some]]
    return found


def world_shares(posterior: Doubles) -> Doubles:
    """Estimate in which shares the worlds make up some data.

    Parameters
    ----------
    posterior : ndarray of float64, shape (n, worlds)
        Probability that each item is of each world, by a classifier to which all worlds were equally likely.

    Returns
    -------
    ndarray of float64, shape (worlds,)
        Sums to 1; equal shares when there are no items.

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
        # An item that a classifier gives no world at all counts for none.
        updated = (joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0)
        updated = np.asarray(updated / updated.sum(), np.float64)
        if np.abs(updated - shares).max() < _CONVERGED:
            return updated
        shares = updated
    return shares


def world_weights(shares: Doubles, *, trust: float = 0.75) -> Doubles:
    """Return what each world weighs in training: mostly its share, but no world nothing.

    >>> world_weights(np.array([1.0, 0.0, 0.0, 0.0])).tolist()
    [0.8125, 0.0625, 0.0625, 0.0625]
    """
    weights: Doubles = trust * shares + (1 - trust) / len(shares)
    return weights


def pure_mixtures(worlds: int) -> list[tuple[float, ...]]:
    """Return :func:`world_weights` of data that are all of one world, for each world.

    >>> pure_mixtures(2)
    [(0.875, 0.125), (0.125, 0.875)]
    """
    return [tuple(world_weights(shares).tolist()) for shares in np.eye(worlds)]


@dataclass(frozen=True)
class WorldRange:
    """Where the items of one world lie.

    Attributes
    ----------
    centre : ndarray of float32, shape (features,)
    whitening : ndarray of float32, shape (features, features)
        Makes the world's items uncorrelated and of variance 1.
    limit : float
        Squared distance from the centre that 1 % of the world's items exceed.
    """

    centre: Floats
    whitening: Floats
    limit: float

    @classmethod
    def of(cls, features: Floats) -> WorldRange:
        """Measure it from the items' :func:`density_features`."""
        rows = features.astype(np.float64)
        centre = rows.mean(axis=0)
        covariance = np.cov(rows, rowvar=False, ddof=0).reshape(rows.shape[1], -1)
        # Drops are differences of similarities, so the covariance has no inverse of its own.
        ridge = _RIDGE * max(np.trace(covariance) / len(covariance), 1e-12)
        values, vectors = np.linalg.eigh(covariance + ridge * np.eye(len(covariance)))
        whitening = (vectors / np.sqrt(values)).astype(np.float32)
        found = cls(centre.astype(np.float32), whitening, np.inf)
        return cls(found.centre, whitening, float(np.quantile(found.distances(features), 1 - _OUTSIDE)))

    def distances(self, features: Floats) -> Doubles:
        """Return the squared distance of each item from the centre."""
        found: Doubles = (((features - self.centre) @ self.whitening).astype(np.float64) ** 2).sum(axis=1)
        return found


def unexplained_share(features: Floats, worlds: Sequence[WorldRange]) -> float:
    """Return the share of items that lie in the range of no world; at most .01 on the worlds themselves.

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
    """What fits a mediator to data: which worlds its items are like.

    Attributes
    ----------
    classifier : Mlp
        Has an output per world; all worlds are as likely to it.
    ranges : tuple of WorldRange
    calibrations : ndarray of float64, shape (worlds, 2)
        Slope and shift that make the logits right in each world.
    """

    classifier: Mlp
    ranges: tuple[WorldRange, ...]
    calibrations: Doubles

    def fitted(self, pairs: Ensemble, shares: Sequence[float]) -> Ensemble:
        """Return the networks as they judge data of which the worlds make up these shares."""
        slope, shift = np.array(shares) @ self.calibrations / sum(shares)
        weights = world_weights(np.array(shares) / sum(shares))
        return replace(pairs, slope=float(slope), shift=float(shift), mixture=tuple(weights.tolist()))

    def shares(self, features: Floats) -> Doubles:
        """Estimate in which shares the worlds make up the items of these :func:`density_features`."""
        logit = outputs(self.classifier, features)
        likely = np.exp(logit - logit.max(axis=1, keepdims=True))
        return world_shares(likely / likely.sum(axis=1, keepdims=True))

    def unexplained(self, features: Floats) -> float:
        """Return the share of the items that are like no world."""
        return unexplained_share(features, self.ranges)

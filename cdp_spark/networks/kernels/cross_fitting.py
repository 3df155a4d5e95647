"""Cross-fitted logits of labelled pairs: no network scores a pair of an identity that it has learned from.

The identities are divided into two folds, and one network learns from the pairs inside each. A pair inside a fold is
scored by the network of the other fold, a pair across the folds by the mean of both, as all pairs are when data is
clustered. Every labelled pair thus has a prediction at the full density of the data, from which calibration and cluster
mediator learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.uniform_hashes import uniform
from cdp_spark.networks.kernels.mlp import sigmoid

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Folds = NDArray[np.int8]

NEGATIVE_WEIGHT = 2.0
"""Weight of a pair of two identities: half of these pairs lie across the folds and are lost."""

_SALT = 0x5EED


def fold_of(identity: Longs, *, seed: int = 0) -> Folds:
    """Return the fold of each identity, 0 or 1, by its hash."""
    fold: Folds = (uniform(identity, _SALT + 2 * seed) < 0.5).astype(np.int8)
    return fold


def inside_weights(one: Folds, other: Folds, same: Bools, fold: int) -> Floats:
    """Return the weight of each pair for the network of a fold: 0 outside the fold.

    >>> inside_weights(np.int8([0, 0, 0]), np.int8([0, 0, 1]), np.array([True, False, False]), 0).tolist()
    [1.0, 2.0, 0.0]
    """
    inside = (one == fold) & (other == fold)
    return np.where(inside, np.where(same, 1.0, NEGATIVE_WEIGHT), 0.0).astype(np.float32)


def cross_fitted(z: tuple[Doubles, Doubles], one: Folds, other: Folds) -> Doubles:
    """Choose the cross-fitted prediction of each pair.

    Parameters
    ----------
    z : two of ndarray of float64
        Logits of the networks of fold 0 and fold 1.
    one, other : ndarray of int8
        Folds of the ends.
    """
    chosen: Doubles = np.where(one != other, (z[0] + z[1]) / 2, np.where(one == 0, z[1], z[0]))
    return chosen


@dataclass(frozen=True)
class Calibration:
    """``slope * z + shift``: log odds that are right on unseen identities."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, z: Doubles) -> Floats:
        """Return calibrated logits."""
        calibrated: Floats = (self.slope * z + self.shift).astype(np.float32)
        return calibrated

    @classmethod
    def of(cls, z: Doubles, same: Bools, weight: Doubles) -> Calibration:
        """Fit it to cross-fitted logits by log loss (Platt, 1999), by Newton's method.

        >>> z = np.random.default_rng(0).normal(0, 2, 50_000)
        >>> same = np.random.default_rng(1).random(50_000) < sigmoid(2 * z - 1)
        >>> fitted = Calibration.of(z, same, np.ones(50_000))
        >>> round(fitted.slope, 1), round(fitted.shift, 1)
        (2.0, -1.0)
        """
        weight = weight / max(float(weight.sum()), 1e-300)
        at = np.array([1.0, 0.0])
        loss = _loss(at, z, same, weight)
        for _ in range(_MOST_STEPS):
            probability = sigmoid(at[0] * z + at[1])
            error, bend = weight * (probability - same), weight * probability * (1 - probability)
            slope = np.array([(error * z).sum(), error.sum()])
            crossed = (bend * z).sum()
            curvature = np.array([[(bend * z * z).sum(), crossed], [crossed, bend.sum()]]) + 1e-9 * np.eye(2)
            step = np.linalg.solve(curvature, slope)
            # Newton's step may overshoot where all probabilities are near 0 or 1.
            while (lower := _loss(at - step, z, same, weight)) > loss and np.abs(step).max() > _SMALL:
                step = step / 2
            if np.abs(step).max() <= _SMALL:
                break
            at, loss = at - step, lower
        return cls(float(at[0]), float(at[1]))


_MOST_STEPS = 100
_SMALL = 1e-6


def _loss(at: Doubles, z: Doubles, same: Bools, weight: Doubles) -> float:
    logit = at[0] * z + at[1]
    return float((weight * np.logaddexp(0, np.where(same, -logit, logit))).sum())

"""Honest logits of labelled pairs: each pair is judged by a network that has seen neither of its identities' pairs.

Two networks learn from the pairs inside one half of the identities each. A pair inside a half is judged by the network
of the other half, a pair across the halves by the mean of both, as any pair is when data are clustered: so every
labelled pair has a prediction at the full density of the data, and calibration and cluster mediator learn from these.
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
Halves = NDArray[np.int8]

NEGATIVE_WEIGHT = 2.0
"""Of a pair of two identities: half of these lie across the halves and are lost."""

_SALT = 0x5EED


def half_of(identity: Longs, *, seed: int = 0) -> Halves:
    """Return the half of each identity, 0 or 1, by its hash."""
    found: Halves = (uniform(identity, _SALT + 2 * seed) < 0.5).astype(np.int8)
    return found


def inside_weights(one: Halves, other: Halves, same: Bools, half: int) -> Floats:
    """Return what each pair weighs for the network of a half: nothing unless both ends are of it.

    >>> inside_weights(np.int8([0, 0, 0]), np.int8([0, 0, 1]), np.array([True, False, False]), 0).tolist()
    [1.0, 2.0, 0.0]
    """
    inside = (one == half) & (other == half)
    return np.where(inside, np.where(same, 1.0, NEGATIVE_WEIGHT), 0.0).astype(np.float32)


def honest(z: tuple[Doubles, Doubles], one: Halves, other: Halves) -> Doubles:
    """Choose the honest prediction of each pair.

    Parameters
    ----------
    z : two of ndarray of float64
        Logits by the network of half 0 and of half 1.
    one, other : ndarray of int8
        Halves of the ends.
    """
    found: Doubles = np.where(one != other, (z[0] + z[1]) / 2, np.where(one == 0, z[1], z[0]))
    return found


@dataclass(frozen=True)
class Calibration:
    """z becomes ``slope * z + shift``: log odds that are right on identities not seen."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, z: Doubles) -> Floats:
        """Return calibrated logits."""
        found: Floats = (self.slope * z + self.shift).astype(np.float32)
        return found

    @classmethod
    def of(cls, z: Doubles, same: Bools, weight: Doubles) -> Calibration:
        """Fit it to honest predictions by log loss (Platt, 1999), by Newton's method.

        >>> z = np.random.default_rng(0).normal(0, 2, 50_000)
        >>> same = np.random.default_rng(1).random(50_000) < sigmoid(2 * z - 1)
        >>> found = Calibration.of(z, same, np.ones(50_000))
        >>> round(found.slope, 1), round(found.shift, 1)
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

"""Small multi-layer perceptrons, forward only: from features to the probability that a pair is one identity.

Every row is computed by itself, in one fixed order of additions, so that a score never depends on the batch of its pair
(the last bits of a matrix product do).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from cdp_spark.base.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

Engine = Literal["numpy", "torch"]

MOST_ODDS = 16.0

_ROWS = 4_096
"""Rows at a time, so that their hidden layers stay in the cache."""


@dataclass(frozen=True)
class Mlp:
    """Weights, and the statistics of the features that they were trained with.

    Attributes
    ----------
    mean, scale : ndarray of float32, shape (features,)
        A feature x enters as (x - mean) / scale.
    layers : tuple of (weights of float32, shape (in, out); bias of float32, shape (out,))
        With ReLU in between; the last has one output, the logit, or one per class.
    temperature : float
        The logit is divided by it.
    """

    mean: Floats
    scale: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    temperature: float = 1.0

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of weights, statistics and temperature."""
        arrays = [self.mean, self.scale, *(array for layer in self.layers for array in layer)]
        held = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
        return hashlib.sha256(held + np.float64(self.temperature).tobytes()).hexdigest()


def logits(model: Mlp, features: Floats) -> Doubles:
    """Return the calibrated logit of each row of features."""
    first: Doubles = outputs(model, features)[:, 0]
    return first


def outputs(model: Mlp, features: Floats) -> Doubles:
    """Return all outputs of each row before any softmax, shape (n, outputs)."""
    result = np.empty((len(features), len(model.layers[-1][1])), np.float64)
    for start in range(0, len(features), _ROWS):
        rows = (features[start : start + _ROWS] - model.mean) / model.scale
        for number, (weights, bias) in enumerate(model.layers):
            out = np.empty((len(rows), len(bias)), np.float32)
            _dense(rows, weights, bias, number + 1 < len(model.layers), out)
            rows = out
        result[start : start + _ROWS] = rows.astype(np.float64) / model.temperature
    return result


@dataclass(frozen=True)
class Ensemble:
    """Networks that score together: ``slope * (mean of their logits) + shift``.

    A network with more than one output predicts world and identity together: its logit for a row depends on the weights
    of the worlds in the data at hand, ``mixture`` (see :mod:`~cdp_spark.networks.kernels.mlp`).
    """

    nets: tuple[Mlp, ...]
    slope: float = 1.0
    shift: float = 0.0
    mixture: tuple[float, ...] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that decides its score."""
        held = "".join(net.digest for net in self.nets) + repr((self.slope, self.shift, self.mixture))
        return hashlib.sha256(held.encode()).hexdigest()

    def logits(self, features: Floats, *, engine: Engine = "numpy") -> Doubles:
        """Return the mean logit of each row, uncalibrated."""
        each = outputs if engine == "numpy" else torch_outputs
        mean: Doubles = np.mean([self._logits(each(net, features)) for net in self.nets], axis=0)
        return mean

    def _logits(self, outputs: Doubles) -> Doubles:
        if outputs.shape[1] == 1:
            return outputs[:, 0]
        return mixture_logits(outputs, np.array(self.mixture))


def probabilities(model: Ensemble, features: Floats, *, engine: Engine = "numpy") -> Floats:
    """Return the probability that each pair is one identity, in [0, 1].

    Parameters
    ----------
    model : Ensemble
    features : ndarray of float32, shape (n, features)
    engine : {"numpy", "torch"}
        Library that computes it. Torch, which the worker must then have, agrees within 1e-5.
    """
    odds = model.slope * model.logits(features, engine=engine) + model.shift
    probability: Floats = sigmoid(odds).astype(np.float32)
    return probability


def log_odds(probability: Floats) -> Floats:
    """Return log(p / (1 - p)), clipped to [-16, 16].

    Nearer to 0 and 1, float32 cannot distinguish two probabilities.

    >>> log_odds(np.float32([0.0, 0.5, 1.0])).tolist()
    [-16.0, 0.0, 16.0]
    """
    odds: Floats = np.clip(logit(probability.astype(np.float64)), -MOST_ODDS, MOST_ODDS).astype(np.float32)
    return odds


def torch_outputs(model: Mlp, features: Floats) -> Doubles:
    """Do the same as :func:`outputs` with torch."""
    import torch

    rows = torch.from_numpy((features - model.mean) / model.scale)
    for number, (weights, bias) in enumerate(model.layers):
        rows = torch.addmm(torch.from_numpy(bias), rows, torch.from_numpy(weights))
        rows = torch.relu(rows) if number + 1 < len(model.layers) else rows
    result: Doubles = (rows.double() / model.temperature).numpy()
    return result


def sigmoid(values: Doubles) -> Doubles:
    """Return 1 / (1 + exp(-x)) without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(values))
    result: Doubles = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return result


@compiled
def _dense(rows: Floats, weights: Floats, bias: Floats, rectified: bool, out: Floats) -> None:
    # The inner loop runs over outputs, so that it is vectorised without a change in the order of any sum.
    for r in range(rows.shape[0]):
        for j in range(weights.shape[1]):
            out[r, j] = bias[j]
        for i in range(rows.shape[1]):
            value = rows[r, i]
            for j in range(weights.shape[1]):
                out[r, j] += value * weights[i, j]
        if rectified:
            for j in range(weights.shape[1]):
                out[r, j] = max(out[r, j], np.float32(0.0))


def world_targets(same: NDArray[np.generic], world: NDArray[np.integer], worlds: int) -> Floats:
    """Return the target classes of rows by their worlds; ``same`` may be a share.

    >>> world_targets(np.array([1.0, 0.25]), np.array([0, 1]), 2).tolist()
    [[0.0, 0.0, 1.0, 0.0], [0.0, 0.75, 0.0, 0.25]]
    """
    targets = np.zeros((len(same), 2 * worlds), np.float32)
    row = np.arange(len(same))
    targets[row, worlds + world] = same
    targets[row, world] = 1 - targets[row, worlds + world]
    return targets


def mixture_logits(outputs: Doubles, weights: Doubles) -> Doubles:
    """Return the log odds that each row is one identity, in a mixture of worlds.

    Parameters
    ----------
    outputs : ndarray of float64, shape (n, 2W)
        Logits of the classes.
    weights : ndarray of float64, shape (W,)
        Weights of the worlds in the data, above 0.

    Notes
    -----
    P(same | x) = sum_w q_w P(w, same | x) / sum_w q_w P(w | x): Bayes' rule for class probabilities under other priors
    (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002).

    >>> classes = np.log([[0.1, 0.2, 0.3, 0.4]])
    >>> odds = np.exp([mixture_logits(classes, np.array(q))[0] for q in ([0.5, 0.5], [0.9, 0.1])])
    >>> odds.round(2).tolist()  # .7 / .3, .31 / .11
    [2.33, 2.82]
    """
    odds = np.empty(len(outputs), np.float64)
    _mixed(outputs, np.log(weights), odds)
    return odds


@compiled
def _mixed(outputs: Doubles, log_weights: Doubles, odds: Doubles) -> None:
    # Row by row, so that a result does not depend on the batch.
    worlds = len(log_weights)
    for row in range(len(outputs)):
        top, total = _log_sum(outputs, row, 0, log_weights)
        same_top, same_total = _log_sum(outputs, row, worlds, log_weights)
        odds[row] = same_top - top + np.log(same_total / total)


@compiled
def _log_sum(outputs: Doubles, row: int, first: int, log_weights: Doubles) -> tuple[float, float]:
    """Return the largest weighted logit, and the sum of exp(logit - largest)."""
    top, total = -np.inf, 0.0
    for world in range(len(log_weights)):
        top = max(top, outputs[row, first + world] + log_weights[world])
    for world in range(len(log_weights)):
        total += np.exp(outputs[row, first + world] + log_weights[world] - top)
    return top, total

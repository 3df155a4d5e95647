"""A small multi-layer perceptron, forward only: standardised features to the probability that a pair is one identity.

Every row is computed by itself and in one fixed order of additions, so that a score never depends on the batch that a
pair was in (a matrix product's last bits do).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_ROWS = 4_096
"""Rows at a time: their hidden layers stay in the cache."""


@dataclass(frozen=True)
class Mlp:
    """Weights, and the statistics of the features that they were trained on.

    Attributes
    ----------
    mean, scale : ndarray of float32, shape (features,)
        A feature x enters as (x - mean) / scale.
    layers : tuple of (weights of float32, shape (in, out); bias of float32, shape (out,))
        ReLU between them; the last has one output, the logit, or one per class.
    temperature : float
        The logit is divided by it.
    """

    mean: Floats
    scale: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    temperature: float = 1.0


def logits(model: Mlp, features: Floats) -> Doubles:
    """Return the calibrated logit of each row of features, shape (n, features) to (n,)."""
    found: Doubles = outputs(model, features)[:, 0]
    return found


def outputs(model: Mlp, features: Floats) -> Doubles:
    """Return all outputs of each row of features, shape (n, features) to (n, outputs), before any softmax."""
    found = np.empty((len(features), len(model.layers[-1][1])), np.float64)
    for start in range(0, len(features), _ROWS):
        rows = (features[start : start + _ROWS] - model.mean) / model.scale
        for number, (weights, bias) in enumerate(model.layers):
            out = np.empty((len(rows), len(bias)), np.float32)
            _dense(rows, weights, bias, number + 1 < len(model.layers), out)
            rows = out
        found[start : start + _ROWS] = rows.astype(np.float64) / model.temperature
    return found


def probabilities(model: Mlp, features: Floats) -> Floats:
    """Return the probability that each pair is one identity, as float32 in [0, 1]."""
    found: Floats = sigmoid(logits(model, features)).astype(np.float32)
    return found


def torch_probabilities(model: Mlp, features: Floats) -> Floats:
    """As :func:`probabilities`, by torch, which the worker must have."""
    import torch

    rows = torch.from_numpy((features - model.mean) / model.scale)
    for number, (weights, bias) in enumerate(model.layers):
        rows = torch.addmm(torch.from_numpy(bias), rows, torch.from_numpy(weights))
        rows = torch.relu(rows) if number + 1 < len(model.layers) else rows
    found: Floats = torch.sigmoid(rows[:, 0].double() / model.temperature).float().numpy()
    return found


def sigmoid(values: Doubles) -> Doubles:
    """Return 1 / (1 + exp(-x)) without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(values))
    found: Doubles = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return found


@njit(cache=True)
def _dense(rows, weights, bias, rectified, out):  # type: ignore[no-untyped-def]
    # The inner loop runs over outputs: it is vectorised without changing the order in which an output is summed.
    for r in range(rows.shape[0]):
        out[r, :] = bias
        for i in range(rows.shape[1]):
            value = rows[r, i]
            for j in range(weights.shape[1]):
                out[r, j] += value * weights[i, j]
        if rectified:
            for j in range(weights.shape[1]):
                out[r, j] = max(out[r, j], np.float32(0.0))

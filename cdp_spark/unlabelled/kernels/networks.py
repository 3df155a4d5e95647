"""Small networks without torch: trained and applied by compiled loops in one fixed order of additions.

In: features, targets between 0 and 1, weights. Out: an :class:`~cdp_spark.networks.kernels.mlp.Mlp` of two hidden
layers. Standardised features are clipped at 8, beyond which there was nothing to learn from. A matrix product would be
up to three times as fast, but its last bits depend on the threads and on the rows beside; here the same rows give the
same network and the same log odds in any batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.float16 import bits_of, floats_of
from cdp_spark.networks.kernels.mlp import Mlp

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Parameters = tuple[Floats, ...]
"""Weights and bias of each of three layers, in turn."""
Layers = tuple[Floats, ...]
"""Outputs of each layer, or slopes there."""

CLIPPED = np.float32(8.0)
_TILE = 128
_ROWS = 4_096
_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.999
_STANDARDISED = 1 << 16


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes
    ----------
    epochs : int
        Least number of passes over the data.
    least_steps : int
        Least number of steps; a small set is seen more often.
    seed : int
    hidden, batch : int
    learning_rate : float
        Rate of Adam at the start; it falls to 0 along a cosine.
    decay : float
        Weight decay.
    """

    epochs: int = 12
    least_steps: int = 400
    seed: int = 0
    hidden: int = 64
    batch: int = 2_048
    learning_rate: float = 2e-3
    decay: float = 1e-5


def trained(features: NDArray[Any], target: Floats, weight: Doubles | Floats, training: Training) -> Mlp:
    """Train a network by weighted binary cross-entropy.

    Parameters
    ----------
    features : ndarray of float16 or float32, shape (n, f)
        At least one row.
    target : ndarray of float32, shape (n,)
    weight : ndarray, shape (n,)
    training : Training
    """
    rng = np.random.default_rng(training.seed)
    mean, scale = _statistics(features)
    rows = np.empty((len(features), len(mean)), np.float32)
    for start in range(0, len(rows), _STANDARDISED):
        rows[start : start + _STANDARDISED] = standardised(features[start : start + _STANDARDISED], mean, scale)
    share = (weight / weight.astype(np.float64).mean()).astype(np.float32)
    state = Adam.of(_initial(rng, len(mean), training.hidden))
    steps = -(-len(rows) // training.batch)
    epochs = max(training.epochs, -(-training.least_steps // steps))
    for _ in range(epochs):
        order = rng.permutation(len(rows))
        for start in range(0, len(rows), training.batch):
            some = order[start : start + training.batch]
            gradient = gradient_of(state.parameters, rows[some], target[some], share[some])
            state.step(gradient, training, epochs * steps)
    w1, b1, w2, b2, w3, b3 = state.parameters
    return Mlp(mean, scale, ((w1, b1), (w2, b2), (w3, b3)))


def standardised(features: NDArray[Any], mean: Floats, scale: Floats) -> Floats:
    """Return features as the network reads them."""
    rows = np.empty(features.shape, np.float32)
    _standardise(_as_floats(features), mean, scale, rows)
    return rows


def logits(net: Mlp, features: NDArray[Any]) -> Doubles:
    """Return the log odds of each row, shape (n, f) to (n,)."""
    return mean_logits((net,), features)


def mean_logits(nets: tuple[Mlp, ...], features: NDArray[Any]) -> Doubles:
    """Return the mean log odds by several networks."""
    odds = np.zeros(len(features), np.float64)
    for start in range(0, len(features), _ROWS):
        some = _as_floats(features[start : start + _ROWS])
        for net in nets:
            (w1, b1), (w2, b2), (w3, b3) = net.layers
            work = tuple(np.empty((_TILE, width), np.float32) for width in (len(net.mean), len(b1), len(b2), len(b3)))
            _apply(some, (net.mean, net.scale), (w1, b1, w2, b2, w3, b3), work, odds[start : start + _ROWS])
    return odds / len(nets)


def _as_floats(features: NDArray[Any]) -> Floats:
    """Return float32; NumPy takes far longer to convert float16."""
    if features.dtype == np.float16:
        return floats_of(bits_of(features), np.empty(features.shape, np.float32))
    return np.ascontiguousarray(features, np.float32)


def _statistics(features: NDArray[Any]) -> tuple[Floats, Floats]:
    total, squares = (np.zeros(features.shape[1], np.float64) for _ in range(2))
    for start in range(0, len(features), _STANDARDISED):
        total += features[start : start + _STANDARDISED].sum(axis=0, dtype=np.float64)
    mean = total / len(features)
    for start in range(0, len(features), _STANDARDISED):
        squares += ((features[start : start + _STANDARDISED].astype(np.float64) - mean) ** 2).sum(axis=0)
    return mean.astype(np.float32), (np.sqrt(squares / len(features)) + 1e-6).astype(np.float32)


def _initial(rng: np.random.Generator, width: int, hidden: int) -> Parameters:
    def uniform(rows: int, columns: int) -> Floats:
        drawn: Floats = rng.uniform(-1, 1, (rows, columns)).astype(np.float32) / np.float32(np.sqrt(rows))
        return drawn

    one, other = np.float32(np.sqrt(width)), np.float32(np.sqrt(hidden))
    return (
        uniform(width, hidden), uniform(1, hidden)[0] / one, uniform(hidden, hidden), uniform(1, hidden)[0] / other,
        uniform(hidden, 1), np.zeros(1, np.float32),
    )  # fmt: skip


@dataclass
class Adam:
    """Parameters on their way, with running means of gradients and of their squares (Kingma and Ba, 2015)."""

    parameters: Parameters
    first: Parameters
    second: Parameters
    steps: int = 0

    @classmethod
    def of(cls, parameters: Parameters) -> Adam:
        """Start from parameters; steps change them in place."""
        first, second = (tuple(np.zeros_like(each) for each in parameters) for _ in range(2))
        return cls(parameters, first, second)

    def step(self, gradient: Parameters, training: Training, most: int) -> None:
        """Make one of ``most`` steps."""
        self.steps += 1
        rate = training.learning_rate * 0.5 * (1 + np.cos(np.pi * self.steps / most))
        rate = np.float32(rate / (1 - _FIRST_DECAY**self.steps))
        bias = np.float32(1 - _SECOND_DECAY**self.steps)
        for value, first, second, slope in zip(self.parameters, self.first, self.second, gradient, strict=True):
            full = slope + np.float32(training.decay) * value
            first += np.float32(1 - _FIRST_DECAY) * (full - first)
            second += np.float32(1 - _SECOND_DECAY) * (full * full - second)
            value -= rate * first / (np.sqrt(second / bias) + np.float32(1e-8))


def gradient_of(parameters: Parameters, rows: Floats, target: Floats, weight: Floats) -> Parameters:
    """Return the gradient of the mean weighted loss over rows that are standardised."""
    gradient = tuple(np.zeros_like(each) for each in parameters)
    hidden = len(parameters[1])
    layers = tuple(np.empty((_TILE, width), np.float32) for width in (hidden, hidden, 1))
    slopes = tuple(np.empty((_TILE, width), np.float32) for width in (hidden, hidden, 1))
    back = np.ascontiguousarray(parameters[2].T), np.ascontiguousarray(parameters[4].T), np.zeros(hidden, np.float32)
    _add_gradients(parameters, back, (rows, target, weight), (layers, slopes), gradient)
    return gradient


@compiled
def _standardise(features: Floats, mean: Floats, scale: Floats, out: Floats) -> None:
    for r in range(features.shape[0]):
        for i in range(features.shape[1]):
            value = (features[r, i] - mean[i]) / scale[i]
            out[r, i] = min(max(value, -CLIPPED), CLIPPED)


@compiled
def _apply(
    features: Floats, statistics: tuple[Floats, Floats], parameters: Parameters, work: Layers, out: Doubles
) -> None:
    """Add the outputs of a network, some rows at a time: their layers stay in the cache."""
    w1, b1, w2, b2, w3, b3 = parameters
    for start in range(0, len(features), _TILE):
        some = features[start : start + _TILE]
        x, h1, h2, z = work[0][: len(some)], work[1][: len(some)], work[2][: len(some)], work[3][: len(some)]
        _standardise(some, statistics[0], statistics[1], x)
        _dense(x, w1, b1, True, h1)
        _dense(h1, w2, b2, True, h2)
        _dense(h2, w3, b3, False, z)
        for r in range(len(some)):
            out[start + r] += np.float64(z[r, 0])


@compiled(inline="always")
def _add_tile(totals: Floats, factors: Floats, rows: Floats) -> None:
    """Add four rows to each of four totals, each times its factor, one after the other.

    A loaded row serves four totals, and a total stays in a register while it grows.
    """
    a, b, c, d = factors[0, 0], factors[0, 1], factors[0, 2], factors[0, 3]
    e, f, g, h = factors[1, 0], factors[1, 1], factors[1, 2], factors[1, 3]
    k, m, n, o = factors[2, 0], factors[2, 1], factors[2, 2], factors[2, 3]
    p, q, r, s = factors[3, 0], factors[3, 1], factors[3, 2], factors[3, 3]
    for j in range(rows.shape[1]):
        w, x, y, z = rows[0, j], rows[1, j], rows[2, j], rows[3, j]
        totals[0, j] = totals[0, j] + a * w + b * x + c * y + d * z
        totals[1, j] = totals[1, j] + e * w + f * x + g * y + h * z
        totals[2, j] = totals[2, j] + k * w + m * x + n * y + o * z
        totals[3, j] = totals[3, j] + p * w + q * x + r * y + s * z


@compiled
def _dense(rows: Floats, weights: Floats, bias: Floats, rectified: bool, out: Floats) -> None:
    """Apply one layer; the inner loop runs over outputs, so that each is summed up in the order of the inputs."""
    high, wide = rows.shape[0] - rows.shape[0] % 4, rows.shape[1] - rows.shape[1] % 4
    for r in range(rows.shape[0]):
        for j in range(weights.shape[1]):
            out[r, j] = bias[j]
    for r in range(0, high, 4):
        for i in range(0, wide, 4):
            _add_tile(out[r : r + 4], rows[r : r + 4, i : i + 4], weights[i : i + 4])
    for r in range(rows.shape[0]):
        for i in range(wide if r < high else 0, rows.shape[1]):
            for j in range(weights.shape[1]):
                out[r, j] += rows[r, i] * weights[i, j]
        if rectified:
            for j in range(weights.shape[1]):
                out[r, j] = max(out[r, j], np.float32(0.0))


@compiled
def _add_gradients(
    parameters: Parameters,
    back: tuple[Floats, Floats, Floats],
    data: tuple[Floats, Floats, Floats],
    work: tuple[Layers, Layers],
    gradient: Parameters,
) -> None:
    """Add up the gradient of the mean loss over a batch, some rows at a time: their layers stay in the cache."""
    w1, b1, w2, b2, w3, b3 = parameters
    (rows, target, weight), (second_back, third_back, none) = data, back
    for start in range(0, len(rows), _TILE):
        x = rows[start : start + _TILE]
        h1, h2, z = work[0][0][: len(x)], work[0][1][: len(x)], work[0][2][: len(x)]
        g1, g2, e = work[1][0][: len(x)], work[1][1][: len(x)], work[1][2][: len(x)]
        _dense(x, w1, b1, True, h1)
        _dense(h1, w2, b2, True, h2)
        _dense(h2, w3, b3, False, z)
        for r in range(len(x)):
            p = np.float32(1.0) / (np.float32(1.0) + np.exp(-min(max(z[r, 0], np.float32(-40.0)), np.float32(40.0))))
            e[r, 0] = (p - target[start + r]) * weight[start + r] / np.float32(len(rows))
        _rectified_back(e, third_back, none, h2, g2)
        _rectified_back(g2, second_back, none, h1, g1)
        _add_products(x, g1, gradient[0], gradient[1])
        _add_products(h1, g2, gradient[2], gradient[3])
        _add_products(h2, e, gradient[4], gradient[5])


@compiled
def _rectified_back(after: Floats, transposed: Floats, none: Floats, layer: Floats, before: Floats) -> None:
    _dense(after, transposed, none, False, before)
    for r in range(before.shape[0]):
        for j in range(before.shape[1]):
            if layer[r, j] <= 0:
                before[r, j] = 0


@compiled
def _add_products(inputs: Floats, slopes: Floats, weights: Floats, bias: Floats) -> None:
    high, wide = inputs.shape[0] - inputs.shape[0] % 4, inputs.shape[1] - inputs.shape[1] % 4
    for r in range(0, high, 4):
        for i in range(0, wide, 4):
            _add_tile(weights[i : i + 4], inputs[r : r + 4, i : i + 4].T, slopes[r : r + 4])
    for r in range(inputs.shape[0]):
        for i in range(wide if r < high else 0, inputs.shape[1]):
            for j in range(slopes.shape[1]):
                weights[i, j] += inputs[r, i] * slopes[r, j]
        for j in range(slopes.shape[1]):
            bias[j] += slopes[r, j]

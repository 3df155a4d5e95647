"""Train the mediator's network with torch; pairs come in chunks, so that they need not fit into memory.

Only training needs torch: the result is an :class:`~cdp_spark.networks.kernels.mlp.Mlp` of NumPy arrays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from cdp_spark.networks.kernels.mlp import Mlp, logits

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Chunk = Callable[[], tuple[Floats, Bools]]
"""Reads a chunk of the pairs: features, shape (n, f), and whether each is one identity."""

_STEPS = 4_000
"""Fewest steps in all: a small set takes more epochs. The authors' fixed number of epochs leaves it undertrained."""


@dataclass(frozen=True)
class HeldOut:
    """Pairs of identities that training does not see, and the weight of negatives."""

    features: Floats
    same: Bools
    negative_weight: float

    def loss(self, logit: NDArray[np.float64]) -> float:
        """Return the weighted mean binary cross-entropy of logits, in nats."""
        weight = np.where(self.same, 1.0, self.negative_weight)
        losses = np.logaddexp(0, -np.where(self.same, logit, -logit))
        return float((weight * losses).sum() / weight.sum())


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    seed : int
    epochs : int
        Most epochs; 0 chooses them by the number of pairs.
    patience : int
        Epochs without a better held-out loss before training stops.
    learning_rate : float
        Initial learning rate of Adam; it falls along a cosine.
    negative_weight : float
        Weight of a pair of two identities, most of which straddle the splits and are lost.
    """

    hidden: tuple[int, ...]
    seed: int = 0
    epochs: int = 0
    patience: int = 8
    learning_rate: float = 2e-3
    negative_weight: float = 1.0


def train_mlp(
    chunks: Sequence[Chunk], rows: int, held_out: HeldOut, recipe: Recipe, report: Callable[[str], None]
) -> tuple[Mlp, list[dict[str, float]]]:
    """Train until the held-out loss no longer falls.

    An interrupt (Ctrl-C) keeps the best network so far.

    Parameters
    ----------
    chunks : sequence of callable
        One is in memory at a time.
    rows : int
        Pairs of all chunks.
    held_out : HeldOut
        Pairs of other identities.
    recipe : Recipe
    report : callable of str
        Receives a line per epoch.

    Returns
    -------
    Mlp
        Uncalibrated: its temperature is 1.
    list of dict
        Epoch, training loss and held-out loss.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)  # the network is too small for more, and sums stay in one order
    mean, scale = standardisation(chunks)
    batch = 1 << int(np.clip(np.log2(max(rows, 1) / 200), 8, 13))
    steps = -(-rows // batch)
    epochs = recipe.epochs or int(np.clip(-(-_STEPS // steps), 12, 400))
    network = network_of(len(mean), recipe.hidden)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    curve: list[dict[str, float]] = []
    best, best_epoch, best_state = np.inf, 0, copy.deepcopy(network.state_dict())
    order = np.random.default_rng(recipe.seed)
    try:
        for epoch in range(epochs):
            settings = _Steps(batch, order, recipe.negative_weight)
            loss = _epoch(network, optimiser, chunks, (mean, scale), settings)
            schedule.step()
            held = held_out.loss(logits(as_mlp(network, mean, scale), held_out.features))
            curve.append({"epoch": epoch, "loss": loss, "held_out_loss": held})
            if held < best:
                best, best_epoch, best_state = held, epoch, copy.deepcopy(network.state_dict())
            report(f"epoch {epoch + 1}/{epochs}: loss {loss:.4f}, on held-out identities {held:.4f}")
            if epoch - best_epoch >= recipe.patience:
                break
    except KeyboardInterrupt:
        report(f"stopped by hand after {len(curve)} epochs: the best so far is kept")
    network.load_state_dict(best_state)
    return as_mlp(network, mean, scale), curve


def calibrated(model: Mlp, held_out: HeldOut) -> Mlp:
    """Choose the temperature with the least log loss on held-out pairs."""
    from scipy.optimize import minimize_scalar

    raw = logits(model, held_out.features)
    best = minimize_scalar(lambda t: held_out.loss(raw / np.exp(t)), bounds=(-2.0, 3.0), method="bounded")
    return replace(model, temperature=float(np.exp(best.x)))


def standardisation(chunks: Sequence[Callable[[], tuple[Any, ...]]]) -> tuple[Floats, Floats]:
    """Return the mean and deviation of each feature; 1 where it does not vary."""
    count, total, squares = 0, 0.0, 0.0
    for chunk in chunks:
        rows = chunk()[0].astype(np.float64)
        count, total, squares = count + len(rows), total + rows.sum(axis=0), squares + (rows**2).sum(axis=0)
    mean = np.asarray(total) / max(count, 1)
    deviation = np.sqrt(np.maximum(np.asarray(squares) / max(count, 1) - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)


class _Steps(NamedTuple):
    """Rows per step, random order, and weight of a pair of two identities."""

    batch: int
    order: np.random.Generator
    negative_weight: float


def _epoch(
    network: nn.Sequential,
    optimiser: torch.optim.Optimizer,
    chunks: Sequence[Chunk],
    statistics: tuple[Floats, Floats],
    settings: _Steps,
) -> float:
    batch, order, negative_weight = settings
    total, seen = 0.0, 0
    for number in order.permutation(len(chunks)):
        features, same = chunks[number]()
        points = torch.from_numpy((features - statistics[0]) / statistics[1])
        wanted = torch.from_numpy(same.astype(np.float32))
        for rows in torch.split(torch.from_numpy(order.permutation(len(points))), batch):
            weight = torch.where(wanted[rows] > 0, 1.0, negative_weight)
            loss = functional.binary_cross_entropy_with_logits(network(points[rows])[:, 0], wanted[rows], weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total, seen = total + float(loss.detach()) * len(rows), seen + len(rows)
    return total / max(seen, 1)


def network_of(width: int, hidden: tuple[int, ...], outputs: int = 1) -> nn.Sequential:
    """Make a network with ReLU between its layers and weights from torch's seed."""
    layers: list[nn.Module] = []
    for out in hidden:
        layers += [nn.Linear(width, out), nn.ReLU()]
        width = out
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def as_mlp(network: nn.Sequential, mean: Floats, scale: Floats) -> Mlp:
    """Return the weights of a network as arrays."""
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    layers = tuple(
        (np.ascontiguousarray(layer.weight.detach().numpy().T), layer.bias.detach().numpy().copy()) for layer in linear
    )
    return Mlp(mean, scale, layers)

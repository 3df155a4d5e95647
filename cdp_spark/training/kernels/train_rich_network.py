"""Train the networks of the learned consensus with torch: weighted rows, targets in [0, 1], one or more classes.

In: rows in chunks, one of which is in memory at a time. Out: an :class:`~cdp_spark.networks.kernels.mlp.Mlp`. Nothing
is held out: the recipe is fixed, and cross-fitting evaluates a network on identities that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from cdp_spark.networks.kernels.mlp import Mlp
from cdp_spark.training.kernels.train_network import as_mlp, network_of, standardisation

Floats = NDArray[np.float32]
Chunk = Callable[[], tuple[Floats, Floats, Floats]]
"""Reads a chunk: features, shape (n, f); targets, shape (n, outputs), between 0 and 1; weights, shape (n,)."""


@dataclass(frozen=True)
class NetRecipe:
    """Settings of a training.

    Attributes
    ----------
    hidden : tuple of int
    seed : int
    epochs : int
        Fewest epochs.
    least_steps : int
        Fewest steps: a small set takes more epochs.
    batch : int
    learning_rate : float
        Initial learning rate of Adam; it falls to 0 along a cosine.
    """

    hidden: tuple[int, ...] = (64, 64)
    seed: int = 0
    epochs: int = 12
    least_steps: int = 400
    batch: int = 2_048
    learning_rate: float = 2e-3


def length_of(identities: int) -> tuple[int, int]:
    """Return the fewest epochs and steps for networks of pairs.

    The pairs of few identities are much alike, and networks that see them often memorise these identities: 6 epochs and
    50 steps for 200 identities, 12 and 400 for 900 and more.

    >>> [length_of(each) for each in (30, 200, 400, 5_000)]
    [(6, 50), (6, 50), (12, 150), (12, 400)]
    """
    epochs = min(max(identities // 32, NetRecipe.epochs // 2), NetRecipe.epochs)
    return epochs, min(max(identities // 2 - 50, 50), NetRecipe.least_steps)


_DRAWING = Lock()
"""Threads may train several networks; torch draws the initial weights of all from one generator."""


def train_net(chunks: Sequence[Chunk], rows: int, recipe: NetRecipe, report: Callable[[str], object] = str) -> Mlp:
    """Train a network on weighted rows.

    One output is a logit (binary cross-entropy); several are the logits of classes (cross-entropy), and the targets
    of a row sum to 1.

    Parameters
    ----------
    chunks : sequence of callable
        Each should hold rows of all kinds, because a step sees only one chunk.
    rows : int
        Rows of all chunks.
    recipe : NetRecipe
    report : callable of str
        Receives a line per epoch.
    """
    torch.set_num_threads(1)  # the network is too small for more, and sums stay in one order
    mean, scale = standardisation(chunks)
    outputs, weight = _outputs_and_weight(chunks)
    with _DRAWING:
        torch.manual_seed(recipe.seed)
        network = network_of(len(mean), recipe.hidden, outputs)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-5)
    steps = max(1, sum(-(-len(chunk()[2]) // recipe.batch) for chunk in chunks))
    epochs = max(recipe.epochs, -(-recipe.least_steps // steps))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)
    order = np.random.default_rng(recipe.seed)
    for epoch in range(epochs):
        loss = 0.0
        for number in order.permutation(len(chunks)):
            features, targets, weights = chunks[number]()
            data = (features - mean) / scale, targets, weights * np.float32(rows / weight)
            loss += _train_chunk(network, (optimiser, schedule), data, order.permutation(len(features)), recipe.batch)
        report(f"epoch {epoch + 1}/{epochs}: loss {loss / max(rows, 1):.4f}")
    return as_mlp(network, mean, scale)


def _outputs_and_weight(chunks: Sequence[Chunk]) -> tuple[int, float]:
    read = [chunk()[1:] for chunk in chunks]
    return read[0][0].shape[1], max(1e-12, float(sum(weights.sum(dtype=np.float64) for _, weights in read)))


def _train_chunk(
    network: nn.Sequential,
    movers: tuple[Any, Any],
    data: tuple[Floats, Floats, Floats],
    order: NDArray[np.int64],
    batch: int,
) -> float:
    """Make the steps of one chunk; return the sum of its weighted losses."""
    points, targets, weights = (torch.from_numpy(np.ascontiguousarray(column, np.float32)) for column in data)
    total = 0.0
    for rows in torch.split(torch.from_numpy(order), batch):
        logits = network(points[rows])
        if logits.shape[1] == 1:
            losses = functional.binary_cross_entropy_with_logits(logits, targets[rows], reduction="none")[:, 0]
        else:
            losses = -(functional.log_softmax(logits, dim=1) * targets[rows]).sum(dim=1)
        loss = (losses * weights[rows]).mean()
        movers[0].zero_grad()
        loss.backward()
        for mover in movers:
            mover.step()
        total += float(loss.detach()) * len(rows)
    return total

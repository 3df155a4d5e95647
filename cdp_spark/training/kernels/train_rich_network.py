"""Train the networks of the learned consensus with torch: weighted rows, targets between 0 and 1, one or more classes.

In: rows in parts, of which one is in memory at a time. Out: an :class:`~cdp_spark.networks.kernels.mlp.Mlp`. Nothing is
held out: the recipe is fixed, and what judges a network is that it predicts identities it has not seen (cross-fitting).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cdp_spark.networks.kernels.mlp import Mlp
from cdp_spark.training.kernels.train_network import as_mlp, network_of, standardisation

Floats = NDArray[np.float32]
Part = Callable[[], tuple[Floats, Floats, Floats]]
"""Reads one part: features, shape (n, f); targets, shape (n, outputs), between 0 and 1; weights, shape (n,)."""


@dataclass(frozen=True)
class NetRecipe:
    """How to train.

    Attributes
    ----------
    hidden : tuple of int
    seed : int
    epochs : int
        At least.
    least_steps : int
        A small set is seen more often, until so many steps have been made.
    batch : int
    learning_rate : float
        Of Adam, at the start; it falls to 0 along a cosine.
    """

    hidden: tuple[int, ...] = (64, 64)
    seed: int = 0
    epochs: int = 12
    least_steps: int = 400
    batch: int = 2_048
    learning_rate: float = 2e-3


def length_of(identities: int) -> tuple[int, int]:
    """Return how many epochs, and how many steps at least, networks of pairs are trained for.

    The pairs of few identities are much alike, and networks that see them often learn these identities instead: 6
    epochs and 50 steps for 200 identities, 12 and 400 for 900 and more.

    >>> [length_of(each) for each in (30, 200, 400, 5_000)]
    [(6, 50), (6, 50), (12, 150), (12, 400)]
    """
    epochs = min(max(identities // 32, NetRecipe.epochs // 2), NetRecipe.epochs)
    return epochs, min(max(identities // 2 - 50, 50), NetRecipe.least_steps)


_DRAWING = Lock()
"""Networks may be trained by several threads; torch draws the first weights of all from one generator."""


def train_net(parts: Sequence[Part], rows: int, recipe: NetRecipe, told: Callable[[str], object] = str) -> Mlp:
    """Train a network on weighted rows.

    One output is a logit (binary cross-entropy); several are the logits of classes (cross-entropy), and the targets
    of a row sum to 1.

    Parameters
    ----------
    parts : sequence of callable
        Each should hold rows of all kinds: a step sees one part only.
    rows : int
        Over all parts.
    recipe : NetRecipe
    told : callable of str
        Gets a line per epoch.
    """
    torch.set_num_threads(1)  # the network is too small for more, and sums stay in one order
    mean, scale = standardisation(parts)
    outputs, weight = _outputs_and_weight(parts)
    with _DRAWING:
        torch.manual_seed(recipe.seed)
        network = network_of(len(mean), recipe.hidden, outputs)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-5)
    steps = max(1, sum(-(-len(part()[2]) // recipe.batch) for part in parts))
    epochs = max(recipe.epochs, -(-recipe.least_steps // steps))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)
    order = np.random.default_rng(recipe.seed)
    for epoch in range(epochs):
        loss = 0.0
        for number in order.permutation(len(parts)):
            features, targets, weights = parts[number]()
            data = (features - mean) / scale, targets, weights * np.float32(rows / weight)
            loss += _seen(network, (optimiser, schedule), data, order.permutation(len(features)), recipe.batch)
        told(f"epoch {epoch + 1}/{epochs}: loss {loss / max(rows, 1):.4f}")
    return as_mlp(network, mean, scale)


def _outputs_and_weight(parts: Sequence[Part]) -> tuple[int, float]:
    read = [part()[1:] for part in parts]
    return read[0][0].shape[1], max(1e-12, float(sum(weights.sum(dtype=np.float64) for _, weights in read)))


def _seen(network, movers, data, order, batch) -> float:  # type: ignore[no-untyped-def]
    """Make the steps of one part; return the sum of its weighted losses."""
    points, targets, weights = (torch.from_numpy(np.ascontiguousarray(column, np.float32)) for column in data)
    total = 0.0
    for rows in torch.split(torch.from_numpy(order), batch):
        found = network(points[rows])
        if found.shape[1] == 1:
            losses = functional.binary_cross_entropy_with_logits(found, targets[rows], reduction="none")[:, 0]
        else:
            losses = -(functional.log_softmax(found, dim=1) * targets[rows]).sum(dim=1)
        loss = (losses * weights[rows]).mean()
        movers[0].zero_grad()
        loss.backward()
        for mover in movers:
            mover.step()
        total += float(loss.detach()) * len(rows)
    return total

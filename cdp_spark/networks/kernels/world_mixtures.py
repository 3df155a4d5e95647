"""One network for every mixture of worlds.

It predicts world and identity together. Of its 2W classes, class w is a pair of two identities in world w, class W + w
a pair of one identity. It is trained with equal weights of the worlds and serves any mixture of them: the classes of a
world are weighted by its weight in the data at hand, which need not be known at training.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


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

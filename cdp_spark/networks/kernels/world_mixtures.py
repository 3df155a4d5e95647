"""One network for every mixture of worlds.

It names world and identity at once: of 2W classes, class w is a pair of two identities in world w, class W + w a pair
of one. Trained with all worlds weighing the same, it serves any mixture of them: the classes of a world are weighted by
what the world weighs in the data at hand, which no one needs to know when the network is trained.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def world_targets(same: NDArray[np.generic], world: NDArray[np.integer], worlds: int) -> Floats:
    """Return the classes of rows, each of its own world; ``same`` may be a share.

    >>> world_targets(np.array([1.0, 0.25]), np.array([0, 1]), 2).tolist()
    [[0.0, 0.0, 1.0, 0.0], [0.0, 0.75, 0.0, 0.25]]
    """
    found = np.zeros((len(same), 2 * worlds), np.float32)
    row = np.arange(len(same))
    found[row, worlds + world] = same
    found[row, world] = 1 - found[row, worlds + world]
    return found


def mixture_logits(outputs: Doubles, weights: Doubles) -> Doubles:
    """Return the log odds that each row is of one identity, in data where the worlds weigh so much.

    Parameters
    ----------
    outputs : ndarray of float64, shape (n, 2W)
        Logits of the classes.
    weights : ndarray of float64, shape (W,)
        Above 0.

    Notes
    -----
    P(same | x) is the sum over w of q_w P(w, same | x) over that of q_w P(w | x): what Bayes' rule makes of class
    probabilities under other priors (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002).

    >>> classes = np.log([[0.1, 0.2, 0.3, 0.4]])
    >>> odds = np.exp([mixture_logits(classes, np.array(q))[0] for q in ([0.5, 0.5], [0.9, 0.1])])
    >>> odds.round(2).tolist()  # .7 / .3, .31 / .11
    [2.33, 2.82]
    """
    found = np.empty(len(outputs), np.float64)
    _mixed(outputs, np.log(weights), found)
    return found


@compiled
def _mixed(outputs, log_weights, found):  # type: ignore[no-untyped-def]
    # Row by row: what a row gives does not depend on its place in the batch.
    worlds = len(log_weights)
    for row in range(len(outputs)):
        top, total = _log_sum(outputs, row, 0, log_weights)
        same_top, same_total = _log_sum(outputs, row, worlds, log_weights)
        found[row] = same_top - top + np.log(same_total / total)


@compiled
def _log_sum(outputs, row, first, log_weights):  # type: ignore[no-untyped-def]
    """Return the largest of some logits with their weights, and the sum of their exponentials by it."""
    top, total = -np.inf, 0.0
    for world in range(len(log_weights)):
        top = max(top, outputs[row, first + world] + log_weights[world])
    for world in range(len(log_weights)):
        total += np.exp(outputs[row, first + world] + log_weights[world] - top)
    return top, total

"""Which items a simulated world keeps of the labelled part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.uniform_hashes import uniform

Longs = NDArray[np.int64]
Bools = NDArray[np.bool_]


GAMMAS = (0.0, 1.0, 3.0, 8.0)
"""How strongly each world is thinned: 0 is the labelled part as it is, 8 nearly all singletons."""


def world_members(identity: Longs, item: Longs, gamma: float, *, seed: int = 0) -> Bools:
    """Return which items a world keeps.

    Identity i keeps each image with probability u ** gamma, where u is its own, uniform in (0, 1), and at least one
    image. Draws are hashes of identity and item: the order of the rows and what else is in them change nothing, as
    long as all rows of an identity are there.

    Parameters
    ----------
    identity, item : ndarray of int64, shape (n,)
        Any numbers; items are distinct.
    gamma : float
        0 or more; 0 keeps all.
    seed : int

    Examples
    --------
    >>> item = np.arange(20_000)
    >>> [round(world_members(item // 20, item, gamma).sum() / 1000) for gamma in (0.0, 1.0, 8.0)]
    [20, 10, 3]
    """
    salt = seed * 1_000_003 + round(gamma * 1_000)
    chance = uniform(identity, 2 * salt) ** gamma
    draw = uniform(item, 2 * salt + 1)
    kept: Bools = draw < chance
    order = np.lexsort((item, draw, identity))
    first = np.ones(len(order), bool)
    first[1:] = identity[order][1:] != identity[order][:-1]
    kept[order[first]] = True
    return kept

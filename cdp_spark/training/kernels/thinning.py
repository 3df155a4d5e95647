"""Choose the labelled items that a simulated world keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.uniform_hashes import uniform

Longs = NDArray[np.int64]
Bools = NDArray[np.bool_]


def world_members(identity: Longs, item: Longs, gamma: float, *, seed: int = 0) -> Bools:
    """Return which items a world keeps.

    Each identity draws u, uniform in (0, 1), and keeps each of its images with probability u ** gamma, but at least
    one. Draws are hashes of identity and item, so that neither the order of the rows nor other identities change the
    result; all rows of an identity must be given.

    Parameters
    ----------
    identity, item : ndarray of int64, shape (n,)
        Any numbers; items are distinct.
    gamma : float
        0 or more; 0 keeps all items, 8 leaves nearly all identities with one.
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

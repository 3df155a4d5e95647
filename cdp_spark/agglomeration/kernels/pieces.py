"""Divide the scored pairs into pieces, each of which is agglomerated by itself.

In: the maximum spanning forest of the pairs, by logit z. Out: the piece of each item. A piece is a component of z > 0;
one with more items than a task holds is cut at a higher z, step by step, which ``level`` records.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.connected import connected_components
from cdp_spark.base.numeric.dense_numbers import numbered, positions

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

STEP = 0.25


@dataclass(frozen=True)
class Pieces:
    """Pieces of the items that have a pair with z > 0; every other item is a piece.

    Attributes
    ----------
    items : ndarray of int64, ascending
    root : ndarray of int64
        Smallest item of the piece.
    level : ndarray of float32
        z above which the piece is a component; more than 0 where a larger one was cut.
    """

    items: Longs
    root: Longs
    level: Floats


def pieces(src: Longs, dst: Longs, z: Floats, *, most: int) -> Pieces:
    """Cut components of z > 0 until none has more than ``most`` items.

    Parameters
    ----------
    src, dst, z : ndarray
        Edges of the maximum spanning forest; those of all pairs give the same.
    most : int
        Items of a piece. Below the size of the largest identity it splits people; above it, cuts cost at most .008 of
        F in the prototype.

    Examples
    --------
    >>> cut = pieces(np.array([0, 1, 2]), np.array([1, 2, 3]), np.float32([3, 0.2, 2]), most=3)
    >>> cut.root.tolist(), cut.level.tolist()
    ([0, 0, 2, 2], [0.25, 0.25, 0.25, 0.25])
    """
    above = z > 0
    src, dst, z = src[above], dst[above], z[above]
    items, root = connected_components(src, dst)
    level = np.zeros(len(items), np.float32)
    bound = 0.0
    while True:
        piece = numbered(root)[1]
        large = (np.bincount(piece) > most)[piece]
        if not large.any():
            return Pieces(items, root, level)
        bound += STEP
        at = positions(items, src)
        within = large[at] & (z > bound)
        root[large], level[large] = items[large], bound
        some, roots = connected_components(src[within], dst[within])
        root[positions(items, some)] = roots
        src, dst, z = src[within], dst[within], z[within]

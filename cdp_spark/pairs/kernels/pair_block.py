"""The items of a block and the pairs to be scored, from which every feature set is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.float16 import row_norms
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, cosines, edge_similarities

Longs = NDArray[np.int64]
Float16s = NDArray[np.float16]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PairBlock:
    """The items of a block and the pairs to be scored.

    Attributes
    ----------
    items : ndarray of int64, ascending
    graphs : sequence of Neighborhoods, base first
    vectors : callable of int -> ndarray of float16, shape (n, d), or None
        Vectors of one model, read when they are needed; None where the similarity of an edge suffices.
    first, second : ndarray of int64
        Rows of the ends, sorted by ``first``.
    """

    items: Longs
    graphs: Sequence[Neighborhoods]
    vectors: Callable[[int], Float16s | None]
    first: Longs
    second: Longs


def affinity(block: PairBlock, model: int) -> Floats:
    """Return each pair's similarity in one model, by vectors or else by edges."""
    vectors = block.vectors(model)
    if vectors is None:
        return edge_similarities(block.items, block.graphs[model], block.first, block.second)
    return cosines(vectors, row_norms(vectors), block.first, block.second)

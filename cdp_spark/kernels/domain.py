"""Does a mediator fit the data at hand? Compare the features of the run's pairs with those seen in training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BINS = 10
SHIFTED = 0.25
"""Population stability index above which a feature counts as shifted (the usual rule of thumb)."""

_FLOOR = 1e-3  # an empty bin would make the index infinite


def profile(features: Floats) -> list[dict[str, Any]]:
    """Describe each feature by the edges of its deciles and the share of rows between them."""
    return [_described(column) for column in features.T]


def _described(column: Floats) -> dict[str, Any]:
    edges = np.unique(np.quantile(column.astype(np.float64), np.linspace(0, 1, BINS + 1)[1:-1]))
    return {"edges": edges.tolist(), "shares": _shares(column, edges).tolist()}


def population_stability(known: dict[str, Any], column: Floats) -> float:
    """Return the population stability index of a feature: 0 when it is distributed as in training.

    >>> rows = np.linspace(0, 1, 1000, dtype=np.float32)
    >>> seen = profile(rows[:, None])[0]
    >>> population_stability(seen, rows), population_stability(seen, rows + 1) > SHIFTED
    (0.0, True)
    """
    before = np.maximum(np.array(known["shares"]), _FLOOR)
    after = np.maximum(_shares(column, np.array(known["edges"])), _FLOOR)
    return float(((after - before) * np.log(after / before)).sum())


def _shares(column: Floats, edges: Doubles) -> Doubles:
    place = np.searchsorted(edges, column.astype(np.float64), side="left")
    shares: Doubles = np.bincount(place, minlength=len(edges) + 1) / max(1, len(column))
    return shares

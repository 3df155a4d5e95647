"""Compare the pairs of a run with those of the training, to see whether a mediator fits the data.

If the features have another distribution, scores are misleading: warn. If the share of true pairs among the candidates
is another, scores are wrong by a known factor: correct them. Data with many singletons has a small share, so that the
same score is weaker evidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BINS = 10
SHIFTED = 0.25
"""Population stability index above which a feature counts as shifted (the usual rule of thumb)."""

_FLOOR = 1e-3  # an empty bin, or a share of 0, would make the index infinite


def profile(features: Floats) -> list[dict[str, Any]]:
    """Describe each feature by its deciles and the shares of rows between them."""
    return [_described(column) for column in features.T]


def _described(column: Floats) -> dict[str, Any]:
    edges = np.unique(np.quantile(column.astype(np.float64), np.linspace(0, 1, BINS + 1)[1:-1]))
    return {"edges": edges.tolist(), "shares": _shares(column, edges).tolist()}


def population_stability(known: dict[str, Any], column: Floats) -> float:
    """Return the population stability index of a feature; 0: distributed as before.

    >>> rows = np.linspace(0, 1, 1000, dtype=np.float32)
    >>> seen = profile(rows[:, None])[0]
    >>> population_stability(seen, rows), population_stability(seen, rows + 1) > SHIFTED
    (0.0, True)
    """
    before = np.maximum(np.array(known["shares"]), _FLOOR)
    after = np.maximum(_shares(column, np.array(known["edges"])), _FLOOR)
    return float(((after - before) * np.log(after / before)).sum())


def estimated_share(counts: NDArray[np.int64], trained_share: float) -> float:
    """Estimate the share of true pairs without labels, as the mean of the scores.

    Scores are calibrated probabilities.

    Parameters
    ----------
    counts : ndarray of int64
        Number of pairs by score, in equal bins over [0, 1].
    trained_share : float in (0, 1)
        Share of true pairs at which the scores are calibrated.

    Returns
    -------
    float in (0, 1)
        ``trained_share`` when there are no pairs.

    Notes
    -----
    The estimate lies between the share of the training and that of the data. Expectation maximisation (Saerens, Latinne
    and Decaestecker, 2002) corrects fully if only the share has changed, but attributes any other change to the share:
    on data with the share of the training (Omniglot, .566) it gave .475, and the mean .540.

    Source: Bella et al., Quantification via probability estimators, ICDM 2010 (probability average).

    >>> estimated_share(np.array([70, 0, 0, 30]), 0.5)
    0.35
    """
    if not counts.sum():
        return trained_share
    score = (np.arange(len(counts)) + 0.5) / len(counts)
    return float(np.clip(np.average(score, weights=counts), _FLOOR, 1 - _FLOOR))


def reweighted(score: Doubles, trained_share: float, share: float) -> Doubles:
    """Return the probabilities of scores at another share of true pairs.

    >>> reweighted(np.array([0.5, 0.8]), 0.5, 0.2).round(3).tolist()
    [0.2, 0.5]
    """
    factor = odds(share) / odds(trained_share)
    probabilities: Doubles = factor * score / (factor * score + 1 - score)
    return probabilities


def odds(share: float) -> float:
    """Return p / (1 - p)."""
    return share / (1 - share)


def _shares(column: Floats, edges: Doubles) -> Doubles:
    bins = np.searchsorted(edges, column.astype(np.float64), side="left")
    shares: Doubles = np.bincount(bins, minlength=len(edges) + 1) / max(1, len(column))
    return shares

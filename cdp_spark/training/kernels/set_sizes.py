"""Draw the number of images of each identity of a simulated set: four laws, and sometimes one large identity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]

LAWS = ("const", "lognormal", "power", "mixed")
"""Equal sizes; lognormal sizes; a truncated power law; uniform sizes with a share of singletons."""

_GIANT = 0.3
"""Share of the sets in which one identity holds 1 to 15 % of all items."""
_LEAST_IDENTITIES = 10


def identity_sizes(rng: np.random.Generator, items: int) -> tuple[Longs, str]:
    """Draw the sizes of the identities of a set.

    Parameters
    ----------
    rng : numpy.random.Generator
    items : int
        Approximate sum of the sizes.

    Returns
    -------
    sizes : ndarray of int64
        At least 1 each, in random order.
    law : str
        One of ``LAWS``.
    """
    law = str(rng.choice(LAWS))
    sizes = _BY_LAW[law](rng, items)
    if rng.random() < _GIANT:
        sizes = np.concatenate([sizes, [int(items * log_uniform(rng, 0.01, 0.15))]])
    sizes = rng.permutation(sizes[sizes > 0])
    enough = int(np.searchsorted(np.cumsum(sizes), items)) + 1
    return sizes[: max(_LEAST_IDENTITIES, enough)].astype(np.int64), law


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _const(rng: np.random.Generator, items: int) -> Longs:
    size = int(log_uniform(rng, 3, 45))
    return np.full(max(items // size, 8), size)


def _lognormal(rng: np.random.Generator, items: int) -> Longs:
    mean = log_uniform(rng, 2, 40)
    deviation = rng.uniform(0.3, 1.2)
    drawn = rng.lognormal(np.log(mean) - 0.5 * deviation * deviation, deviation, int(items / mean) + 8)
    return np.maximum(1, drawn.astype(np.int64))


def _power(rng: np.random.Generator, items: int) -> Longs:
    exponent = rng.uniform(0.8, 2.6)
    size = np.arange(1, int(log_uniform(rng, 8, 300)) + 1)
    weight = size**-exponent
    weight /= weight.sum()
    drawn: Longs = rng.choice(size, int(items / (weight * size).sum()) + 8, p=weight)
    return drawn


def _mixed(rng: np.random.Generator, items: int) -> Longs:
    largest = int(log_uniform(rng, 4, 40))
    several = rng.integers(1, largest + 1, int(items * 0.7 / ((largest + 1) / 2)) + 4)
    return np.concatenate([several, np.ones(int(items * rng.uniform(0, 0.6)), np.int64)])


_BY_LAW = {"const": _const, "lognormal": _lognormal, "power": _power, "mixed": _mixed}

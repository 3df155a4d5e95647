"""Hash integers to uniform numbers: random draws that depend only on the integer and a salt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]


def uniform(values: Longs, salt: int) -> Doubles:
    """Hash integers to [0, 1), by two rounds of SplitMix64's finaliser.

    Source: Steele, Lea and Flood, 2014.
    """
    mixed = values.astype(np.uint64)
    for round_salt in (salt, salt + 1):
        mixed = mixed + np.uint64((round_salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    uniforms: Doubles = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniforms

"""Send rows to chosen partitions.

``repartition(n, key)`` places a row by pmod(murmur3(key), n). Choosing the keys gives exact placement on
every supported version of Spark (``repartitionById`` exists only since 4.1).
"""

from __future__ import annotations

import numpy as np


def placement_keys(partitions: int) -> list[int]:
    """Return for each partition 0..n-1 an int key that ``repartition(n, key)`` sends there.

    >>> len(set(placement_keys(5)))
    5
    """
    keys: dict[int, int] = {}
    start = 0
    while len(keys) < partitions:
        candidates = np.arange(start, start + 8 * partitions, dtype=np.int32)
        for key, partition in zip(candidates.tolist(), (_murmur3(candidates) % partitions).tolist(), strict=True):
            keys.setdefault(partition, key)
        start += len(candidates)
    return [keys[partition] for partition in range(partitions)]


def _murmur3(values: np.ndarray) -> np.ndarray:
    """Hash ints as Spark's ``hash`` does (murmur3 x86 32 bit, seed 42); signed, widened to int64."""
    with np.errstate(over="ignore"):
        word = values.astype(np.uint32) * np.uint32(0xCC9E2D51)
        word = ((word << np.uint32(15)) | (word >> np.uint32(17))) * np.uint32(0x1B873593)
        state = np.uint32(42) ^ word
        state = ((state << np.uint32(13)) | (state >> np.uint32(19))) * np.uint32(5) + np.uint32(0xE6546B64)
        state = state ^ np.uint32(4)
        state = (state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        state = (state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        state = state ^ (state >> np.uint32(16))
    return state.view(np.int32).astype(np.int64)

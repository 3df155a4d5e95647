"""Spark's ``xxhash64`` in a kernel, so that an Arrow function samples the same rows as Spark does.

In: integers. Out: for each, whether its hash, read as a number in [0, 1), is below a share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]

_P1, _P2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_P3, _P4 = np.uint64(0x165667B19E3779F9), np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_SEED, _BITS = np.uint64(42), 40
_SALT_BYTES = 8


def in_share(values: NDArray[np.int64], salt: str, share: float) -> Bools:
    """Return which values Spark's ``hashed_sample`` keeps.

    Equals ``hashed_sample(rows, column, salt=salt, below=share)``.

    Parameters
    ----------
    values : ndarray of int64
    salt : str
        At most seven bytes.
    share : float
        From 0 to 1.

    Examples
    --------
    >>> float(in_share(np.arange(10_000), "figures", 0.25).mean())
    0.2501
    """
    data = np.frombuffer(salt.encode(), np.uint8)
    if len(data) >= _SALT_BYTES:
        raise ValueError(f"salt {salt} has {len(data)} bytes: fewer than {_SALT_BYTES} are needed")
    # Hashes are integers below 2**40, so one is below share * 2**40 exactly if it is below that number rounded up.
    return _below(values.view(np.uint64), data, np.uint64(np.ceil(share * 2.0**_BITS)))


@compiled
def _below(values: Words, salt: Bytes, bound: np.uint64) -> Bools:
    below = np.empty(len(values), np.bool_)
    mask = (np.uint64(1) << np.uint64(_BITS)) - np.uint64(1)
    for i in range(len(values)):
        below[i] = (_hash_bytes(salt, _hash_long(values[i], _SEED)) & mask) < bound
    return below


@compiled(inline="always")
def _rotated(value: np.uint64, by: int) -> np.uint64:
    return (value << np.uint64(by)) | (value >> np.uint64(64 - by))


@compiled(inline="always")
def _mixed(value: np.uint64) -> np.uint64:
    value ^= value >> np.uint64(33)
    value *= _P2
    value ^= value >> np.uint64(29)
    value *= _P3
    return value ^ (value >> np.uint64(32))


@compiled(inline="always")
def _hash_long(value: np.uint64, seed: np.uint64) -> np.uint64:
    state = (seed + _P5 + np.uint64(8)) ^ (_rotated(value * _P2, 31) * _P1)
    return _mixed(_rotated(state, 27) * _P1 + _P4)


@compiled(inline="always")
def _hash_bytes(data: Bytes, seed: np.uint64) -> np.uint64:
    state = seed + _P5 + np.uint64(len(data))
    start = 0
    if len(data) >= 4:
        word = np.uint64(0)
        for i in range(4):
            word |= np.uint64(data[i]) << np.uint64(8 * i)
        state = _rotated(state ^ (word * _P1), 23) * _P2 + _P3
        start = 4
    for i in range(start, len(data)):
        state = _rotated(state ^ (np.uint64(data[i]) * _P5), 11) * _P1
    return _mixed(state)

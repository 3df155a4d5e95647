"""Spark's ``xxhash64`` in a kernel: the same share of rows is chosen inside an Arrow function as outside.

In: whole numbers. Out: for each whether its hash, as a number in [0, 1), is below a share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

_P1, _P2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_P3, _P4 = np.uint64(0x165667B19E3779F9), np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_SEED, _BITS = np.uint64(42), 40
_SALT_BYTES = 8


def in_share(values: NDArray[np.int64], salt: str, share: float) -> NDArray[np.bool_]:
    """Tell which values ``stages.shards.hashed_sample(rows, column, salt=salt, below=share)`` keeps.

    Parameters
    ----------
    values : ndarray of int64
    salt : str
        Of fewer than eight bytes.
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
    # Hashes are whole numbers below 2**40: those below the share are those below its next whole number.
    found: NDArray[np.bool_] = _below(values.view(np.uint64), data, np.uint64(np.ceil(share * 2.0**_BITS)))
    return found


@compiled
def _below(values, salt, bound):  # type: ignore[no-untyped-def]
    kept = np.empty(len(values), np.bool_)
    mask = (np.uint64(1) << np.uint64(_BITS)) - np.uint64(1)
    for place in range(len(values)):
        kept[place] = (_of_bytes(salt, _of_long(values[place], _SEED)) & mask) < bound
    return kept


@compiled(inline="always")
def _turned(value, by):  # type: ignore[no-untyped-def]
    return (value << np.uint64(by)) | (value >> np.uint64(64 - by))


@compiled(inline="always")
def _mixed(value):  # type: ignore[no-untyped-def]
    value ^= value >> np.uint64(33)
    value *= _P2
    value ^= value >> np.uint64(29)
    value *= _P3
    return value ^ (value >> np.uint64(32))


@compiled(inline="always")
def _of_long(value, seed):  # type: ignore[no-untyped-def]
    found = (seed + _P5 + np.uint64(8)) ^ (_turned(value * _P2, 31) * _P1)
    return _mixed(_turned(found, 27) * _P1 + _P4)


@compiled(inline="always")
def _of_bytes(data, seed):  # type: ignore[no-untyped-def]
    found = seed + _P5 + np.uint64(len(data))
    start = 0
    if len(data) >= 4:
        word = np.uint64(0)
        for place in range(4):
            word |= np.uint64(data[place]) << np.uint64(8 * place)
        found = _turned(found ^ (word * _P1), 23) * _P2 + _P3
        start = 4
    for place in range(start, len(data)):
        found = _turned(found ^ (np.uint64(data[place]) * _P5), 11) * _P1
    return _mixed(found)

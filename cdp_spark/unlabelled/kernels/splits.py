"""Which halves of the committee are compared: of the models, or of the coordinates of each.

A model that is given twice counts once, or both halves would hold it and agree whatever the shift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.uniform_hashes import uniform
from cdp_spark.base.numeric.unit_vectors import unit_rows

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Split = tuple[tuple[int, ...], tuple[int, ...]]

_BY_MODELS: dict[int, tuple[Split, ...]] = {
    2: (((0,), (1,)),),
    3: (((0,), (1, 2)), ((1,), (0, 2)), ((2,), (0, 1))),
    4: (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))),
    5: (((0, 3), (1, 2, 4)), ((0, 1, 4), (2, 3)), ((0, 2), (1, 3, 4))),
    6: (((0, 1, 2), (3, 4, 5)),),
}
_SPLITS = 3
_MODEL_SALT, _COORDINATE_SALT = 0x5B1, 0xC00


def model_splits(models: int) -> tuple[Split, ...]:
    """Return the halves that are compared; none for a single model.

    Up to six models the splits are fixed; of more, three are drawn by hash.

    >>> model_splits(2), len(model_splits(9)), [len(half) for half in model_splits(9)[0]]
    ((((0,), (1,)),), 3, [4, 5])
    """
    if models < 2:
        return ()
    if models in _BY_MODELS:
        return _BY_MODELS[models]
    return tuple(_drawn(models, number) for number in range(_SPLITS))


def distinct_halves(splits: Sequence[Split]) -> tuple[tuple[int, ...], ...]:
    """Return each half of some splits once, in the order in which they come.

    >>> distinct_halves([((0,), (1, 2)), ((1,), (0, 2)), ((0,), (2,))])
    ((0,), (1, 2), (1,), (0, 2), (2,))
    """
    return tuple(dict.fromkeys(half for split in splits for half in split))


def _drawn(models: int, number: int) -> Split:
    order = np.argsort(uniform(np.arange(models), _MODEL_SALT + 2 * number), kind="stable")
    one, other = np.sort(order[: models // 2]), np.sort(order[models // 2 :])
    return tuple(one.tolist()), tuple(other.tolist())


def coordinate_splits(models: int) -> int:
    """Return how many splits of the coordinates are compared: two of a single model, one of several."""
    return 2 if models == 1 else 1


def coordinate_halves(dimension: int, salt: int) -> tuple[Longs, Longs]:
    """Divide the coordinates of a model into two halves, by hash.

    >>> [len(half) for half in coordinate_halves(5, 0)]
    [3, 2]
    """
    order = np.argsort(uniform(np.arange(dimension), _COORDINATE_SALT + 2 * salt), kind="stable")
    return np.sort(order[::2]), np.sort(order[1::2])


def at_coordinates(vectors: Halves, coordinates: Longs) -> Halves:
    """Take some coordinates; a row that is 0 in all of them, or has no other, becomes the first unit vector."""
    # A copy, also of all coordinates: what is given may be Arrow's memory.
    chosen = np.array(vectors[:, coordinates] if len(coordinates) else vectors, order="C")
    none = ~(np.abs(chosen) > 0).any(axis=1)
    chosen[none, 0] = 1
    return unit_rows(chosen)[0]


def distinct_models(models: Sequence[Halves]) -> list[int]:
    """Return the numbers of the models that are not the same as an earlier one, vector by vector.

    >>> one, other = np.eye(3, dtype=np.float16), np.ones((3, 3), np.float16)
    >>> distinct_models([one, other, one.copy()])
    [0, 1]
    """
    kept: list[int] = []
    for number, vectors in enumerate(models):
        if not any(np.array_equal(vectors, models[earlier]) for earlier in kept):
            kept.append(number)
    return kept


def distinct_rows(models: Sequence[Halves]) -> tuple[Longs, Longs]:
    """Find the rows that are not identical, in all models, to an earlier one.

    Returns
    -------
    kept : ndarray of int64, rising
        The first of each group of identical rows.
    copy_of : ndarray of int64, shape (n,)
        Index in ``kept`` of the row that each row is identical to.
    """
    rows = np.concatenate([np.ascontiguousarray(vectors).view(np.uint8) for vectors in models], axis=1)
    keys = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0]
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    kept = np.sort(first)
    return kept, np.searchsorted(kept, first[group])

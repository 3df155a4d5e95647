"""The pairs inside labels -> labels that fall into parts: one label given to two identities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.connected import connected_components
from cdp_spark.base.numeric.dense_numbers import numbered, positions

Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

_SAME = 0.5
"""Pairs of greater strength hold a part together."""


@dataclass(frozen=True)
class Parts:
    """The items of the parts that stand beside the main one of their label.

    Attributes
    ----------
    items, labels : ndarray of int64
    roots : ndarray of int64
        The part, by its smallest item.
    scores : ndarray of float64
        How surely the part is not of the rest, in [0, 1].
    """

    items: Longs
    labels: Longs
    roots: Longs
    scores: Floats


def parts_of_labels(label: Longs, src: Longs, dst: Longs, strength: Floats, *, k: int) -> Parts:
    """Find the parts that labels fall into, all labels at once.

    Were a part of p items no identity of its own, its items would have as much to do with the n - p others as with each
    other, as far as k neighbours allow. The score is the share of that which is missing, times p / (p + 1): few
    items may lie apart by chance.

    Parameters
    ----------
    label : ndarray of int64
        Label of both ends of each pair; all pairs of a label are here.
    src, dst : ndarray of int64
    strength : ndarray of float64
        In [0, 1].
    k : int
        Neighbours of an item.

    Returns
    -------
    Parts
        Parts of two items or more, without each label's largest (of equal ones, that with the smallest item).

    Examples
    --------
    >>> two = parts_of_labels(np.zeros(2, int), np.array([1, 3]), np.array([2, 4]), np.ones(2), k=5)
    >>> two.items.tolist(), two.roots.tolist(), two.scores.round(2).tolist()
    ([3, 4], [3, 3], [0.67, 0.67])
    """
    items, _ = numbered(np.concatenate([src, dst]))
    first, second = positions(items, src), positions(items, dst)
    roots = _roots(items, src, dst, strength)
    part_roots, part = numbered(roots)
    of_item = np.zeros(len(items), np.int64)
    of_item[first], of_item[second] = label, label
    of_part = of_item[positions(items, part_roots)] if len(items) else part_roots
    size = np.bincount(part, minlength=len(part_roots))
    labels, label_place = numbered(of_part)
    whole = np.bincount(label_place, weights=size, minlength=len(labels)).astype(np.int64)[label_place]
    inside, across = _sums(part[first], part[second], strength, len(part_roots))
    score = _scores(size, whole, inside, across, k)
    aside = (size >= 2) & ~_main(label_place, size, part_roots)
    chosen = aside[part]
    return Parts(items[chosen], of_item[chosen], roots[chosen], score[part[chosen]])


def _roots(items: Longs, src: Longs, dst: Longs, strength: Floats) -> Longs:
    strong = strength > _SAME
    joined, roots = connected_components(src[strong], dst[strong])
    found = items.copy()
    if len(joined):
        found[positions(items, joined)] = roots
    return found


def _sums(first: Longs, second: Longs, strength: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the strengths inside each part, from both ends, and to other parts of its label."""
    within = first == second

    def total(part: Longs, kept: NDArray[np.bool_]) -> Floats:
        return np.asarray(np.bincount(part[kept], weights=strength[kept], minlength=count), np.float64)

    return 2 * total(first, within), total(first, ~within) + total(second, ~within)


def _scores(size: Longs, whole: Longs, inside: Floats, across: Floats, k: int) -> Floats:
    wanted = inside * np.minimum(whole - size, k) / np.maximum(size - 1, 1)
    missing = 1 - across / np.maximum(wanted, 1e-9)
    found: Floats = np.where(wanted > 0, np.maximum(missing, 0.0), 0.0) * size / (size + 1)
    return found


def _main(label: Longs, size: Longs, root: Longs) -> NDArray[np.bool_]:
    """Mark the largest part of each label."""
    order = np.lexsort((root, -size, label))
    main = np.zeros(len(label), bool)
    main[order[np.flatnonzero(np.diff(label[order], prepend=-1))]] = True
    return main

"""The pairs inside labels -> labels that fall into fragments, because two identities have one label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.connected import connected_components
from cdp_spark.base.numeric.dense_numbers import numbered, positions

Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

_SAME = 0.5
"""Pairs of greater strength connect a fragment."""


@dataclass(frozen=True)
class Fragments:
    """The items outside the main fragment of their label.

    Attributes
    ----------
    items, labels : ndarray of int64
    roots : ndarray of int64
        Smallest item of the fragment.
    scores : ndarray of float64
        Evidence that the fragment is another identity, in [0, 1].
    """

    items: Longs
    labels: Longs
    roots: Longs
    scores: Floats


def fragments_of_labels(label: Longs, src: Longs, dst: Longs, strength: Floats, *, k: int) -> Fragments:
    """Find the fragments of all labels.

    If a fragment of p items belonged to the identity of the other n - p items of the label, its items would be as
    strongly connected with these as with each other, as far as k neighbours allow. With the strengths summed from both
    ends of the inner pairs, ``inside``, and over the pairs with other fragments, ``across``, the score is
    ``max(0, 1 - across / wanted) * p / (p + 1)``, where ``wanted = inside * min(n - p, k) / (p - 1)``. The last factor
    is there because a few items may lie apart by chance.

    Parameters
    ----------
    label : ndarray of int64
        Label of both ends of each pair; all pairs of a label must be given.
    src, dst : ndarray of int64
    strength : ndarray of float64
        In [0, 1].
    k : int
        Neighbours of an item.

    Returns
    -------
    Fragments
        Fragments of two items or more, without each label's largest (among equal ones, that with the smallest item).

    Examples
    --------
    >>> two = fragments_of_labels(np.zeros(2, int), np.array([1, 3]), np.array([2, 4]), np.ones(2), k=5)
    >>> two.items.tolist(), two.roots.tolist(), two.scores.round(2).tolist()
    ([3, 4], [3, 3], [0.67, 0.67])
    """
    items, _ = numbered(np.concatenate([src, dst]))
    first, second = positions(items, src), positions(items, dst)
    roots = _roots(items, src, dst, strength)
    fragment_roots, fragment = numbered(roots)
    of_item = np.zeros(len(items), np.int64)
    of_item[first], of_item[second] = label, label
    of_fragment = of_item[positions(items, fragment_roots)] if len(items) else fragment_roots
    size = np.bincount(fragment, minlength=len(fragment_roots))
    labels, number = numbered(of_fragment)
    whole = np.bincount(number, weights=size, minlength=len(labels)).astype(np.int64)[number]
    inside, across = _sums(fragment[first], fragment[second], strength, len(fragment_roots))
    score = _scores(size, whole, inside, across, k)
    aside = (size >= 2) & ~_main(number, size, fragment_roots)
    chosen = aside[fragment]
    return Fragments(items[chosen], of_item[chosen], roots[chosen], score[fragment[chosen]])


def _roots(items: Longs, src: Longs, dst: Longs, strength: Floats) -> Longs:
    strong = strength > _SAME
    connected, smallest = connected_components(src[strong], dst[strong])
    roots = items.copy()
    if len(connected):
        roots[positions(items, connected)] = smallest
    return roots


def _sums(first: Longs, second: Longs, strength: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the strengths inside each fragment, from both ends, and to others."""
    within = first == second

    def total(fragment: Longs, kept: NDArray[np.bool_]) -> Floats:
        return np.asarray(np.bincount(fragment[kept], weights=strength[kept], minlength=count), np.float64)

    return 2 * total(first, within), total(first, ~within) + total(second, ~within)


def _scores(size: Longs, whole: Longs, inside: Floats, across: Floats, k: int) -> Floats:
    wanted = inside * np.minimum(whole - size, k) / np.maximum(size - 1, 1)
    missing = 1 - across / np.maximum(wanted, 1e-9)
    scores: Floats = np.where(wanted > 0, np.maximum(missing, 0.0), 0.0) * size / (size + 1)
    return scores


def _main(label: Longs, size: Longs, root: Longs) -> NDArray[np.bool_]:
    """Mark the largest fragment of each label."""
    order = np.lexsort((root, -size, label))
    main = np.zeros(len(label), bool)
    main[order[np.flatnonzero(np.diff(label[order], prepend=-1))]] = True
    return main

"""Measure from counts of confirmed pairs what each member contributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.report.figures import Agreement, MemberAgreement, VoteCount

Longs = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SURE = 2.0
"""Standard errors up to which a difference of two shares may be chance."""


class PairCount(NamedTuple):
    """A row of ``graph_figures.confirmed_pairs``."""

    members: int
    same: bool | None
    pairs: int


def agreement_of(rows: Sequence[PairCount], members: Sequence[str], *, sampled: bool) -> Agreement:
    """Compare the members.

    Parameters
    ----------
    rows : sequence of PairCount
    members : sequence of str
        Names, in the order of the bits.
    sampled : bool
        Whether these pairs are a sample.

    Examples
    --------
    >>> counts = [(1, True, 90), (1, False, 10), (0, True, 10), (0, False, 90)]
    >>> agreement = agreement_of([PairCount(*count) for count in counts], ["casia"], sampled=False)
    >>> [tuple(count) for count in agreement.votes]
    [(0, 100, 0.1), (1, 100, 0.9)]
    >>> member = agreement.members[0]
    >>> member.right, member.right_otherwise, member.verdict
    (0.9, 0.1, 'helps')
    """
    bits = np.array([bits for bits, _, _ in rows], np.int64)
    pairs = np.array([pairs for _, _, pairs in rows], np.int64)
    labelled = np.array([same is not None for _, same, _ in rows], bool)
    counted = _Counted(pairs, labelled, np.array([bool(same) for _, same, _ in rows], bool))
    confirms = (bits[:, None] >> np.arange(len(members)) & 1).astype(bool)
    votes = confirms.sum(axis=1)
    by_votes = [
        VoteCount(int(n), int(pairs[votes == n].sum()), counted.right(votes == n)) for n in range(len(members) + 1)
    ]
    each = [_member(model, confirms, column, counted) for column, model in enumerate(members)]
    return Agreement(int(pairs.sum()), sampled, by_votes, each)


class _Counted:
    """Counts of pairs, of the labelled ones, and of the right ones among these."""

    def __init__(self, pairs: Longs, labelled: Bools, same: Bools) -> None:
        self.pairs = pairs
        self._labelled = pairs * labelled
        self._same = pairs * same

    def labelled(self, where: Bools) -> int:
        return int(self._labelled[where].sum())

    def right(self, where: Bools) -> float | None:
        return int(self._same[where].sum()) / known if (known := self.labelled(where)) else None


def _member(model: str, confirms: Bools, column: int, counted: _Counted) -> MemberAgreement:
    own = confirms[:, column]
    all_others = np.delete(confirms, column, axis=1).all(axis=1)
    total = int(counted.pairs.sum())
    with_it, without_it = all_others & own, all_others & ~own
    return MemberAgreement(
        model,
        int(counted.pairs[own].sum()) / total if total else None,
        counted.right(own),
        counted.right(~own),
        counted.right(with_it),
        counted.right(without_it),
        _verdict(counted, with_it, without_it),
    )


def _verdict(counted: _Counted, with_it: Bools, without_it: Bools) -> str:
    """Decide whether the member's vote improves pairs that all others confirm."""
    right, otherwise = counted.right(with_it), counted.right(without_it)
    if right is None and otherwise is None:
        return ""
    if right is None or otherwise is None:
        return "adds little"
    error = np.sqrt(
        right * (1 - right) / counted.labelled(with_it) + otherwise * (1 - otherwise) / counted.labelled(without_it)
    )
    if abs(right - otherwise) <= _SURE * error:
        return "adds little"
    return "helps" if right > otherwise else "hurts"

"""What the page draws: plain values, no Spark, no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdp_spark.runs.run_json import ClusterRecord

_TOP = 0.01


@dataclass(frozen=True)
class ShownCluster:
    """One cluster with members to look at: in one part or, when it is uncertain, in the two it would fall into.

    Of two clusters that were nearly joined each is a part, and ``cluster`` and ``size`` are the first one's.
    """

    cluster: int
    size: int
    note: str
    parts: list[list[Any]]


@dataclass(frozen=True)
class Suspect:
    """One cluster that deserves doubt.

    Attributes
    ----------
    cluster, size : int
    mean_score, weakest : float
        Of the forest's pairs inside it.
    signs : tuple of str
        See ``summaries.suspects``.
    others : int or None
        Items whose label is not that of most; None without labels.
    """

    cluster: int
    size: int
    mean_score: float
    weakest: float
    signs: tuple[str, ...]
    others: int | None = None


@dataclass(frozen=True)
class Covered:
    """The surest share of the items.

    Attributes
    ----------
    share : float
        Of all items.
    confidence : float
        The least among them.
    pairwise_f, bcubed_f : float or None
        Of these items alone; None without labels.
    """

    share: float
    confidence: float
    pairwise_f: float | None = None
    bcubed_f: float | None = None


@dataclass(frozen=True)
class DecidingPair:
    """A pair near the threshold, the sizes of the groups that it joins, and the labels of its ends, where known."""

    src: Any
    dst: Any
    score: float
    kept: bool
    sizes: tuple[int, int]
    labels: tuple[str, str] | None = None


@dataclass(frozen=True)
class Hubs:
    """How evenly a KNN graph's edges are spread over the items.

    Attributes
    ----------
    model : str
    largest : int
        Most lists that one item is in.
    in_none : float
        Share of the items that are in no list.
    top_share : float
        Share of all edges that lead to the hundredth of the items that is in most lists.
    counts : list of (in_degree, items), rising
    sampled : bool
        Whether a share of the items stands for all.
    """

    model: str
    largest: int
    in_none: float
    top_share: float
    counts: list[tuple[int, int]]
    sampled: bool

    @classmethod
    def of(cls, model: str, counts: Sequence[tuple[int, int]], *, sampled: bool) -> Hubs:
        """Make the figures of a histogram.

        >>> found = Hubs.of("v3", [(0, 50), (1, 49), (51, 1)], sampled=False)
        >>> found.largest, found.in_none, found.top_share
        (51, 0.5, 0.51)
        """
        rising = sorted(counts)
        degree, items = (
            (np.array(column, np.int64) for column in zip(*rising, strict=True)) if rising else (_NONE, _NONE)
        )
        total, edges = int(items.sum()), int((degree * items).sum())
        # Of the items of equal degree at the border as many as are missing.
        above = np.concatenate([[0], np.cumsum(items[::-1])])
        taken = np.clip(_TOP * total - above[:-1], 0, items[::-1])
        top = float((taken * degree[::-1]).sum()) / edges if edges else 0.0
        in_none = float(items[degree == 0].sum()) / total if total else 0.0
        return cls(model, int(degree.max(initial=0)), in_none, top, rising, sampled)


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class Confirming:
    """What one member says of the base's pairs; shares are None where there is nothing to divide by.

    Attributes
    ----------
    model : str
    confirmed : float or None
        Share of the base's pairs that it has, too.
    right, right_otherwise : float or None
        Share of one identity among the labelled pairs that it confirms, and among the others.
    alone_with, alone_without : float or None
        The same, of only the pairs that all other members confirm: what its word adds to theirs.
    verdict : str
        *helps*, *adds little*, *hurts*, or nothing without labels.
    """

    model: str
    confirmed: float | None
    right: float | None
    right_otherwise: float | None
    alone_with: float | None
    alone_without: float | None
    verdict: str


@dataclass(frozen=True)
class Agreement:
    """How the committee sees the base's pairs.

    Attributes
    ----------
    pairs : int
        Counted pairs.
    sampled : bool
        Whether they stand for more.
    votes : list of (votes, pairs, right)
        Pairs that so many members confirm, and the share of one identity among the labelled of them or None.
    members : list of Confirming
    """

    pairs: int
    sampled: bool
    votes: list[tuple[int, int, float | None]]
    members: list[Confirming]

    @property
    def judged(self) -> bool:
        """Whether labels say which pairs are right."""
        return any(right is not None for _, _, right in self.votes)


@dataclass(frozen=True)
class SplitIdentity:
    """One identity in several clusters; ``without`` of its items are in none."""

    label: str
    size: int
    clusters: int
    largest: int
    without: int


@dataclass(frozen=True)
class MergedCluster:
    """One cluster of several identities; ``most`` of its labelled items have ``label``."""

    cluster: int
    size: int
    identities: int
    most: int
    label: str


@dataclass(frozen=True)
class Parts:
    """Files of a stage, one per task that wrote rows, and how many times the middle one the largest is."""

    files: int
    skew: float | None


@dataclass(frozen=True)
class Figures:
    """Everything the page draws.

    Attributes
    ----------
    record : dict
        ``run.json``.
    scores : list of (bin, pairs)
        See ``summaries.score_histogram``.
    sizes : list of (size, clusters)
    largest, uncertain : list of ShownCluster
    nearly_joined : list of ShownCluster
        Two clusters each, by rules without a threshold.
    coverage : list of Covered
        The larger share first; empty by rules with a threshold.
    pictures : dict of id to data URI
    other_labels : set of id
        Shown members whose label is not that of most.
    suspects : list of Suspect
    pairs : list of DecidingPair
    hubs : list of Hubs
    agreement : Agreement or None
        None without a committee.
    split, merged : list of SplitIdentity and of MergedCluster
    parts : dict of stage to Parts
    sweep : dict or None
        The run's last sweep, as ``tasks.sweep.Sweep``.
    """

    record: ClusterRecord
    scores: list[tuple[int, int]] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    largest: list[ShownCluster] = field(default_factory=list)
    uncertain: list[ShownCluster] = field(default_factory=list)
    nearly_joined: list[ShownCluster] = field(default_factory=list)
    coverage: list[Covered] = field(default_factory=list)
    pictures: Mapping[Any, str] = field(default_factory=dict)
    other_labels: frozenset[Any] = frozenset()
    suspects: list[Suspect] = field(default_factory=list)
    pairs: list[DecidingPair] = field(default_factory=list)
    hubs: list[Hubs] = field(default_factory=list)
    agreement: Agreement | None = None
    split: list[SplitIdentity] = field(default_factory=list)
    merged: list[MergedCluster] = field(default_factory=list)
    parts: Mapping[str, Parts] = field(default_factory=dict)
    sweep: Mapping[str, Any] | None = None

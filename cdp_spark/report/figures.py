"""Define what the page draws: plain values, no Spark, no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cdp_spark.runs.run_json import ClusterRecord

_TOP = 0.01


@dataclass(frozen=True)
class ShownCluster:
    """One cluster with some of its members, in one or two groups.

    An uncertain cluster has two groups, those it would split into. Two clusters that nearly joined are a group each;
    ``cluster`` and ``size`` are then those of the first.
    """

    cluster: int
    size: int
    note: str
    groups: list[list[Any]]


@dataclass(frozen=True)
class Suspect:
    """One doubtful cluster.

    Attributes
    ----------
    cluster, size : int
    mean_score, weakest : float
        Mean and smallest score of the forest edges inside it.
    signs : tuple of str
        See ``summaries.suspects``.
    others : int or None
        Items whose label differs from the most common one; None without labels.
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
        Share of all items.
    confidence : float
        Lowest confidence among them.
    pairwise_f, bcubed_f : float or None
        Metrics of these items alone; None without labels.
    """

    share: float
    confidence: float
    pairwise_f: float | None = None
    bcubed_f: float | None = None


@dataclass(frozen=True)
class DecidingPair:
    """A pair near the threshold, the sizes of the groups it joins, and its labels."""

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
        Largest number of lists that contain the same item.
    in_none : float
        Share of the items that are in no list.
    top_share : float
        Share of all edges that lead to the 1 % of the items that are in most lists.
    counts : list of (in_degree, items), rising
    sampled : bool
        Whether only a sample of the items was counted.
    """

    model: str
    largest: int
    in_none: float
    top_share: float
    counts: list[tuple[int, int]]
    sampled: bool

    @classmethod
    def of(cls, model: str, counts: Sequence[tuple[int, int]], *, sampled: bool) -> Hubs:
        """Derive the figures from a histogram.

        >>> hubs = Hubs.of("v3", [(0, 50), (1, 49), (51, 1)], sampled=False)
        >>> hubs.largest, hubs.in_none, hubs.top_share
        (51, 0.5, 0.51)
        """
        rising = sorted(counts)
        degree, items = (
            (np.array(column, np.int64) for column in zip(*rising, strict=True)) if rising else (_NONE, _NONE)
        )
        total, edges = int(items.sum()), int((degree * items).sum())
        # Take only as many items at the border degree as the top still lacks.
        above = np.concatenate([[0], np.cumsum(items[::-1])])
        taken = np.clip(_TOP * total - above[:-1], 0, items[::-1])
        top = float((taken * degree[::-1]).sum()) / edges if edges else 0.0
        in_none = float(items[degree == 0].sum()) / total if total else 0.0
        return cls(model, int(degree.max(initial=0)), in_none, top, rising, sampled)


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class MemberAgreement:
    """Agreement of one member with the base's pairs.

    Shares are None where their denominator is 0.

    Attributes
    ----------
    model : str
    confirmed : float or None
        Share of the base's pairs that it has as well.
    right, right_otherwise : float or None
        Share of pairs of one identity, among the labelled pairs that it confirms and among those that it does not.
    alone_with, alone_without : float or None
        The same shares, only among pairs that all other members confirm: what its vote adds to theirs.
    verdict : str
        *helps*, *adds little* or *hurts*; empty without labels.
    """

    model: str
    confirmed: float | None
    right: float | None
    right_otherwise: float | None
    alone_with: float | None
    alone_without: float | None
    verdict: str


class VoteCount(NamedTuple):
    """Number of pairs with this number of votes.

    ``right`` is the share of one identity among the labelled ones, None without labels.
    """

    votes: int
    pairs: int
    right: float | None


@dataclass(frozen=True)
class Agreement:
    """How far the committee agrees with the base's pairs.

    Attributes
    ----------
    pairs : int
        Number of counted pairs.
    sampled : bool
        Whether only a sample of the pairs was counted.
    votes : list of VoteCount
        One per number of votes, rising.
    members : list of MemberAgreement
    """

    pairs: int
    sampled: bool
    votes: list[VoteCount]
    members: list[MemberAgreement]

    @property
    def labelled(self) -> bool:
        """Whether labels tell which pairs are right."""
        return any(count.right is not None for count in self.votes)


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
    """One cluster of several identities; ``most`` labelled items have ``label``."""

    cluster: int
    size: int
    identities: int
    most: int
    label: str


@dataclass(frozen=True)
class StageFiles:
    """Files of a stage, one per task with rows; ``skew`` is largest size / median."""

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
        Two clusters each; empty for rules with a threshold.
    coverage : list of Covered
        Falling by share; empty for rules with a threshold.
    pictures : dict of id to data URI
    other_labels : set of id
        Shown members whose label differs from the most common one of their cluster.
    suspects : list of Suspect
    pairs : list of DecidingPair
    hubs : list of Hubs
    agreement : Agreement or None
        None without a committee.
    split, merged : list of SplitIdentity and of MergedCluster
    stage_files : dict of stage to StageFiles
    sweep : dict or None
        The run's last sweep, as in ``commands.sweep.Sweep``.
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
    stage_files: Mapping[str, StageFiles] = field(default_factory=dict)
    sweep: Mapping[str, Any] | None = None

"""What deserves a human look: suspicious clusters, pairs on which much depends, identities apart or together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.evaluation import label_counts
from cdp_spark.report import summaries
from cdp_spark.report.figures import DecidingPair, MergedCluster, SplitIdentity, Suspect
from cdp_spark.report.shown import Tables
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun

SIGNS = ("bridge", "loose", "large")
_NEAR, _PAIRS = 1_000, 12
_IDENTITIES = 10


@dataclass(frozen=True)
class Judged:
    """What labels say of the clusters.

    Attributes
    ----------
    split, merged : list of SplitIdentity and of MergedCluster
        The worst first.
    others : dict of cluster to int
        Of the suspects: items whose label is not that of most.
    other_labels : set of id
        Shown members whose label is not that of most in their cluster.
    """

    split: list[SplitIdentity]
    merged: list[MergedCluster]
    others: Mapping[int, int]
    other_labels: frozenset[Any]


def suspects(tables: Tables) -> list[Suspect]:
    """Choose suspicious clusters, the worst of each sign first."""
    found: dict[int, Suspect] = {}
    chosen = [row for row in tables.suspects if row["sign"] in SIGNS]
    for row in sorted(chosen, key=lambda row: (SIGNS.index(row["sign"]), row["place"])):
        known = found.get(row["cluster"])
        signs = (*known.signs, row["sign"]) if known else (row["sign"],)
        found[row["cluster"]] = Suspect(row["cluster"], row["size"], row["mean_score"], row["weakest"], signs)
    return list(found.values())


def judged(
    clusters: DataFrame, labels: DataFrame, suspicious: list[Suspect], shown: Mapping[int, Sequence[Any]]
) -> Judged:
    """Find the identities that lie in several clusters, the clusters that hold several, and what is wrong in others.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    labels : DataFrame (id, label)
    suspicious : list of Suspect
    shown : mapping of cluster to sequence of id
        Members on the page.
    """
    known = [each.cluster for each in suspicious]
    cells = label_counts.label_cells(clusters, labels)
    rows = label_counts.doubtful_groups(cells, count=_IDENTITIES, known=known).collect()
    split, merged = (
        sorted((row for row in rows if row["kind"] == kind and row["place"]), key=lambda row: row["place"])[
            :_IDENTITIES
        ]
        for kind in (label_counts.IDENTITY, label_counts.CLUSTER)
    )
    others = {row["cluster"]: row["others"] for row in rows if row["kind"] == label_counts.CLUSTER}
    wanted = sorted({*shown, *(row["cluster"] for row in merged)})
    ids = [each for members in shown.values() for each in members]
    usual = label_counts.usual_labels(clusters, labels, wanted, ids).collect()
    label_of = {row["cluster"]: str(row["last"]) for row in usual}
    return Judged(
        [SplitIdentity(str(row["label"]), row["size"], row["parts"], row["most"], row["without"]) for row in split],
        [
            MergedCluster(row["cluster"], row["size"], row["parts"], row["most"], label_of[row["cluster"]])
            for row in merged
        ],
        {each: others.get(each, 0) for each in known},
        frozenset(row["id"] for row in usual if row["id"] is not None and row["label"] != row["first"]),
    )


def deciding_pairs(run: FinishedRun) -> list[DecidingPair]:
    """Choose the pairs near the threshold that join, or would join, the largest groups."""
    threshold = float(run.record.threshold)
    rows = summaries.deciding_merges(
        run.table(register.MERGES), threshold=threshold, near=_NEAR, count=_PAIRS
    ).collect()
    return [
        DecidingPair(
            row["src"], row["dst"], row["score"], row["score"] > threshold, (row["left_size"], row["right_size"])
        )
        for row in rows
    ]  # fmt: skip


def labelled_pairs(pairs: list[DecidingPair], labels: DataFrame) -> list[DecidingPair]:
    """Add the labels of both ends, where both are known."""
    ends = [end for pair in pairs for end in (pair.src, pair.dst)]
    known = {row["id"]: str(row["label"]) for row in labels.where(F.col("id").isin(ends)).collect()}
    return [
        replace(pair, labels=(known[pair.src], known[pair.dst])) if {pair.src, pair.dst} <= set(known) else pair
        for pair in pairs
    ]

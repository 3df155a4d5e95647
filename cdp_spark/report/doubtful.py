"""Choose items worth a look: doubtful clusters, deciding pairs, wrong merges."""

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
class LabelComparison:
    """Clusters compared with labels.

    Attributes
    ----------
    split, merged : list of SplitIdentity and of MergedCluster
        Worst first.
    others : dict of cluster to int
        For each suspect, the number of items whose label differs from the most common one.
    other_labels : set of id
        Shown members whose label differs from the most common one of their cluster.
    """

    split: list[SplitIdentity]
    merged: list[MergedCluster]
    others: Mapping[int, int]
    other_labels: frozenset[Any]


def suspects(tables: Tables) -> list[Suspect]:
    """Choose suspicious clusters, worst of each sign first."""
    by_cluster: dict[int, Suspect] = {}
    chosen = [row for row in tables.suspects if row["sign"] in SIGNS]
    for row in sorted(chosen, key=lambda row: (SIGNS.index(row["sign"]), row["rank"])):
        known = by_cluster.get(row["cluster"])
        signs = (*known.signs, row["sign"]) if known else (row["sign"],)
        by_cluster[row["cluster"]] = Suspect(row["cluster"], row["size"], row["mean_score"], row["weakest"], signs)
    return list(by_cluster.values())


def compared(
    clusters: DataFrame, labels: DataFrame, suspicious: list[Suspect], shown: Mapping[int, Sequence[Any]]
) -> LabelComparison:
    """Find split identities, merged clusters, and items of other labels.

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
        sorted((row for row in rows if row["kind"] == kind and row["rank"]), key=lambda row: row["rank"])[:_IDENTITIES]
        for kind in (label_counts.IDENTITY, label_counts.CLUSTER)
    )
    others = {row["cluster"]: row["others"] for row in rows if row["kind"] == label_counts.CLUSTER}
    wanted = sorted({*shown, *(row["cluster"] for row in merged)})
    ids = [each for members in shown.values() for each in members]
    usual = label_counts.usual_labels(clusters, labels, wanted, ids).collect()
    label_of = {row["cluster"]: str(row["last"]) for row in usual}
    return LabelComparison(
        [SplitIdentity(str(row["label"]), row["size"], row["cells"], row["most"], row["without"]) for row in split],
        [
            MergedCluster(row["cluster"], row["size"], row["cells"], row["most"], label_of[row["cluster"]])
            for row in merged
        ],
        {each: others.get(each, 0) for each in known},
        frozenset(row["id"] for row in usual if row["id"] is not None and row["label"] != row["first"]),
    )


def deciding_pairs(run: FinishedRun) -> list[DecidingPair]:
    """Choose the pairs near the threshold that join or would join the largest groups."""
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
    """Add the labels of pairs whose ends both have one."""
    ends = [end for pair in pairs for end in (pair.src, pair.dst)]
    known = {row["id"]: str(row["label"]) for row in labels.where(F.col("id").isin(ends)).collect()}
    return [
        replace(pair, labels=(known[pair.src], known[pair.dst])) if {pair.src, pair.dst} <= set(known) else pair
        for pair in pairs
    ]

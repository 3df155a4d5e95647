"""What deserves a human look: suspicious clusters, pairs on which much depends, identities apart or together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from cdp_spark.runtime.finished import FinishedRun
from cdp_spark.stages import evaluation, summaries
from cdp_spark.tasks.report.figures import DecidingPair, MergedCluster, SplitIdentity, Suspect
from cdp_spark.tasks.report.shown import Tables

SIGNS = ("bridge", "loose", "large")
_SMALLEST = 4
_OF_EACH_SIGN = 5
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
    """

    split: list[SplitIdentity]
    merged: list[MergedCluster]
    others: Mapping[int, int]


def suspects(tables: Tables, max_cluster_size: int) -> list[Suspect]:
    """Choose suspicious clusters, the worst of each sign first."""
    table = summaries.suspects(
        tables.inside, max_cluster_size=max_cluster_size, smallest=_SMALLEST, count=_OF_EACH_SIGN
    )
    found: dict[int, Suspect] = {}
    for row in sorted(table.collect(), key=lambda row: SIGNS.index(row["sign"])):
        known = found.get(row["cluster"])
        signs = (*known.signs, row["sign"]) if known else (row["sign"],)
        found[row["cluster"]] = Suspect(row["cluster"], row["size"], row["mean_score"], row["weakest"], signs)
    return list(found.values())


def judged(clusters: DataFrame, labels: DataFrame, suspicious: list[Suspect]) -> Judged:
    """Find the identities that lie in several clusters, the clusters that hold several, and others among suspects.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    labels : DataFrame (id, label)
    suspicious : list of Suspect
    """
    cells = evaluation.label_cells(clusters, labels).cache()
    try:
        split = [
            SplitIdentity(str(row["label"]), row["size"], row["clusters"], row["largest"], row["without"])
            for row in evaluation.split_identities(cells, _IDENTITIES).collect()
        ]
        merged = [
            MergedCluster(row["cluster"], row["size"], row["identities"], row["most"], str(row["label"]))
            for row in evaluation.merged_clusters(cells, _IDENTITIES).collect()
        ]
        wanted = cells.where(F.col("cluster").isin([each.cluster for each in suspicious]))
        others = {row["cluster"]: row["others"] for row in evaluation.other_items(wanted).collect()}
    finally:
        cells.unpersist()
    return Judged(split, merged, {each.cluster: others.get(each.cluster, 0) for each in suspicious})


def with_other_label(clusters: DataFrame, labels: DataFrame, shown: Mapping[int, list[Any]]) -> frozenset[Any]:
    """Return which of the shown members (by cluster) have a label that is not that of most in their cluster."""
    chosen = clusters.where(F.col("cluster").isin(list(shown)))
    own = chosen.join(labels, "id", "inner").select("id", "cluster", "label")
    counts = own.groupBy("cluster", "label").agg(F.count("*").alias("n"))
    order = Window.partitionBy("cluster").orderBy(F.col("n").desc(), "label")
    most = counts.withColumn("place", F.row_number().over(order)).where("place = 1")
    named = own.join(most.select("cluster", F.col("label").alias("most")), "cluster", "inner")
    ids = [each for members in shown.values() for each in members]
    found = named.where(F.col("id").isin(ids) & (F.col("label") != F.col("most")))
    return frozenset(row["id"] for row in found.select("id").collect())


def deciding_pairs(run: FinishedRun) -> list[DecidingPair]:
    """Choose the pairs near the threshold that join, or would join, the largest groups."""
    threshold = float(run.record["threshold"])
    rows = summaries.deciding_merges(run.table("merges"), threshold=threshold, near=_NEAR, count=_PAIRS).collect()
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

"""What deserves a human look: suspicious clusters, pairs on which much depends, identities apart or together."""

from __future__ import annotations

from dataclasses import replace
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


def suspects(tables: Tables, max_cluster_size: int, labels: DataFrame | None) -> list[Suspect]:
    """Choose suspicious clusters, the worst of each sign first.

    Parameters
    ----------
    tables : Tables
    max_cluster_size : int
    labels : DataFrame (id, label), optional
    """
    table = summaries.suspects(
        tables.forest, tables.members, max_cluster_size=max_cluster_size, smallest=_SMALLEST, count=_OF_EACH_SIGN
    )
    found: dict[int, Suspect] = {}
    for row in sorted(table.collect(), key=lambda row: SIGNS.index(row["sign"])):
        known = found.get(row["cluster"])
        signs = (*known.signs, row["sign"]) if known else (row["sign"],)
        found[row["cluster"]] = Suspect(row["cluster"], row["size"], row["mean_score"], row["weakest"], signs)
    if labels is None or not found:
        return list(found.values())
    rows = other_labels(tables.clusters, labels, list(found)).groupBy("cluster").count().collect()
    counts = {row["cluster"]: row["count"] for row in rows}
    return [replace(each, others=counts.get(each.cluster, 0)) for each in found.values()]


def other_labels(clusters: DataFrame, labels: DataFrame, chosen: list[int]) -> DataFrame:
    """Find the items of some clusters whose label is not that of most: (id, cluster)."""
    own = clusters.where(F.col("cluster").isin(chosen)).join(labels, "id", "inner").select("id", "cluster", "label")
    counts = own.groupBy("cluster", "label").agg(F.count("*").alias("n"))
    order = Window.partitionBy("cluster").orderBy(F.col("n").desc(), "label")
    most = counts.withColumn("place", F.row_number().over(order)).where("place = 1")
    named = most.select("cluster", F.col("label").alias("most"))
    return own.join(named, "cluster", "inner").where("label <> most").select("id", "cluster")


def shown_with_other_label(clusters: DataFrame, labels: DataFrame, shown: dict[int, list[Any]]) -> frozenset[Any]:
    """Return which of the shown members (by cluster) have a label that is not that of most in their cluster."""
    ids = [each for members in shown.values() for each in members]
    found = other_labels(clusters, labels, list(shown)).where(F.col("id").isin(ids))
    return frozenset(row["id"] for row in found.collect())


def deciding_pairs(run: FinishedRun, labels: DataFrame | None) -> list[DecidingPair]:
    """Choose the pairs near the threshold that join, or would join, the largest groups."""
    threshold = float(run.record["threshold"])
    merges = run.table("merges")
    rows = summaries.deciding_merges(merges, threshold=threshold, near=_NEAR, count=_PAIRS).collect()
    known: dict[Any, str] = {}
    if labels is not None and rows:
        ends = [row[end] for row in rows for end in ("src", "dst")]
        known = {row["id"]: str(row["label"]) for row in labels.where(F.col("id").isin(ends)).collect()}
    return [
        DecidingPair(
            row["src"], row["dst"], row["score"], row["score"] > threshold, (row["left_size"], row["right_size"]),
            (known[row["src"]], known[row["dst"]]) if {row["src"], row["dst"]} <= set(known) else None,
        )
        for row in rows
    ]  # fmt: skip


def identities(clusters: DataFrame, labels: DataFrame) -> tuple[list[SplitIdentity], list[MergedCluster]]:
    """Find the identities that lie in several clusters, and the clusters that hold several, the worst first.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    labels : DataFrame (id, label)
    """
    cells = evaluation.label_cells(clusters, labels)
    split = [
        SplitIdentity(str(row["label"]), row["size"], row["clusters"], row["largest"], row["without"])
        for row in evaluation.split_identities(cells, _IDENTITIES).collect()
    ]
    merged = [
        MergedCluster(row["cluster"], row["size"], row["identities"], row["most"], str(row["label"]))
        for row in evaluation.merged_clusters(cells, _IDENTITIES).collect()
    ]
    return split, merged

"""Clusters judged against labels: all metrics, with items without cluster kept and removed."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base.errors import InputError
from cdp_spark.kernels.metrics import Histogram, Sums, scores
from cdp_spark.stages import evaluation


def evaluate(
    clusters: DataFrame, labels: DataFrame, *, id_column: str = "id", label_column: str = "label"
) -> dict[str, dict[str, Any]]:
    """Judge clusters by labels.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
        -1 says that an item has no cluster.
    labels : DataFrame
        Items without a label, or with null, are not judged.
    id_column, label_column : str
        Columns of ``labels``.

    Returns
    -------
    dict
        ``kept``: items without cluster are clusters of one; ``removed``: they are left out first. Undefined figures
        are None.

    Raises
    ------
    InputError
        If columns lack, ids have another type, or no labelled item has a cluster row.
    """
    named = named_labels(clusters, labels, id_column, label_column)
    kept, removed = (_figures(clusters, named, removed=removed) for removed in (False, True))
    if not kept["items"]:
        raise InputError("labels: no id of the labels is among the clusters: check the id columns")
    share = 1 - removed["items"] / kept["items"]
    for figures in (kept, removed):
        figures["discarded_share"] = share
        del figures["items"]
    return {"kept": kept, "removed": removed}


def unmatched_labels(clusters: DataFrame, labels: DataFrame, *, id_column: str, label_column: str) -> str | None:
    """Say how many labelled ids have no item, or return None when all have one."""
    row = evaluation.labelled_ids(clusters, named_labels(clusters, labels, id_column, label_column)).collect()[0]
    if not row["unmatched"]:
        return None
    return f"labels: {row['unmatched']:,} of {row['ids']:,} ids have no embedding and are not judged"


def named_labels(clusters: DataFrame, labels: DataFrame, id_column: str, label_column: str) -> DataFrame:
    """Check labels against the ids that they are for: (id, label), one row per id.

    Raises
    ------
    InputError
    """
    for column in (id_column, label_column):
        if column not in labels.columns:
            raise InputError(f"labels: no column {column}; they have {', '.join(labels.columns)}: name it")
    named = labels.select(F.col(id_column).alias("id"), F.col(label_column).alias("label"))
    ours, theirs = (table.schema["id"].dataType.simpleString() for table in (clusters, named))
    if (ours == "string") != (theirs == "string"):
        raise InputError(f"labels: ids are {theirs} but those of the clusters are {ours}: cast them to one type")
    repeated = named.groupBy("id").agg(F.countDistinct("label").alias("n")).where("n > 1").limit(1).collect()
    if repeated:
        raise InputError(f"labels: id {repeated[0]['id']!r} has more than one label: keep one")
    return named.dropDuplicates(["id"])


def _figures(clusters: DataFrame, labels: DataFrame, *, removed: bool) -> dict[str, Any]:
    table = evaluation.cells(evaluation.judged_items(clusters, labels, removed=removed)).cache()
    try:
        row = evaluation.cell_sums(table).collect()[0]
        sums = Sums(
            int(row["items"] or 0),
            int(row["squares"] or 0),
            entropy=float(row["entropy"] or 0),
            precision=float(row["precision"] or 0),
            recall=float(row["recall"] or 0),
            clusters=_histogram(table, "group"),
            classes=_histogram(table, "label"),
        )
    finally:
        table.unpersist()
    sizes, groups = sums.clusters
    counts = {
        "clusters": int(groups.sum()),
        "identities": int(sums.classes[1].sum()),
        "singletons": int(groups[sizes == 1].sum()),
        "largest": int(sizes.max(initial=0)),
        "items": sums.items,
    }
    return {**scores(sums), **counts}


def _histogram(table: DataFrame, column: str) -> Histogram:
    rows = evaluation.size_histogram(table, column).collect()
    return np.array([row["size"] for row in rows], np.int64), np.array([row["groups"] for row in rows], np.int64)

"""Clusters judged against labels: all metrics, with items without cluster kept and removed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base.errors import InputError
from cdp_spark.kernels.metrics import Groups, Sums, scores, sums_of_groups
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
    return evaluated(clusters, labels, id_column=id_column, label_column=label_column)[0]


def evaluated(
    clusters: DataFrame, labels: DataFrame, *, id_column: str = "id", label_column: str = "label"
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Judge clusters as :func:`evaluate` does, and say how many labels have no item: None when all have one."""
    named = named_labels(clusters, labels, id_column, label_column)
    groups = groups_by_kind(evaluation.size_counts(evaluation.label_cells(clusters, named)).toArrow())
    classes, clustered = groups[evaluation.CLASSES], groups[evaluation.CLUSTERED_CLASSES]
    if not classes.items:
        raise InputError("labels: no id of the labels is among the clusters: check the id columns")
    alone = classes.items - clustered.items
    by_cluster, cells = groups[evaluation.CLUSTERS], groups[evaluation.CELLS]
    share = {"discarded_share": 1 - clustered.items / classes.items}
    figures = {
        "kept": _figures(sums_of_groups(by_cluster, classes, cells, alone=alone)) | share,
        "removed": _figures(sums_of_groups(by_cluster, clustered, cells)) | share,
    }
    return figures, _unmatched(groups[evaluation.UNMATCHED].items, classes.items)


def _unmatched(unmatched: int, matched: int) -> str | None:
    if not unmatched:
        return None
    return f"labels: {unmatched:,} of {unmatched + matched:,} ids have no embedding and are not judged"


def named_labels(clusters: DataFrame, labels: DataFrame, id_column: str, label_column: str) -> DataFrame:
    """Check labels against the ids that they are for: (id, label), one row per id, no nulls.

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
    known = named.where("label is not null")
    # Counted alone: what tells different labels from equal ones costs far more, and is seldom needed.
    if not known.groupBy("id").agg(F.count("*").alias("n")).where("n > 1").limit(1).collect():
        return known
    different = known.groupBy("id").agg(F.countDistinct("label").alias("n")).where("n > 1").limit(1).collect()
    if different:
        raise InputError(f"labels: id {different[0]['id']!r} has more than one label: keep one")
    return known.dropDuplicates(["id"])


def groups_by_kind(counted: pa.Table) -> dict[int, Groups]:
    """Take the kinds of groups of ``evaluation.size_counts`` apart."""
    kinds, *columns = (counted.column(name).to_numpy() for name in ("kind", "size", "groups", "squares"))
    return {kind: Groups.of(*(column[kinds == kind] for column in columns)) for kind in evaluation.KINDS}


def _figures(sums: Sums) -> dict[str, Any]:
    sizes, groups = sums.clusters
    counts = {
        "clusters": int(groups.sum()),
        "identities": int(sums.classes[1].sum()),
        "singletons": int(groups[sizes == 1].sum()),
        "largest": int(sizes.max(initial=0)),
    }
    return {**scores(sums), **counts}

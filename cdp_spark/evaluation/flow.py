"""Evaluate clusters against labels, with unclustered items kept and removed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from cdp_spark.base.errors import InputError
from cdp_spark.evaluation import label_counts
from cdp_spark.evaluation.kernels.metrics import Groups, Sums, scores, sums_of_groups
from cdp_spark.sources.labels import named_labels


def evaluate(
    clusters: DataFrame, labels: DataFrame, *, id_column: str = "id", label_column: str = "label"
) -> dict[str, dict[str, Any]]:
    """Evaluate clusters against labels.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
        The cluster -1 means that an item has none.
    labels : DataFrame
        Items without a label, or with a null label, are not evaluated.
    id_column, label_column : str
        Columns of ``labels``.

    Returns
    -------
    dict
        ``kept`` counts items without a cluster as clusters of one; ``removed`` leaves them out first. Undefined
        figures are None.

    Raises
    ------
    InputError
        If a column is missing, the ids have another type, or no labelled item has a row in ``clusters``.
    """
    return evaluated(clusters, labels, id_column=id_column, label_column=label_column)[0]


def evaluated(
    clusters: DataFrame, labels: DataFrame, *, id_column: str = "id", label_column: str = "label"
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Evaluate clusters as :func:`evaluate` does, and report labels without an item.

    Returns
    -------
    dict
    str or None
        A warning with the number of labels without an item; None when every label has one.
    """
    named = named_labels(clusters, labels, id_column, label_column)
    groups = groups_by_kind(label_counts.size_counts(label_counts.label_cells(clusters, named)).toArrow())
    classes, clustered = groups[label_counts.CLASSES], groups[label_counts.CLUSTERED_CLASSES]
    if not classes.items:
        raise InputError("labels: no id of the labels occurs in the clusters: check the id columns")
    alone = classes.items - clustered.items
    by_cluster, cells = groups[label_counts.CLUSTERS], groups[label_counts.CELLS]
    share = {"discarded_share": 1 - clustered.items / classes.items}
    figures = {
        "kept": _figures(sums_of_groups(by_cluster, classes, cells, alone=alone)) | share,
        "removed": _figures(sums_of_groups(by_cluster, clustered, cells)) | share,
    }
    return figures, _unmatched(groups[label_counts.UNMATCHED].items, classes.items)


def _unmatched(unmatched: int, matched: int) -> str | None:
    if not unmatched:
        return None
    return f"labels: {unmatched:,} of {unmatched + matched:,} ids have no embedding and are not evaluated"


def groups_by_kind(counted: pa.Table) -> dict[int, Groups]:
    """Split the rows of ``label_counts.size_counts`` by kind of group."""
    kinds, *columns = (counted.column(name).to_numpy() for name in ("kind", "size", "groups", "squares"))
    return {kind: Groups.of(*(column[kinds == kind] for column in columns)) for kind in label_counts.KINDS}


def _figures(sums: Sums) -> dict[str, Any]:
    sizes, groups = sums.clusters
    counts = {
        "clusters": int(groups.sum()),
        "identities": int(sums.classes[1].sum()),
        "singletons": int(groups[sizes == 1].sum()),
        "largest": int(sizes.max(initial=0)),
    }
    return {**scores(sums), **counts}

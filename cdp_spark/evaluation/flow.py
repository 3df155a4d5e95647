"""Evaluate clusters against labels, with unclustered items kept and removed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from cdp_spark.base.errors import InputError
from cdp_spark.evaluation import label_counts
from cdp_spark.evaluation.given_clusters import given_clusters
from cdp_spark.evaluation.kernels.metrics import Groups, Sums, scores, sums_of_groups
from cdp_spark.sources.columns import check_same_kind, id_kind
from cdp_spark.sources.labels import Labels, named_labels


def evaluate(
    clusters: DataFrame, labels: DataFrame, *, id_column: str = "id", label_column: str = "label"
) -> dict[str, dict[str, Any]]:
    """Evaluate clusters against labels.

    Parameters
    ----------
    clusters : DataFrame (id, cluster, ...)
        Numbers or names, of this package or from elsewhere; null, NaN and -1 say that an item has no cluster.
    labels : DataFrame
        Items whose label is null, NaN or -1 are left out.
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
        If a column is missing, the ids have another type, clusters have an id twice, an id has two labels, or no
        labelled item has a row in ``clusters``.
    """
    return evaluated_tables(clusters, labels, id_column=id_column, label_column=label_column)[0]


def evaluated_tables(
    clusters: DataFrame, labels: DataFrame, *, id_column: str = "id", label_column: str = "label"
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Evaluate clusters as :func:`evaluate` does, and report rows that were left out.

    Returns
    -------
    dict
    list of str
        Warnings, such as the number of labels without an item.
    """
    named, warnings = given_clusters(clusters)
    known = named_labels(labels, id_column, label_column)
    figures, missed = evaluated(named, known)
    return figures, [*warnings, *known.warnings, *missed]


def evaluated(clusters: DataFrame, labels: Labels) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Evaluate clusters of a run (id, cluster: long, ...) by checked labels, and report labels without an item."""
    check_same_kind(id_kind(clusters), id_kind(labels.table), "labels", "clusters")
    groups = groups_by_kind(label_counts.size_counts(label_counts.label_cells(clusters, labels.table)).toArrow())
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
    return figures, labels.missed(classes.items, "are not evaluated")


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

"""Measure how sure the clusters of a rule without a threshold are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from cdp_spark.evaluation import coverage as stage
from cdp_spark.evaluation import label_counts
from cdp_spark.evaluation.flow import groups_by_kind
from cdp_spark.evaluation.kernels.metrics import f_scores, sums_of_groups
from cdp_spark.report.figures import Covered

_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def coverage(clusters: DataFrame, labels: DataFrame | None) -> list[Covered]:
    """Measure the clusters of the surest items, from all items down to a tenth.

    Parameters
    ----------
    clusters : DataFrame (``schemas.clusters``, made by a rule without a threshold)
    labels : DataFrame (id, label), optional
    """
    counts = {row["bin"]: row["items"] for row in stage.confidence_histogram(clusters).collect()}
    bins = sorted(counts, reverse=True)
    if not bins:
        return []
    above = list(accumulate(counts[each] for each in bins))
    # Bins are not split, so the shares shown are those that whole bins give.
    ends = sorted({next(n for n, items in enumerate(above) if items >= share * above[-1]) for share in _SHARES})[::-1]
    lowest = [bins[end] for end in ends]
    f_by_level: Mapping[int, tuple[float | None, float | None]] = {}
    if labels is not None:
        f_by_level = _f_scores(stage.covered_groups(clusters, labels, lowest).toArrow())
    return [
        Covered(above[end] / above[-1], low / stage.BINS, *f_by_level.get(level, (None, None)))
        for level, (end, low) in enumerate(zip(ends, lowest, strict=True))
    ]


def _f_scores(counted: pa.Table) -> dict[int, tuple[float | None, float | None]]:
    """Return pairwise and BCubed F of each level."""
    levels = counted.column("level").to_numpy()
    by_level = {}
    for level in np.unique(levels).tolist():
        groups = groups_by_kind(counted.filter(pa.array(levels == level)))
        clusters, classes = groups[label_counts.CLUSTERS], groups[label_counts.CLASSES]
        alone = classes.items - clusters.items
        by_level[level] = f_scores(sums_of_groups(clusters, classes, groups[label_counts.CELLS], alone=alone))
    return by_level

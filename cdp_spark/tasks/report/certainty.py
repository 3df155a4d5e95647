"""How sure clusters without a threshold are: the surest items, the least sure clusters, clusters nearly joined."""

from __future__ import annotations

from itertools import accumulate

from pyspark.sql import DataFrame, Row

from cdp_spark.stages import coverage as stage
from cdp_spark.tasks.report.figures import Covered

_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def coverage(clusters: DataFrame, labels: DataFrame | None) -> list[Covered]:
    """Follow the items from all to the surest tenth.

    Parameters
    ----------
    clusters : DataFrame (``schemas.clusters``, of a rule without a threshold)
    labels : DataFrame (id, label), optional
    """
    counts = {row["bin"]: row["items"] for row in stage.confidence_histogram(clusters).collect()}
    bins = sorted(counts, reverse=True)
    if not bins:
        return []
    above = list(accumulate(counts[each] for each in bins))
    # Bins are not divided: the share that is shown is the one there is.
    ends = sorted({next(n for n, items in enumerate(above) if items >= share * above[-1]) for share in _SHARES})[::-1]
    lowest = [bins[end] for end in ends]
    judged = {}
    if labels is not None:
        judged = {row["level"]: row for row in stage.covered_sums(clusters, labels, lowest).collect()}
    return [
        Covered(above[end] / above[-1], low / stage.BINS, *_f_scores(judged.get(level)))
        for level, (end, low) in enumerate(zip(ends, lowest, strict=True))
    ]


def _f_scores(row: Row | None) -> tuple[float | None, float | None]:
    """Return pairwise and BCubed F."""
    if row is None:
        return None, None
    pairs = row["in_clusters"] + row["in_labels"]
    bcubed = 2 * row["precision"] * row["recall"] / (row["precision"] + row["recall"]) / row["items"]
    return (2 * row["together"] / pairs if pairs else None), bcubed

"""Choose the clusters and members to show: the largest and most doubtful."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.numeric.connected import connected_components
from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest
from cdp_spark.report import summaries
from cdp_spark.report.figures import ShownCluster
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

SHOWN_CLUSTERS, SHOWN_MEMBERS = 12, 12
_SMALLEST = 4
_OF_EACH_SIGN = 5
_LARGEST_SPLIT = 2_000
"""Largest cluster that is shown as the two groups it would split into."""


@dataclass(frozen=True)
class Tables:
    """The tables of a finished run that the report reads.

    Attributes
    ----------
    clusters, pairs, merges : DataFrame
    limits : summaries.Limits
        Which clusters count as doubtful.
    """

    clusters: DataFrame
    pairs: DataFrame
    merges: DataFrame
    limits: summaries.Limits

    @classmethod
    def of(cls, run: FinishedRun) -> Tables:
        """Open the tables of a run."""
        clusters, rules = run.table(register.CLUSTERS), run.config.clusters
        limits = summaries.Limits(
            rules.max_cluster_size, _SMALLEST, _OF_EACH_SIGN, _LARGEST_SPLIT, 4 * SHOWN_CLUSTERS,
            float(run.record.threshold) if rules.has_threshold else None,
        )  # fmt: skip
        merges = run.table(register.MERGES, schemas.merges(clusters.schema["id"].dataType))
        return cls(clusters, run.table(register.VOTED_PAIRS, schemas.SCORED_PAIRS), merges, limits)

    @cached_property
    def suspects(self) -> list[Row]:
        """A few doubtful clusters of each sign, most doubtful first."""
        inside = summaries.edges_inside(self.merges, self.clusters)
        rows = summaries.suspects(inside, self.limits).collect()
        return sorted(rows, key=lambda row: (row["sign"], row["rank"]))


@dataclass(frozen=True)
class _Chosen:
    """A cluster to show; ``smaller_side`` are the ids that would split off, if any."""

    cluster: int
    size: int
    note: str
    smaller_side: frozenset[Any] | None = None

    @classmethod
    def whole(cls, row: Row) -> _Chosen:
        sure = row["confidence"]
        note = f"final at threshold {row['level']:.3f}" if sure is None else f"confidence {sure:.2f}"
        return cls(row["cluster"], row["size"], f"{row['size']:,} items, {note}")


def shown_clusters(tables: Tables) -> tuple[list[ShownCluster], list[ShownCluster]]:
    """Choose the largest and the most uncertain clusters."""
    largest = [_Chosen.whole(row) for row in summaries.largest_clusters(tables.clusters, SHOWN_CLUSTERS).collect()]
    uncertain = _least_sure(tables) if tables.limits.threshold is None else _uncertain(tables)
    members = _members(tables, [*largest, *uncertain])
    shown = [
        ShownCluster(chosen.cluster, chosen.size, chosen.note, groups)
        for chosen, groups in zip([*largest, *uncertain], members, strict=True)
    ]
    return shown[: len(largest)], shown[len(largest) :]


def nearly_joined(tables: Tables) -> list[ShownCluster]:
    """Choose pairs of clusters that nearly joined; each cluster is one shown group."""
    rows = summaries.likeliest_merges(tables.clusters, count=SHOWN_CLUSTERS).collect()
    wanted = sorted({row[name] for row in rows for name in ("cluster", "other")})
    named = tables.clusters.where(F.col("cluster").isin(wanted)).select("id", "cluster")
    members: dict[int, list[Any]] = {each: [] for each in wanted}
    for member in summaries.some_members(named, SHOWN_MEMBERS // 2).collect():
        members[member["cluster"]].append(member["id"])
    return [
        ShownCluster(
            row["cluster"], row["size"],
            f"probability {row['probability']:.2f} that its {row['size']:,} items and the {row['other_size']:,} items "
            f"of cluster {row['other']} belong together",
            [members[row["cluster"]], members[row["other"]]],
        )
        for row in rows
    ]  # fmt: skip


def _least_sure(tables: Tables) -> list[_Chosen]:
    """Choose the clusters of lowest confidence."""
    rows = summaries.least_sure(tables.clusters, smallest=_SMALLEST, count=SHOWN_CLUSTERS).collect()
    return [_Chosen.whole(row) for row in rows]


def _uncertain(tables: Tables) -> list[_Chosen]:
    """Choose clusters that one weak pair holds together, large sides first."""
    weak = [row for row in tables.suspects if row["sign"] == "weak"]
    if not weak:
        return []
    members = tables.clusters.where(F.col("cluster").isin([row["cluster"] for row in weak]))
    table = summaries.edges_inside(tables.merges, members).toArrow()
    edges = {column: table.column(column).to_numpy() for column in ("cluster", "src", "dst", "score")}
    # The kernel needs numbers: ranks of the ids, which keep their order.
    ids, ends = np.unique(np.concatenate([edges["src"], edges["dst"]]), return_inverse=True)
    edges["src"], edges["dst"] = np.split(ends, 2)
    uncertain = []
    for row in weak:
        own = edges["cluster"] == row["cluster"]
        side = smaller_side(*(edges[column][own] for column in ("src", "dst", "score")))
        note = (
            f"{row['size']:,} items; one pair of score {row['weakest']:.3f} joins "
            f"{row['size'] - len(side):,} and {len(side):,}"
        )
        uncertain.append(_Chosen(row["cluster"], row["size"], note, frozenset(ids[sorted(side)].tolist())))
    return sorted(uncertain, key=lambda each: (-len(each.smaller_side or ()), each.cluster))[:SHOWN_CLUSTERS]


def smaller_side(src: Longs, dst: Longs, score: Floats) -> frozenset[int]:
    """Return the smaller side of a cluster's forest without its weakest edge.

    >>> sorted(smaller_side(np.array([1, 2, 3]), np.array([2, 3, 4]), np.float32([0.9, 0.5, 0.9])))
    [3, 4]
    """
    tree = maximum_spanning_forest(src, dst, score)
    kept, weakest = tree[:-1], tree[-1]
    ends = np.array([src[weakest], dst[weakest]])
    items, roots = connected_components(np.append(src[kept], ends), np.append(dst[kept], ends))
    sides = [items[roots == roots[np.searchsorted(items, end)]] for end in ends]
    # If both are equal, take the one with the larger items: the choice must not depend on the order of edges.
    return frozenset(min(sides, key=lambda side: (len(side), -int(side.min()))).tolist())


def _members(tables: Tables, chosen: list[_Chosen]) -> list[list[list[Any]]]:
    """Return some ids of each chosen cluster, or of both sides if it would split."""
    named = tables.clusters.where(F.col("cluster").isin([each.cluster for each in chosen])).select("id", "cluster")
    split = [each.cluster for each in chosen if each.smaller_side is not None]
    some = summaries.some_members(named, SHOWN_MEMBERS, whole=split).collect()
    members = []
    for each in chosen:
        own = [row for row in some if row["cluster"] == each.cluster]
        if each.smaller_side is None:
            first = sorted((row for row in own if row["rank"] <= SHOWN_MEMBERS), key=lambda row: row["rank"])
            members.append([[row["id"] for row in first]])
            continue
        ids = sorted(row["id"] for row in own)
        sides = [[id for id in ids if (id in each.smaller_side) == smaller] for smaller in (False, True)]
        members.append([side[: SHOWN_MEMBERS // 2] for side in sides])
    return members

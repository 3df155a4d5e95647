"""Clusters to look at: the largest, and those that one weak pair holds together, with some members of each."""

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
"""Only clusters of up to this size are shown as the two parts they would fall into."""


@dataclass(frozen=True)
class Tables:
    """The tables of a finished run that the report reads.

    Attributes
    ----------
    clusters, pairs, merges : DataFrame
    limits : summaries.Limits
        Which clusters are doubtful.
    """

    clusters: DataFrame
    pairs: DataFrame
    merges: DataFrame
    limits: summaries.Limits

    @classmethod
    def of(cls, run: FinishedRun) -> Tables:
        """Open them."""
        clusters, rules = run.table(register.CLUSTERS), run.config.clusters
        limits = summaries.Limits(
            rules.max_cluster_size, _SMALLEST, _OF_EACH_SIGN, _LARGEST_SPLIT, 4 * SHOWN_CLUSTERS,
            float(run.record.threshold) if rules.has_threshold else None,
        )  # fmt: skip
        merges = run.table(register.MERGES, schemas.merges(clusters.schema["id"].dataType))
        return cls(clusters, run.table(register.VOTED_PAIRS, schemas.SCORED_PAIRS), merges, limits)

    @cached_property
    def suspects(self) -> list[Row]:
        """The doubtful clusters, a few of each sign, most doubtful first: see ``summaries.suspects``."""
        inside = summaries.edges_inside(self.merges, self.clusters)
        rows = summaries.suspects(inside, self.limits).collect()
        return sorted(rows, key=lambda row: (row["sign"], row["place"]))


@dataclass(frozen=True)
class _Chosen:
    """A cluster to show: which, why, and the ids of the smaller part it would fall into, if it would."""

    cluster: int
    size: int
    note: str
    smaller_part: frozenset[Any] | None = None

    @classmethod
    def whole(cls, row: Row) -> _Chosen:
        sure = row["confidence"]
        told = f"whole up to {row['level']:.3f}" if sure is None else f"confidence {sure:.2f}"
        return cls(row["cluster"], row["size"], f"{row['size']:,} items, {told}")


def shown_clusters(tables: Tables) -> tuple[list[ShownCluster], list[ShownCluster]]:
    """Choose the largest and the most uncertain clusters."""
    largest = [_Chosen.whole(row) for row in summaries.largest_clusters(tables.clusters, SHOWN_CLUSTERS).collect()]
    uncertain = _least_sure(tables) if tables.limits.threshold is None else _uncertain(tables)
    parts = _members(tables, [*largest, *uncertain])
    shown = [
        ShownCluster(chosen.cluster, chosen.size, chosen.note, ids)
        for chosen, ids in zip([*largest, *uncertain], parts, strict=True)
    ]
    return shown[: len(largest)], shown[len(largest) :]


def nearly_joined(tables: Tables) -> list[ShownCluster]:
    """Choose pairs of clusters that were nearly joined, each a part of what is shown."""
    rows = summaries.likeliest_merges(tables.clusters, count=SHOWN_CLUSTERS).collect()
    wanted = sorted({row[name] for row in rows for name in ("cluster", "other")})
    named = tables.clusters.where(F.col("cluster").isin(wanted)).select("id", "cluster")
    members: dict[int, list[Any]] = {each: [] for each in wanted}
    for member in summaries.some_members(named, SHOWN_MEMBERS // 2).collect():
        members[member["cluster"]].append(member["id"])
    return [
        ShownCluster(
            row["cluster"], row["size"],
            f"probability {row['probability']:.2f} that its {row['size']:,} and the {row['other_size']:,} items of "
            f"cluster {row['other']} are one",
            [members[row["cluster"]], members[row["other"]]],
        )
        for row in rows
    ]  # fmt: skip


def _least_sure(tables: Tables) -> list[_Chosen]:
    """Choose the clusters of lowest confidence."""
    rows = summaries.least_sure(tables.clusters, smallest=_SMALLEST, count=SHOWN_CLUSTERS).collect()
    return [_Chosen.whole(row) for row in rows]


def _uncertain(tables: Tables) -> list[_Chosen]:
    """Choose clusters that one weak pair holds together: of the weakest those that would fall into large parts."""
    weak = [row for row in tables.suspects if row["sign"] == "weak"]
    if not weak:
        return []
    members = tables.clusters.where(F.col("cluster").isin([row["cluster"] for row in weak]))
    table = summaries.edges_inside(tables.merges, members).toArrow()
    edges = {column: table.column(column).to_numpy() for column in ("cluster", "src", "dst", "score")}
    # Ranks of ids, which are in their order, as the kernel wants numbers.
    ids, ends = np.unique(np.concatenate([edges["src"], edges["dst"]]), return_inverse=True)
    edges["src"], edges["dst"] = np.split(ends, 2)
    found = []
    for row in weak:
        own = edges["cluster"] == row["cluster"]
        part = smaller_part(*(edges[column][own] for column in ("src", "dst", "score")))
        note = (
            f"{row['size']:,} items; one pair of score {row['weakest']:.3f} joins "
            f"{row['size'] - len(part):,} and {len(part):,}"
        )
        found.append(_Chosen(row["cluster"], row["size"], note, frozenset(ids[sorted(part)].tolist())))
    return sorted(found, key=lambda each: (-len(each.smaller_part or ()), each.cluster))[:SHOWN_CLUSTERS]


def smaller_part(src: Longs, dst: Longs, score: Floats) -> frozenset[int]:
    """Take the weakest edge out of a cluster's forest; return the items of the smaller of its two parts.

    >>> sorted(smaller_part(np.array([1, 2, 3]), np.array([2, 3, 4]), np.float32([0.9, 0.5, 0.9])))
    [3, 4]
    """
    tree = maximum_spanning_forest(src, dst, score)
    kept, weakest = tree[:-1], tree[-1]
    ends = np.array([src[weakest], dst[weakest]])
    items, roots = connected_components(np.append(src[kept], ends), np.append(dst[kept], ends))
    parts = [items[roots == roots[np.searchsorted(items, end)]] for end in ends]
    # Of two equal parts the one with the larger items: what is shown must not depend on the order of edges.
    return frozenset(min(parts, key=lambda part: (len(part), -int(part.min()))).tolist())


def _members(tables: Tables, chosen: list[_Chosen]) -> list[list[list[Any]]]:
    """Return ids of each chosen cluster: a few of it or, of both its parts."""
    named = tables.clusters.where(F.col("cluster").isin([each.cluster for each in chosen])).select("id", "cluster")
    split = [each.cluster for each in chosen if each.smaller_part is not None]
    some = summaries.some_members(named, SHOWN_MEMBERS, whole=split).collect()
    found = []
    for each in chosen:
        own = [row for row in some if row["cluster"] == each.cluster]
        if each.smaller_part is None:
            first = sorted((row for row in own if row["place"] <= SHOWN_MEMBERS), key=lambda row: row["place"])
            found.append([[row["id"] for row in first]])
            continue
        ids = sorted(row["id"] for row in own)
        parts = [[id for id in ids if (id in each.smaller_part) == side] for side in (False, True)]
        found.append([part[: SHOWN_MEMBERS // 2] for part in parts])
    return found

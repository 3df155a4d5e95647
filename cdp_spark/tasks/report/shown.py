"""Clusters to look at: the largest, and those that one weak pair holds together, with some members of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.kernels.components import connected_components
from cdp_spark.kernels.forest import maximum_spanning_forest
from cdp_spark.runtime.finished import FinishedRun
from cdp_spark.stages import summaries
from cdp_spark.tasks.report.figures import ShownCluster

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

SHOWN_CLUSTERS, SHOWN_MEMBERS = 12, 12
_SMALLEST = 4
_LARGEST_SPLIT = 2_000
"""Only clusters of up to this size are shown as the two parts they would fall into."""


@dataclass(frozen=True)
class Tables:
    """The tables of a finished run that the report reads; ``inside``: see ``summaries.edges_inside``, kept in cache."""

    clusters: DataFrame
    items: DataFrame
    pairs: DataFrame
    inside: DataFrame

    @classmethod
    @contextmanager
    def of(cls, run: FinishedRun) -> Iterator[Tables]:
        """Open them for as long as the block runs."""
        clusters, items = run.table("clusters"), run.table("items")
        members = clusters.where("cluster >= 0").join(items, "id", "inner").select("item", "cluster", "size")
        pairs, forest = (run.table(name, schemas.SCORED_PAIRS) for name in ("scored_pairs", "forest"))
        inside = summaries.edges_inside(forest, members).cache()
        try:
            yield cls(clusters, items, pairs, inside)
        finally:
            inside.unpersist()


@dataclass(frozen=True)
class _Chosen:
    """A cluster to show: which, why, and the items of the smaller part it would fall into, if it would."""

    cluster: int
    size: int
    note: str
    smaller_part: frozenset[int] | None = None

    @classmethod
    def whole(cls, row: Row) -> _Chosen:
        sure = row["confidence"]
        told = f"whole up to {row['level']:.3f}" if sure is None else f"confidence {sure:.2f}"
        return cls(row["cluster"], row["size"], f"{row['size']:,} items, {told}")


def shown_clusters(tables: Tables, threshold: float | None) -> tuple[list[ShownCluster], list[ShownCluster]]:
    """Choose the largest and the most uncertain clusters.

    Parameters
    ----------
    tables : Tables
    threshold : float or None
        The run's; None by rules without.
    """
    largest = [_Chosen.whole(row) for row in summaries.largest_clusters(tables.clusters, SHOWN_CLUSTERS).collect()]
    uncertain = _least_sure(tables) if threshold is None else _uncertain(tables, threshold)
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


def _uncertain(tables: Tables, threshold: float) -> list[_Chosen]:
    """Choose clusters that one weak pair holds together: of the weakest those that would fall into large parts."""
    links = summaries.weakest_links(tables.inside, smallest=_SMALLEST, largest=_LARGEST_SPLIT)
    weak = links.where(F.col("score") > threshold).orderBy("score", "cluster").limit(4 * SHOWN_CLUSTERS).collect()
    if not weak:
        return []
    table = tables.inside.where(F.col("cluster").isin([row["cluster"] for row in weak])).toArrow()
    edges = {column: table.column(column).to_numpy() for column in ("cluster", "src", "dst", "score")}
    found = []
    for row in weak:
        own = edges["cluster"] == row["cluster"]
        part = smaller_part(*(edges[column][own] for column in ("src", "dst", "score")))
        note = (
            f"{row['size']:,} items; one pair of score {row['score']:.3f} joins "
            f"{row['size'] - len(part):,} and {len(part):,}"
        )
        found.append(_Chosen(row["cluster"], row["size"], note, part))
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
    small = summaries.some_members(named, SHOWN_MEMBERS).collect()
    split = [each.cluster for each in chosen if each.smaller_part is not None]
    whole = named.where(F.col("cluster").isin(split)).join(tables.items, "id", "inner").orderBy("item").collect()
    found = []
    for each in chosen:
        if each.smaller_part is None:
            found.append([[row["id"] for row in small if row["cluster"] == each.cluster]])
            continue
        own = [row for row in whole if row["cluster"] == each.cluster]
        parts = [[row["id"] for row in own if (row["item"] in each.smaller_part) == side] for side in (False, True)]
        found.append([part[: SHOWN_MEMBERS // 2] for part in parts])
    return found

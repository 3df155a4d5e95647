"""A finished run -> one HTML file: what went in and out, how good it is, and clusters to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.config import ImagesConfig, LabelsConfig
from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.kernels.components import connected_components
from cdp_spark.kernels.forest import maximum_spanning_forest
from cdp_spark.runtime import sources
from cdp_spark.runtime.finished import SWEEP_FILE, FinishedRun
from cdp_spark.runtime.pictures import thumbnails
from cdp_spark.stages import summaries

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

SHOWN_CLUSTERS, SHOWN_MEMBERS = 12, 12
_LARGEST_SPLIT = 2_000
"""Only clusters of up to this size are shown as the two parts they would fall into."""


@dataclass(frozen=True)
class Member:
    """One item on the page: id, picture as a data URI or None, and whether its label is another than most have."""

    id: Any
    picture: str | None
    other_label: bool


@dataclass(frozen=True)
class ShownCluster:
    """One cluster on the page: its members in one part or, when it is uncertain, in the two it would fall into."""

    cluster: int
    size: int
    note: str
    parts: list[list[Member]]


@dataclass(frozen=True)
class Figures:
    """Everything the page draws.

    Attributes
    ----------
    record : dict
        ``run.json``.
    scores : list of (bin, pairs)
        See ``summaries.score_histogram``.
    sizes : list of (size, clusters)
    largest, uncertain : list of ShownCluster
    sweep : dict or None
        The run's last sweep, as ``tasks.sweep.Sweep``.
    """

    record: Mapping[str, Any]
    scores: list[tuple[int, int]]
    sizes: list[tuple[int, int]]
    largest: list[ShownCluster]
    uncertain: list[ShownCluster]
    sweep: Mapping[str, Any] | None = None


def report(
    run: str, *, spark: SparkSession, images: ImagesConfig | None = None, labels: LabelsConfig | None = None
) -> str:
    """Write ``report.html`` of a finished run; return its path.

    Parameters
    ----------
    run : str
        Output folder of the run.
    spark : SparkSession
    images : ImagesConfig, optional
        Where pictures of the items are; default: what the run's config names.
    labels : LabelsConfig, optional
        Default: what the run's config names.

    Raises
    ------
    InputError
        If there is no finished run, or pictures or labels cannot be read.
    MissingRequirementError
        If the extra ``report`` is not installed.
    """
    return write_report(FinishedRun.of(spark, run), images=images, labels=labels)


def write_report(run: FinishedRun, *, images: ImagesConfig | None = None, labels: LabelsConfig | None = None) -> str:
    """Write ``report.html`` of a run whose tables are there; as :func:`report` does."""
    try:
        from cdp_spark.tasks.report_page import page
    except ImportError as error:
        raise MissingRequirementError(
            f"the report needs {error.name}, which is not installed: pip install 'cdp-spark[report]'"
        ) from None
    given = run.record["config"]["input"]
    if images is None and given.get("images"):
        images = ImagesConfig.model_validate(given["images"])
    if labels is None and given.get("labels"):
        labels = LabelsConfig.model_validate(given["labels"])
    name = run.folder.location.rstrip("/").split("/")[-1]
    figures = replace(_figures(_Tables.of(run), run.record, images, labels), sweep=_last_sweep(run))
    run.folder.write("report.html", page(name, figures))
    return run.folder.path("report.html")


def _last_sweep(run: FinishedRun) -> dict[str, Any] | None:
    """Return the last sweep, if it was one of these pairs."""
    text = run.folder.read(SWEEP_FILE)
    found = json.loads(text) if text is not None else None
    return found if found and found["pairs"] == run.stage("scored_pairs")["fingerprint"] else None


@dataclass(frozen=True)
class _Tables:
    """The tables of a finished run that the report reads."""

    spark: SparkSession
    clusters: DataFrame
    items: DataFrame
    members: DataFrame
    pairs: DataFrame
    forest: DataFrame

    @classmethod
    def of(cls, run: FinishedRun) -> _Tables:
        clusters, items = run.table("clusters"), run.table("items")
        members = clusters.where("cluster >= 0").join(items, "id", "inner").select("item", "cluster", "size")
        pairs, forest = (run.table(name, schemas.SCORED_PAIRS) for name in ("scored_pairs", "forest"))
        return cls(run.spark, clusters, items, members, pairs, forest)


def _figures(
    tables: _Tables, record: Mapping[str, Any], images: ImagesConfig | None, labels: LabelsConfig | None
) -> Figures:
    largest = [_Chosen.largest(row) for row in summaries.largest_clusters(tables.clusters, SHOWN_CLUSTERS).collect()]
    uncertain = _uncertain(tables, float(record["threshold"]))
    members = _members(tables, [*largest, *uncertain])
    ids = [each for parts in members for part in parts for each in part]
    pictures = thumbnails(tables.spark, images, ids) if images is not None and ids else {}
    other = _other_labels(tables, labels, [chosen.cluster for chosen in (*largest, *uncertain)]) if labels else set()
    shown = [
        ShownCluster(
            chosen.cluster, chosen.size, chosen.note,
            [[Member(each, pictures.get(each), each in other) for each in part] for part in parts],
        )
        for chosen, parts in zip([*largest, *uncertain], members, strict=True)
    ]  # fmt: skip
    return Figures(
        record,
        sorted((row["bin"], row["pairs"]) for row in summaries.score_histogram(tables.pairs).collect()),
        sorted((row["size"], row["clusters"]) for row in summaries.cluster_sizes(tables.clusters).collect()),
        shown[: len(largest)],
        shown[len(largest) :],
    )


@dataclass(frozen=True)
class _Chosen:
    """A cluster to show: which, why, and the items of the smaller part it would fall into, if it would."""

    cluster: int
    size: int
    note: str
    smaller_part: frozenset[int] | None = None

    @classmethod
    def largest(cls, row: Row) -> _Chosen:
        return cls(row["cluster"], row["size"], f"{row['size']:,} items, whole up to {row['level']:.3f}")


def _uncertain(tables: _Tables, threshold: float) -> list[_Chosen]:
    """Choose clusters that one weak pair holds together: of the weakest those that would fall into large parts."""
    links = summaries.weakest_links(tables.forest, tables.members, smallest=4, largest=_LARGEST_SPLIT)
    weak = links.where(F.col("score") > threshold).orderBy("score", "cluster").limit(4 * SHOWN_CLUSTERS).collect()
    if not weak:
        return []
    chosen = tables.members.where(F.col("cluster").isin([row["cluster"] for row in weak]))
    table = summaries.edges_inside(tables.forest, chosen).toArrow()
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


def _members(tables: _Tables, chosen: list[_Chosen]) -> list[list[list[Any]]]:
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


def _other_labels(tables: _Tables, labels: LabelsConfig, chosen: list[int]) -> set[Any]:
    """Return the ids of the chosen clusters' items whose label is not that of most."""
    table = sources.open_source(tables.spark, labels, "labels")
    named = table.select(F.col(labels.id_column).alias("id"), F.col(labels.label_column).alias("label"))
    own = tables.clusters.where(F.col("cluster").isin(chosen)).join(named.where("label is not null"), "id", "inner")
    counts = own.groupBy("cluster", "label").agg(F.count("*").alias("n"))
    order = Window.partitionBy("cluster").orderBy(F.col("n").desc(), "label")
    most = counts.withColumn("place", F.row_number().over(order)).where("place = 1")
    other = own.join(most.select("cluster", F.col("label").alias("most")), "cluster", "inner").where("label <> most")
    return {row["id"] for row in other.select("id").collect()}

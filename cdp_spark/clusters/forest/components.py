"""edges above the threshold -> components: which items are connected, by one of two engines with the same result.

In: the forest's (or all scored pairs') edges above a threshold. Out: one row per item that has an edge, with its
component, named by its smallest item. ``single`` walks all edges in one task, in memory of the items; ``graphframes``
contracts the graph in many tasks and lets GraphFrames finish it, for graphs whose items no task can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from cdp_spark.base import schemas
from cdp_spark.base.errors import ConfigError, MissingRequirementError
from cdp_spark.base.numeric.connected import Components
from cdp_spark.clusters.forest.graphframes_engine import (
    COORDINATES,
    GRAPHX_COORDINATES,
    finish_components,
    graphframes_available,
)
from cdp_spark.spark.arrow import in_batches, map_batches

__all__ = ["COORDINATES", "GRAPHX_COORDINATES", "choose_engine", "components", "graphframes_available"]

Engine = Literal["single", "graphframes"]

_ENDS = StructType([schemas.SCORED_PAIRS["src"], schemas.SCORED_PAIRS["dst"]])


def components(
    edges_above: DataFrame, *, engine: Engine, checkpoint_folder: str | None = None, partitions: int = 1
) -> DataFrame:
    """Find the connected components of the edges above the threshold.

    Parameters
    ----------
    edges_above : DataFrame (src: long, dst: long, ...)
        Edges between items, 0 or more, read from a stored table; repeats and self loops do no harm.
    engine : {"single", "graphframes"}
        See :func:`choose_engine`; both give the same rows.
    checkpoint_folder : str, optional
        Workspace that executors can write to; ``graphframes`` needs it. The tables that the lazy result reads stay
        there until the caller has stored the result and removes them; everything else is removed here, even on failure.
    partitions : int
        Largest number of tasks that contract the graph for ``graphframes``. Affects speed, never the result.

    Returns
    -------
    DataFrame (``schemas.COMPONENTS``)
        One row per item with an edge, in no order. ``single`` is lazy; ``graphframes`` runs its jobs here.

    Raises
    ------
    ConfigError
        If ``graphframes`` has no folder.
    MissingRequirementError
        If GraphFrames is not available.
    CdpError
        If GraphFrames gave the two ends of an edge different components.
    """
    schemas.require_schema(edges_above, _ENDS, "edges_above")
    if engine == "single":
        return _local_components(edges_above, one_task=True)
    if not checkpoint_folder:
        raise ConfigError(
            "components by graphframes need a folder for checkpoints, and none was given: name a workspace"
        )
    available, reason = graphframes_available(edges_above.sparkSession)
    if not available:
        raise MissingRequirementError(_how_to_get_graphframes(reason))
    return finish_components(_local_components(edges_above.coalesce(partitions)), checkpoint_folder)


def choose_engine(
    wanted: Literal["auto", "graphframes", "single"], edge_count: int, task_edges: int, spark: SparkSession
) -> tuple[Engine, str]:
    """Choose the engine of :func:`components` and say why.

    Parameters
    ----------
    wanted : {"auto", "graphframes", "single"}
        ``clusters.components`` of the config.
    edge_count : int
        Edges above the threshold, or a bound on them.
    task_edges : int
        ``forest.task_edges``: up to this number of edges, one task is far faster.
    spark : SparkSession
        Session that may have GraphFrames.

    Returns
    -------
    engine : {"single", "graphframes"}
    why : str
        One line for the user.

    Raises
    ------
    MissingRequirementError
        If ``graphframes`` is wanted and not available; says how to get it.
    """
    if wanted == "single":
        return "single", "clusters.components is single"
    if wanted == "auto" and edge_count <= task_edges:
        return "single", f"{edge_count:,} edges fit one task (forest.task_edges {task_edges:,})"
    available, detail = graphframes_available(spark)
    if wanted == "graphframes":
        if not available:
            raise MissingRequirementError(_how_to_get_graphframes(detail))
        return "graphframes", f"clusters.components is graphframes ({detail})"
    beyond = f"{edge_count:,} edges are more than one task's bound (forest.task_edges {task_edges:,})"
    if available:
        return "graphframes", f"{beyond}; {detail}"
    return "single", f"warning: {beyond} but one task takes them all, slowly: {_how_to_get_graphframes(detail)}"


def _how_to_get_graphframes(reason: str) -> str:
    return (
        f"GraphFrames cannot be used: {reason}; install cdp-spark[graphframes], set spark.jars.packages={COORDINATES} "
        f"(a mirror: spark.jars.repositories=URL; offline: it and {GRAPHX_COORDINATES} in spark.jars), or set "
        "clusters.components: single"
    )


def _local_components(edges: DataFrame, *, one_task: bool = False) -> DataFrame:
    """Return (item, component) of each partition's own edges."""
    return map_batches(edges.select("src", "dst"), _components_of_partition, schemas.COMPONENTS, one_task=one_task)


def _components_of_partition(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    components = Components()
    for batch in batches:
        components.add(batch.column("src").to_numpy(), batch.column("dst").to_numpy())
    items, roots = components.result()
    rows = pa.RecordBatch.from_arrays([pa.array(items), pa.array(roots)], names=schemas.COMPONENTS.names)
    return in_batches(rows)

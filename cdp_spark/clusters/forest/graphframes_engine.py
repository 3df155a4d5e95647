"""The GraphFrames side of the components: contract, connect, verify, relabel.

In: components of the edges of each partition. Out: the components of all edges. If an item has different roots in
several partitions, these roots are connected; only such roots are vertices of the *contracted graph* that GraphFrames
connects. Everything that GraphFrames reads is written first: lazy frames recomputed after a lost executor have given
wrong components (GraphFrames issues 159, 428, 453).
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import CdpError, MissingRequirementError
from cdp_spark.spark.differences import is_connect

COORDINATES = "io.graphframes:graphframes-spark4_2.13:0.12.3"
GRAPHX_COORDINATES = "io.graphframes:graphframes-graphx-spark4_2.13:0.12.3"

_ADAPTIVE = "spark.sql.adaptive.enabled"
_SHUFFLES = "spark.sql.shuffle.partitions"
_LINKS_PER_TASK = 200_000
_FEW_LINKS = 1_000_000
_ROUNDS = 30


def graphframes_available(spark: SparkSession) -> tuple[bool, str]:
    """Return whether GraphFrames can run in this session, and its version or what is missing.

    Examples
    --------
    >>> graphframes_available(spark)  # doctest: +SKIP
    (True, 'graphframes-py 0.12.3 with io.graphframes_graphframes-spark4_2.13-0.12.3.jar')
    """
    if is_connect(spark):
        return False, "Spark Connect has no SparkContext, which its checkpoint folder must be set on"
    try:
        import graphframes
    except ImportError as error:
        return False, f"the Python package graphframes-py cannot be imported ({error})"
    if not hasattr(graphframes, "GraphFrame"):
        return False, "the Python package graphframes lacks GraphFrame: another package may shadow graphframes-py"
    jar = _jar_name(spark)
    if jar is None:
        return False, f"its jar is not on the session's class path ({COORDINATES})"
    version = ".".join(map(str, _python_version())) or "of unknown version"
    return True, f"graphframes-py {version} with {jar}"


def finish_components(local: DataFrame, workspace: str) -> DataFrame:
    """Join the components of all partitions into those of the graph.

    Parameters
    ----------
    local : DataFrame (item: long, component: long)
        For each partition of the edges, each item with the smallest item of its component there.
    workspace : str
        Folder to work in. The tables that the result reads stay there for the caller to remove.

    Returns
    -------
    DataFrame (item: long, component: long)
        One row per item. Runs jobs; only the last join is lazy.
    """
    spark = local.sparkSession
    if is_connect(spark):
        raise MissingRequirementError(f"GraphFrames cannot be used: {graphframes_available(spark)[1]}")
    folder = f"{workspace.rstrip('/')}/graphframes-{uuid.uuid4().hex}"
    scratch = f"{folder}/scratch"
    try:
        anchors = _written(_anchors(local), f"{folder}/anchors")
        links = _written(_links(anchors), f"{scratch}/links")
        if links.isEmpty():
            return anchors.select("item", F.col("anchor").alias("component"))
        names = _verified_names(links, folder)
    except BaseException:
        _remove(spark, folder)
        raise
    finally:
        _remove(spark, scratch)
    named = anchors.join(names, anchors.anchor == names.id, "left")
    return named.select("item", F.coalesce("name", "anchor").alias("component"))


def _anchors(local: DataFrame) -> DataFrame:
    """Return each item's smallest root, the anchor, and its other roots (null if there are none)."""
    roots = local.groupBy("item").agg(F.array_sort(F.collect_set("component")).alias("roots"))
    others = F.when(F.size("roots") > 1, F.expr("slice(roots, 2, size(roots) - 1)"))
    return roots.select("item", F.col("roots")[0].alias("anchor"), others.alias("others"))


def _links(anchors: DataFrame) -> DataFrame:
    """Return the edges (src, dst) of the contracted graph: an item's smallest root with each of its other roots."""
    return anchors.select(F.col("anchor").alias("src"), F.explode("others").alias("dst")).distinct()


def _verified_names(links: DataFrame, folder: str) -> DataFrame:
    """Return (id, name) of each vertex of the contracted graph: its component's smallest vertex.

    GraphX goes one step along the graph per round. On the few links to which most graphs contract, it is several times
    as fast as ``two_phase``, which halves all distances but runs dozens of jobs. If the rounds do not suffice, the
    ends of an edge differ, and ``two_phase`` takes over.
    """
    ends = links.select(F.col("src").alias("id")).union(links.select("dst"))
    vertices = _written(ends.distinct(), f"{folder}/scratch/vertices")
    count = links.count()
    for algorithm in ("graphx", "two_phase") if count <= _FEW_LINKS else ("two_phase",):
        connected = _connected(vertices, links, count, algorithm, f"{folder}/scratch/{algorithm}")
        # GraphFrames may name a component by any of its vertices. We use the smallest, which is also the smallest
        # item, since that is the root of its own partition.
        smallest = connected.groupBy("component").agg(F.min("id").alias("name"))
        named = connected.join(smallest, "component", "inner").select("id", "name")
        names = _written(named, f"{folder}/names-{algorithm}")
        wrong = _parted(links, names)
        if not wrong:
            return names
    raise CdpError(
        f"GraphFrames put items {wrong['src']} and {wrong['dst']}, which an edge joins, into components "
        f"{wrong['src_name']} and {wrong['dst_name']}: run again, or set clusters.components: single"
    )


def _connected(vertices: DataFrame, links: DataFrame, count: int, algorithm: str, scratch: str) -> DataFrame:
    """Return GraphFrames' (id, component), stored, and leave nothing in the session."""
    from graphframes import GraphFrame

    spark = vertices.sparkSession
    with _session_restored(spark, f"{scratch}-checkpoints"):
        # It shuffles about ten times per round without adaptive execution, so few tasks for a small graph.
        tasks = 1 + count // _LINKS_PER_TASK
        spark.conf.set(_SHUFFLES, str(min(tasks, int(spark.conf.get(_SHUFFLES) or tasks))))
        graph = GraphFrame(vertices, links)
        components = graph.connectedComponents(**_arguments(graph.connectedComponents, algorithm))
        try:
            return _written(components.select("id", "component"), f"{scratch}-connected")
        finally:
            components.unpersist()


def _arguments(method: Callable[..., DataFrame], algorithm: str) -> dict[str, Any]:
    """Return the keyword arguments that this version accepts, since platforms ship older versions."""
    wanted: dict[str, Any] = {"algorithm": algorithm, "use_local_checkpoints": False}
    if algorithm == "graphx":
        wanted["max_iter"] = _ROUNDS
    elif _python_version() >= (0, 11):
        # -1 leaves hubs to adaptive execution; older versions read it as "every vertex is a hub".
        wanted["broadcastThreshold"] = -1
    else:
        wanted["algorithm"] = "graphframes"  # its older name
    known = inspect.signature(method).parameters
    return {name: value for name, value in wanted.items() if name in known}


@contextmanager
def _session_restored(spark: SparkSession, checkpoints: str) -> Iterator[None]:
    """Set the checkpoint folder; afterwards restore it, and the settings that the engine changes."""
    before = {key: spark.conf.get(key) for key in (_ADAPTIVE, _SHUFFLES)}
    java_context: Any = spark.sparkContext._jsc.sc()
    folder_before = java_context.getCheckpointDir()
    spark.sparkContext.setCheckpointDir(checkpoints)
    try:
        yield
    finally:
        # Setting it again by its name would make another folder inside.
        getattr(java_context, "checkpointDir_$eq")(folder_before)
        for key, value in before.items():
            if spark.conf.get(key) != value:
                spark.conf.set(key, str(value))


def _parted(links: DataFrame, names: DataFrame) -> dict[str, Any]:
    """Return an edge whose ends have different components, or none; empty when there is no such edge."""
    of_src = names.select(F.col("id").alias("src"), F.col("name").alias("src_name"))
    of_dst = names.select(F.col("id").alias("dst"), F.col("name").alias("dst_name"))
    joined = links.join(of_src, "src", "left").join(of_dst, "dst", "left")
    wrong = joined.where(~F.col("src_name").eqNullSafe(F.col("dst_name")) | F.col("src_name").isNull()).head(1)
    return wrong[0].asDict() if wrong else {}


def _written(table: DataFrame, path: str) -> DataFrame:
    table.write.parquet(path)
    return table.sparkSession.read.schema(table.schema).parquet(path)


def _remove(spark: SparkSession, folder: str) -> None:
    java: Any = spark._jvm
    path = java.org.apache.hadoop.fs.Path(folder)
    path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).delete(path, True)


def _jar_name(spark: SparkSession) -> str | None:
    """Return the file name of the jar that GraphFrames' entry class comes from; None when it is not loaded."""
    from py4j.protocol import Py4JJavaError  # a client of Connect has no py4j

    java: Any = spark._jvm
    try:
        loader = java.java.lang.Thread.currentThread().getContextClassLoader()
        source = loader.loadClass("org.graphframes.GraphFramePythonAPI").getProtectionDomain().getCodeSource()
    except Py4JJavaError:
        return None
    return str(source.getLocation().getPath()).rsplit("/", 1)[-1] if source else "a jar of the platform"


def _python_version() -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in metadata.version("graphframes-py").split(".") if number.isdecimal())
    except metadata.PackageNotFoundError:
        return ()

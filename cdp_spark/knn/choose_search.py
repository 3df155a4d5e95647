"""Choose how to search a model's vectors (spill, and cells to visit) on queries with known neighbours.

The cells of the true neighbours show what a search of cells alone must visit. A much smaller search suffices when
neighbours of neighbours complete its lists. How small depends on the vectors, so a pilot on a few queries and their
neighbours finds out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.config.sections import fingerprint
from cdp_spark.intake.flow import Vectors
from cdp_spark.knn.kernels import choose_probing, pilot
from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.cells import Cells
from cdp_spark.knn.kernels.choose_probing import Probing, Recall
from cdp_spark.knn.kernels.search_cells import Block, Lists, everything, search
from cdp_spark.knn.search_shards import merged
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.arrow import map_batches
from cdp_spark.spark.hashed_sample import hashed_sample
from cdp_spark.spark.session import cores

_TUNING_QUERIES = 500
_AUDIT_QUERIES = 2_300

_PARTITION_BYTES = 256 << 20
"""Approximate bytes of vectors that a task of the pilot searches; with few vectors per cell, its products are slow."""


@dataclass(frozen=True)
class Known:
    """Inputs for the choice of a probing."""

    vectors: Vectors
    twins: DataFrame
    truth: DataFrame
    cells: Cells
    k: int
    target: float
    key: str


def true_neighbors(vectors: Vectors, k: int) -> DataFrame:
    """Return the exact neighbours (``schemas.KNN``) of the queries of tuning and audit. Lazy."""
    items, queries = collected(_queries(vectors, _query_shares(vectors.rows)[1]), vectors.dimension)
    return exact_neighbors(vectors.table, items, queries, k=k)


def audited(vectors: Vectors, graph: DataFrame, truth: DataFrame) -> dict[str, float]:
    """Compare the graph with exact answers that tuning has not seen."""
    unseen = hashed_sample(truth, "item", salt="queries", above=_query_shares(vectors.rows)[0], below=1.0)
    row = recall_figures(graph, unseen).collect()[0]
    return asdict(Recall.of(float(row["mean"] or 0), float(row["deviation"] or 0), int(row["queries"])))


def alone(store: StageStore, known: Known) -> Probing:
    """Return the cheapest search of cells that reaches the target without neighbours of neighbours."""
    probing = store.facts(
        register.PROBING.of(known.vectors.model),
        fingerprint(known.key, known.target),
        lambda: asdict(_without_expansion(known)),
    )
    return Probing(float(probing["spill"]), int(probing["nprobe"]))


def piloted(store: StageStore, known: Known, shard_table: DataFrame, most: Probing) -> Probing:
    """Return the cheapest search that reaches the target together with neighbours of neighbours.

    Parameters
    ----------
    store : StageStore
    known : Known
    shard_table : DataFrame (``schemas.SHARDS``)
        Placed with the spill of ``most``.
    most : Probing
        Result of :func:`alone`.
    """
    pilot_run = store.facts(
        register.PILOT.of(known.vectors.model),
        fingerprint(known.key, known.target, asdict(most)),
        lambda: {"nprobe": _fewest(known, shard_table, most)},
    )
    return Probing(most.spill, int(pilot_run["nprobe"]))


def following(before: Probing, most: Probing, cells: Cells) -> Probing:
    """Return the next probing after a failed audit: twice the cells, then the search without expansion, then more."""
    if 2 * before.nprobe < most.nprobe:
        return Probing(before.spill, 2 * before.nprobe)
    return most if most.nprobe > before.nprobe else choose_probing.wider(before, cells)


def collected(table: DataFrame, dimension: int) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Bring a bounded sample to the driver, sorted by item."""
    rows = table.select("item", "vector").toArrow().combine_chunks().sort_by("item")
    vectors = rows.column("vector").combine_chunks()
    return rows.column("item").to_numpy(), decode(vectors, dimension) if len(rows) else np.empty((0, dimension), "f2")


def _query_shares(rows: int) -> tuple[float, float]:
    """Return the shares of the items, by hash, that are queries of tuning, and of tuning and audit together."""
    asked = min(1.0, (_TUNING_QUERIES + _AUDIT_QUERIES) / rows)
    return asked * _TUNING_QUERIES / (_TUNING_QUERIES + _AUDIT_QUERIES), asked


def _queries(vectors: Vectors, share: float) -> DataFrame:
    return hashed_sample(vectors.table, "item", salt="queries", below=share)


def _of_items(vectors: Vectors, items: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Bring the vectors of some items to the driver."""
    wanted = _table_of(vectors.table, items)
    return collected(vectors.table.join(wanted, "item", "left_semi"), vectors.dimension)


def _table_of(beside: DataFrame, items: NDArray[np.int64]) -> DataFrame:
    """Make a table of items in another table's session; Spark Connect cannot infer the schema of no rows."""
    return beside.sparkSession.createDataFrame(pa.table({"item": items}), StructType([StructField("item", LongType())]))


def _tuning_queries(known: Known) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the queries of tuning, ascending, and their true neighbours."""
    share = _query_shares(known.vectors.rows)[0]
    asked = hashed_sample(known.truth, "item", salt="queries", below=share)
    rows = asked.select("item", "neighbors").toArrow().combine_chunks().sort_by("item")
    offsets, neighbors = neighbour_lists.flat(rows.column("neighbors").combine_chunks())
    true = [neighbors.to_numpy()[low:high] for low, high in pairwise(offsets.tolist())]
    return rows.column("item").to_numpy(), true


def _without_expansion(known: Known) -> Probing:
    items, true = _tuning_queries(known)
    owner, wanted = np.repeat(np.arange(len(true)), [len(each) for each in true]), _together(true)
    held, vectors = _of_items(known.vectors, np.union1d(items, wanted))
    queries, near = (vectors[np.searchsorted(held, some)].astype(np.float64) for some in (items, wanted))
    return choose_probing.choose(queries, near, owner, known.cells, needed=known.target)


def _fewest(known: Known, shard_table: DataFrame, most: Probing) -> int:
    """Try a few cells for the queries and their true neighbours, and count the neighbours that are reached."""
    steps = pilot.ladder(most.nprobe)
    items, true = _tuning_queries(known)
    if not steps or not len(items):
        return most.nprobe
    neighbors = np.unique(_together(true))
    searched = _searched_for(known, neighbors)
    wanted = [
        (int(item), np.array([searched.get(one, one) for one in each.tolist()]))
        for item, each in zip(items, true, strict=True)
        if len(each)
    ]
    asked = _of_items(known.vectors, np.union1d(items, neighbors))
    lists = _searched(known, shard_table, asked, steps, most.spill)
    recalls = [pilot.recalls(each, asked[0], wanted) for each in lists]
    return pilot.cells_needed(steps, recalls, known.target, most.nprobe)


def _together(groups: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Concatenate arrays, possibly none."""
    return np.concatenate([np.empty(0, np.int64), *groups])


def _searched_for(known: Known, items: NDArray[np.int64]) -> dict[int, int]:
    """Return the smaller twin of each item that has one: only the twin is searched."""
    wanted = _table_of(known.twins, items)
    return {row["item"]: row["twin_of"] for row in known.twins.join(wanted, "item", "left_semi").collect()}


def _searched(
    known: Known,
    shard_table: DataFrame,
    asked: tuple[NDArray[np.int64], NDArray[np.float16]],
    steps: Sequence[int],
    spill: float,
) -> list[Lists]:
    """Return the lists of some items after each step."""
    items, vectors = asked
    probes = pilot.probes_by_step(vectors.astype(np.float64), known.cells, spill, steps)
    count = len(known.cells.centroids)
    at_once, size = cores(shard_table.sparkSession) or 1, 2 * known.vectors.rows * known.vectors.dimension
    partitions = at_once * math.ceil(size / (at_once * _PARTITION_BYTES))
    asking = Block.of(items, vectors)
    lists = lists_by_step(shard_table.coalesce(partitions), asking, probes, count, k=known.k)
    rows = lists.toArrow().combine_chunks().sort_by("item")
    offsets, neighbors = neighbour_lists.flat(rows.column("neighbors").combine_chunks())
    _, similarities = neighbour_lists.flat(rows.column("similarities").combine_chunks())
    query, step = np.divmod(np.repeat(rows.column("item").to_numpy(), np.diff(offsets)), len(steps))
    entries = pilot.StepEntries(query, step, neighbors.to_numpy(), similarities.to_numpy())
    return pilot.cumulative(entries, queries=len(items), steps=len(steps), k=known.k)


def exact_neighbors(vectors: DataFrame, items: NDArray[np.int64], queries: NDArray[np.float16], *, k: int) -> DataFrame:
    """Answer some queries exactly: search each partition completely, and merge the lists.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    items : ndarray of int64, shape (q,)
    queries : ndarray of float16, shape (q, d)
    k : int

    Returns
    -------
    DataFrame (``schemas.KNN``)
        One row per query. Lazy.
    """
    dimension = queries.shape[1]

    def search_partition(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        all_items, all_vectors = [], []
        for batch in batches:
            all_items.append(batch.column("item").to_numpy())
            all_vectors.append(decode(batch.column("vector"), dimension))
        if not all_items:
            return
        rows = Block.of(np.concatenate(all_items), np.concatenate(all_vectors))
        offsets = np.array([0, len(rows.items)], np.int64)
        asked = Block.of(items, queries)
        yield neighbour_lists.to_arrow(items, search(asked, rows, offsets, everything(len(items)), k))

    return merged(map_batches(vectors.select("item", "vector"), search_partition, schemas.KNN), k)


def lists_by_step(
    shard_table: DataFrame, queries: Block, probes: NDArray[np.int32], cell_count: int, *, k: int
) -> DataFrame:
    """Search some cells for some queries, step by step, to measure the recall of each number of cells.

    Parameters
    ----------
    shard_table : DataFrame (``schemas.SHARDS``)
        In few partitions, for large products.
    queries : Block
    probes : ndarray of int32, shape (q, steps, cells)
        Cells that each query visits in each step, by number; -1: none.
    cell_count : int
    k : int

    Returns
    -------
    DataFrame (``schemas.KNN``)
        The k best of each query and step; ``item`` is the query's index times the number of steps, plus the step.
        Lazy.
    """
    steps = probes.shape[1]
    wanted = probes.reshape(len(queries.items) * steps, -1)

    def search_partition(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        columns = [[batch.column(name) for name in ("shard", "cell", "item", "vector")] for batch in batches]
        if not columns:
            return
        shard, cell, item = (np.concatenate([each[number].to_numpy() for each in columns]) for number in range(3))
        vectors = np.concatenate([decode(each[3], queries.vectors.shape[1]) for each in columns])
        # Queries of all steps together: one product per cell for every query that probes it in any step.
        each = queries.take(np.repeat(np.arange(len(queries.items)), steps))
        # One shard after the other: an item of several would take several places of a list, or not, as they share a
        # partition or do not.
        for number in np.unique(shard):
            mine = np.flatnonzero(shard == number)
            mine = mine[np.argsort(cell[mine], kind="stable")]
            offsets = np.searchsorted(cell[mine], np.arange(cell_count + 1))
            asking = np.flatnonzero(((np.diff(offsets) > 0)[wanted] & (wanted >= 0)).any(axis=1))
            lists = search(each.take(asking), Block.of(item[mine], vectors[mine]), offsets, wanted[asking], k)
            yield neighbour_lists.to_arrow(asking, lists)

    distinct = shard_table.where("twin_of is null").select("shard", "item", "cell", "vector")
    return merged(map_batches(distinct, search_partition, schemas.KNN), k)


def recall_figures(knn: DataFrame, truth: DataFrame) -> DataFrame:
    """Compare lists with exact ones: one row (mean: double, deviation: double, queries: long)."""
    exact = truth.select("item", F.col("neighbors").alias("wanted")).where(F.size("wanted") > 0)
    both = exact.join(knn.select("item", "neighbors"), "item", "left")
    hits = F.size(F.array_intersect("wanted", F.coalesce("neighbors", F.array().cast("array<long>"))))
    share = both.select((hits / F.size("wanted")).alias("share"))
    return share.agg(
        F.avg("share").alias("mean"), F.stddev_pop("share").alias("deviation"), F.count("*").alias("queries")
    )

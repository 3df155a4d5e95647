"""How the vectors of a model are searched: spill and cells to visit, chosen on queries whose neighbours are known.

Where each true neighbour lies tells what a search of cells alone must visit. Neighbours of neighbours complete the
lists of a much smaller search, how much smaller depends on the vectors: a pilot of a few queries and their neighbours
finds out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.config.sections import fingerprint
from cdp_spark.intake.flow import Vectors
from cdp_spark.knn import recall_audit
from cdp_spark.knn.kernels import choose_probing, pilot
from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.cells import Cells
from cdp_spark.knn.kernels.choose_probing import Probing, Recall
from cdp_spark.knn.kernels.search_cells import Block, Lists
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.hashed_sample import hashed_sample
from cdp_spark.spark.session import cores

_TUNING_QUERIES = 500
_AUDIT_QUERIES = 2_300

_PARTITION_BYTES = 256 << 20
"""Of vectors, in which a task of the pilot searches, about: with few of a cell its products are slow."""


@dataclass(frozen=True)
class Known:
    """What a probing is chosen by."""

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
    return recall_audit.exact_neighbors(vectors.table, items, queries, k=k)


def audited(vectors: Vectors, graph: DataFrame, truth: DataFrame) -> dict[str, float]:
    """Compare the graph with the exact answers that tuning has not seen."""
    unseen = hashed_sample(truth, "item", salt="queries", above=_query_shares(vectors.rows)[0], below=1.0)
    row = recall_audit.recall_figures(graph, unseen).collect()[0]
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
        That of :func:`alone`.
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
    """Return which share of the items, by hash, is asked for tuning, and which with those of the audit."""
    asked = min(1.0, (_TUNING_QUERIES + _AUDIT_QUERIES) / rows)
    return asked * _TUNING_QUERIES / (_TUNING_QUERIES + _AUDIT_QUERIES), asked


def _queries(vectors: Vectors, share: float) -> DataFrame:
    return hashed_sample(vectors.table, "item", salt="queries", below=share)


def _of_items(vectors: Vectors, items: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Bring the vectors of some items to the driver."""
    wanted = _table_of(vectors.table, items)
    return collected(vectors.table.join(wanted, "item", "left_semi"), vectors.dimension)


def _table_of(beside: DataFrame, items: NDArray[np.int64]) -> DataFrame:
    """Make a table of items in the session of another; Spark Connect infers no schema where there is no row."""
    return beside.sparkSession.createDataFrame(pa.table({"item": items}), StructType([StructField("item", LongType())]))


def _tuning_queries(known: Known) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the queries of tuning, rising, and the true neighbours of each."""
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
    """Try few cells for the queries and for their true neighbours, and count which of these are reached."""
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
    """Concatenate, also none at all."""
    return np.concatenate([np.empty(0, np.int64), *groups])


def _searched_for(known: Known, items: NDArray[np.int64]) -> dict[int, int]:
    """Return, for those of some items that equal a smaller one, which that is: only it is searched."""
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
    lists = recall_audit.lists_by_step(shard_table.coalesce(partitions), asking, probes, count, k=known.k)
    rows = lists.toArrow().combine_chunks().sort_by("item")
    offsets, neighbors = neighbour_lists.flat(rows.column("neighbors").combine_chunks())
    _, similarities = neighbour_lists.flat(rows.column("similarities").combine_chunks())
    query, step = np.divmod(np.repeat(rows.column("item").to_numpy(), np.diff(offsets)), len(steps))
    entries = pilot.StepEntries(query, step, neighbors.to_numpy(), similarities.to_numpy())
    return pilot.cumulative(entries, queries=len(items), steps=len(steps), k=known.k)

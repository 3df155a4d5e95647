"""Scored pairs -> the items among which clusterings are compared, durable: all, or a sample of whole pieces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame

from cdp_spark.agglomeration.pieces_to_clusters import PIECES
from cdp_spark.base import schemas
from cdp_spark.clusters.cut_and_number import edges_above, whole_components
from cdp_spark.clusters.forest.components import choose_engine, components
from cdp_spark.clusters.forest.grow import grown_forest
from cdp_spark.config.sections import fingerprint
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.spark.keyed_table import KeyedTable
from cdp_spark.unlabelled import sample as sampling
from cdp_spark.unlabelled.unlabelled_tables import SAMPLE

_VERSION = register.SAMPLE.version

Items = tuple[DataFrame, int]


@dataclass(frozen=True)
class Sizes:
    """Bounds that change results.

    Attributes
    ----------
    compared : int
        Most items of a set whose clusterings are compared whole.
    sampled : int
        Items of the sample of a larger set. On 52,720 characters three samples of 20,000 chose the whole's shift or the
        next, three of 10,000 spread over 1.5 (``benchmarks/sample_size.py``).
    piece : int
        Most items of a piece of that sample.
    task_edges : int
        Most edges of a forest that one task holds.
    """

    compared: int = 20_000
    sampled: int = 20_000
    piece: int = 5_000
    task_edges: int = 50_000_000


def sampled(store: StageStore, items: Items, at_highest: KeyedTable, sizes: Sizes) -> StageResult | None:
    """Choose the items among which clusterings are compared; None where there are few.

    Parameters
    ----------
    store : StageStore
    items : tuple of DataFrame (item: long) and its rows
    at_highest : KeyedTable (``schemas.SCORED_PAIRS``)
        Scores at the highest shift: pieces hang together by those above .5, so that no shift joins two pieces.
    sizes : Sizes
    """
    table, count = items
    if count <= sizes.compared:
        return None
    wanted = min(sizes.sampled, sizes.compared)
    key = fingerprint("sample", _VERSION, at_highest.fingerprint, [wanted, sizes.piece, sizes.task_edges])
    pieces = _pieces(store, count, at_highest, sizes, key)
    build = partial(sampling.sampled_items, table, pieces.table, wanted / count)
    return store.stage(register.SAMPLE, key, build, schema=SAMPLE)


def _pieces(store: StageStore, item_count: int, at_highest: KeyedTable, sizes: Sizes, key: str) -> StageResult:
    """Cut the components of probable pairs until none has too many items."""

    def materialise(name: str, table: DataFrame) -> tuple[DataFrame, int]:
        written = store.stage(
            register.SAMPLE_FOREST.of(name.rpartition("/")[2]), key, lambda: table, schema=table.schema
        )
        return written.table, written.rows

    probable = edges_above(at_highest.table, 0.5)
    grown = grown_forest(
        probable, item_count=item_count, pair_count=at_highest.rows, task_edges=sizes.task_edges,
        materialise=materialise,
    )  # fmt: skip
    edges, one_task = grown.table, grown.complete
    if not grown.complete:
        engine, _ = choose_engine("auto", grown.rows, sizes.task_edges, store.spark)
        partitions = max(2, -(-grown.rows // sizes.task_edges))
        labelled = store.stage(
            register.SAMPLE_COMPONENTS, key,
            lambda: components(edges, engine=engine, checkpoint_folder=store.workspace(), partitions=partitions),
            schema=schemas.COMPONENTS,
        )  # fmt: skip
        store.clear_workspace()
        edges = whole_components(edges, labelled.table, partitions)
    build = partial(sampling.pieces, edges, most=sizes.piece, one_task=one_task)
    return store.stage(register.SAMPLE_PIECES, key, build, schema=PIECES)

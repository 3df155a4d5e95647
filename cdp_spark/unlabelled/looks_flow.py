"""Models -> log odds of pairs, durable: lists, backgrounds, the joint view, and two looks at each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from cdp_spark.config.sections import KnnConfig, fingerprint
from cdp_spark.intake.flow import Vectors
from cdp_spark.knn.flow import Graph, knn_graph
from cdp_spark.knn.kernels.train_cells import pack
from cdp_spark.pairs.block_join import MEMBERS, block_members, homes
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.unlabelled import background, first_look, second_look
from cdp_spark.unlabelled import joint as joint_stage
from cdp_spark.unlabelled.blocks import Blocks
from cdp_spark.unlabelled.kernels.joint_view import NEAREST, SEARCHED
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator
from cdp_spark.unlabelled.unlabelled_tables import BACKGROUND, FIRST_LOOK, JOINT, LOG_ODDS, NEAR

_VERSION = register.JOINT_VIEW.version

_BLOCK_BYTES = 300 << 20
"""Bytes of a block's own items; with its halo and its pairs a task stays under 2 GB."""
_LEAST_BLOCK, _MOST_BLOCKS = 20_000, 64
"""Least items of a block, and the number of blocks from which on they grow instead."""

_PAIRS_BYTES = 1_500
"""Approximate bytes of an item's pairs that the second look sends to a block; only own items send features."""

_HOMES = StructType([StructField("item", LongType()), StructField("block", IntegerType())])


@dataclass(frozen=True)
class Shipped:
    """A mediator that needs no labels, and the fingerprint of its weights."""

    mediator: UnlabelledMediator
    fingerprint: str


@dataclass(frozen=True)
class Models:
    """Models of the same items: lists of 40, and backgrounds.

    Attributes
    ----------
    kind : {"models", "coordinates"}
    graphs : tuple of Graph
    backgrounds : tuple of StageResult (``unlabelled_tables.BACKGROUND``)
    """

    kind: str
    graphs: tuple[Graph, ...]
    backgrounds: tuple[StageResult, ...]

    @property
    def items(self) -> int:
        """Number of items."""
        return self.graphs[0].vectors.rows

    @property
    def dimensions(self) -> list[int]:
        """Lengths of the vectors."""
        return [graph.vectors.dimension for graph in self.graphs]

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the lists of all models."""
        return fingerprint(_VERSION, [graph.fingerprint for graph in self.graphs])

    @property
    def tables(self) -> joint_stage.ModelTables:
        """Lists, vectors and backgrounds of all models."""
        lists = _numbered([graph.table for graph in self.graphs])
        vectors = _numbered([vectors_of(graph).withColumnRenamed("vector", "payload") for graph in self.graphs])
        united = reduce(DataFrame.unionAll, [each.table for each in self.backgrounds])
        background = united.select(F.col("model").alias("number"), "item", F.col("background").alias("payload"))
        return joint_stage.ModelTables(lists, vectors, background, self.dimensions)


def _numbered(tables: Sequence[DataFrame]) -> DataFrame:
    each = [table.withColumn("number", F.lit(number)) for number, table in enumerate(tables)]
    return reduce(DataFrame.unionAll, each)


def vectors_of(graph: Graph) -> DataFrame:
    """Return (item: long, vector: binary) as the shards hold them, which needs no join."""
    return graph.shards.where("shard = home").select("item", "vector")


def searched(store: StageStore, vectors: Sequence[Vectors], knn: KnnConfig, kind: str = "models") -> Models:
    """Search the 40 neighbours of every item in every model, and measure its backgrounds."""
    asked = knn.model_copy(update={"k": SEARCHED})
    graphs = tuple(knn_graph(store, each, asked) for each in vectors)
    return Models(kind, graphs, tuple(_background(store, graph, number) for number, graph in enumerate(graphs)))


def _background(store: StageStore, graph: Graph, number: int) -> StageResult:
    known, table = graph.vectors, vectors_of(graph)

    def measured() -> DataFrame:
        drawn = background.drawn_vectors(table, known.dimension, item_count=known.rows)
        return background.backgrounds(table, drawn, number)

    key = fingerprint("background", _VERSION, known.fingerprint, number)
    return store.stage(register.BACKGROUND.of(known.model), key, measured, schema=BACKGROUND)


@dataclass(frozen=True)
class View:
    """The joint view of every subset of some models.

    Attributes
    ----------
    models : Models
    subsets : tuple of tuple of int
        Numbers of each subset's models; an empty subset is left out.
    joint, near : StageResult
        ``unlabelled_tables.JOINT``, ``unlabelled_tables.NEAR``
    blocks : Blocks
        The halo holds all items of the joint lists of own items.
    bin_counts : sequence
        From ``joint.bin_counts``.
    fingerprint : str
    """

    models: Models
    subsets: tuple[tuple[int, ...], ...]
    joint: StageResult
    near: StageResult
    blocks: Blocks
    bin_counts: joint_stage.BinCounts
    fingerprint: str


def joint_view(store: StageStore, models: Models, subsets: tuple[tuple[int, ...], ...]) -> View:
    """Make the joint view of every subset."""
    kind, size = models.kind, block_items(models.items, models.dimensions, len(subsets))
    home_key = fingerprint("blocks", _VERSION, models.graphs[0].fingerprint, size)
    home = store.stage(register.JOINT_BLOCKS.of(kind), home_key, lambda: _homes(models, size), schema=_HOMES)
    counted = store.facts(
        register.JOINT_BLOCK_COUNT, home_key, lambda: {"blocks": home.table.agg(F.max("block")).collect()[0][0]}
    )
    blocks, items = int(counted["blocks"] or 0) + 1, models.items
    key = fingerprint("joint", _VERSION, models.fingerprint, subsets)
    near_lists = [
        graph.table.select("item", F.slice("neighbors", 1, NEAREST).alias("neighbors")) for graph in models.graphs
    ]
    met = store.stage(
        register.JOINT_MEMBERS.of(kind), fingerprint(models.fingerprint, home_key),
        lambda: block_members(home.table, near_lists, blocks=blocks), schema=MEMBERS,
    )  # fmt: skip
    view = store.stage(
        register.JOINT_VIEW.of(kind), key,
        lambda: [
            joint_stage.joint_view(some, models.tables, subsets)
            for some in Blocks(met.table, blocks, items, met.rows).rounds(2 * sum(models.dimensions))
        ],
        schema=JOINT,
    )  # fmt: skip
    in_degrees = store.stage(
        register.IN_DEGREES.of(kind), key,
        lambda: joint_stage.times_near(
            models.tables.lists, view.table, models=len(models.graphs), subsets=len(subsets)
        ),
        schema=NEAR,
    )  # fmt: skip
    members = store.stage(
        register.JOINT_MEMBERS.of(f"{kind}-jointly"), fingerprint(key, home_key),
        lambda: block_members(home.table, [_of_any(view.table)], blocks=blocks), schema=MEMBERS,
    )  # fmt: skip
    counts = store.facts(
        register.RANK_COUNTS.of(kind), key, lambda: {"counts": _plain(joint_stage.bin_counts(view.table, len(subsets)))}
    )
    bin_counts = [(np.array(lower, np.int64), np.array(standing, np.int64)) for lower, standing in counts["counts"]]
    return View(models, subsets, view, in_degrees, Blocks(members.table, blocks, items, members.rows), bin_counts, key)


def _plain(bin_counts: joint_stage.BinCounts) -> list[list[list[int]]]:
    return [[counts.tolist() for counts in each] for each in bin_counts]


def _of_any(joint_table: DataFrame) -> DataFrame:
    return joint_table.select("item", "neighbors")


def block_items(items: int, dimensions: Sequence[int], subsets: int) -> int:
    """Return how many own items a block of the joint view has."""
    share = _item_bytes(dimensions, subsets)
    return int(min(_BLOCK_BYTES // share, max(_LEAST_BLOCK, items // _MOST_BLOCKS)))


def _item_bytes(dimensions: Sequence[int], subsets: int) -> int:
    """Return the bytes of an item's vectors and lists, joint ones included."""
    return sum(2 * dimension + 12 * SEARCHED for dimension in dimensions) + 12 * NEAREST * subsets


def _homes(models: Models, size: int) -> DataFrame:
    base = models.graphs[0]
    cells = len(base.cells.centroids)
    wanted = min(max(1, -(-models.items // size)), cells)
    # Cells have about equal weights; a block that still gets too many items is divided.
    packed = pack(base.cells.centroids.astype(np.float32), np.ones(cells, np.int64), wanted)
    return homes(base.shards, [int(block) for block in packed], block_items=2 * size if cells > 1 else size)


@dataclass(frozen=True)
class Wanted:
    """The subsets whose pairs are looked at.

    Attributes
    ----------
    name : str
        Name of these subsets.
    numbers : tuple of int
    sample : StageResult (``unlabelled_tables.SAMPLE``), optional
        Only pairs inside it are wanted; None: all.
    """

    name: str
    numbers: tuple[int, ...]
    sample: StageResult | None = None


def log_odds(store: StageStore, view: View, wanted: Wanted, shipped: Shipped) -> StageResult:
    """Look twice at the pairs of some subsets.

    Returns
    -------
    StageResult (``unlabelled_tables.LOG_ODDS``)
    """
    sample, mediator = wanted.sample, shipped.mediator
    asked = {number: view.subsets[number] for number in wanted.numbers}
    key = fingerprint(
        _VERSION, view.fingerprint, shipped.fingerprint, list(wanted.numbers), sample and sample.fingerprint
    )
    lists = view.joint.table.where(F.col("subset").isin(*asked)).withColumnRenamed("subset", "number")
    known = first_look.Known(view.models.tables, lists, view.near.table, view.bin_counts)
    first = store.stage(
        register.FIRST_LOOK.of(wanted.name), key,
        lambda: _first_look(view, known, asked, (mediator, sample)), schema=FIRST_LOOK,
    )  # fmt: skip
    return store.stage(
        register.LOG_ODDS.of(wanted.name), key,
        lambda: [
            second_look.second_look(some, first.table, mediator) for some in view.blocks.rounds(_PAIRS_BYTES)
        ],
        schema=LOG_ODDS,
    )  # fmt: skip


def _first_look(
    view: View,
    known: first_look.Known,
    asked: Mapping[int, tuple[int, ...]],
    how: tuple[UnlabelledMediator, StageResult | None],
) -> DataFrame | list[DataFrame]:
    """Look at all pairs, or at those of a sample, whose items are brought to the driver: some 20,000."""
    mediator, sample = how
    if sample is None or not sample.rows:
        rounds = view.blocks.rounds(_item_bytes(view.models.dimensions, len(asked)))
        return [first_look.first_look(some, known, asked, mediator) for some in rounds]
    items = np.sort(sample.table.toArrow().column("item").to_numpy())
    blocks = view.blocks.inside(first_look.reached(known.joint, items))
    return first_look.first_look(blocks, known, asked, mediator, items)

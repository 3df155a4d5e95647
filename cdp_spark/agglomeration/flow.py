"""Clusters without a threshold, durable: pieces of the consensus graph, and the clusters in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.agglomeration import pieces_to_clusters as stage
from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.agglomeration.pieces_to_clusters import side_by_side, with_vectors
from cdp_spark.base import schemas
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.whole import RunConfig
from cdp_spark.intake.flow import Vectors
from cdp_spark.networks.kernels.mlp import Ensemble
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.spark.keyed_table import KeyedTable

_TASK_PAIRS = 2_000_000
"""Approximate number of pairs in a task: about 300 MB, and at most as much again for its largest piece."""
_PAIR_NUMBERS = 500
"""Vector length at which an item's vectors take about as much memory as its pairs."""


@dataclass(frozen=True)
class Labelled:
    """Labelled items (``schemas.LABELLED_ITEMS``, or ``CONFIDENT_ITEMS``), facts for ``run.json``, warnings."""

    items: StageResult
    facts: dict[str, Any]
    warnings: list[str]


@dataclass(frozen=True)
class Embeddings(KeyedTable):
    """The vectors of all models, side by side: (item: long, vector: binary).

    Attributes
    ----------
    dimensions : tuple of int
        Lengths of the models' vectors.
    """

    dimensions: tuple[int, ...]

    @classmethod
    def of(cls, vectors: Mapping[str, Vectors]) -> Embeddings:
        """Concatenate the models' vectors, base first."""
        each = list(vectors.values())
        return cls(
            side_by_side([model.table for model in each]), each[0].rows,
            fingerprint("embeddings", [model.fingerprint for model in each]), tuple(model.dimension for model in each),
        )  # fmt: skip


@dataclass(frozen=True)
class ClusterMediator:
    """Estimates whether two clusters are one identity, from the links between them and, optionally, their vectors.

    It carries the vectors, and its weight beside the sum of z.
    """

    net: Ensemble
    trust: float = 1.0
    embeddings: Embeddings | None = None

    def rule(self, k: int) -> Rule:
        """Return the rule that scores links of graphs with ``k`` neighbours."""
        return Rule(self.net.logits, k, self.trust)

    @property
    def fingerprint(self) -> str:
        """Return the hash of everything that affects its scores."""
        return fingerprint(self.net.digest, self.trust, self.embeddings and self.embeddings.fingerprint)


def agglomerated_items(
    store: StageStore,
    pairs: StageResult,
    graph: KeyedTable,
    config: RunConfig,
    mediator: ClusterMediator | None,
) -> Labelled:
    """Find the clusters.

    Parameters
    ----------
    store : StageStore
    pairs : StageResult (``schemas.SCORED_PAIRS``)
        All scored pairs.
    graph : KeyedTable (``schemas.FOREST``)
        Edges of score > .5, whole components in one partition.
    config : RunConfig
    mediator : ClusterMediator, optional
        For the rule ``learned``.
    """
    most, rule = config.clusters.piece_items, config.clusters.rule
    key = fingerprint(register.PIECES.version, graph.fingerprint, most)
    piece_of = store.stage(register.PIECES, key, lambda: stage.pieces(graph.table, most=most), schema=stage.PIECES)
    facts = store.facts(register.PIECE_SIZES, key, lambda: _sizes(piece_of.table))
    scored = Rule(k=config.knn.k) if mediator is None else mediator.rule(config.knn.k)
    embeddings = None if mediator is None else mediator.embeddings

    def labelled_items() -> DataFrame:
        inner, tasks = (
            stage.inside(pairs.table, piece_of.table, item_count=piece_of.rows),
            -(-pairs.rows // _TASK_PAIRS),
        )
        if embeddings is None:
            return stage.agglomerated(inner, scored, tasks=max(1, tasks))
        inner = with_vectors(inner, piece_of.table.select("item", "piece"), embeddings.table)
        weight = 1 + sum(embeddings.dimensions) // _PAIR_NUMBERS
        return stage.agglomerated(inner, scored, tasks=max(1, weight * tasks), dimensions=embeddings.dimensions)

    of_mediator = None if mediator is None else mediator.fingerprint
    labelled = store.stage(
        register.AGGLOMERATED,
        fingerprint(key, pairs.fingerprint, rule, of_mediator, config.knn.k),
        labelled_items,
        schema=schemas.CONFIDENT_ITEMS,
    )
    return Labelled(labelled, {"pieces": facts}, _cut(facts, most))


def _sizes(piece_of: DataFrame) -> dict[str, Any]:
    each = piece_of.groupBy("piece").agg(F.count("*").alias("size"), F.max("level").alias("level"))
    row = each.agg(
        F.count("*").alias("pieces"),
        F.max("size").alias("largest_piece"),
        F.count(F.when(F.col("level") > 0, 1)).alias("cut_pieces"),
        F.sum(F.when(F.col("level") > 0, F.col("size"))).alias("cut_items"),
    ).collect()[0]
    return {name: value or 0 for name, value in row.asDict().items()}


def _cut(facts: dict[str, Any], most: int) -> list[str]:
    if not facts["cut_pieces"]:
        return []
    return [
        f"{facts['cut_items']:,} items are connected in components of more than {most:,} and were cut into "
        f"{facts['cut_pieces']:,} pieces before they were clustered: an identity may be split; raise "
        "clusters.piece_items where a task can hold more"
    ]

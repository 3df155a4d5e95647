"""Labelled items, and the crowd around them -> durable simulated worlds, with KNN graphs and labelled pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.whole import TrainConfig
from cdp_spark.intake.flow import Intake
from cdp_spark.knn.flow import Graph, knn_graph
from cdp_spark.pairs.block_join import Join
from cdp_spark.pairs.flow import joined_pairs
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring import score_pairs as mediator_stage
from cdp_spark.scoring.fit import sampled_densities
from cdp_spark.spark.keyed_table import KeyedTable
from cdp_spark.training import world_tables as stage

_FILE_PAIRS = 500_000


@dataclass(frozen=True)
class Worlds:
    """The worlds.

    Attributes
    ----------
    items : list of int
        Number of items of each.
    members : StageResult (``world_tables.MEMBERS``)
    pairs : StageResult (``schemas.WORLD_PAIRS``)
        Stored in files that each fit into memory and hold pairs of all worlds.
    clustered : DataFrame (``schemas.WORLD_PAIRS``)
        The pairs for clustering; with a crowd, more than the training pairs. Lazy.
    densities : list of ndarray of float32
        Features of a sample of the labelled items of each world: see ``scoring.kernels.world_model.density_features``.
    """

    items: list[int]
    members: StageResult
    pairs: StageResult
    clustered: DataFrame
    densities: list[NDArray[np.float32]]


def labelled_worlds(
    store: StageStore, intake: Intake, people: StageResult, columns: list[int], config: TrainConfig
) -> Worlds:
    """Make the worlds.

    Parameters
    ----------
    store : StageStore
    intake : Intake
    people : StageResult (item: long, identity: long)
        Items that have labels.
    columns : list of int
        Columns of the features to learn from.
    config : TrainConfig
    """
    gammas, seed = config.mediator.worlds, config.mediator.seed
    crowd = intake.items.table.select("item").join(people.table, "item", "left_anti") if config.mediator.crowd else None
    key = fingerprint("worlds", register.WORLDS.version, people.fingerprint, gammas, seed, crowd is not None)
    choose = partial(stage.members, people.table, gammas, seed=seed, crowd=crowd)
    members = store.stage(register.WORLDS, key, choose, schema=stage.MEMBERS)
    counts = store.facts(register.WORLD_ITEMS, key, lambda: _counts(members.table))
    features, densities = [], []
    for world in range(len(gammas)):
        chosen = members.table.where(F.col("world") == world).select("item")
        of_world = KeyedTable(chosen, counts[str(world)], fingerprint(key, world))
        graphs = _graphs(store, intake, of_world, world, config)
        features.append(_features(store, graphs, columns, world, config))
        # The crowd is the same in all worlds, which differ in the neighbourhoods of labelled items.
        densities.append(sampled_densities(graphs, config.knn.k, None if crowd is None else people))
    total = sum(each.rows for each in features)
    named = partial(stage.labelled, people=people.table, crowd=crowd)
    every = reduce(DataFrame.unionByName, [named(each.table, world=world) for world, each in enumerate(features)])
    pairs = store.stage(
        register.WORLD_PAIRS,
        fingerprint(key, [each.fingerprint for each in features], _FILE_PAIRS),
        lambda: _in_files(stage.teaching(every), total),
        schema=schemas.WORLD_PAIRS,
    )
    items = [counts[str(world)] for world in range(len(gammas))]
    return Worlds(items, members, pairs, pairs.table if crowd is None else every, densities)


def _counts(members: DataFrame) -> dict[str, int]:
    return {str(row["world"]): row["count"] for row in members.groupBy("world").count().collect()}


def _graphs(
    store: StageStore, intake: Intake, of_world: KeyedTable, world: int, config: TrainConfig
) -> dict[str, Graph]:
    graphs = {}
    for model, vectors in intake.vectors.items():
        # Worlds have different items, so each has its own tables.
        table = vectors.table.join(of_world.table, "item", "left_semi")
        mine = replace(
            vectors, model=f"{model}-world-{world}", table=table, rows=of_world.rows,
            fingerprint=fingerprint(vectors.fingerprint, of_world.fingerprint),
        )  # fmt: skip
        graphs[model] = knn_graph(store, mine, config.knn)
    return graphs


def _features(
    store: StageStore, graphs: Mapping[str, Graph], columns: list[int], world: int, config: TrainConfig
) -> StageResult:
    settings = config.mediator
    join = Join(
        settings.feature_set, settings.candidates, mediator_stage.learning(columns), mediator_stage.LABELLED_FEATURES,
        fingerprint("learning", columns),
    )  # fmt: skip
    return joined_pairs(store, register.FEATURES.of(f"world-{world}"), graphs, config.knn, join)


def _in_files(pairs: DataFrame, rows: int) -> DataFrame:
    """Put pairs of all worlds into every file, reproducibly."""
    files = max(1, -(-rows // _FILE_PAIRS))
    pair_hash = F.xxhash64("world", "src", "dst")
    return pairs.repartition(files, pair_hash).sortWithinPartitions("world", "src", "dst")

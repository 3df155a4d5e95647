"""Estimate time, memory, shuffle and storage of a run, before any work.

The estimate extrapolates from finished runs, best from two of different sizes on the same cluster. Without any, it uses
the figures that come with the package for each engine (``plan-sail.json`` and ``plan-spark.json``, made by
``benchmarks/plan.py``). ``laws`` says how stages grow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.base.schemas import quoted
from cdp_spark.config.input_sections import SourceConfig
from cdp_spark.config.loading import load_config
from cdp_spark.config.whole import RunConfig
from cdp_spark.files.folder import Folder
from cdp_spark.knn.flow import shard_rows
from cdp_spark.plan.cost_model import Cost, Measured, from_json, predicted
from cdp_spark.plan.laws import HALVES, LAWS, Size
from cdp_spark.plan.measured import machine_speed, measured_run
from cdp_spark.runs.finished_run import finished_record
from cdp_spark.runs.run_json import ClusterRecord
from cdp_spark.scoring.choice import mediator_of, with_rule
from cdp_spark.sources import open_table
from cdp_spark.spark.engine import engine_of
from cdp_spark.spark.session import cores
from cdp_spark.unlabelled.kernels.joint_view import SEARCHED
from cdp_spark.unlabelled.kernels.splits import coordinate_splits
from cdp_spark.unlabelled.sample_flow import Sizes

_REFERENCES = {name: Path(__file__).with_name(f"plan-{name}.json") for name in ("sail", "spark")}
_KEPT_TIMES = 7
"""Multiple of the largest measured size beyond which a plan warns that it extrapolates."""
# Kinds of stages that occur in only one way of searching, scoring or clustering.
_EXACT = {"exact shards", "exact knn"}
_APPROXIMATE = {"truth", "cells", "shards", "pilot", "lists", "merged lists"}
OF_WAYS = {
    "vote": {"scored_pairs, vote"},
    "mediator": {"blocks", "members", "scored_pairs, mediator", "mediator fit", "items alike"},
    "without labels": {
        "repeated items", "background", HALVES, "joint view", "first look", "second look",
        "looks at halves", "agreement", "taught", "scored_pairs, without labels",
    },
}  # fmt: skip
_LEAST_SHIFTED = 2
"""Models up to which a trained mediator is not shifted: halves need two members beside the base."""
_CUT = {"labelled"}
_AGGLOMERATED = {"pieces", "labelled, agglomerated"}


@dataclass(frozen=True)
class Plan:
    """Estimated cost of a run of one size.

    Attributes
    ----------
    items : int
    models : dict of model to dimension
    cores : int
    stages : dict of kind to Cost
    sure : str
        How reliable the estimate is, in words.
    way : str
        How pairs are scored and clusters made, and which setting decided it.
    more_seconds : float
        Without labels and with several models: what a run takes besides if halves of these do not agree.
    """

    items: int
    models: dict[str, int]
    cores: int
    stages: dict[str, Cost]
    sure: str
    way: str = ""
    more_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Duration of the whole run."""
        return sum(cost.seconds for cost in self.stages.values())


def plan(
    config: RunConfig,
    *,
    spark: SparkSession,
    items: Sequence[int] = (),
    workers: int | None = None,
    measured: Sequence[str] = (),
) -> list[Plan]:
    """Estimate the cost of a run.

    Parameters
    ----------
    config : RunConfig
        Its inputs are opened for their dimensions and, without ``items``, counted.
    spark : SparkSession
    items : sequence of int, optional
        Sizes to plan for. Default: the rows of the base model.
    workers : int, optional
        Number of Python workers at a time, over all executors. Default: that of the session's settings, else this
        machine's cores.
    measured : sequence of str, optional
        Outputs of finished runs to extrapolate from, best with two sizes. Default: the figures that come with the
        package.

    Raises
    ------
    ConfigError, InputError
    """
    if config.clusters.rule == "auto":
        config = with_rule(config, mediator_of(config))
    models = {source.model: source for source in config.input.sources}
    columns = open_table.columns_of_models(config.input)
    tables = {name: open_table.open_source(spark, source, f"model {name}", columns) for name, source in models.items()}
    dimensions = {name: _dimension(tables[name], source, config) for name, source in models.items()}
    if not (sizes := list(items)):
        sizes = [tables[config.input.base.model].count()]
    if any(size < 1 for size in sizes):
        raise ConfigError(f"plan: --items must be 1 or more, got {min(sizes)}")
    runs = [measured_run(_record(path)) for path in measured] or reference(engine_of(spark).name)
    if not runs:
        raise ConfigError(
            "plan: this build has no figures to extrapolate from: run subsets of the data, best two of different "
            "sizes, and pass their outputs with --measured"
        )
    at_once = workers or cores(spark) or os.cpu_count() or 1
    return [_planned(config, dimensions, size, runs, at_once) for size in sizes]


def reference(engine: str) -> list[Measured]:
    """Return the measured runs of an engine that come with the package."""
    if not (path := _REFERENCES[engine]).exists():
        return []
    return [from_json(run) for run in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def way_of(config: RunConfig) -> str:
    """Return how pairs are scored: vote, mediator, or without labels."""
    return "without labels" if config.consensus.without_labels else config.consensus.strategy


def kinds_of(config: RunConfig, size: Size) -> list[str]:
    """Return the kinds of stages that a run has, but the search of halves."""
    way = way_of(config)
    absent = _APPROXIMATE if size.items <= config.knn.exact_below else _EXACT
    absent = absent.union({HALVES}, *(kinds for name, kinds in OF_WAYS.items() if name != way))
    absent |= _AGGLOMERATED if config.clusters.has_threshold else _CUT
    # Without labels, the clusters that teach networks are agglomerated whatever the rule.
    if way == "without labels":
        absent -= _AGGLOMERATED
    if size.items <= size.shard_rows:
        absent |= {"merged lists"}
    shifted = way == "mediator" and not config.clusters.has_threshold and size.models > _LEAST_SHIFTED
    if not shifted:
        absent |= {"items alike"}
    if size.items <= Sizes().compared or not (shifted or way == "without labels"):
        absent |= {"sample"}
    return [kind for kind in LAWS if kind not in absent]


def _planned(config: RunConfig, models: dict[str, int], items: int, runs: list[Measured], at_once: int) -> Plan:
    dimension, way = float(np.mean(list(models.values()))), way_of(config)
    knn = config.knn.model_copy(update={"k": SEARCHED}) if way == "without labels" else config.knn
    size = Size(
        items, dimension, knn.k, len(models),
        shard_rows=shard_rows(knn, round(dimension)), task_edges=config.forest.task_edges,
    )  # fmt: skip
    runs = sorted(runs, key=lambda run: (run.way == way, run.size.items))
    alike = [run for run in runs if run.way == way]
    kinds = kinds_of(config, size)
    stages = predicted(kinds, runs, size, cores=at_once, speed=machine_speed())
    unknown = [kind for kind in kinds if kind not in stages]
    more = 0.0
    if way == "without labels":
        by_coordinates = _with_coordinates(kinds, runs, size, at_once)
        more = sum(cost.seconds for cost in by_coordinates.values()) - sum(cost.seconds for cost in stages.values())
        stages = by_coordinates if len(models) == 1 else stages
    missing = f"; left out, since no run measured them: {', '.join(unknown)}" if unknown else ""
    in_order = {kind: stages[kind] for kind in LAWS if kind in stages}
    named = f"{config.why}; clusters.rule {config.clusters.rule}"
    return Plan(
        items, models, at_once, in_order, _sure(items, alike or runs) + missing, named, more if len(models) > 1 else 0.0
    )


def _with_coordinates(kinds: list[str], runs: list[Measured], size: Size, at_once: int) -> dict[str, Cost]:
    """Return the cost of a run that also compares halves of the coordinates; they are searched like smaller models."""
    searches = [kind for kind in kinds if LAWS[kind].each_model and kind != "embeddings"]
    halves = replace(size, models=2 * coordinate_splits(size.models) * size.models, dimension=size.dimension / 2)
    each = predicted(searches, runs, halves, cores=at_once, speed=machine_speed()).values()
    whole = predicted(kinds, runs, replace(size, coordinates=True), cores=at_once, speed=machine_speed())
    whole[HALVES] = Cost(
        sum(cost.seconds for cost in each), max((cost.peak_bytes for cost in each), default=0.0),
        sum(cost.shuffled_bytes for cost in each), sum(cost.written_bytes for cost in each),
    )  # fmt: skip
    return whole


def _sure(items: int, runs: Sequence[Measured]) -> str:
    largest = max(run.size.items for run in runs)
    beyond = items / largest
    if beyond <= _KEPT_TIMES:
        return f"measured up to {largest:,.0f} items"
    return (
        f"{beyond:,.0f} times the largest measured size ({largest:,.0f} items): an extrapolation; run a subset "
        "of the data first and pass it with --measured"
    )


def _dimension(table: DataFrame, source: SourceConfig, config: RunConfig) -> int:
    column = config.input.embedding_column
    binary = isinstance(table.schema[column].dataType, BinaryType)
    value = F.col(quoted(column))
    row = table.where(value.isNotNull()).select(F.size(value) if not binary else F.length(value)).head()
    if row is None:
        raise InputError(f"model {source.model}: the input has no embedding: check the path")
    width = {"float16": 2, "float32": 4}.get(source.encoding or config.input.encoding or "", 4)
    return int(row[0]) // width if binary else int(row[0])


def _record(path: str) -> ClusterRecord:
    record = finished_record(Folder(path))
    if record is None:
        raise InputError(f"--measured {path}: needs the output of a finished run, and there is none: check the path")
    if not record.dimensions:
        raise InputError(f"--measured {path}: an older release made this run: run it again")
    load_config(record.config)
    return record

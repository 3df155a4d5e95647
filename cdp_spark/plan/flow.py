"""A config -> what a run will take, before any work: seconds, memory of a worker, shuffle and storage by stage.

It goes by finished runs, best by two of different sizes on the cluster in question. Figures that come with the package
for each engine (``plan-sail.json`` and ``plan-spark.json``, made by ``benchmarks/plan.py``) stand in for them. How each
stage grows is in ``kernels.growth``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.config.loading import load_config
from cdp_spark.config.sections import SourceConfig
from cdp_spark.config.whole import RunConfig
from cdp_spark.files.folder import Folder
from cdp_spark.knn.flow import shard_rows
from cdp_spark.plan.cost_model import LAWS, Cost, Measured, Size, from_json, predicted
from cdp_spark.runs.finished_run import finished_record
from cdp_spark.runs.run_json import ClusterRecord, StageRecord
from cdp_spark.scoring.choice import mediator_of, with_rule
from cdp_spark.sources import open_table
from cdp_spark.spark.engine import engine_of
from cdp_spark.spark.session import cores

_REFERENCES = {name: Path(__file__).with_name(f"plan-{name}.json") for name in ("sail", "spark")}
_MEASURING = 2.0
"""Seconds."""
_KEPT_TIMES = 7
"""Beyond so many times the largest measured size it is said that this is an extrapolation."""
# Kinds of stages that only one way of searching, scoring or clustering has.
_EXACT = {"exact shards", "exact knn"}
_APPROXIMATE = {"truth", "cells", "shards", "pilot", "lists", "merged lists"}
_VOTE = {"scored_pairs, vote"}
_MEDIATOR = {"blocks", "members", "scored_pairs, mediator"}
_CUT = {"labelled"}
_AGGLOMERATED = {"pieces", "labelled, agglomerated"}


@dataclass(frozen=True)
class Plan:
    """What a run of one size will take.

    Attributes
    ----------
    items : int
    models : dict of model to dimension
    cores : int
    stages : dict of kind to Cost
    sure : str
        How far to believe it.
    """

    items: int
    models: dict[str, int]
    cores: int
    stages: dict[str, Cost]
    sure: str

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return sum(cost.seconds for cost in self.stages.values())


def plan(
    config: RunConfig,
    *,
    spark: SparkSession,
    items: Sequence[int] = (),
    workers: int | None = None,
    measured: Sequence[str] = (),
) -> list[Plan]:
    """Say what a run will take.

    Parameters
    ----------
    config : RunConfig
        Its inputs are opened for their dimensions and, where no items are given, counted.
    spark : SparkSession
    items : sequence of int, optional
        Sizes to plan for. Default: the rows of the base model.
    workers : int, optional
        Python workers at once, over all executors. Default: what the session's settings tell, else this machine's
        cores.
    measured : sequence of str, optional
        Outputs of finished runs, best of two sizes, to go by. Default: the figures that come with the package.

    Raises
    ------
    ConfigError, InputError
    """
    if config.clusters.rule == "auto":
        config = with_rule(config, mediator_of(config))
    models = {source.model: source for source in config.input.sources}
    tables = {name: open_table.open_source(spark, source, f"model {name}") for name, source in models.items()}
    dimensions = {name: _dimension(tables[name], source, config) for name, source in models.items()}
    if not (sizes := list(items)):
        sizes = [tables[config.input.base.model].count()]
    if any(size < 1 for size in sizes):
        raise ConfigError(f"plan: --items must be 1 or more: {min(sizes)}")
    runs = [measured_run(_record(path)) for path in measured] or reference(engine_of(spark).name)
    if not runs:
        raise ConfigError(
            "plan: no figures come with this build: run parts of the data, best two of different sizes, and pass their "
            "outputs with --measured"
        )
    runs.sort(key=lambda run: run.size.items)
    at_once = workers or cores(spark) or os.cpu_count() or 1
    return [_planned(config, dimensions, size, runs, at_once) for size in sizes]


def reference(engine: str) -> list[Measured]:
    """Return the runs on an engine whose figures come with the package, if any do."""
    if not (path := _REFERENCES[engine]).exists():
        return []
    return [from_json(run) for run in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def measured_run(record: ClusterRecord, shuffled: Mapping[str, float] | None = None) -> Measured:
    """Condense a run's record.

    Parameters
    ----------
    record : ClusterRecord
    shuffled : mapping of stage to bytes, optional
        Through the shuffle, which a run does not know of itself.
    """
    models = record.dimensions
    exact = {name for name, found in record.recall.items() if found.method == "exact"}
    apart = {stage.name.partition("/")[2] for stage in record.stages if stage.name.startswith("by_shard/")}
    stages: dict[str, dict[str, float]] = {}
    facts = (StageRecord(**fact.model_dump()) for fact in record.facts)
    rest = record.seconds
    for stage in (*record.stages, *facts):
        kind, each = _kind(stage.name, record, exact, apart)
        if kind not in LAWS:
            continue
        known = stages.setdefault(
            kind, {"seconds": 0.0, "peak_bytes": 0.0, "written_bytes": 0.0, "shuffled_bytes": 0.0}
        )
        known["seconds"] += stage.made_seconds / each
        known["written_bytes"] += stage.written_bytes / each
        known["shuffled_bytes"] += (shuffled or {}).get(stage.name, 0.0) / each
        known["peak_bytes"] = max(known["peak_bytes"], stage.peak_worker_bytes or 0)
        rest -= stage.seconds
    stages["all else"] = {"seconds": rest, "peak_bytes": 0.0, "written_bytes": 0.0, "shuffled_bytes": 0.0}
    probes = [each.nprobe for each in record.recall.values() if each.nprobe is not None]
    size = Size(
        record.counts.items, float(np.mean(list(models.values()))), record.config["knn"]["k"], len(models),
        float(np.mean(probes)) if probes else 1.0,
    )  # fmt: skip
    return Measured(size, record.cores or 1, machine_speed(), stages)


@cache
def machine_speed() -> float:
    """Measure a product of matrices, once: 1e9 multiplications and additions a second, per core of this machine."""
    side = 1_024
    matrix = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
    best, until = np.inf, time.perf_counter() + _MEASURING
    # For a while: a JVM that has just started compiles on all cores, and few products are free of it.
    while (started := time.perf_counter()) < until:
        matrix @ matrix
        best = min(best, time.perf_counter() - started)
    return float(2 * side**3 / best / 1e9 / (os.cpu_count() or 1))


def _kind(name: str, record: ClusterRecord, exact: set[str], apart: set[str]) -> tuple[str, int]:
    """Return the kind of a stage, and among how many models its figures are shared.

    Parameters
    ----------
    name : str
    record : ClusterRecord
    exact, apart : set of str
        Models that are searched exactly, and those whose lists by shard are a stage of their own.
    """
    first, _, model = name.partition("/")
    if first == "scored_pairs":
        return f"scored_pairs, {record.config['consensus']['strategy']}", 1
    if first == "labelled" and record.config["clusters"]["rule"] in ("contraction", "learned"):
        return "labelled, agglomerated", 1
    if model in exact and first in ("shards", "by_shard", "knn"):
        return "exact shards" if first == "shards" else "exact knn", len(exact)
    if first in ("by_shard", "knn"):
        first = "merged lists" if first == "knn" and model in apart else "lists"
    each = first in LAWS and LAWS[first].each_model
    return first, len(record.dimensions) if each else 1


def _planned(config: RunConfig, models: dict[str, int], items: int, runs: list[Measured], at_once: int) -> Plan:
    dimension = float(np.mean(list(models.values())))
    size = Size(
        items, dimension, config.knn.k, len(models),
        shard_rows=shard_rows(config.knn, round(dimension)), task_edges=config.forest.task_edges,
    )  # fmt: skip
    absent = _APPROXIMATE if items <= config.knn.exact_below else _EXACT
    absent = absent | (_VOTE if config.consensus.strategy == "mediator" else _MEDIATOR)
    absent = absent | (_AGGLOMERATED if config.clusters.has_threshold else _CUT)
    if items <= size.shard_rows:
        absent = absent | {"merged lists"}
    kinds = [kind for kind in LAWS if kind not in absent]
    stages = predicted(kinds, runs, size, cores=at_once, speed=machine_speed())
    unknown = [kind for kind in kinds if kind not in stages]
    missing = f"; not measured, and left out: {', '.join(unknown)}" if unknown else ""
    return Plan(items, models, at_once, stages, _sure(items, runs) + missing)


def _sure(items: int, runs: Sequence[Measured]) -> str:
    largest = max(run.size.items for run in runs)
    beyond = items / largest
    if beyond <= _KEPT_TIMES:
        return f"measured up to {largest:,.0f} items"
    return (
        f"{beyond:,.0f} times the largest measured size ({largest:,.0f} items): an extrapolation; run a part of the "
        "data first and pass it with --measured"
    )


def _dimension(table: DataFrame, source: SourceConfig, config: RunConfig) -> int:
    column = config.input.embedding_column
    if column not in table.columns:
        raise InputError(f"model {source.model}: no column {column}; there are {', '.join(table.columns)}")
    binary = isinstance(table.schema[column].dataType, BinaryType)
    row = table.where(F.col(column).isNotNull()).select(F.size(column) if not binary else F.length(column)).head()
    if row is None:
        raise InputError(f"model {source.model}: it has no embedding")
    width = {"float16": 2, "float32": 4}.get(source.encoding or config.input.encoding or "", 4)
    return int(row[0]) // width if binary else int(row[0])


def _record(path: str) -> ClusterRecord:
    record = finished_record(Folder(path))
    if record is None:
        raise InputError(f"--measured {path}: no finished run there")
    if not record.dimensions:
        raise InputError(f"--measured {path}: that run is of an older release: run it again")
    load_config(record.config)
    return record

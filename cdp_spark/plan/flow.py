"""Estimate time, memory, shuffle and storage of a run, before any work.

The estimate extrapolates from finished runs, best from two of different sizes on the same cluster. Without any, it uses
the figures that come with the package for each engine (``plan-sail.json`` and ``plan-spark.json``, made by
``benchmarks/plan.py``). ``cost_model`` holds the laws by which stages grow.
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
from cdp_spark.base.schemas import quoted
from cdp_spark.config.input_sections import SourceConfig
from cdp_spark.config.loading import load_config
from cdp_spark.config.whole import RunConfig
from cdp_spark.files.folder import Folder
from cdp_spark.knn.flow import shard_rows
from cdp_spark.plan.cost_model import LAWS, Cost, Measured, Size, from_json, predicted
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import finished_record
from cdp_spark.runs.run_json import ClusterRecord, StageRecord
from cdp_spark.scoring.choice import mediator_of, with_rule
from cdp_spark.sources import open_table
from cdp_spark.spark.engine import engine_of
from cdp_spark.spark.session import cores
from cdp_spark.unlabelled.kernels.joint_view import SEARCHED

_REFERENCES = {name: Path(__file__).with_name(f"plan-{name}.json") for name in ("sail", "spark")}
_STAGES_WITHOUT_LABELS = {stage.name for stage in register.STAGES if stage.room == "unlabelled"} - {"labelled"}
_MEASURING = 2.0
"""Seconds for measuring the speed of the machine."""
_KEPT_TIMES = 7
"""Multiple of the largest measured size beyond which a plan warns that it extrapolates."""
# Kinds of stages that occur in only one way of searching, scoring or clustering.
_EXACT = {"exact shards", "exact knn"}
_APPROXIMATE = {"truth", "cells", "shards", "pilot", "lists", "merged lists"}
_VOTE = {"scored_pairs, vote"}
_MEDIATOR = {"blocks", "members", "scored_pairs, mediator"}
_UNLABELLED = {"without labels"}
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
    """

    items: int
    models: dict[str, int]
    cores: int
    stages: dict[str, Cost]
    sure: str

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
    runs.sort(key=lambda run: run.size.items)
    at_once = workers or cores(spark) or os.cpu_count() or 1
    return [_planned(config, dimensions, size, runs, at_once) for size in sizes]


def reference(engine: str) -> list[Measured]:
    """Return the measured runs of an engine that come with the package."""
    if not (path := _REFERENCES[engine]).exists():
        return []
    return [from_json(run) for run in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def measured_run(record: ClusterRecord, shuffled: Mapping[str, float] | None = None) -> Measured:
    """Condense a run's record to the cost of its stages.

    Parameters
    ----------
    record : ClusterRecord
    shuffled : mapping of stage to bytes, optional
        Bytes through the shuffle, which a run does not record.
    """
    models = record.dimensions
    exact = {name for name, recall in record.recall.items() if recall.method == "exact"}
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
        record.counts.items, float(np.mean(list(models.values()))), _searched(record), len(models),
        float(np.mean(probes)) if probes else 1.0,
    )  # fmt: skip
    return Measured(size, record.cores or 1, machine_speed(), stages)


def _searched(record: ClusterRecord) -> int:
    """Return the neighbours in a full list."""
    return SEARCHED if record.without_labels else int(record.config["knn"]["k"])


@cache
def machine_speed() -> float:
    """Measure once how fast this machine multiplies matrices.

    Returns
    -------
    float
        1e9 multiplications and additions a second per core.
    """
    side = 1_024
    matrix = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
    best, until = np.inf, time.perf_counter() + _MEASURING
    # Take the best over some time: a JVM that has just started compiles on all cores and disturbs most products.
    while (started := time.perf_counter()) < until:
        matrix @ matrix
        best = min(best, time.perf_counter() - started)
    return float(2 * side**3 / best / 1e9 / (os.cpu_count() or 1))


def _kind(name: str, record: ClusterRecord, exact: set[str], apart: set[str]) -> tuple[str, int]:
    """Return the kind of a stage, and the number of models that share its figures.

    Parameters
    ----------
    name : str
    record : ClusterRecord
    exact, apart : set of str
        Models that are searched exactly, and those with a separate stage for lists by shard.
    """
    first, _, model = name.partition("/")
    if record.without_labels and (first in _STAGES_WITHOUT_LABELS or model.partition("-")[2].startswith("half-")):
        return "without labels", 1
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


def _ways(config: RunConfig) -> set[str]:
    """Return the kinds of stages that score the pairs."""
    if config.consensus.without_labels:
        return _UNLABELLED
    return _MEDIATOR if config.consensus.strategy == "mediator" else _VOTE


def _planned(config: RunConfig, models: dict[str, int], items: int, runs: list[Measured], at_once: int) -> Plan:
    dimension = float(np.mean(list(models.values())))
    size = Size(
        items, dimension, SEARCHED if config.consensus.without_labels else config.knn.k, len(models),
        shard_rows=shard_rows(config.knn, round(dimension)), task_edges=config.forest.task_edges,
    )  # fmt: skip
    absent = _APPROXIMATE if items <= config.knn.exact_below else _EXACT
    absent = absent | (_VOTE | _MEDIATOR | _UNLABELLED) - _ways(config)
    absent = absent | (_AGGLOMERATED if config.clusters.has_threshold else _CUT)
    if items <= size.shard_rows:
        absent = absent | {"merged lists"}
    kinds = [kind for kind in LAWS if kind not in absent]
    stages = predicted(kinds, runs, size, cores=at_once, speed=machine_speed())
    unknown = [kind for kind in kinds if kind not in stages]
    missing = f"; left out, since no run measured them: {', '.join(unknown)}" if unknown else ""
    return Plan(items, models, at_once, stages, _sure(items, runs) + missing)


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

"""Finished runs -> measured costs of their stages."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from cdp_spark.plan.cost_model import Measured
from cdp_spark.plan.laws import HALVES, LAWS, Size
from cdp_spark.runs import register
from cdp_spark.runs.run_json import ClusterRecord, StageRecord
from cdp_spark.unlabelled.kernels.joint_view import SEARCHED

_MEASURING = 2.0
"""Seconds for measuring the speed of the machine."""
_WITHOUT_LABELS = {each.name: each.laws for each in register.STAGES if each.room == "unlabelled" and each.laws}
_SHIFT = {name: laws[0] for name, laws in _WITHOUT_LABELS.items() if laws[0] in ("sample", "items alike")}
_FIT = {each.name for each in register.STAGES if each.laws == ("mediator fit",)}
_FIGURES = ("seconds", "peak_bytes", "written_bytes", "shuffled_bytes")
_HALF = re.compile(r"-half-\d[01]$")
"""End of the names of models that are half of another's coordinates."""


def measured_run(record: ClusterRecord, shuffled: Mapping[str, float] | None = None) -> Measured:
    """Condense a run's record to the cost of its stages.

    Parameters
    ----------
    record : ClusterRecord
    shuffled : mapping of stage to bytes, optional
        Bytes through the shuffle, which a run does not record.
    """
    stages: dict[str, dict[str, float]] = {}
    facts = (StageRecord(**fact.model_dump()) for fact in record.facts)
    rest, kinds = record.seconds, _Kinds.of(record)
    for stage in (*record.stages, *facts):
        kind, each = kinds.of_stage(stage.name)
        if kind not in LAWS:
            continue
        known = stages.setdefault(kind, dict.fromkeys(_FIGURES, 0.0))
        known["seconds"] += stage.made_seconds / each
        known["written_bytes"] += stage.written_bytes / each
        known["shuffled_bytes"] += (shuffled or {}).get(stage.name, 0.0) / each
        known["peak_bytes"] = max(known["peak_bytes"], stage.peak_worker_bytes or 0)
        rest -= stage.seconds
    stages["all else"] = {**dict.fromkeys(_FIGURES, 0.0), "seconds": rest}
    return Measured(_size(record), record.cores or 1, machine_speed(), stages, kinds.way, record.engine == "sail")


def _size(record: ClusterRecord) -> Size:
    models = record.dimensions
    probes = [each.nprobe for each in record.recall.values() if each.nprobe is not None]
    without = record.without_labels
    searched = SEARCHED if without else int(record.config["knn"]["k"])
    return Size(
        record.counts.items, float(np.mean(list(models.values()))), searched, len(models),
        float(np.mean(probes)) if probes else 1.0, coordinates=without is not None and without.halves == "coordinates",
    )  # fmt: skip


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
    # Take the best over some time, in seconds of the CPU: other work, or a JVM that has just started, disturbs most.
    while time.perf_counter() < until:
        started = time.process_time()
        matrix @ matrix
        best = min(best, time.process_time() - started)
    return float(2 * side**3 / best / 1e9)


@dataclass(frozen=True)
class _Kinds:
    """Tells the kind of each stage of a run.

    Attributes
    ----------
    way : str
        How pairs were scored: vote, mediator, or without labels.
    models : int
    exact, apart : frozenset of str
        Models that are searched exactly, and those with a separate stage for lists by shard.
    agglomerated : bool
        Whether clusters were made without a threshold.
    """

    way: str
    models: int
    exact: frozenset[str]
    apart: frozenset[str]
    agglomerated: bool

    @classmethod
    def of(cls, record: ClusterRecord) -> _Kinds:
        exact = frozenset(name for name, recall in record.recall.items() if recall.method == "exact")
        shards = (stage.name.partition("by_shard/") for stage in record.stages)
        way = "without labels" if record.without_labels else str(record.config["consensus"]["strategy"])
        agglomerated = record.config["clusters"]["rule"] in ("contraction", "learned")
        apart = frozenset(model for before, separator, model in shards if separator and not before)
        return cls(way, len(record.dimensions), exact, apart, agglomerated)

    def of_stage(self, name: str) -> tuple[str, int]:
        """Return the kind of a stage, and the number of models that share its figures."""
        first, _, which = name.partition("/")
        if self.way == "without labels" and _HALF.search(which):
            return HALVES, 1
        if first == "scored_pairs":
            return f"scored_pairs, {self.way}", 1
        if first == "labelled" and self.agglomerated:
            return "labelled, agglomerated", 1
        if self.way == "without labels" and first in _WITHOUT_LABELS:
            laws = _WITHOUT_LABELS[first]
            kind = laws[-1] if which in ("halves", "coordinates") else laws[0]
        elif self.way == "mediator" and first in _SHIFT:
            kind = _SHIFT[first]
        elif first in _FIT:
            kind = "mediator fit"
        elif which in self.exact and first in ("shards", "by_shard", "knn"):
            return "exact shards" if first == "shards" else "exact knn", len(self.exact)
        elif first in ("by_shard", "knn"):
            kind = "merged lists" if first == "knn" and which in self.apart else "lists"
        else:
            kind = first
        return kind, self.models if kind in LAWS and LAWS[kind].each_model else 1

"""What ``run.json`` of the cluster command holds, with types: the one place that knows its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Section(BaseModel):
    """Keys that a later version adds are kept, not refused."""

    model_config = ConfigDict(frozen=True, extra="allow")


class StageRecord(_Section):
    """One durable table.

    Attributes
    ----------
    seconds, made_seconds : float
        In this run, and when it was made.
    reused : bool
        Made by an earlier run.
    peak_worker_bytes : int or None
        The largest Python worker; None where none was measured.
    """

    name: str
    fingerprint: str = ""
    path: str = ""
    rows: int = 0
    seconds: float = 0.0
    made_seconds: float = 0.0
    reused: bool = False
    peak_worker_bytes: int | None = None
    written_bytes: int = 0


class FactRecord(_Section):
    """A few durable numbers."""

    name: str
    seconds: float = 0.0
    made_seconds: float = 0.0


class Counts(_Section):
    """Counts that add up: of each model, ``rows`` = ``items`` + its rows in ``quarantined``."""

    rows: dict[str, int] = Field(default_factory=dict)
    items: int = 0
    quarantined: dict[str, dict[str, int]] = Field(default_factory=dict)
    statuses: dict[str, int] = Field(default_factory=dict)
    clusters: int = 0
    largest: int = 0
    scored_pairs: int = 0
    forest_edges: int = 0
    largest_component: int = 0


class Recall(_Section):
    """Recall of a KNN graph with its 95 % interval; the target is None for an exact search."""

    method: str
    recall: float
    low: float = 1.0
    high: float = 1.0
    target: float | None = None
    nprobe: int | None = None


class ComponentsEngine(_Section):
    """What found the connected components, and why it was taken."""

    components: str = ""
    why: str = ""


class ClusterRecord(_Section):
    """The record of one run."""

    config: dict[str, Any]
    engine: str = "spark"
    engine_version: str = ""
    engine_reason: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    cores: int | None = None
    started: float = 0.0
    finished: float = 0.0
    seconds: float = 0.0
    stages: list[StageRecord] = Field(default_factory=list)
    facts: list[FactRecord] = Field(default_factory=list)
    counts: Counts = Counts()
    dimensions: dict[str, int] = Field(default_factory=dict)
    recall: dict[str, Recall] = Field(default_factory=dict)
    components_engine: ComponentsEngine = ComponentsEngine()
    forest_complete: bool = True
    threshold: float = 0.0
    metrics: dict[str, dict[str, Any]] | None = None
    mediator: dict[str, Any] | None = None
    lineage: dict[str, Any] = Field(default_factory=dict)
    published: dict[str, Any] | None = None
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1(cls, given: Any) -> Any:
        """Read records of version 0.1, whose ``engine`` was what found the components."""
        if isinstance(given, Mapping) and isinstance(given.get("engine"), Mapping):
            return {**given, "engine": "spark", "components_engine": given["engine"]}
        return given

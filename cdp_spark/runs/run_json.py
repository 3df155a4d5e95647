"""Typed model of the cluster command's ``run.json``: the only module that knows its keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

END_OF_TIME = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""
_FAR = 2**63


def _inside(path: str) -> str:
    steps = path.split("/")
    if steps[0] != "stages" or len(steps) < 2 or any(step in ("", ".", "..") for step in steps) or "\\" in path:
        raise ValueError("must lie in the run's folder stages")
    return path


def _name(text: str) -> str:
    if not re.fullmatch(r"[\w.\-]+", text) or ".." in text:
        raise ValueError("is not a fingerprint")
    return text


StagePath = Annotated[str, AfterValidator(_inside)]
Fingerprint = Annotated[str, AfterValidator(_name)]
Count = Annotated[int, Field(ge=0, lt=_FAR)]
Seconds = Annotated[float, Field(ge=0, le=END_OF_TIME)]
Number = Annotated[float, Field(gt=-_FAR, lt=_FAR)]


class _Section(BaseModel):
    """Keeps keys of later versions; known keys must have their type."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class StageRecord(_Section):
    """One durable table.

    Attributes
    ----------
    seconds, made_seconds : float
        Time in this run, and when the stage was made.
    reused : bool
        Whether an earlier run made it.
    peak_worker_bytes : int or None
        Peak of the largest Python worker; None if not measured.
    """

    name: str
    fingerprint: Fingerprint = "none"
    path: StagePath = "stages/none"
    rows: Count = 0
    seconds: Seconds = 0.0
    made_seconds: Seconds = 0.0
    reused: bool = False
    peak_worker_bytes: Count | None = None
    written_bytes: Count = 0


class FactRecord(_Section):
    """A few durable numbers."""

    name: str
    seconds: Seconds = 0.0
    made_seconds: Seconds = 0.0


class Counts(_Section):
    """Counts that add up: for each model, ``rows`` = ``items`` + its rows in ``quarantined``."""

    rows: dict[str, Count] = Field(default_factory=dict)
    items: Count = 0
    quarantined: dict[str, dict[str, Count]] = Field(default_factory=dict)
    statuses: dict[str, Count] = Field(default_factory=dict)
    clusters: Count = 0
    largest: Count = 0
    scored_pairs: Count = 0
    forest_edges: Count = 0
    largest_component: Count = 0


class Recall(_Section):
    """Recall of a KNN graph with its 95 % interval; the target is None for an exact search."""

    method: str
    recall: Number
    low: Number = 1.0
    high: Number = 1.0
    target: Number | None = None
    nprobe: Count | None = None


class ComponentsEngine(_Section):
    """The engine of the connected components, and the reason for it."""

    components: str = ""
    why: str = ""


class Lineage(_Section):
    """The earlier run whose ids were carried over, and the first unused id."""

    previous: str | None = None
    next_id: Count | None = None


class ShiftPoint(_Section):
    """How far halves agree at one shift, and by which score it was compared with others; filled in where not looked."""

    shift: Number
    score: Number = 0.0
    agreement: Number = 0.0
    looked_at: bool = True


class WithoutLabels(_Section):
    """How clusters were made without labels, and how far to trust them.

    Attributes
    ----------
    shift : float
        Added to the log odds; clusterings by two halves agree most there.
    granularity : float
        Added to the log odds besides the shift.
    halves : str
        Kind of halves: ``models`` or ``coordinates``.
    agreement : float
        Highest agreement of the halves; the shift may be lower.
    predicted_precision, predicted_recall : float or None
        Predicted over the scored pairs before self-training; None if nothing was joined, or no pair was scored.
    scored_pairs : str
        Fingerprint of the pairs before the granularity.
    same_as : dict of model to model
        Models that are identical to an earlier one in all items; they have no tables of their own.
    repeated_items : int
        Number of items that are identical to a smaller one in all models; they have no lists or pairs.
    """

    shift: Number = 0.0
    granularity: Number = 0.0
    halves: str = "models"
    agreement: Number = 0.0
    predicted_precision: Number | None = None
    predicted_recall: Number | None = None
    self_trained: bool = False
    strengths: list[list[Number]] = Field(default_factory=list)
    curve: list[ShiftPoint] = Field(default_factory=list)
    scored_pairs: Fingerprint = "none"
    same_as: dict[str, str] = Field(default_factory=dict)
    repeated_items: Count = 0


class ClusterRecord(_Section):
    """The record of one run."""

    config: dict[str, Any] = Field(default_factory=dict)
    engine: str = "spark"
    engine_version: str = ""
    engine_reason: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    cores: Count | None = None
    started: Seconds = 0.0
    finished: Seconds = 0.0
    seconds: Seconds = 0.0
    stages: list[StageRecord] = Field(default_factory=list)
    facts: list[FactRecord] = Field(default_factory=list)
    counts: Counts = Counts()
    dimensions: dict[str, Count] = Field(default_factory=dict)
    recall: dict[str, Recall] = Field(default_factory=dict)
    components_engine: ComponentsEngine = ComponentsEngine()
    forest_complete: bool = True
    threshold: Number = 0.0
    metrics: dict[str, dict[str, Count | Number | None]] | None = None
    mediator: dict[str, Any] | None = None
    without_labels: WithoutLabels | None = None
    lineage: Lineage = Lineage()
    published: dict[str, Any] | None = None
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1(cls, given: Any) -> Any:
        """Read records of version 0.1, whose ``engine`` named the engine of the components."""
        if isinstance(given, Mapping) and isinstance(given.get("engine"), Mapping):
            return {**given, "engine": "spark", "components_engine": given["engine"]}
        return given

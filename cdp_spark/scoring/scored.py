"""What scoring hands on to clustering, whichever way the pairs were scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdp_spark.agglomeration.flow import ClusterMediator
from cdp_spark.runs.stage_store import StageResult


@dataclass(frozen=True)
class Decision:
    """What clustering does with the scores.

    Attributes
    ----------
    threshold : float
        A pair is in the consensus graph when its score is above it.
    clusters : ClusterMediator, optional
        Scores pairs of clusters for the rule ``learned``.
    """

    threshold: float
    clusters: ClusterMediator | None = None


@dataclass(frozen=True)
class Scored:
    """Scored candidate pairs.

    Attributes
    ----------
    pairs : StageResult (``schemas.SCORED_PAIRS``)
    decision : Decision
    facts : mapping
        What ``run.json`` says of the mediator; empty for a vote.
    warnings : list of str
    """

    pairs: StageResult
    decision: Decision
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

"""KNN graphs to scored pairs, durable: by the vote of the committee, or by a trained mediator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame

from cdp_spark.agglomeration.flow import ClusterMediator, Embeddings
from cdp_spark.base import schemas
from cdp_spark.config.sections import accept_count, fingerprint, vote_threshold
from cdp_spark.config.whole import RunConfig
from cdp_spark.intake.flow import Intake
from cdp_spark.knn.flow import Graph
from cdp_spark.pairs.block_join import Join
from cdp_spark.pairs.flow import joined_pairs
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring import score_pairs as stage
from cdp_spark.scoring import vote
from cdp_spark.scoring.fit import fit_of, fitted, prior_of, prior_warnings
from cdp_spark.scoring.mediator_folder import Mediator
from cdp_spark.spark.keyed_table import KeyedTable

_SAMPLED = 50_000
"""Pairs whose features are kept, to compare them with those of the training."""


def scored_by_vote(store: StageStore, intake: Intake, graphs: Mapping[str, Graph], config: RunConfig) -> Scored:
    """Keep the base's pairs that enough committee members also have; the score is the base's similarity."""
    base, *committee = (graphs[model] for model in intake.models)
    accept = accept_count(config.consensus, len(committee))
    pairs = voted_pairs(store, (base, committee), accept, intake.item_count)
    return Scored(pairs, Decision(vote_threshold(config.consensus)), graphs)


def voted_pairs(
    store: StageStore, graphs: tuple[KeyedTable, Sequence[KeyedTable]], accept: int, item_count: int
) -> StageResult:
    """Keep the pairs of the base, the first, that ``accept`` of the members have, too (``schemas.KNN``)."""
    base, members = graphs
    return store.stage(
        register.VOTED_PAIRS,
        fingerprint("vote", register.VOTED_PAIRS.version, accept, [graph.fingerprint for graph in (base, *members)]),
        lambda: vote.scored_pairs(
            base.table, [member.table for member in members], accept=accept, item_count=item_count
        ),
        schema=schemas.SCORED_PAIRS,
    )


def scored_by_mediator(
    store: StageStore, intake: Intake, graphs: Mapping[str, Graph], config: RunConfig, mediator: Mediator
) -> Scored:
    """Score every candidate pair by a trained mediator, and compare these data with those that it was trained on."""
    mediator, worlds, unlike = fitted(store, graphs, mediator, config.knn.k)
    pairs = _mediated_pairs(store, intake, graphs, config, mediator)
    prior = prior_of(store, pairs, mediator)
    decision = _decision(config, prior, mediator, intake)
    fit, warnings = fit_of(store, pairs, mediator, prior, decision.threshold)
    warnings += [*prior_warnings(prior, decision.threshold), *unlike]
    return Scored(pairs, decision, graphs, "mediator", fit | prior | worlds, warnings)


def _mediated_pairs(
    store: StageStore, intake: Intake, graphs: Mapping[str, Graph], config: RunConfig, mediator: Mediator
) -> StageResult:
    card = mediator.known
    every = max(1, intake.item_count * config.knn.k // _SAMPLED)
    score = stage.scoring(mediator.pairs, mediator.columns, sample_every=every, engine=config.consensus.engine)
    key = fingerprint(register.MEDIATED_PAIRS.version, mediator.fingerprint, every, config.consensus.engine)
    join = Join(card.feature_set, card.candidates, score, stage.SAMPLED_PAIRS, key)
    return joined_pairs(store, register.MEDIATED_PAIRS, graphs, config.knn, join)


def _decision(config: RunConfig, prior: Mapping[str, float], mediator: Mediator, intake: Intake) -> Decision:
    """Return the config's threshold, or for ``auto`` the one that fits these data."""
    if not config.clusters.has_threshold:
        embeddings = Embeddings.of(intake.vectors) if mediator.with_embeddings else None
        net = mediator.cluster_net
        return Decision(0.5, None if net is None else ClusterMediator(net, mediator.trust, embeddings))
    auto = config.consensus.threshold == "auto"
    return Decision(prior["fitting_threshold"] if auto else float(config.consensus.threshold))


@dataclass(frozen=True)
class Expansion:
    """Labels items that the scored pairs leave out like the items that stand for them.

    Attributes
    ----------
    labels : callable of DataFrame
        Adds rows to labelled items.
    rows : int
        Upper bound of the rows that it adds.
    fingerprint : str
    """

    labels: Callable[[DataFrame], DataFrame]
    rows: int
    fingerprint: str


@dataclass(frozen=True)
class Decision:
    """How clustering uses the scores.

    Attributes
    ----------
    threshold : float
        Pairs with a greater score form the consensus graph.
    clusters : ClusterMediator, optional
        Scores pairs of clusters for the rule ``learned``.
    expansion : Expansion, optional
        Labels items that the pairs leave out.
    """

    threshold: float
    clusters: ClusterMediator | None = None
    expansion: Expansion | None = None


@dataclass(frozen=True)
class Scored:
    """Scored candidate pairs.

    Attributes
    ----------
    pairs : StageResult (``schemas.SCORED_PAIRS``)
    decision : Decision
    graphs : mapping of model to Graph
        The KNN graphs that the pairs come from.
    section : str
        Key of ``run.json`` under which the facts go; empty for a vote, which has none.
    facts : mapping
    warnings : list of str
    """

    pairs: StageResult
    decision: Decision
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    section: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

"""Choose the mediator that scores the pairs and the rule that makes the clusters, before any work."""

from __future__ import annotations

from cdp_spark.base.errors import ConfigError
from cdp_spark.config.whole import RunConfig
from cdp_spark.scoring.mediator_folder import Mediator, load_mediator, require_cluster_net


def mediator_of(config: RunConfig) -> Mediator | None:
    """Load the run's mediator; None for a vote.

    Raises
    ------
    ConfigError
        If it does not fit the run.
    """
    if config.consensus.strategy != "mediator" or config.consensus.mediator is None:
        return None
    if config.consensus.without_labels:  # such a mediator fits every run
        return None
    mediator = load_mediator(config.consensus.mediator, models=config.input.models, k=config.knn.k)
    if config.clusters.rule == "learned":
        require_cluster_net(mediator, config.consensus.mediator)
    return mediator


def with_rule(config: RunConfig, mediator: Mediator | None) -> RunConfig:
    """Choose the rule for ``auto``: learned, if the mediator supports it and no threshold is given.

    Raises
    ------
    ConfigError
        If a shift is given that the rule would not use.
    """
    if config.clusters.rule != "auto":
        return config
    able = config.consensus.without_labels or (mediator is not None and mediator.cluster_net is not None)
    rule = "learned" if able and config.consensus.threshold == "auto" else "code"
    if rule == "code" and config.consensus.shift != "auto":
        raise ConfigError(
            f"{config.consensus.mediator}: consensus.shift is for clusters.rule learned, and this mediator has no "
            "cluster mediator: leave it out, or train one with mediator.feature_set rich"
        )
    return config.model_copy(update={"clusters": config.clusters.chosen(rule=rule)})

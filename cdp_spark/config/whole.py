"""The config of a command that clusters or trains, put together from the sections of its stages."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from cdp_spark.config.input_sections import InputConfig
from cdp_spark.config.locations import here
from cdp_spark.config.sections import (
    SHIPPED,
    ClustersConfig,
    ConsensusConfig,
    EngineName,
    ForestConfig,
    KnnConfig,
    MediatorConfig,
    PublishConfig,
    Section,
)

_NOTHING = "no mediator, threshold, number of votes or rule was given"


class RunConfig(Section):
    """All that one ``cluster`` run needs."""

    input: InputConfig
    output: str
    knn: KnnConfig = KnnConfig()
    consensus: ConsensusConfig = ConsensusConfig()
    forest: ForestConfig = ForestConfig()
    clusters: ClustersConfig = ClustersConfig()
    publish: PublishConfig | None = Field(None, description="also write the clusters to a catalog table")
    mlflow: str | None = Field(None, min_length=1, description="MLflow experiment to log the run to")
    engine: EngineName = Field("auto", description="auto: Sail on one machine, Spark if something asks for it")
    previous: str | None = Field(None, description="earlier run whose cluster ids are carried over")
    _here = field_validator("output", "previous")(here)

    @model_validator(mode="after")
    def _strategy_chosen(self) -> RunConfig:
        if self.consensus.strategy == "auto":
            by_vote = self.consensus.asks_for_votes or self.clusters.rule in ("code", "paper")
            chosen = {"strategy": "mediator"}
            if self.consensus.mediator is None:
                chosen = {"strategy": "vote"} if by_vote else {"strategy": "mediator", "mediator": SHIPPED}
            # Set before anyone reads the config: stored and fingerprinted configs hold the choice.
            object.__setattr__(self, "consensus", self.consensus.chosen(**chosen))
        return self

    @property
    def why(self) -> str:
        """Explain how pairs are scored, and which setting decided it."""
        consensus, given = self.consensus, self.consensus.model_fields_set
        if consensus.mediator == SHIPPED and consensus.strategy == "mediator":
            asked = "mediator" in given
            return f"by the mediator that ships, without labels: {'as asked' if asked else _NOTHING}"
        if consensus.strategy == "mediator":
            how = ", without labels" if consensus.without_labels else ""
            return f"by the mediator {consensus.mediator}{how}: it was given"
        if "strategy" in given:
            return "by vote: consensus.strategy says so"
        named = {"consensus.accept": "accept" in given, "consensus.threshold": consensus.threshold != "auto"}
        decisive = next((name for name, holds in named.items() if holds), f"clusters.rule {self.clusters.rule}")
        return f"by vote: {decisive} was given"

    @model_validator(mode="after")
    def _granularity_fits(self) -> RunConfig:
        if self.consensus.granularity and not self.consensus.without_labels:
            raise ValueError(
                f"consensus.granularity is for clusters without labels, and this run scores {self.why}: leave it out, "
                "or set consensus.mediator shipped"
            )
        return self

    @model_validator(mode="after")
    def _shift_fits(self) -> RunConfig:
        consensus = self.consensus
        if consensus.shift == "auto":
            return self
        trained = consensus.strategy == "mediator" and not consensus.without_labels
        if not trained or consensus.threshold != "auto" or self.clusters.rule not in ("auto", "learned"):
            raise ValueError(
                "consensus.shift is for a trained mediator and clusters.rule learned, without a threshold; this run "
                f"scores {self.why}, clusters.rule {self.clusters.rule}: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _accept_fits(self) -> RunConfig:
        members = len(self.input.committee)
        if isinstance(self.consensus.accept, int) and self.consensus.accept > members:
            raise ValueError(f"consensus.accept is {self.consensus.accept} but the committee has {members} members")
        return self

    @model_validator(mode="after")
    def _rule_fits(self) -> RunConfig:
        if self.clusters.has_threshold:
            return self
        if self.consensus.strategy != "mediator":
            raise ValueError(f"clusters.rule {self.clusters.rule} reads probabilities: set consensus.mediator")
        if self.consensus.threshold != "auto":
            raise ValueError(f"clusters.rule {self.clusters.rule} has no threshold: leave out consensus.threshold")
        return self


class TrainConfig(Section):
    """All that one ``train`` run needs."""

    input: InputConfig
    output: str
    knn: KnnConfig = KnnConfig()
    mediator: MediatorConfig = MediatorConfig()
    clusters: ClustersConfig = ClustersConfig()
    engine: EngineName = Field("auto", description="auto: Sail on one machine, Spark if something asks for it")
    _here = field_validator("output")(here)

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        if self.input.labels is None:
            raise ValueError("training needs input.labels")
        asked = [name for name in ("with_embeddings", "crowd") if getattr(self.mediator, name)]
        if asked and self.mediator.feature_set != "rich":
            raise ValueError(f"mediator.{asked[0]} is for simulated worlds: set mediator.feature_set rich")
        return self

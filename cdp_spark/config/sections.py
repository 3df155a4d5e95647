"""The sections of a config: one frozen model per stage, ranges checked when made, unknown keys refused.

A stage receives only its own section, and the fingerprint of a section decides whether a stored result can be used
again. ``config.whole`` puts them together.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from cdp_spark.config.forms import formed
from cdp_spark.config.locations import here

EngineName = Literal["auto", "spark", "sail"]

SHIPPED = "shipped"
"""Value of ``consensus.mediator`` for the mediator that ships, which has seen no real image."""


Chosen = TypeVar("Chosen", bound="Section")


class Section(BaseModel):
    """Base of all sections: frozen, strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    from_text: ClassVar[bool] = False
    """Whether text alone can stand for the section."""

    @field_validator("*", mode="before")
    @classmethod
    def _formed(cls, value: Any, info: ValidationInfo) -> Any:
        return formed(value, cls.model_fields[str(info.field_name)].annotation)

    def chosen(self: Chosen, **values: Any) -> Chosen:
        """Return a copy with values that the user left open; ``model_fields_set`` still lists only given ones."""
        copy = self.model_copy(update=values)
        copy.__pydantic_fields_set__.difference_update(set(values) - self.model_fields_set)
        return copy


class KnnConfig(Section):
    """The KNN graph of each model."""

    k: int = Field(15, ge=1, le=1000, description="neighbours of an item, without itself")
    recall_target: float = Field(0.95, gt=0, le=1, description="smallest acceptable share of true neighbours found")
    exact_below: int = Field(60_000, ge=0, description="up to this many distinct vectors the search is exact")
    shard_items: int | None = Field(
        None, ge=16, description="largest number of items per home shard; default: what fits into 2 GB"
    )


class ConsensusConfig(Section):
    """How pairs are scored, and which are kept."""

    strategy: Literal["auto", "vote", "mediator"] = Field(
        "auto",
        description="how pairs are scored; auto: by the given mediator; by vote if accept, a numeric threshold, or "
        "clusters.rule code or paper is given; else by the mediator that ships",
    )
    accept: int | Literal["all"] = Field("all", description="vote: committee members that must agree")
    threshold: float | Literal["auto"] = Field(
        "auto",
        description="a pair is kept when score > threshold; auto: 0.5 for vote; for a mediator the one that its "
        "training chose, adjusted to the estimated share of true pairs in these data",
    )
    mediator: str | None = Field(
        None, description="folder of a trained mediator; shipped: the one that comes with the package, without labels"
    )
    shift: float | Literal["auto"] = Field(
        "auto",
        description="a trained mediator, rule learned: added to the log odds of all pairs; auto: the shift at which "
        "most items lie in clusters that halves of the committee give alike; 0: the scores as they were learned",
    )
    granularity: float = Field(
        0.0, ge=-20, le=20,
        description="without labels: added to the log odds of all pairs; above 0 clusters are coarser, below 0 finer",
    )  # fmt: skip
    engine: Literal["numpy", "torch"] = Field("numpy", description="library for the mediator; torch runs in workers")

    @field_validator("mediator")
    @classmethod
    def _folder(cls, value: str | None) -> str | None:
        return value if value in (None, SHIPPED) else here(value)

    @field_validator("threshold", mode="before")
    @classmethod
    def _in_range(cls, value: Any) -> Any:
        # Checked before pydantic, whose message would name a branch of the union instead of the key.
        if _is_number(value) and not -1 <= value <= 1:
            raise ValueError("must be a finite number, -1 or more and less than or equal to 1, or 'auto'")
        return value

    @field_validator("shift", mode="before")
    @classmethod
    def _near_zero(cls, value: Any) -> Any:
        if _is_number(value) and not -20 <= value <= 20:
            raise ValueError("must be a number from -20 to 20, or 'auto'")
        return value

    @model_validator(mode="after")
    def _mediator_given(self) -> ConsensusConfig:
        if self.strategy == "mediator" and self.mediator is None:
            raise ValueError("strategy mediator needs consensus.mediator: the folder of a trained one, or shipped")
        if self.strategy == "auto" and self.mediator is not None and "accept" in self.model_fields_set:
            raise ValueError("accept is for votes, and mediator scores by a network: leave one of the two out")
        return self

    @property
    def without_labels(self) -> bool:
        """Whether pairs are scored by a mediator of simulated sets: the one that ships, or one like it."""
        from cdp_spark.config.mediator_kind import is_without_labels  # reads a file, so only on demand

        return self.strategy == "mediator" and self.mediator is not None and is_without_labels(self.mediator)

    @property
    def asks_for_votes(self) -> bool:
        """Whether a setting is given that belongs to a vote."""
        return "accept" in self.model_fields_set or self.threshold != "auto"

    @field_validator("accept")
    @classmethod
    def _not_negative(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 0:
            raise ValueError("must be 0 or more, or 'all'")
        return value


class ForestConfig(Section):
    """The maximum spanning forest."""

    task_edges: int = Field(50_000_000, ge=1, description="largest number of edges in one task")


class ClustersConfig(Section):
    """Components and pruning."""

    max_cluster_size: int = Field(600, ge=1, description="components with more items are cut by rising thresholds")
    threshold_step: float = Field(0.05, gt=0, lt=1, description="th <- th + (1 - th) * step")
    max_iter: int = Field(100, ge=0, description="largest number of cuts of a component")
    rule: Literal["auto", "code", "paper", "contraction", "learned"] = Field(
        "auto",
        description="code, paper: components, cut if too large; contraction, learned: no threshold, from a "
        "mediator's probabilities; auto: learned if the mediator can do it and no threshold is given, else code",
    )
    piece_items: int = Field(100_000, ge=2, description="contraction, learned: largest number of items in a piece")
    components: Literal["auto", "graphframes", "single"] = "auto"
    on_giant: Literal["warn", "refuse"] = "warn"
    soft_labels: bool = Field(False, description="add each item's few most probable clusters, by diffusion")

    @property
    def has_threshold(self) -> bool:
        """Whether the rule cuts at a threshold, or uses probabilities alone."""
        return self.rule in ("auto", "code", "paper")


class PublishConfig(Section):
    """Publish clusters to a catalog table, one partition per run."""

    from_text = True

    table: str = Field(description="name of the table, such as lake.faces.clusters; created if it does not exist")
    format: Literal["delta", "iceberg", "parquet"] = Field("delta", description="format of a table that is created")
    run: str | None = Field(
        None, min_length=1, description="value of the column run, whose rows are replaced; default: name of the output"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"table": value} if isinstance(value, str) else value


class MediatorConfig(Section):
    """How a mediator is trained."""

    start: Literal["auto", "shipped", "none"] = Field(
        "auto",
        description="shipped: tune the mediator that ships, which takes any models, and needs no torch; none: train "
        "from nothing; auto: by the number of labelled identities, or none where a key is given that only that reads",
    )
    feature_set: Literal["code", "paper", "rich"] = Field(
        "rich",
        description="rich: simulated worlds, with a cluster mediator; else see pairs/kernels/features.py",
    )
    features: tuple[str, ...] = Field(
        ("relationship", "affinity", "structure"), min_length=1, description="groups, or names of single features"
    )
    candidates: Literal["base", "all"] = Field("base", description="pairs of the base's graph, or of all graphs")
    worlds: tuple[float, ...] = Field(
        (0.0, 1.0, 3.0, 8.0), min_length=1,
        description="rich: degrees to which worlds are thinned; the first is 0, the labelled data as they are",
    )  # fmt: skip
    crowd: bool = Field(False, description="rich: items without a label form a crowd around every world")
    with_embeddings: bool = Field(
        False, description="rich: also compare clusters by the cosines of all their items, which ships the vectors"
    )
    hidden: tuple[int, ...] | None = Field(
        None, description="widths; default: two layers of 3 x features (code), 50 (paper) or 64 (rich)"
    )
    epochs: int = Field(0, ge=0, description="largest (rich: smallest) number; 0: by pairs (rich: by identities)")
    learning_rate: float = Field(2e-3, gt=0, lt=1)
    seed: int = Field(0, ge=0)

    @property
    def asked_of_nothing(self) -> list[str]:
        """Keys that were given, and that only a training from nothing reads."""
        return sorted(self.model_fields_set - {"start", "seed", "worlds"})

    @model_validator(mode="after")
    def _start_fits(self) -> MediatorConfig:
        if self.start == "shipped" and (asked := self.asked_of_nothing):
            raise ValueError(f"mediator.{asked[0]} is for a training from nothing: leave it out, or set start none")
        return self

    @field_validator("worlds")
    @classmethod
    def _begin_with_the_labelled_data(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value[0] != 0 or min(value) < 0 or len(set(value)) < len(value):
            raise ValueError("must begin with 0, the labelled data as they are; the others must be positive and differ")
        return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def vote_threshold(consensus: ConsensusConfig) -> float:
    """Return the threshold of a vote."""
    return 0.5 if consensus.threshold == "auto" else float(consensus.threshold)


def accept_count(consensus: ConsensusConfig, members: int) -> int:
    """Return how many of ``members`` must agree."""
    return members if consensus.accept == "all" else int(consensus.accept)


def fingerprint(*values: object) -> str:
    """Return the SHA-256 (hex) of config sections, plain values and other fingerprints, in order."""
    plain = [value.model_dump(mode="json") if isinstance(value, BaseModel) else value for value in values]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

"""Configs of the commands that use clusters: denoise and export."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from cdp_spark.config.input_sections import ImagesConfig, LabelsConfig
from cdp_spark.config.locations import here
from cdp_spark.config.sections import Section

Issue = Literal["wrong_label", "outlier", "duplicate_identities", "merged_identity"]
"""Issues that can be corrected; near duplicates and unsure labels are only listed."""


class DenoiseConfig(Section):
    """How given labels are checked."""

    run: str
    output: str
    labels: LabelsConfig | None = Field(None, description="None: they are given as a table")
    precision: float = Field(0.9, ge=0.5, lt=1, description="wanted share of wrong labels among those called wrong")
    duplicate: float = Field(0.5, gt=0, le=1, description="smallest score of two labels that are one identity")
    merged: float = Field(0.6, gt=0, le=1, description="smallest score of one label that is two identities")
    near_duplicate: float = Field(0.99, gt=0, le=1, description="similarity from which two images count as the same")
    apply: tuple[Issue, ...] | None = Field(None, description="issues to correct in a table of cleaned labels")
    _here = field_validator("run", "output")(here)


class ExportConfig(Section):
    """Which items become training data, their labels, and the format of the files."""

    run: str
    output: str
    format: Literal["parquet", "csv", "list", "webdataset"] = "parquet"
    min_size: int = Field(2, ge=1, description="clusters that keep fewer items are left out")
    min_confidence: float = Field(-1.0, ge=-1, le=1, description="items with less confidence are left out")
    largest_share: float = Field(1.0, gt=0, le=1, description="largest share of one cluster; its surest items stay")
    soft: bool = Field(False, description="also write the few most probable labels of an item")
    labels: LabelsConfig | None = Field(None, description="labelled items to add to those of the clusters")
    join: Literal["apart", "matched"] = Field(
        "apart", description="apart: other images, label spaces stay apart; matched: images of the run, clusters take "
        "over the label of their labelled items"
    )  # fmt: skip
    matched_share: float = Field(0.5, gt=0, le=1, description="smallest share of them with that label")
    images: ImagesConfig | None = Field(None, description="pictures, or their paths; default: those of the run")
    labelled_images: ImagesConfig | None = Field(None, description="pictures of the labelled items; default: the same")
    splits: dict[str, float] = Field(default_factory=dict, description="share of each split; the rest is `train`")
    split_by: Literal["item", "identity"] = "item"
    seed: int = Field(0, ge=0, description="another seed gives other splits and another order")
    file_items: int | None = Field(None, ge=1, description="approximate items per file; default: 10,000 in a tar")
    _here = field_validator("run", "output")(here)

    @field_validator("splits")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        odd = [name for name in value if not name.isidentifier() or name == "train"]
        if odd:
            raise ValueError(f"{odd[0]} cannot name a split: use letters and digits; `train` names the rest")
        if any(share <= 0 for share in value.values()) or sum(value.values()) >= 1:
            raise ValueError("shares must be above 0 and together below 1")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> ExportConfig:
        if self.join == "matched" and self.labels is None:
            raise ValueError("join: matched needs labels")
        if self.labelled_images is not None and (self.labels is None or self.join == "matched"):
            raise ValueError(
                "labelled_images are those of labelled items outside the run: they need labels, and join: apart"
            )
        return self

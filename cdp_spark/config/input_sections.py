"""Where the data lie: models, labels, pictures."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cdp_spark.config.locations import distinct_names, here, short_name
from cdp_spark.config.sections import Section


class _PathSection(Section):
    """Base of the sections that a path alone can stand for."""

    from_text = True

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


def _plain_format(value: str) -> str:
    """Return a format's name as all checks know it; the name of a class keeps its case."""
    if not value.strip():
        raise ValueError("must name a format, such as parquet")
    return value if "." in value else value.strip().lower()


class SourceConfig(_PathSection):
    """Where one model's embeddings lie."""

    name: str = Field(
        "", description="the model's name; default: stem of file, folder or table, or more of it if two are alike"
    )
    path: str | None = Field(None, description="file or folder, anything that Spark reads")
    table: str | None = Field(None, description="name of a Spark table")
    format: str = Field("parquet", description="Spark's name of the format of `path`")
    encoding: Literal["float16", "float32"] | None = Field(
        None, description="how binary embeddings are encoded (little-endian); default: no binary column is accepted"
    )
    _here = field_validator("path")(here)
    _format = field_validator("format")(_plain_format)

    @model_validator(mode="after")
    def _path_or_table(self) -> SourceConfig:
        if (self.path is None) == (self.table is None):
            raise ValueError("needs either path or table")
        return self

    @property
    def model(self) -> str:
        """The model's name."""
        if self.name:
            return self.name
        if self.path is not None:
            return short_name(self.path)
        return str(self.table).split(".")[-1]


class LabelsConfig(_PathSection):
    """Labels that clusters are evaluated against; never used to cluster."""

    path: str
    format: str = "parquet"
    id_column: str = "id"
    label_column: str = "label"
    _here = field_validator("path")(here)
    _format = field_validator("format")(_plain_format)


class ImagesConfig(_PathSection):
    """Pictures that the report shows; never used to cluster."""

    path: str = Field(description="table of encoded pictures or of their paths, or a path with {id} in it")
    format: str = "parquet"
    id_column: str = "id"
    image_column: str = "image"
    _format = field_validator("format")(_plain_format)

    @field_validator("path")
    @classmethod
    def _table_here(cls, value: str) -> str:
        # A path with {id} may be meant for the lists of an export, which may go to another machine.
        checked = str(here(value))
        return value if "{id}" in value and not value.startswith("~") else checked


class InputConfig(Section):
    """The user's tables and how strictly they are read."""

    base: SourceConfig
    committee: tuple[SourceConfig, ...] = ()
    id_column: str = "id"
    embedding_column: str = "embedding"
    encoding: Literal["float16", "float32"] | None = Field(
        None, description="how binary embeddings are encoded, unless the source says so"
    )
    labels: LabelsConfig | None = None
    images: ImagesConfig | None = None
    max_bad_fraction: float = Field(0.001, ge=0, le=1, description="largest share of a model's rows set aside")
    duplicates: Literal["refuse", "keep_first", "quarantine"] = Field(
        "refuse",
        description="rows with the same id: refuse; keep the one with the smallest vector bytes; set all aside",
    )
    force_dimension: bool = Field(False, description="accept more than 8,192 dimensions")

    @property
    def sources(self) -> tuple[SourceConfig, ...]:
        """The base and the committee."""
        return (self.base, *self.committee)

    @property
    def models(self) -> list[str]:
        """Names of the models, the base's first."""
        return [source.model for source in self.sources]

    @model_validator(mode="after")
    def _distinct_names(self) -> InputConfig:
        paths = [None if source.name else source.path for source in self.sources]
        names = distinct_names(self.models, paths)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two models are named {', '.join(twice)}: give them different names with `name:`, or "
                "--set input.base.name=NAME and --set input.committee.0.name=NAME"
            )
        base, *committee = (
            source if source.model == name else source.chosen(name=name)
            for source, name in zip(self.sources, names, strict=True)
        )
        # Set before anyone reads the config: stored and fingerprinted configs name the models.
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "committee", tuple(committee))
        return self

    @model_validator(mode="after")
    def _pictures_here(self) -> InputConfig:
        if self.images is not None:
            object.__setattr__(self, "images", self.images.chosen(path=here(self.images.path)))
        return self

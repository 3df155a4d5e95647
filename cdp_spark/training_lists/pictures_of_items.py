"""items x pictures -> items with an image column; unusable sources are refused before a file is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.config.input_sections import ImagesConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.sources.pictures import LEADS_OUT, check_pictures, check_pictures_of, pictures_by_id
from cdp_spark.spark.keyed_table import KeyedTable

_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Characters that readers such as Python's take for the end of a line."""


@dataclass(frozen=True)
class Pictures:
    """Sources of the pictures of exported items.

    Attributes
    ----------
    clustered, labelled : ImagesConfig or None
        Pictures of the items that a cluster labels, and of those with a given label.
    form : str
        Format of the export.
    """

    clustered: ImagesConfig | None
    labelled: ImagesConfig | None
    form: str

    def check(self, store: StageStore) -> None:
        """Refuse tables that lack a column, have an id twice, or hold pictures where paths are needed.

        Raises
        ------
        ConfigError, InputError
        """
        for source in self._tables().values():
            check_pictures(store.spark, source, store.facts, once=True)
            kind = pictures_by_id(store.spark, source).schema["image"].dataType
            if isinstance(kind, BinaryType) and self.form != "webdataset":
                raise ConfigError(
                    f"export: format {self.form} needs paths; {source.path} holds the pictures themselves"
                )

    def beside(self, store: StageStore, items: StageResult) -> DataFrame:
        """Add the column ``image``: bytes or a path, null if the source has none.

        Raises
        ------
        InputError
            If no item has a picture, or a list cannot hold a path.
        """
        if self.clustered is None:
            return items.table
        for kind, source in self._tables().items():
            read = check_pictures(store.spark, source, store.facts, once=True)
            own = items.table.where(F.col("source") == kind)
            if own.limit(1).collect():
                of_kind = KeyedTable(own, items.rows, fingerprint(items.fingerprint, kind))
                check_pictures_of(store.spark, source, of_kind, store.facts, read)
        labelled = self.labelled or self.clustered
        rows = _with_image(items.table.where("source = 'cluster'"), self.clustered).unionByName(
            _with_image(items.table.where("source = 'labelled'"), labelled)
        )
        if self.form == "list":
            _check_lines(rows)
        return rows

    def _tables(self) -> dict[str, ImagesConfig]:
        """Return the sources that are tables, by source of the items."""
        if self.clustered is None or self.form == "parquet":
            return {}
        both = {"cluster": self.clustered, "labelled": self.labelled or self.clustered}
        return {kind: source for kind, source in both.items() if "{id}" not in source.path}


def _with_image(items: DataFrame, source: ImagesConfig) -> DataFrame:
    if "{id}" not in source.path:
        return items.join(pictures_by_id(items.sparkSession, source), "id", "left")
    before, after = source.path.split("{id}", 1)
    image = F.concat(F.lit(before), F.col("id").cast("string"), F.lit(after))
    return items.withColumn("image", F.when(~F.col("id").cast("string").rlike(LEADS_OUT), image))


def _check_lines(rows: DataFrame) -> None:
    broken = reduce(Column.__or__, (F.col("image").contains(sign) for sign in _BREAKS))
    broken_paths = rows.where(broken).select("id", "image").orderBy("id").limit(1).collect()
    if broken_paths:
        raise InputError(
            f"export: the path {broken_paths[0]['image']!r} has a line break, which a list cannot hold: choose "
            "format csv or webdataset"
        )

"""Labels and pictures beside the embeddings of a run, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass

from cdp_spark.config.input_sections import ImagesConfig, InputConfig
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.sources.labels import Labels, open_labels
from cdp_spark.sources.pictures import check_pictures, check_pictures_of
from cdp_spark.sources.readable_pictures import check_readable
from cdp_spark.spark.keyed_table import KeyedTable


@dataclass(frozen=True)
class Beside:
    """Labels and pictures; None if not given.

    Attributes
    ----------
    labels : Labels or None
    images : ImagesConfig or None
    pictures : str
        Fingerprint of the table of pictures.
    """

    labels: Labels | None
    images: ImagesConfig | None
    pictures: str

    @classmethod
    def of(cls, store: StageStore, config: InputConfig) -> Beside:
        """Open both, and refuse tables that cannot be joined, before any work.

        Raises
        ------
        InputError
        """
        labels = None if config.labels is None else open_labels(store.spark, config.labels, store.facts)
        if config.images is None:
            return cls(labels, None, "")
        return cls(labels, config.images, check_pictures(store.spark, config.images, store.facts, once=False))

    def check_items(self, store: StageStore, items: KeyedTable) -> None:
        """Refuse labels or pictures that belong to no item, and pictures that cannot be read.

        Raises
        ------
        InputError
        """
        if items.rows and self.labels is not None:
            self.labels.matched(items, store.facts)
        if items.rows and self.images is not None:
            check_pictures_of(store.spark, self.images, items, store.facts, self.pictures)
            check_readable(store.spark, self.images, items.table)

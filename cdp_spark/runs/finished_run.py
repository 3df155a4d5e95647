"""Read a finished run: its record, its config and the tables of its stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from cdp_spark.base.errors import InputError
from cdp_spark.config.loading import load_config
from cdp_spark.config.sections import SHIPPED
from cdp_spark.config.whole import RunConfig
from cdp_spark.files.folder import Folder
from cdp_spark.files.object_stores import take_settings
from cdp_spark.runs.documents import read_latest, read_record
from cdp_spark.runs.facts import stored_facts
from cdp_spark.runs.manifests import MANIFEST, checked_manifest
from cdp_spark.runs.own_files import tables_of
from cdp_spark.runs.register import REPEATED_ITEMS, Stage
from cdp_spark.runs.run_json import ClusterRecord, StageRecord
from cdp_spark.spark.keyed_table import KeyedTable

_checked: set[str] = set()
"""Stages that this process has already checked against their manifests."""

SWEEP_FILE = "sweep.json"
"""File of the run's last sweep, which the report draws."""


@dataclass(frozen=True)
class FinishedRun:
    """The contents of an output folder.

    Attributes
    ----------
    spark : SparkSession
    folder : Folder
    record : ClusterRecord
        ``run.json``.
    """

    spark: SparkSession
    folder: Folder
    record: ClusterRecord

    @classmethod
    def of(cls, spark: SparkSession, output: str) -> FinishedRun:
        """Read a run.

        Raises
        ------
        InputError
            If the folder holds no finished run.
        """
        take_settings(spark)
        folder = Folder(output)
        if (record := finished_record(folder)) is None:
            raise InputError(f"{output} holds no finished run: run cdp-spark cluster with --output {output} first")
        return cls(spark, folder, record)

    @property
    def config(self) -> RunConfig:
        """The config of the run; its paths may no longer exist."""
        return load_config(self.record.config)

    @property
    def item_count(self) -> int:
        """Number of items."""
        return self.record.counts.items

    def stage(self, stage: Stage | str) -> StageRecord:
        """Return the record's entry of a stage: the last one with that name, or below it (``forest``)."""
        name = self._stored(str(stage))
        stages = [each for each in self.record.stages if each.name == name or each.name.startswith(f"{name}/")]
        if not stages:
            raise InputError(f"{self.folder.location} has no stage {name}: run cdp-spark cluster again")
        return stages[-1]

    @property
    def repeated_items(self) -> DataFrame | None:
        """Return (item, same_as): items that are identical to a smaller one in all models; None without any."""
        way = self.record.without_labels
        return self.table(REPEATED_ITEMS) if way and way.repeated_items else None

    def _stored(self, name: str) -> str:
        """Return the name under which a stage was stored; identical models share one."""
        kind, _, model = name.partition("/")
        same_as = self.record.without_labels.same_as if self.record.without_labels is not None else {}
        made = any(each.name == name for each in self.record.stages)
        return name if made or model not in same_as else f"{kind}/{same_as[model]}"

    def facts(self, stage: Stage | str, fingerprint: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return a few numbers about the run's tables, computed once and stored beside them."""
        path = f"stages/{stage}-{fingerprint[:16]}.json"
        known = stored_facts(self.folder, path)
        if known is None:
            text = json.dumps(dict(compute()))
            self.folder.write(path, text)
            known = dict(json.loads(text))
        return known

    def keyed(self, stage: Stage | str) -> KeyedTable:
        """Read a stage's table with its rows and fingerprint; raises as :meth:`table`."""
        known = self.stage(stage)
        return KeyedTable(self.table(stage), known.rows, known.fingerprint)

    def has(self, stage: Stage | str) -> bool:
        """Return whether a stage is in the record and its table still there."""
        name = self._stored(str(stage))
        paths = [each.path for each in self.record.stages if each.name == name]
        return bool(paths) and self.folder.read_bytes(f"{paths[-1]}/{MANIFEST}") is not None

    def table(self, stage: Stage | str, schema: StructType | None = None) -> DataFrame:
        """Read a stage's table.

        Raises
        ------
        InputError
            If it has been removed.
        DamagedStageError
            If its files differ from those that the run wrote.
        """
        folder_of_stage = self.stage(stage).path
        path = self.folder.path(folder_of_stage)
        known = path in _checked and self.folder.read_bytes(f"{folder_of_stage}/{MANIFEST}") is not None
        if not known and checked_manifest(self.folder, folder_of_stage) is None:
            raise InputError(
                f"{self.folder.location} no longer has its stage {stage}, as after cdp-spark clean: run cdp-spark "
                "cluster again with the same config, which makes what is missing"
            )
        _checked.add(path)
        reader = tables_of(self.spark)
        return (reader if schema is None else reader.schema(schema)).parquet(path)


def finished_record(folder: Folder) -> ClusterRecord | None:
    """Read ``run.json`` of a folder with a finished run; None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    return None if read_latest(folder) is None else read_record(folder)


def made_otherwise(config: RunConfig, where: str) -> list[str]:
    """Warn if a finished run used another strategy or rule than ``auto`` chooses for this config.

    Parameters
    ----------
    config : RunConfig
        Config of the new run, with strategy and rule chosen.
    where : str
        Output of the earlier run.
    """
    try:
        record = finished_record(Folder(where))
    except InputError as error:
        if where == config.output:  # this run writes it anew
            return []
        raise error
    given = {"strategy", "rule"} <= config.consensus.model_fields_set | config.clusters.model_fields_set
    if record is None or given:
        return []
    # A changed mediator is a choice of the user.
    own = record.config["consensus"].get("mediator"), config.consensus.mediator
    if len({None if name == SHIPPED else name for name in own}) > 1:
        return []
    earlier = (record.config["consensus"]["strategy"], record.config["clusters"]["rule"])
    now = (config.consensus.strategy, config.clusters.rule)
    if earlier == now:
        return []
    return [
        f"{where} was made with consensus.strategy {earlier[0]} and clusters.rule {earlier[1]}; this run takes "
        f"{now[0]} and {now[1]}, the defaults for what was given: set both keys to keep the earlier way"
    ]


def finished_runs(root: str) -> list[str]:
    """List the finished runs of a folder of outputs, by name, the oldest first.

    Parameters
    ----------
    root : str
        Folder whose subfolders are outputs; those without a finished run are left out.
    """
    finished = {}
    for name in Folder(root).names():
        record = finished_record(Folder(f"{Folder(root).location}/{name}"))
        if record is not None:
            finished[name] = record.finished
    return sorted(finished, key=lambda name: (finished[name], name))

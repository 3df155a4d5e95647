"""Make each stage's table durable, and reuse stages that an earlier run has finished.

A stage is complete once it has a manifest, which lists every file with its length and is written last. An incomplete
stage is removed and made anew, never read.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from cdp_spark.base.errors import DamagedStageError, InputError, MissingRequirementError
from cdp_spark.files.folder import Folder
from cdp_spark.files.object_stores import take_settings
from cdp_spark.runs.facts import stored_facts
from cdp_spark.runs.manifests import MANIFEST, checked_manifest, digests, empty_parquet, parquet_files
from cdp_spark.runs.own_files import check_output, foreign, is_of_table, remove_own, tables_of
from cdp_spark.runs.register import Stage
from cdp_spark.spark.differences import is_sail
from cdp_spark.spark.engine import on_one_machine
from cdp_spark.spark.keyed_table import KeyedTable
from cdp_spark.spark.peaks import stage_peak
from cdp_spark.spark.progress import Progress

OURS = (
    "clusters",
    "quarantine",
    "run.json",
    "config.yaml",
    "report.html",
    "stages",
    "merges",
    "lineage",
    "latest.json",
    "_lease.json",
    "mediator.safetensors",
    "card.json",
    "sweep.json",
    "openlineage.json",
)
"""Names that an output folder may hold."""
_LONGEST_NAME = 60  # characters, of up to four bytes: file systems take 255 bytes
_SECONDS = "_seconds"
"""Key of the time that facts took, stored with them."""


Build = Callable[[], DataFrame | list[DataFrame]]


@dataclass(frozen=True)
class StageResult(KeyedTable):
    """One durable table: its path, and its cost in this run and when it was made."""

    name: str
    reused: bool
    seconds: float
    made_seconds: float
    path: str
    peak_worker_bytes: int | None
    written_bytes: int = 0


@dataclass(frozen=True)
class Fact:
    """A few durable numbers, and their cost in this run and when they were computed."""

    name: str
    seconds: float
    made_seconds: float


@dataclass
class StageStore:
    """The ``stages/`` folder of one output.

    Parameters
    ----------
    spark : SparkSession
    output : str
    progress : Progress, optional
        Notified when a stage begins and ends.
    guard : callable, optional
        Called before anything is declared complete; raises if this run has lost its lease (``Lease.check``).
    also : tuple of str
        Further names that the output may hold: results of commands other than ``cluster``.

    Attributes
    ----------
    results : list of StageResult
        Every stage asked for, in order.
    asked_facts : list of Fact
        The facts asked for, in order.

    Raises
    ------
    InputError
        If the output holds files that no run wrote. Such files are never removed.
    """

    spark: SparkSession
    output: str
    progress: Progress = field(default_factory=Progress)
    results: list[StageResult] = field(default_factory=list)
    asked_facts: list[Fact] = field(default_factory=list)
    guard: Callable[[], None] = field(default=lambda: None)
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        take_settings(self.spark)
        self.folder = Folder(self.output)
        check_output(self.folder, {*OURS, *self.also})

    def stage(
        self,
        stage: Stage | str,
        fingerprint: str,
        build: Build,
        *,
        schema: StructType,
        partition_by: tuple[str, ...] = (),
    ) -> StageResult:
        """Return the table of a stage, making it first if necessary.

        Parameters
        ----------
        stage : Stage or str
            From the register; a string for one of several tables of a kind (``register.KNN.of("v3")``).
        fingerprint : str
            Fingerprint of the inputs; each fingerprint has its own folder.
        build : callable
            Makes the lazy table, or a list of tables that are written one after the other; called only if needed.
        schema : StructType
            Schema for reading the table back.
        partition_by : tuple of str

        Raises
        ------
        DamagedStageError
            If a finished stage no longer holds what its manifest lists.
        MissingRequirementError
            If the output is not one place for Spark's executors and this process.
        """
        name, path = str(stage), self._path_of(str(stage), fingerprint)
        manifest = checked_manifest(self.folder, path)
        reused = manifest is not None
        if manifest is None:
            with self.progress.stage(self.spark, name) as shown:
                manifest = self._make(path, name, fingerprint, build, partition_by)
                shown.rows = manifest["rows"]
        reader = tables_of(self.spark).schema(schema).option("parquet.page.verify-checksum.enabled", "true")
        result = StageResult(
            reader.parquet(self.folder.path(path)), manifest["rows"], fingerprint, name, reused,
            0.0 if reused else manifest["seconds"], manifest["seconds"], path, manifest.get("peak_worker_bytes"),
            sum(manifest["files"].values()),
        )  # fmt: skip
        if all(known.path != path for known in self.results):  # list a repeated stage once
            self.results.append(result)
        return result

    def facts(self, stage: Stage | str, fingerprint: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return a few durable numbers, computing them first if necessary."""
        name = str(stage)
        path = f"{self._path_of(name, fingerprint)}.json"
        known = stored_facts(self.folder, path)
        reused = known is not None
        if known is None:
            began = time.monotonic()
            with self.progress.stage(self.spark, name):
                computed = dict(compute())
            # Return values that have been through JSON, as they will have been the next time.
            text = json.dumps(computed | {_SECONDS: time.monotonic() - began})
            self.guard()
            self.folder.write(path, text)
            known = dict(json.loads(text))
        made = float(known.pop(_SECONDS, 0.0))
        self.asked_facts.append(Fact(name, 0.0 if reused else made, made))
        return known

    def workspace(self) -> str:
        """Return a scratch folder for making a stage."""
        return self.folder.path("stages/_workspace")

    def clear_workspace(self) -> None:
        """Remove that folder."""
        self.folder.remove("stages/_workspace")

    def write(self, name: str, text: str) -> None:
        """Write a file of the output while this run holds the lease.

        Raises
        ------
        GuardError
            If another run has taken the output over.
        """
        self.guard()
        self.folder.write(name, text)

    def publish(self, stage: Stage | str, result: StageResult) -> None:
        """Copy a stage's files to the top of the output, for users and other tools, unless they are there.

        The earlier content stays readable until the copy is complete (in an object store: until copying begins).

        Parameters
        ----------
        stage : Stage or str
            ``clusters`` or ``quarantine``.
        result : StageResult
        """
        name = str(stage)
        self.folder.remove_leftovers(name)
        if self._is_published(name, result.path):
            return
        self.guard()
        self.folder.copy(result.path, name, last=MANIFEST, own=is_of_table)

    def _is_published(self, name: str, path: str) -> bool:
        """Return whether a folder at the top of the output is an intact copy of a stage."""
        manifest = self.folder.read_bytes(f"{path}/{MANIFEST}")
        if manifest is None or self.folder.read_bytes(f"{name}/{MANIFEST}") != manifest:
            return False
        try:
            return checked_manifest(self.folder, name) is not None
        except DamagedStageError:
            return False

    def _path_of(self, name: str, fingerprint: str) -> str:
        # Spark hides names that begin with _ or a dot, and `..` would leave the folder.
        steps = (re.sub(r"[^\w.\-]+", "_", step).lstrip("._") for step in name.split("/"))
        safe = "/".join(step[:_LONGEST_NAME] or "unnamed" for step in steps)
        return f"stages/{safe}-{fingerprint[:16]}"

    def _parquet_files(self, path: str) -> dict[str, int]:
        return parquet_files(self.folder, path)

    def _make(
        self,
        path: str,
        name: str,
        fingerprint: str,
        build: Build,
        partition_by: tuple[str, ...],
    ) -> dict[str, Any]:
        if strange := foreign(remove_own(self.folder, path)):  # left incomplete by an earlier run
            raise InputError(
                f"{self.folder.path(path)} holds {strange[0]}, which no run wrote: move it elsewhere, then run again"
            )
        started, began = time.time(), time.monotonic()
        with stage_peak(self.spark) as peak:
            built = build()
            tables = built if isinstance(built, list) else [built]
            for table in tables:
                # Appended: to the tables before, and a file browser's leftovers may be in the folder.
                writer = table.write.mode("append").option("compression", _compression(table))
                (writer.partitionBy(*partition_by) if partition_by else writer).parquet(self.folder.path(path))
        files = self._written(path, name, None if partition_by else tables[0].schema)
        manifest = {
            "stage": name,
            "fingerprint": fingerprint,
            "rows": self.folder.parquet_rows([f"{path}/{file}" for file in files]),
            "files": files,
            "sha256": digests(self.folder, path, files) if on_one_machine(self.spark) else None,
            "created": started,
            "seconds": time.monotonic() - began,
            "peak_worker_bytes": peak(),
        }
        self.guard()
        self.folder.write(f"{path}/{MANIFEST}", json.dumps(manifest, indent=1))
        return manifest

    def _written(self, path: str, name: str, schema: StructType | None) -> dict[str, int]:
        """List the files of a stage that was just written; with a schema there must be at least one."""
        files = self._parquet_files(path)
        if files or schema is None:
            return files
        if not is_sail(self.spark):  # Spark writes at least one file, even for no rows
            raise MissingRequirementError(
                f"Spark wrote stage {name}, but {self.folder.path(path)} is empty here: the output must be one place "
                "for all machines, such as a mounted share or s3://; a plain path may be another one for Spark"
            )
        self.folder.write_bytes(f"{path}/part-0.parquet", empty_parquet(schema))
        return self._parquet_files(path)


def _compression(table: DataFrame) -> str:
    # float16 vectors do not compress; everything else does.
    return "none" if "vector" in table.columns else "zstd"

"""Make each stage's table durable, and find again what an earlier run has finished.

A stage is complete only when its own manifest says so: it lists every file with its length and is written last. A
half-written stage is removed and made anew, never read.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql.types import StructType

from cdp_spark.base.errors import DamagedStageError, InputError
from cdp_spark.runtime.files import Folder
from cdp_spark.runtime.progress import Progress
from cdp_spark.stages.arrow import observed_peaks

MANIFEST = "_cdp_manifest.json"
OURS = (
    "clusters",
    "quarantine",
    "run.json",
    "config.yaml",
    "report.html",
    "stages",
    "merges",
    "latest.json",
    "_lease.json",
)
"""What an output folder may hold."""


@dataclass(frozen=True)
class StageResult:
    """One durable table: where it is, how many rows, and what making it took."""

    name: str
    fingerprint: str
    table: DataFrame
    rows: int
    reused: bool
    seconds: float
    path: str
    peak_worker_bytes: int | None


@dataclass
class StageStore:
    """The ``stages/`` folder of one output.

    Parameters
    ----------
    spark : SparkSession
    output : str
    progress : Progress, optional
        Told when a stage begins and ends.

    Attributes
    ----------
    results : list of StageResult
        Every stage asked for, in order.
    """

    spark: SparkSession
    output: str
    progress: Progress = field(default_factory=Progress)
    results: list[StageResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = Folder(self.output)
        foreign = [name for name in self.folder.names() if name not in OURS and not name.endswith(".tmp")]
        if foreign:
            raise InputError(
                f"output {self.output} holds {', '.join(foreign[:3])}, which no run wrote: choose an empty folder"
            )

    def stage(
        self,
        name: str,
        fingerprint: str,
        build: Callable[[], DataFrame],
        *,
        schema: StructType,
        partition_by: tuple[str, ...] = (),
    ) -> StageResult:
        """Return the table of a finished stage, making it first when there is none.

        Parameters
        ----------
        name : str
            Such as ``knn/v3``.
        fingerprint : str
            What the table is made from; another fingerprint is another folder.
        build : callable
            Makes the lazy table; called only when it must be made.
        schema : StructType
            With which the table is read back.
        partition_by : tuple of str
        """
        place = self._place(name, fingerprint)
        manifest = self._manifest(place)
        reused = manifest is not None
        if manifest is None:
            with self.progress.stage(self.spark, name):
                manifest = self._make(place, name, fingerprint, build, partition_by)
        reader = self.spark.read.schema(schema).option("parquet.page.verify-checksum.enabled", "true")
        result = StageResult(
            name, fingerprint, reader.parquet(self.folder.path(place)), manifest["rows"], reused,
            0.0 if reused else manifest["seconds"], place, manifest.get("peak_worker_bytes"),
        )  # fmt: skip
        self.results.append(result)
        return result

    def facts(self, name: str, fingerprint: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return a few durable numbers, computing them first when they are not there."""
        place = f"{self._place(name, fingerprint)}.json"
        known = self.folder.read(place)
        if known is None:
            with self.progress.stage(self.spark, name):
                self.folder.write(place, json.dumps(dict(compute())))
            known = self.folder.read(place)
        found: dict[str, Any] = json.loads(known or "{}")
        return found

    def workspace(self) -> str:
        """Return a folder for what must be on disk while a stage is made."""
        return self.folder.path("stages/_workspace")

    def clear_workspace(self) -> None:
        """Remove that folder."""
        self.folder.remove("stages/_workspace")

    def publish(self, name: str, result: StageResult) -> None:
        """Copy a stage's Parquet files to the top of the output, for people and other tools."""
        self.folder.copy(result.path, name)

    def _place(self, name: str, fingerprint: str) -> str:
        safe = "/".join(re.sub(r"[^\w.\-]+", "_", step) for step in name.split("/"))
        return f"stages/{safe}-{fingerprint[:16]}"

    def _manifest(self, place: str) -> dict[str, Any] | None:
        text = self.folder.read(f"{place}/{MANIFEST}")
        if text is None:
            return None
        manifest: dict[str, Any] = json.loads(text)
        if manifest["files"] != self._parquet_files(place):
            raise DamagedStageError(
                f"stage {self.folder.path(place)} does not hold the files its manifest lists: "
                "something changed it; remove that folder and run again"
            )
        return manifest

    def _parquet_files(self, place: str) -> dict[str, int]:
        return {info.path: info.length for info in self.folder.files(place) if info.path.endswith(".parquet")}

    def _make(
        self,
        place: str,
        name: str,
        fingerprint: str,
        build: Callable[[], DataFrame],
        partition_by: tuple[str, ...],
    ) -> dict[str, Any]:
        self.folder.remove(place)
        started = time.time()
        with observed_peaks() as observations:
            table = build()
            writer = table.write.mode("overwrite").option("compression", _compression(table))
            (writer.partitionBy(*partition_by) if partition_by else writer).parquet(self.folder.path(place))
        files = self._parquet_files(place)
        manifest = {
            "stage": name,
            "fingerprint": fingerprint,
            "rows": sum(pq.read_metadata(self.folder.open(f"{place}/{file}")).num_rows for file in files),
            "files": files,
            "created": started,
            "seconds": time.time() - started,
            "peak_worker_bytes": _peak(observations),
        }
        self.folder.write(f"{place}/{MANIFEST}", json.dumps(manifest, indent=1))
        return manifest


def _compression(table: DataFrame) -> str:
    # float16 vectors do not compress; everything else does.
    return "none" if "vector" in table.columns else "zstd"


def _peak(observations: list[Observation]) -> int | None:
    """Return the largest peak; observations answer at once, for their table has just been written."""
    peaks = []
    for observation in observations:
        # An observation on a table that this write did not need would wait for ever.
        if getattr(observation, "_jo", None) is None and getattr(observation, "_result", None) is None:
            continue
        peak = observation.get.get("peak")
        if peak is not None:
            peaks.append(int(peak))
    return max(peaks, default=None)

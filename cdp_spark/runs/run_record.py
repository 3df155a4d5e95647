"""The run record, ``run.json``: config, engine, counts, quality and times of a run."""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from cdp_spark.base.errors import ConfigError
from cdp_spark.base.memory import highest_peak_bytes
from cdp_spark.base.messages import masked
from cdp_spark.base.versions import installed_versions
from cdp_spark.config.sections import Section
from cdp_spark.config.yaml_text import parsed
from cdp_spark.files.folder import Folder
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.spark.engine import engine_of
from cdp_spark.spark.session import cores

_SECRET = re.compile(r"secret|password|token|credential|access.?key", re.IGNORECASE)
_PACKAGES = (
    "cdp-spark", "pyspark", "pyspark-client", "numpy", "numba", "faiss-cpu", "pyarrow", "pandas", "scipy",
    "graphframes-py",
)  # fmt: skip


@dataclass
class RunRecord:
    """Collects the record during a run.

    Attributes
    ----------
    began : float
        Start on the monotonic clock.
    sections : dict
        Named sections: counts, recall, engine, metrics, warnings.
    """

    config: Section
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    sections: dict[str, Any] = field(default_factory=dict)

    def note(self, **sections: Any) -> None:
        """Add or replace sections."""
        self.sections.update(sections)

    def finished(self, store: StageStore) -> dict[str, Any]:
        """Return the whole record."""
        whole = {
            "config": self.config.model_dump(mode="json"),
            **_engine(store),
            "versions": _versions(store),
            "cores": cores(store.spark),
            "started": self.started,
            "finished": time.time(),
            "seconds": time.monotonic() - self.began,
            "stages": [_stage(result) for result in store.results],
            "facts": [
                {"name": fact.name, "seconds": round(fact.seconds, 3), "made_seconds": round(fact.made_seconds, 3)}
                for fact in store.asked_facts
            ],
            "driver_peak_bytes": highest_peak_bytes(),
            **self.sections,
        }
        return dict(without_secrets(whole))


def write_record(store: StageStore, record: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    store.write("run.json", json.dumps(record, indent=1))


def write_config(folder: Folder, settings: Mapping[str, Any]) -> None:
    """Write ``config.yaml``, but keep an equivalent one with the user's comments."""
    try:
        kept = folder.read("config.yaml")
        same = kept is not None and parsed(kept, "config.yaml") == settings
    except (ConfigError, UnicodeDecodeError):
        same = False
    if not same:
        folder.write("config.yaml", yaml.safe_dump(dict(settings), sort_keys=False))


def _stage(result: StageResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "fingerprint": result.fingerprint,
        "path": result.path,
        "rows": result.rows,
        "seconds": round(result.seconds, 3),
        "made_seconds": round(result.made_seconds, 3),
        "reused": result.reused,
        "peak_worker_bytes": result.peak_worker_bytes,
        "written_bytes": result.written_bytes,
    }


def _engine(store: StageStore) -> dict[str, str]:
    engine = engine_of(store.spark)
    return {"engine": engine.name, "engine_version": engine.version, "engine_reason": engine.reason}


def _versions(store: StageStore) -> dict[str, str]:
    engine = engine_of(store.spark)
    versions = {"python": platform.python_version(), engine.name: engine.version}
    if engine.name == "spark":
        versions |= _java(store)
    return versions | installed_versions(_PACKAGES)


def _java(store: StageStore) -> dict[str, str]:
    try:
        # Runs on the driver without a job, even on Connect; a managed platform may forbid it.
        asked = store.spark.sql("SELECT java_method('java.lang.System', 'getProperty', 'java.version') AS version")
        return {"java": str(asked.collect()[0]["version"])}
    except Exception:
        return {}


def without_secrets(value: Any) -> Any:
    """Return nested settings with apparent credentials replaced by ``***``.

    >>> without_secrets({"path": "s3://key:word@lake/v3", "secret_key": "word", "k": 15})
    {'path': 's3://***@lake/v3', 'secret_key': '***', 'k': 15}
    """
    if isinstance(value, dict):
        return {key: "***" if _SECRET.search(str(key)) else without_secrets(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(entry) for entry in value]
    return masked(value) if isinstance(value, str) else value

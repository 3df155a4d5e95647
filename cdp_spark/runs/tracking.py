"""Report a finished run to MLflow (needs the extra ``mlflow``), and as an OpenLineage event."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.base.messages import masked
from cdp_spark.files.folder import Folder

EVENT_FILE = "openlineage.json"
_LONGEST = 500
"""Longest parameter that all of MLflow's stores accept, in characters."""
_BATCH = 100
_SPECIFICATION = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_STATISTICS = (
    "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet"
)


def log_to_mlflow(record: Mapping[str, Any], folder: Folder, experiment: str) -> str:
    """Log a run: its config as parameters, its figures as metrics, ``run.json`` and the report as artifacts.

    Parameters
    ----------
    record : mapping
        ``run.json``.
    folder : Folder
        Output of the run.
    experiment : str
        Name; created if it does not exist. MLflow's own settings name the tracking server.

    Returns
    -------
    str
        MLflow's id of the run.

    Raises
    ------
    MissingRequirementError
        If MLflow is not installed or refuses the run.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise MissingRequirementError("mlflow is not installed: pip install 'cdp-spark[mlflow]'") from None
    try:
        client = MlflowClient()
        known = client.get_experiment_by_name(experiment)
        experiment_id = known.experiment_id if known is not None else client.create_experiment(experiment)
        name = folder.location.rpartition("/")[2]
        run = client.create_run(experiment_id, start_time=_milliseconds(record["started"]), run_name=name).info.run_id
        at = _milliseconds(record["finished"])
        metrics = [Metric(key, value, at, 0) for key, value in figures(record)]
        settings = [Param(key, str(value)[:_LONGEST]) for key, value in _flat(record["config"])]
        for start in range(0, max(len(metrics), len(settings)), _BATCH):
            batch = slice(start, start + _BATCH)
            client.log_batch(run, metrics=metrics[batch], params=settings[batch])
        client.log_batch(run, tags=[RunTag("cdp_spark.output", masked(folder.location))])
        client.log_dict(run, dict(record), "run.json")
        if (page := folder.read("report.html")) is not None:
            client.log_text(run, page, "report.html")
        client.set_terminated(run, "FINISHED", at)
        return str(run)
    except (MlflowException, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise MissingRequirementError(f"mlflow does not take the run: {first}") from error


def figures(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Return the numbers of a record that are worth comparing between runs, by names that MLflow accepts.

    >>> dict(figures({"seconds": 3.5, "counts": {"items": 9}, "recall": {"v3": {"recall": 0.97, "method": "ivf"}},
    ...               "metrics": None, "stages": [{"name": "knn/v3", "made_seconds": 2.0}]}))
    {'seconds': 3.5, 'counts.items': 9.0, 'recall.v3.recall': 0.97, 'stages.knn/v3.seconds': 2.0}
    """
    sections = {name: record.get(name) for name in ("seconds", "counts", "recall", "threshold", "metrics")}
    stages = [(f"stages.{stage['name']}.seconds", stage["made_seconds"]) for stage in record["stages"]]
    for key, value in (*_flat(sections), *stages):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield re.sub(r"[^\w ./-]", "_", key), float(value)


def lineage_event(record: Mapping[str, Any], folder: Folder, *, rows: int, size: int) -> dict[str, Any]:
    """Return inputs and outputs as an OpenLineage RunEvent, ready to send to a scheduler or a catalog.

    Parameters
    ----------
    record : mapping
        ``run.json``.
    folder : Folder
        Output of the run.
    rows, size : int
        Rows and bytes of the clusters.
    """
    producer = f"urn:cdp-spark:{record['versions'].get('cdp-spark', 'unknown')}"
    given = record["config"]["input"]
    sources = [given["base"], *given["committee"], *(given[name] for name in ("labels", "images") if given.get(name))]
    facet = {"_producer": producer, "_schemaURL": _STATISTICS, "rowCount": rows, "size": size}
    outputs = [{**_dataset(folder.path("clusters")), "outputFacets": {"outputStatistics": facet}}]
    if (published := record.get("published")) is not None:
        outputs.append({"namespace": "spark", "name": published["table"]})
    finished = datetime.fromtimestamp(record["finished"], timezone.utc)
    return {
        "eventType": "COMPLETE",
        "eventTime": finished.isoformat(timespec="milliseconds"),
        "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{folder.location}#{record['started']}"))},
        "job": {"namespace": "cdp-spark", "name": "cluster"},
        "inputs": [_dataset(source.get("path") or source["table"], bool(source.get("table"))) for source in sources],
        "outputs": outputs,
        "producer": producer,
        "schemaURL": _SPECIFICATION,
    }


def _dataset(location: str, table: bool = False) -> dict[str, str]:
    """Name a data set by OpenLineage's rules.

    >>> _dataset("s3a://lake/v3"), _dataset("lake.faces.v3", True)
    ({'namespace': 's3://lake', 'name': 'v3'}, {'namespace': 'spark', 'name': 'lake.faces.v3'})
    """
    if table:
        return {"namespace": "spark", "name": location}
    try:
        url = urlsplit(location)
    except ValueError:  # such as an unmatched bracket
        return {"namespace": "file", "name": location}
    if url.scheme in ("", "file"):
        return {"namespace": "file", "name": str(Path(url.path).absolute())}
    scheme = "s3" if url.scheme in ("s3a", "s3n") else url.scheme
    return {"namespace": f"{scheme}://{url.netloc.rpartition('@')[2]}", "name": url.path.lstrip("/") or "/"}


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(entry, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)):
        for position, entry in enumerate(value):
            yield from _flat(entry, f"{prefix}.{position}")
    elif value is not None:
        yield prefix, value


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)

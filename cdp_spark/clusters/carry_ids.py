"""Carry over the cluster ids of an earlier run, with a table of how the clusters came out of the earlier ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base.errors import InputError
from cdp_spark.clusters import lineage as stage
from cdp_spark.config.sections import fingerprint
from cdp_spark.files.folder import Folder
from cdp_spark.runs import register
from cdp_spark.runs.documents import read_latest, read_record
from cdp_spark.runs.finished_run import FinishedRun, finished_runs
from cdp_spark.runs.own_files import tables_of
from cdp_spark.runs.stage_store import StageResult, StageStore

_NUMBER = StructField("number", LongType())
_OVERLAPS = StructType([_NUMBER, *(field for field in stage.LINEAGE.fields if field.name not in ("event", "cluster"))])
_NUMBERED = StructType([_NUMBER, *stage.LINEAGE.fields])


@dataclass(frozen=True)
class Carried:
    """Clusters with lasting ids.

    Attributes
    ----------
    clusters, lineage : StageResult
    facts : dict
        For ``run.json``: the earlier run, rows and items by event, the first unused id.
    """

    clusters: StageResult
    lineage: StageResult
    facts: dict[str, Any]


def earlier_run(output: str, previous: str) -> str | None:
    """Find the run whose ids are carried over.

    Parameters
    ----------
    output : str
        Output of the new run.
    previous : str
        An earlier run; or, for scheduled runs, the folder that holds ``output``, for the newest finished run in it.

    Returns
    -------
    str or None
        None if there is no other run yet. An existing output keeps the run from which it first took its ids, even if
        newer runs have been added: the same command twice does nothing.
    """
    parent, _, own = Folder(output).location.rpartition("/")
    if Folder(previous).location != parent:
        return previous
    if (made := read_record(Folder(output))) is not None:
        before: str | None = made.lineage.previous
        return before
    beside = [name for name in finished_runs(parent) if name != own]
    return f"{parent}/{beside[-1]}" if beside else None


def carried(store: StageStore, clusters: StageResult, previous: str) -> Carried:
    """Carry ids over.

    Parameters
    ----------
    store : StageStore
    clusters : StageResult (``schemas.clusters``)
        Numbered from 0.
    previous : str
        Output of a finished run.

    Raises
    ------
    InputError
        If there is no finished run, or its ids are of another type.
    """
    run = FinishedRun.of(store.spark, previous)
    latest = read_latest(run.folder)
    if latest is None:
        raise InputError(f"previous run {previous} was removed meanwhile: choose another")
    earlier = tables_of(store.spark).parquet(run.folder.path(latest["clusters"])).select("id", "cluster")
    ours, theirs = (table.schema["id"].dataType.simpleString() for table in (clusters.table, earlier))
    if ours != theirs:
        raise InputError(f"previous run {previous}: its ids are {theirs}, these are {ours}: cast them to one type")
    key = fingerprint("lineage", register.LINEAGE.version, clusters.fingerprint, latest["fingerprint"])
    shared = store.stage(register.OVERLAPS, key, lambda: stage.overlaps(clusters.table, earlier), schema=_OVERLAPS)
    given = run.record.lineage.next_id
    first = store.facts(
        register.FIRST_ID, key, lambda: {"id": given or 1 + (earlier.agg(F.max("cluster")).collect()[0][0] or 0)}
    )["id"]
    numbered = store.stage(
        register.NUMBERED_LINEAGE, key, lambda: stage.lineage(shared.table, next_id=first), schema=_NUMBERED
    )
    lasting = numbered.table.where("number is not null").select("number", "cluster").distinct()
    named = store.stage(
        register.CLUSTERS,
        fingerprint(key, "clusters"),
        lambda: stage.renumbered(clusters.table, lasting),
        schema=clusters.table.schema,
    )
    lineage_table = store.stage(
        register.LINEAGE, key, lambda: numbered.table.select(*stage.LINEAGE.names), schema=stage.LINEAGE
    )
    return Carried(named, lineage_table, {"previous": previous, **_facts(lineage_table, first)})


def _facts(lineage_table: StageResult, first: int) -> dict[str, Any]:
    rows = lineage_table.table.groupBy("event").agg(F.count("*").alias("rows"), F.sum("items").alias("items")).collect()
    largest = lineage_table.table.agg(F.max("cluster")).collect()[0][0]
    return {
        "next_id": max(first, -1 if largest is None else largest + 1),
        "events": {row["event"]: row["rows"] for row in sorted(rows)},
        "items": {row["event"]: row["items"] for row in sorted(rows)},
    }

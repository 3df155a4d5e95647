"""Tables as other programs leave them, written without an engine. Each log has removed a file that is still there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

REMOVED = "removed.parquet"

_FIELDS = [
    {"name": "id", "type": "long"},
    {"name": "embedding", "type": {"type": "array", "elementType": "float", "containsNull": True}},
]


def removed_rows(rows: pa.Table) -> pa.Table:
    """Return rows of items that no other model has, and that a run would therefore set aside."""
    ids = pa.array(range(10_000, 10_000 + len(rows)), pa.int64())
    return pa.table({"id": ids, "embedding": rows["embedding"]})


def write_delta(files: Path, table: Path) -> Path:
    """Write a folder's files as a Delta table of two commits and return its folder; the second removes ``REMOVED``."""
    log = table / "_delta_log"
    shutil.copytree(files, table)
    log.mkdir()
    parts = [_added(part) for part in sorted(table.glob("*.parquet"))]
    pq.write_table(removed_rows(pq.read_table(files)), table / REMOVED)
    fields = [{**field, "nullable": True, "metadata": {}} for field in _FIELDS]
    described = {
        "id": "00000000-0000-0000-0000-000000000000", "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}), "partitionColumns": [], "configuration": {},
    }  # fmt: skip
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    _commit(log, 0, [{"protocol": protocol}, {"metaData": described}, _added(table / REMOVED)])
    gone = {"path": REMOVED, "deletionTimestamp": 2, "dataChange": True}
    _commit(log, 1, [*parts, {"remove": gone}])
    return table


def write_iceberg(files: Path, warehouse: Path) -> Path:
    """Write them as an Iceberg table, its first rows deleted again, and return its folder."""
    sql = pytest.importorskip("pyiceberg.catalog.sql", reason="pyiceberg, of the extra dev, is not installed")
    catalog = sql.SqlCatalog("tests", uri="sqlite:///:memory:", warehouse=f"file://{warehouse}")
    catalog.create_namespace("faces")
    rows = pq.read_table(files)
    table = catalog.create_table("faces.one", schema=rows.schema)
    table.append(removed_rows(rows))
    table.delete("id >= 10000")
    table.append(rows)
    return warehouse / "faces/one"


def _added(part: Path) -> dict[str, Any]:
    size = part.stat().st_size
    return {"add": {"path": part.name, "partitionValues": {}, "size": size, "modificationTime": 1, "dataChange": True}}


def _commit(log: Path, version: int, actions: list[dict[str, Any]]) -> None:
    (log / f"{version:020}.json").write_text("\n".join(json.dumps(action) for action in actions) + "\n")

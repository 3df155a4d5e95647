"""What a test of tables does in a process of its own, with the jar of the format; prints one line of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from cdp_spark.commands import cluster as cluster_task
from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.config.loading import load_config
from cdp_spark.spark.session import local_session
from tests import data
from tests.answers import refused, rows

NO_JAR = 77
"""Exit code where the jar does not resolve."""

SCALA = "2.13"
PACKAGES = {
    "delta": f"io.delta:delta-spark_4.1_{SCALA}:4.1.0",
    "iceberg": f"org.apache.iceberg:iceberg-spark-runtime-4.1_{SCALA}:1.11.0",
}

SPARKS_OWN = "org.slf4j:slf4j-api,com.google.code.findbugs:jsr305," + ",".join(
    f"org.apache.logging.log4j:log4j-{name}" for name in ("api", "core", "slf4j2-impl")
)
"""What these need is there already."""


def session(kind: str, folder: Path) -> SparkSession:
    """Start Spark as the format's own documentation says."""
    settings = {"spark.sql.warehouse.dir": f"{folder}/warehouse", "spark.sql.shuffle.partitions": "4"}
    if kind in PACKAGES:
        settings["spark.jars.packages"] = PACKAGES[kind]
        settings["spark.jars.excludes"] = SPARKS_OWN
    if kind == "delta":
        settings["spark.sql.extensions"] = "io.delta.sql.DeltaSparkSessionExtension"
        settings["spark.sql.catalog.spark_catalog"] = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    if kind == "iceberg":
        settings["spark.sql.extensions"] = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
        settings["spark.sql.catalog.lake"] = "org.apache.iceberg.spark.SparkCatalog"
        settings["spark.sql.catalog.lake.type"] = "hadoop"
        settings["spark.sql.catalog.lake.warehouse"] = f"{folder}/lake"
    return local_session("local[2]", settings)


def main(kind: str, folder: Path) -> None:
    cluster_task.write_report = lambda run: ""  # nobody looks at it
    try:
        spark = session(kind, folder)
    except Exception as error:  # the JVM ends before there is a session
        print(error, file=sys.stderr)
        sys.exit(NO_JAR)
    place = "lake.faces" if kind == "iceberg" else "faces"
    spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {place}")
    ids, _, models = data.embeddings(15)
    data.write(folder / "in", ids, models)
    sources = written(spark, kind, place, folder)
    table = f"{place}.clusters"

    plain = run(spark, [{"path": f"{folder}/in/{model}"} for model in data.MODELS], folder / "plain")
    monday = run(spark, sources, folder / "runs/monday", table, kind)
    first = rows(spark.table(table).where("run = 'monday'"))
    again = run(spark, sources, folder / "runs/monday", table, kind)
    higher = run(spark, sources, folder / "runs/monday", table, kind, threshold=0.8)
    second = rows(spark.table(table).where("run = 'monday'"))
    run(spark, sources, folder / "runs/tuesday", table, kind)
    counts = {row["run"]: row["count"] for row in spark.table(table).groupBy("run").count().collect()}
    spark.range(3).writeTo(f"{place}.other").using(kind).create()
    print(json.dumps({
        "as_parquet": rows(plain.clusters) == rows(monday.clusters),
        "published": first == rows(monday.clusters),
        "again": all(stage["reused"] for stage in again.record["stages"]),
        "replaced": second == rows(higher.clusters) and second != first,
        "items": len(ids), "counts": counts, "told": again.record["published"],
        "other": refused(lambda: run(spark, sources, folder / "runs/other", f"{place}.other", kind)),
        "no_format": refused(lambda: run(spark, [{"path": f"{folder}/delta/one"}], folder / "runs/no")),
    }))  # fmt: skip


def written(spark: SparkSession, kind: str, place: str, folder: Path) -> list[dict[str, str]]:
    """Write the embeddings as tables; the second model's has a path, where the format has such."""
    sources = []
    for model in data.MODELS:
        writer = spark.read.parquet(f"{folder}/in/{model}").writeTo(f"{place}.{model}").using(kind)
        sources.append({"name": model, "table": f"{place}.{model}"})
        if kind == "delta" and model == "one":
            path = f"{folder}/delta/{model}"
            writer = writer.tableProperty("location", path)
            sources[-1] = {"name": model, "path": path, "format": kind}
        writer.create()
    return sources


def run(
    spark: SparkSession, sources: list[dict[str, str]], output: Path, table: str | None = None, kind: str = "",
    threshold: float = 0.45,
) -> Run:  # fmt: skip
    settings: dict[str, Any] = {
        "input": {"base": sources[0], "committee": sources[1:]}, "output": str(output), "knn": {"k": 5},
        "consensus": {"accept": min(1, len(sources) - 1), "threshold": threshold},
    }  # fmt: skip
    if table is not None:
        settings["publish"] = {"table": table, "format": kind}
    return cluster(load_config(settings), spark=spark)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

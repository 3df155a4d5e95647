"""What a test of Spark Connect does in a process of its own; prints one line of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

import cdp_spark as cdp
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config
from cdp_spark.ml import ConsensusClustering, ConsensusClusteringModel
from cdp_spark.spark.session import local_session
from tests import data
from tests.answers import refused, rows
from tests.serverless import refusals


def settings(folder: Path, place: Path, output: str, path: str, **consensus: Any) -> dict[str, Any]:
    """Config of a run on what ``folder`` has, into ``place``; ``path`` is one of ``data.PATHS``."""
    return {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one", f"{folder}/two"],
                  "labels": f"{folder}/labels.parquet"},
        "output": f"{place}/{output}", "consensus": {"accept": 1, "threshold": 0.45, **consensus},
        **data.PATHS[path],
    }  # fmt: skip


def main(folder: Path, place: Path, paths: list[str]) -> None:
    spark = local_session(conf={
        "spark.remote": "local[2]", "spark.sql.shuffle.partitions": "4",
        # As in the session of the other tests: plans are made once, for a few rows.
        "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    })  # fmt: skip
    for owner, name, refuses in refusals(spark):
        setattr(owner, name, refuses)
    runs = {path: cluster(load_config(settings(folder, place, path, path)), spark=spark) for path in paths}
    run = runs["defaults"]
    items = [row["id"] for row in run.clusters.orderBy("id").limit(2).collect()]
    labels = LabelsConfig(path=f"{folder}/labels.parquet")
    issues = cdp.denoise(run.output, labels, output=f"{place}/issues", spark=spark)
    exported = cdp.export(run.output, output=f"{place}/training", spark=spark)
    print(json.dumps({
        "connect": type(spark).__module__, "spark": spark.version,
        "clusters": {path: rows(found.clusters) for path, found in runs.items()},
        "report": Path(run.output, "report.html").exists(),
        "sweep": cdp.sweep(run.output, [0.3, 0.6], spark=spark).rows,
        "explained": cdp.explain(run.output, *items, spark=spark).verdict,
        "issues": issues.issues.count() >= 0, "exported": exported.items.count(),
        "estimator": estimated(spark, folder, place),
        "arrays": np.unique(cdp.cluster_arrays(data.embeddings(10)[2]["base"], k=5, threshold=0.45, spark=spark)).size,
        "graphframes": refused(lambda: cluster(load_config({
            **settings(folder, place, "graphframes", "defaults"), "clusters": {"components": "graphframes"},
        }), spark=spark)),
    }))  # fmt: skip


def estimated(spark: SparkSession, folder: Path, place: Path) -> list[list[int]]:
    """Fit the estimator on one table of several models' columns; save, load and transform."""
    base, one = (spark.read.parquet(f"{folder}/{model}") for model in ("base", "one"))
    table = base.withColumnRenamed("embedding", "features").join(one.withColumnRenamed("embedding", "one"), "id")
    estimator = ConsensusClustering(
        featuresCol="features", committeeFeaturesCols=["one"], output=f"{place}/estimated", k=5, threshold=0.45
    )
    model = estimator.fit(table)
    model.save(f"{place}/model")
    model = ConsensusClusteringModel.load(f"{place}/model")
    return sorted([row["id"], row["cluster"]] for row in model.transform(table).select("id", "cluster").collect())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])

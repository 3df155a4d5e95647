"""Connected components: our two engines beside GraphFrames on the raw graph, and scipy.

    python benchmarks/components.py --items 1000000 --output runs/components

Same edges in Parquet, result written to Parquet by each; a million vertices and four million edges by default. All
answers are compared. The last line is one line of JSON; ratios are the other side's seconds over ours.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cdp_spark.clusters.forest.components import COORDINATES, components
from cdp_spark.spark.session import local_session

FILES = 16


def main() -> None:
    options = arguments()
    wanted = options.sides
    needs_jar = {"contracted", "raw"} & set(wanted)
    spark = local_session(options.master, {"spark.jars.packages": COORDINATES} if needs_jar else {})
    data = options.output / f"edges-{options.items}-{options.edges}"
    if not data.exists():
        write(data, options.items, options.edges)
    sides: dict[str, Callable[[Path], None]] = {
        "single": lambda out: save(components(edges_of(spark, data), engine="single"), out),
        "scipy": lambda out: by_scipy(data, out, options.items),
        "contracted": lambda out: contracted(spark, data, out, options.output / "checkpoints"),
        "raw": lambda out: raw(spark, data, out, options.output / "checkpoints"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in wanted}
    answers = {}
    for number in range(options.rounds):
        for name in wanted:
            if name == "raw" and number and min(seconds[name]) > 120:
                continue  # medians where a run takes under two minutes
            out = options.output / f"out-{name}"
            shutil.rmtree(out, ignore_errors=True)
            started = time.time()
            sides[name](out)
            seconds[name].append(round(time.time() - started, 2))
            answers[name] = canonical(out)
            print(name, seconds[name], flush=True)
    same = {name: bool((answers[name] == answers[wanted[0]]).all()) for name in wanted}
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {
        f"{other}_to_{ours}_ratio": round(middle[other] / middle[ours], 2)
        for ours, other in (("contracted", "raw"), ("single", "raw"), ("single", "scipy"))
        if {ours, other} <= set(wanted)
    }
    print(json.dumps({"items": options.items, "seconds": seconds, "same_answer": same, **ratios}))


def write(data: Path, items: int, edges: int) -> None:
    """Write clusters of about 65 items, each item joined to a few others of its own, and some bridges."""
    random = np.random.default_rng(3)
    number = random.permutation(items)
    size = 65
    src = random.integers(0, items, edges)
    dst = np.minimum(src // size * size + random.integers(0, size, edges), items - 1)
    bridges = random.random(edges) < 0.0005
    dst[bridges] = random.integers(0, items, int(bridges.sum()))
    a, b = np.minimum(number[src], number[dst]), np.maximum(number[src], number[dst])
    pairs = np.unique(np.stack([a, b], axis=1)[a != b], axis=0)
    data.mkdir(parents=True)
    for part, rows in enumerate(np.array_split(pairs, FILES)):
        pq.write_table(pa.table({"src": rows[:, 0], "dst": rows[:, 1]}), data / f"part-{part:03d}.parquet")


def edges_of(spark: SparkSession, data: Path) -> DataFrame:
    return spark.read.schema("src long, dst long").parquet(str(data))


def save(table: DataFrame, out: Path) -> None:
    table.write.parquet(str(out))


def contracted(spark: SparkSession, data: Path, out: Path, folder: Path) -> None:
    save(components(edges_of(spark, data), engine="graphframes", checkpoint_folder=str(folder), partitions=2), out)
    shutil.rmtree(folder, ignore_errors=True)


def raw(spark: SparkSession, data: Path, out: Path, folder: Path) -> None:
    from graphframes import GraphFrame

    spark.sparkContext.setCheckpointDir(str(folder))
    edges = edges_of(spark, data)
    vertices = edges.select(F.explode(F.array("src", "dst")).alias("id")).distinct()
    found = GraphFrame(vertices, edges).connectedComponents()
    save(found.select(F.col("id").alias("item"), "component"), out)
    found.unpersist()
    shutil.rmtree(folder, ignore_errors=True)


def by_scipy(data: Path, out: Path, items: int) -> None:
    table = pq.read_table(data)
    src, dst = table.column("src").to_numpy(), table.column("dst").to_numpy()
    links = coo_matrix((np.ones(len(src), np.int8), (src, dst)), shape=(items, items))
    part = connected_components(links, directed=False)[1]
    known = np.unique(np.concatenate((src, dst)))
    out.mkdir(parents=True)
    pq.write_table(pa.table({"item": known, "component": part[known].astype(np.int64)}), out / "part.parquet")


def canonical(out: Path) -> np.ndarray:
    """Return (item, smallest item of its component), sorted."""
    table = pq.read_table(out, columns=["item", "component"])
    item, part = (table.column(name).to_numpy() for name in ("item", "component"))
    order = np.argsort(item)
    item, index = item[order], np.unique(part[order], return_inverse=True)[1]
    smallest = np.full(index.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, index, item)
    return np.stack([item, smallest[index]])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--edges", type=int, default=4_100_000, help="drawn; repeats and loops are dropped")
    parser.add_argument("--sides", nargs="+", default=["single", "scipy", "contracted", "raw"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()

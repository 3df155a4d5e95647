"""The forest in rounds is the forest of Kruskal, ties and all, whatever the partitions."""

import numpy as np
import pytest

from cdp_spark.base import schemas
from cdp_spark.clusters.forest.grow import forest_in_rounds
from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest


def graph(seed: int, items: int, pairs: int, scores: int):
    random = np.random.default_rng(seed)
    ends = np.unique(np.sort(random.integers(0, items, (pairs, 2)), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]]
    # Large items, as ids may be; few scores, so that ties decide.
    return ends[:, 0] * 2**40, ends[:, 1] * 2**40, (random.integers(0, scores, len(ends)) / scores).astype(np.float32)


@pytest.mark.engines("2-50-600-1000")
@pytest.mark.parametrize(("seed", "items", "pairs", "scores"), [(0, 300, 900, 5), (1, 300, 320, 1), (2, 50, 600, 1000)])
def test_rounds_find_the_forest_of_kruskal(spark, tmp_path, seed, items, pairs, scores):
    edges = graph(seed, items, pairs, scores)
    kept = maximum_spanning_forest(*edges)
    wanted = {(int(src), int(dst)) for src, dst in zip(edges[0][kept], edges[1][kept], strict=True)}
    rows = list(zip(*(column.tolist() for column in edges), strict=True))
    rounds = []

    def materialise(name, table):
        path = str(tmp_path / name.replace("/", "-"))
        table.write.parquet(path)
        rounds.append(name)
        written = spark.read.parquet(path)
        return written, written.count()

    table = spark.createDataFrame(rows, schemas.FOREST).repartition(5, "dst")
    found = forest_in_rounds(table, task_edges=10, materialise=materialise).collect()
    assert {(row["src"], row["dst"]) for row in found} == wanted
    assert len(found) == len(wanted)
    assert "rounds/best-2" in rounds

"""The block join gives every candidate pair once, with the features of the definitions, however it is cut."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cdp_spark.pairs import block_join
from cdp_spark.pairs.kernels.features import feature_names
from tests import reference
from tests.pairs.kernels.test_features import K, candidates, models, plain

SCHEMA = "src long, dst long, features array<float>"


def knn_table(spark, vectors):
    near, similarities = reference.knn(vectors, K)
    rows = [(i, a, [float(s) for s in b]) for i, (a, b) in enumerate(zip(near, similarities, strict=True))]
    return spark.createDataFrame(rows, "item long, neighbors array<long>, similarities array<float>").repartition(7)


def vector_table(spark, vectors):
    rows = pd.DataFrame({"item": np.arange(len(vectors)), "vector": [row.tobytes() for row in vectors]})
    return spark.createDataFrame(rows, "item long, vector binary").repartition(5)


def all_features(src, dst, features):
    lists = pa.ListArray.from_arrays(np.arange(len(src) + 1, dtype=np.int32) * features.shape[1], features.ravel())
    return pa.RecordBatch.from_arrays([pa.array(src), pa.array(dst), lists], names=["src", "dst", "features"])


def joined(spark, vectors, item_blocks, blocks, feature_set="code", wanted="base"):
    from pyspark.sql.types import StructType

    tables = [
        block_join.ModelTables(knn_table(spark, rows), vector_table(spark, rows), rows.shape[1]) for rows in vectors
    ]
    graphs = [model.knn for model in (tables if wanted == "all" else tables[:1])]
    members = block_join.block_members(item_blocks, graphs, blocks=blocks).cache()
    join = block_join.Join(feature_set, wanted, all_features, StructType.fromDDL(SCHEMA), "")
    table = block_join.joined_pairs(members, tables, join, block_join.Extent(blocks, 60, K))
    rows = table.collect()
    found = {(row["src"], row["dst"]): row["features"] for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.engines("base-code", "all-paper")
@pytest.mark.parametrize("feature_set", ["code", "paper"])
@pytest.mark.parametrize("wanted", ["base", "all"])
def test_every_pair_has_the_features_of_the_definitions(spark, feature_set, wanted):
    vectors = models()
    blocks = spark.createDataFrame([(i, i * 7 % 4) for i in range(60)], "item long, block int")
    found = joined(spark, vectors, blocks, 4, feature_set=feature_set, wanted=wanted)
    assert set(found) == candidates(vectors, 1 if wanted == "base" else 3)
    for pair, row in found.items():
        assert len(row) == len(feature_names("abc", feature_set))
        np.testing.assert_allclose(row, plain(vectors, pair, feature_set), atol=1e-6)


@pytest.mark.engines
def test_blocks_change_no_bit(spark):
    vectors = models(2)
    one = joined(spark, vectors, spark.createDataFrame([(i, 0) for i in range(60)], "item long, block int"), 1)
    many = joined(spark, vectors, spark.createDataFrame([(i, i % 9) for i in range(60)], "item long, block int"), 9)
    assert one == many


def test_an_item_goes_to_the_block_of_its_cell_and_large_blocks_are_divided(spark):
    rows = [(i, 0, 0, i % 3, None, None, b"") for i in range(40)] + [(41, 1, 0, 2, None, None, b"")]
    shards = spark.createDataFrame(
        rows, "item long, shard int, home int, cell int, twin_of long, twins array<long>, vector binary"
    )
    found = {row["item"]: row["block"] for row in block_join.homes(shards, [0, 1, 1], block_items=15).collect()}
    assert set(found) == set(range(40))  # one row per item: not where it has spilled to
    assert {found[i] for i in range(0, 40, 3)} == {0}
    assert {found[i] for i in range(40) if i % 3} == {1, 2}

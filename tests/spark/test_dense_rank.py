import pytest

from cdp_spark.spark import dense_rank


@pytest.mark.engines("8")
@pytest.mark.parametrize("per_bucket", [1 << 20, 1 << 3])
def test_ranks_are_places_in_the_sorted_order_however_many_buckets_there_are(spark, monkeypatch, per_bucket):
    monkeypatch.setattr(dense_rank, "_SAMPLE_SHARE", 4)
    monkeypatch.setattr(dense_rank, "_PER_BUCKET", per_bucket)
    values = [7 * i - 3000 for i in range(500)] + [-(2**63), 2**63 - 1]
    table = spark.createDataFrame([(value,) for value in values], "id long").repartition(7)
    found = {row["id"]: row["item"] for row in dense_rank.dense_rank(table, "id", "item").collect()}
    assert found == {value: rank for rank, value in enumerate(sorted(values))}


def test_strings_are_ranked_by_their_bytes(spark, monkeypatch):
    monkeypatch.setattr(dense_rank, "_SAMPLE_SHARE", 2)
    monkeypatch.setattr(dense_rank, "_PER_BUCKET", 4)
    values = [chr(code) for code in range(32, 1200, 37)] + ["", "🦊", "ﬀ"]
    table = spark.createDataFrame([(value,) for value in values], "id string").repartition(7)
    found = {row["id"]: row["item"] for row in dense_rank.dense_rank(table, "id", "item").collect()}
    assert found == {value: rank for rank, value in enumerate(sorted(values, key=str.encode))}


def test_no_rows_have_no_ranks(spark):
    empty = spark.createDataFrame([], "id long")
    assert dense_rank.dense_rank(empty, "id", "item").schema["item"].dataType.simpleString() == "bigint"
    assert dense_rank.dense_rank(empty, "id", "item").count() == 0

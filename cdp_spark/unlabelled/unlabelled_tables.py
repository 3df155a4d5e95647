"""The tables of clustering without labels.

A *subset* is a choice of the models, by number: the first is all of them, the others are halves that are compared.
"""

from __future__ import annotations

from pyspark.sql.types import BinaryType, IntegerType, LongType, StructField, StructType

from cdp_spark.base import schemas

DUPLICATES = StructType([StructField("item", LongType()), StructField("same_as", LongType())])
"""Items whose vectors are those of a smaller item in every model, and the smallest such item."""

BACKGROUND = StructType(
    [StructField("model", IntegerType()), StructField("item", LongType()), StructField("background", BinaryType())]
)
"""Median and spread of an item's cosines with strangers, two float64, by model."""

JOINT = StructType([StructField("subset", IntegerType()), *schemas.KNN.fields])
"""Neighbours by all models of a subset together; similarities in background units."""

NEAR = StructType([StructField("item", LongType()), StructField("near", schemas.LONGS)])
"""In how many lists of 15 an item is: of each model, then of each subset's joint view. No row: in none."""

FIRST_LOOK = StructType(
    [
        StructField("subset", IntegerType()), StructField("block", IntegerType()), *schemas.KNN.fields,
        StructField("features", BinaryType()), StructField("own", BinaryType()),
    ]
)  # fmt: skip
"""One row per subset and item that owns pairs: the other ends (rising), their log odds by the first look, 85 float16 of
each pair and, of the first subset, 12 float16 of each pair and model. A second row, without these, has the pairs that
are only half in the sample."""

LOG_ODDS = StructType(
    [
        StructField("subset", IntegerType()), *schemas.SCORED_PAIRS.fields[:2],
        StructField("z", schemas.SCORED_PAIRS["score"].dataType), StructField("own", BinaryType()),
    ]
)  # fmt: skip
"""One row per subset and pair, src < dst: log odds by both looks, and 12 float16 per model (subset 0 alone)."""

COMPARED = StructType([LOG_ODDS[name] for name in ("subset", "src", "dst", "z")])
"""The pairs among the items that are compared, of all subsets."""

SAMPLE = StructType([StructField("item", LongType())])
"""Items among which clusterings are compared."""

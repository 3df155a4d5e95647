"""Labels, checked against the ids that they are for."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base.errors import InputError


def named_labels(clusters: DataFrame, labels: DataFrame, id_column: str, label_column: str) -> DataFrame:
    """Check labels against the ids that they are for: (id, label), one row per id, no nulls.

    Raises
    ------
    InputError
    """
    for column in (id_column, label_column):
        if column not in labels.columns:
            raise InputError(f"labels: no column {column}; they have {', '.join(labels.columns)}: name it")
    named = labels.select(F.col(id_column).alias("id"), F.col(label_column).alias("label"))
    ours, theirs = (table.schema["id"].dataType.simpleString() for table in (clusters, named))
    if (ours == "string") != (theirs == "string"):
        raise InputError(f"labels: ids are {theirs} but those of the clusters are {ours}: cast them to one type")
    known = named.where("label is not null")
    # Counted alone: what tells different labels from equal ones costs far more, and is seldom needed.
    if not known.groupBy("id").agg(F.count("*").alias("n")).where("n > 1").limit(1).collect():
        return known
    different = known.groupBy("id").agg(F.countDistinct("label").alias("n")).where("n > 1").limit(1).collect()
    if different:
        raise InputError(f"labels: id {different[0]['id']!r} has more than one label: keep one")
    return known.dropDuplicates(["id"])

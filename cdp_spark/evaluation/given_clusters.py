"""Clusters of any program -> (id, cluster: long): names become numbers, missing values become -1."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegralType

from cdp_spark.sources.columns import values
from cdp_spark.sources.values_by_id import check_counts, check_once, counts, rows_by_id, warnings_of
from cdp_spark.spark.dense_rank import dense_rank

NO_CLUSTER = -1


def given_clusters(table: DataFrame) -> tuple[DataFrame, list[str]]:
    """Check clusters and number them.

    Parameters
    ----------
    table : DataFrame (id, cluster, ...)
        A cluster is a number or a name; null, NaN and -1 are none. Other columns are not looked at.

    Returns
    -------
    clusters : DataFrame (id: long or string, cluster: long)
        One row per id; -1 where it has no cluster.
    warnings : list of str

    Raises
    ------
    InputError
        If a column is missing, ids are no ids, or an id occurs more than once.
    """
    rows = rows_by_id(table, "id", "cluster", values, "clusters")
    ids = counts(rows)
    check_counts(ids, "clusters")
    if ids["most"] > 1:
        check_once(rows, "clusters", "keep one row of each id")
    numbered = _numbered(rows.where("id is not null").select("id", "value"))
    cluster = F.coalesce("cluster", F.lit(NO_CLUSTER)).cast("long").alias("cluster")
    return numbered.select("id", cluster), warnings_of(ids, "clusters")


def _numbered(rows: DataFrame) -> DataFrame:
    """Add ``cluster``: the value itself where all are whole numbers from 0 on, else its rank."""
    if isinstance(rows.schema["value"].dataType, IntegralType):
        smallest = rows.agg(F.min("value")).collect()[0][0]
        if smallest is None or smallest >= 0:
            return rows.withColumnRenamed("value", "cluster")
        named = rows.withColumn("value", F.col("value").cast("long"))
    else:
        named = rows.withColumn("value", F.col("value").cast("string"))
    names = named.select("value").where("value is not null").distinct()
    return named.join(dense_rank(names, "value", "cluster"), "value", "left")

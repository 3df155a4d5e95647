"""The schema of every table between the stages, and a check of it.

The tables are those of the picture in ``cdp_spark``. All ids are the user's; all *items* are dense numbers 0..N-1 in
the order of the ids.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from cdp_spark.base.errors import SchemaError


def quoted(name: str) -> str:
    """Quote a column's name as an expression, so that dots and backticks are not syntax.

    >>> quoted("person.name"), quoted("a`b")
    ('`person.name`', '`a``b`')
    """
    return "`" + name.replace("`", "``") + "`"


def _table(**columns: DataType) -> StructType:
    return StructType([StructField(name, kind, True) for name, kind in columns.items()])


def table_of(wide: StructType, *columns: str) -> StructType:
    """Return the schema of some columns of a wider table."""
    return StructType([wide[column] for column in columns])


LONGS = ArrayType(LongType(), True)
FLOATS = ArrayType(FloatType(), True)


def embeddings(id_type: DataType) -> StructType:
    """Return the schema of the checked input rows of one model.

    Each row has a ``vector`` (float16 bytes, unit norm) or the ``reason`` why it is set aside.
    """
    return _table(id=id_type, vector=BinaryType(), reason=StringType())


def items(id_type: DataType) -> StructType:
    """Return the schema of the numbering: ``item`` is the rank of ``id``."""
    return _table(id=id_type, item=LongType())


CELLS = _table(shard=IntegerType(), cell=IntegerType(), centroid=BinaryType())
"""Centroids (float16 bytes) of the fine cells, and the shard that each belongs to."""

SHARDS = _table(
    item=LongType(),
    shard=IntegerType(),
    home=IntegerType(),
    cell=IntegerType(),
    twin_of=LongType(),
    twins=LONGS,
    vector=BinaryType(),
)
"""One row per item and shard that holds it. ``twin_of`` is the smallest item with the same vector; only that item is
searched, and its ``twins`` are the first k other items with that vector."""

KNN = _table(item=LongType(), neighbors=LONGS, similarities=FLOATS)
"""k nearest neighbours of each item without itself, by (-similarity, item)."""

LISTS = _table(shard=IntegerType(), item=LongType(), neighbors=LONGS, similarities=FLOATS)
"""The k nearest neighbours of each distinct vector within one shard."""

SCORED_PAIRS = _table(src=LongType(), dst=LongType(), score=FloatType())
"""One row per unordered pair, ``src < dst``; no threshold yet."""

_MET = {"src_identity": LongType(), "dst_identity": LongType(), "src_crowd": BooleanType(), "dst_crowd": BooleanType()}

WORLD_PAIRS = _table(
    world=IntegerType(), src=LongType(), dst=LongType(), **_MET, same=BooleanType(), features=FLOATS
)  # fmt: skip
"""Pairs of simulated worlds with the identities of their ends; ``src_crowd``, ``dst_crowd``: the end has no label."""

CROSS_FITTED_PAIRS = _table(world=IntegerType(), src=LongType(), dst=LongType(), **_MET, z=DoubleType())
"""The same pairs with the uncalibrated logit ``z`` of networks that saw neither of the two identities."""

FOREST = SCORED_PAIRS
"""Maximum spanning forest of all scored pairs or, beyond the bound, a superset of it."""

COMPONENTS = _table(item=LongType(), component=LongType())
"""Component of every item with a pair above the threshold, named by its smallest item."""

MERGED_ITEMS = _table(
    score=FloatType(),
    src=LongType(),
    dst=LongType(),
    left=LongType(),
    right=LongType(),
    left_size=LongType(),
    right_size=LongType(),
)
"""One row per edge of the forest: the two components that it joins (named by their smallest items), their sizes."""


def merges(id_type: DataType) -> StructType:
    """Return the schema of the dendrogram for users: ``MERGED_ITEMS`` with ids."""
    named = dict.fromkeys(("src", "dst", "left", "right"), id_type)
    return _table(score=FloatType(), **named, left_size=LongType(), right_size=LongType())


LABELLED_ITEMS = _table(
    item=LongType(), root=LongType(), status=StringType(), size=LongType(), best_score=FloatType(), level=DoubleType()
)
"""Clusters before they are numbered: ``root`` is the cluster's smallest item, null if there is none."""

_CONFIDENCE = {
    "confidence": FloatType(),
    "cluster_confidence": FloatType(),
    "best_other": LongType(),
    "best_other_probability": FloatType(),
}

CONFIDENT_ITEMS = _table(**{field.name: field.dataType for field in LABELLED_ITEMS.fields}, **_CONFIDENCE)
"""Labelled items of a rule without a threshold: the confidence of item and cluster, in [0, 1], and the smallest item
of the cluster that the item's cluster would join next."""

SOFT_LABELS = ArrayType(_table(cluster=LongType(), weight=FloatType()), True)
"""The most probable clusters of an item, and their shares."""


def clusters(id_type: DataType, *, soft: bool = False, confident: bool = False) -> StructType:
    """Return the schema of clusters; ``confident`` and ``soft`` add columns."""
    more = {**(_CONFIDENCE if confident else {}), **({"soft_labels": SOFT_LABELS} if soft else {})}
    return _table(
        id=id_type,
        cluster=LongType(),
        status=StringType(),
        size=LongType(),
        best_score=FloatType(),
        level=DoubleType(),
        **more,
    )


def require_schema(table: DataFrame, wanted: StructType, name: str) -> None:
    """Check that ``table`` has every column of ``wanted`` with its type.

    Raises
    ------
    SchemaError
        Names the table, the columns that are missing or have another type, and the columns that it has.
    """
    present = {field.name: field.dataType.simpleString() for field in table.schema.fields}
    wrong = [
        f"{field.name}: {field.dataType.simpleString()}"
        for field in wanted.fields
        if present.get(field.name) != field.dataType.simpleString()
    ]
    if wrong:
        listed = ", ".join(f"{column}: {kind}" for column, kind in present.items())
        raise SchemaError(f"table {name} needs {', '.join(wrong)}; it has {listed or 'no columns'}")

"""The data that comes with the project: drawn characters and their embeddings by four small networks.

``labelled`` and ``unlabelled`` share no character; ``make_glyphs`` made them, and the mediators that have learned from
``labelled``; ``glyphs/README.md`` tells how.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cdp_spark.base.numeric.unit_vectors import decode

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FOLDER = Path(__file__).parent / "glyphs"
MEDIATOR = FOLDER / "mediator"
RICH_MEDIATOR = FOLDER / "mediator-rich"
"""Has learned from simulated worlds: for clusters without a threshold."""

BASE = "residual"
COMMITTEE = ("plain", "wide", "half")
ENCODING = "float16"
K = 14
THRESHOLD = 0.575
"""Best pairwise F of the labelled part's clusters by vote of all members, by ``benchmarks/quality.py``."""


def embeddings(part: str) -> tuple[str, list[str]]:
    """Return the paths of the base's and of the committee's embeddings.

    Parameters
    ----------
    part : {"labelled", "unlabelled"}
    """
    base, *committee = (str(FOLDER / part / f"{model}.parquet") for model in (BASE, *COMMITTEE))
    return base, committee


def tables(spark: SparkSession, part: str) -> tuple[DataFrame, dict[str, DataFrame]]:
    """Return the base's embeddings and the committee's as tables (id: long, embedding: array of float).

    They go through this process, so that they are there on clusters whose workers do not see its files.
    """
    base, *committee = (_table(spark, f"{FOLDER}/{part}/{model}.parquet") for model in (BASE, *COMMITTEE))
    return base, dict(zip(COMMITTEE, committee, strict=True))


def labels(spark: SparkSession, part: str) -> DataFrame:
    """Return the characters as a table (id, label)."""
    return spark.createDataFrame(pq.read_table(f"{FOLDER}/{part}/labels.parquet"))


def pictures(part: str) -> dict[int, NDArray[np.uint8]]:
    """Return the pictures by id: grey values, shape (height, width)."""
    from PIL import Image

    rows = pd.read_parquet(f"{FOLDER}/{part}/images.parquet")
    decoded = (np.asarray(Image.open(io.BytesIO(data))) for data in rows["image"])
    return dict(zip(rows["id"], decoded, strict=True))


def _table(spark: SparkSession, path: str) -> DataFrame:
    from cdp_spark.spark.arrow import as_lists

    table = pq.read_table(path).combine_chunks()
    column = table.column("embedding").chunk(0)
    rows = decode(column, len(column[0].as_py()) // 2).astype(np.float32)
    # An Arrow table needs no setting of the session, as pandas' columns of arrays do.
    return spark.createDataFrame(pa.table({"id": table.column("id"), "embedding": as_lists(rows)}))

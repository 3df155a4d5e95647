"""Open the project's own data: drawn characters, embedded by four small networks.

``labelled`` and ``unlabelled`` share no character. ``make_glyphs`` made both, and the mediators trained on
``labelled``; ``glyphs/README.md`` describes how.
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
"""Trained on simulated worlds, for clusters without a threshold."""

BASE = "residual"
COMMITTEE = ("plain", "wide", "half")
ENCODING = "float16"
K = 14
THRESHOLD = 0.575
"""Threshold of the best pairwise F on the labelled subset by a vote of all members (``benchmarks/quality.py``)."""


def embeddings(subset: str) -> tuple[str, list[str]]:
    """Return the paths of the embeddings of the base and of the committee.

    Parameters
    ----------
    subset : {"labelled", "unlabelled"}
    """
    base, *committee = (str(FOLDER / subset / f"{model}.parquet") for model in (BASE, *COMMITTEE))
    return base, committee


def tables(spark: SparkSession, subset: str) -> tuple[DataFrame, dict[str, DataFrame]]:
    """Return the embeddings of the base and of the committee as tables.

    This process reads the files, so that workers of a cluster need not see them.

    Returns
    -------
    DataFrame (id: long, embedding: array of float)
    dict of model to DataFrame
    """
    base, *committee = (_table(spark, f"{FOLDER}/{subset}/{model}.parquet") for model in (BASE, *COMMITTEE))
    return base, dict(zip(COMMITTEE, committee, strict=True))


def labels(spark: SparkSession, subset: str) -> DataFrame:
    """Return the characters as a table (id, label)."""
    return spark.createDataFrame(pq.read_table(f"{FOLDER}/{subset}/labels.parquet"))


def pictures(subset: str) -> dict[int, NDArray[np.uint8]]:
    """Return the pictures by id: grey values, shape (height, width)."""
    from PIL import Image

    rows = pd.read_parquet(f"{FOLDER}/{subset}/images.parquet")
    decoded = (np.asarray(Image.open(io.BytesIO(data))) for data in rows["image"])
    return dict(zip(rows["id"], decoded, strict=True))


def _table(spark: SparkSession, path: str) -> DataFrame:
    from cdp_spark.spark.arrow import as_lists

    table = pq.read_table(path).combine_chunks()
    column = table.column("embedding").chunk(0)
    rows = decode(column, len(column[0].as_py()) // 2).astype(np.float32)
    # Unlike pandas columns of arrays, an Arrow table needs no session setting.
    return spark.createDataFrame(pa.table({"id": table.column("id"), "embedding": as_lists(rows)}))

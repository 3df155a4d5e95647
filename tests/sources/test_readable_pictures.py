"""Pictures that cannot be read are refused before the work, not by the report at its end."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import InputError
from cdp_spark.config.input_sections import ImagesConfig
from cdp_spark.sources.readable_pictures import check_readable

image = pytest.importorskip("PIL.Image")


@pytest.fixture
def items(spark):
    return spark.createDataFrame([(1,), (2,)], "id long")


def png() -> bytes:
    encoded = io.BytesIO()
    image.new("L", (2, 2)).save(encoded, "PNG")
    return encoded.getvalue()


def table(place, pictures):
    pq.write_table(pa.table({"id": list(range(len(pictures))), "image": pictures}), place)
    return ImagesConfig(path=str(place))


def test_one_that_can_be_read_is_enough(spark, items, tmp_path):
    (tmp_path / "2.png").write_bytes(png())
    check_readable(spark, ImagesConfig(path=f"{tmp_path}/{{id}}.png"), items)
    check_readable(spark, table(tmp_path / "bytes.parquet", [b"none", png()]), items)
    check_readable(spark, table(tmp_path / "paths.parquet", ["/nowhere.png", str(tmp_path / "2.png")]), items)


@pytest.mark.engines
def test_none_is_refused_with_what_was_looked_at(spark, items, tmp_path):
    with pytest.raises(InputError, match=r"none of 2 paths is a file, such as .*/[12]\.jpg: check the path"):
        check_readable(spark, ImagesConfig(path=f"{tmp_path}/{{id}}.jpg"), items)
    with pytest.raises(InputError, match=r"none of the first 1 pictures can be read, of 4 bytes the first"):
        check_readable(spark, table(tmp_path / "bytes.parquet", [b"none"]), items)
    with pytest.raises(InputError, match=r"such as /nowhere\.png"):
        check_readable(spark, table(tmp_path / "paths.parquet", ["/nowhere.png", None]), items)

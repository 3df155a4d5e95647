"""Files with damaged pages: found out while a table is read, named, and exit code 2 on both engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark import cli
from cdp_spark.base.messages import LONGEST
from tests.conftest import ENGINE


def write(path: Path, column: str, *, hurt: bool) -> None:
    """Write two files; in one, every third byte is another, but for the first pages and the footer."""
    path.mkdir()
    for number in range(2):
        ids = np.arange(4000) + 4000 * number
        table = pa.table({"id": ids, column: ids // 5})
        pq.write_table(
            table, path / f"part-{number}.parquet", use_dictionary=False, data_page_size=2_000, compression="none"
        )
    if hurt:
        content = bytearray((path / "part-1.parquet").read_bytes())
        for place in range(12_000, 30_000, 3):
            content[place] ^= 0x5A
        (path / "part-1.parquet").write_bytes(content)


@pytest.mark.engines
@pytest.mark.parametrize("damaged", ["clusters", "labels"])
def test_a_command_that_meets_damaged_pages_names_the_file(spark, tmp_path, capsys, damaged):
    for name, column in (("clusters", "cluster"), ("labels", "label")):
        write(tmp_path / name, column, hurt=name == damaged)
    words = ["evaluate", "--clusters", tmp_path / "clusters", "--labels", tmp_path / "labels", "--engine", ENGINE]
    assert cli.main(list(map(str, words))) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{damaged}/part-1.parquet: " in last
    assert "write it again or leave it out" in last
    assert len(last) <= LONGEST + len("cdp-spark: ")


@pytest.mark.skipif(ENGINE == "spark", reason="Spark takes such bytes as they are")
def test_text_that_is_not_utf8_is_called_so(spark, tmp_path, capsys):
    raw = pa.array([b"Ann\xff", b"Bob"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"id": [0, 1], "label": text}), tmp_path / "labels")
    pq.write_table(pa.table({"id": [0, 1], "cluster": [0, 1]}), tmp_path / "clusters")
    assert cli.main(["evaluate", "--clusters", f"{tmp_path}/clusters", "--labels", f"{tmp_path}/labels"]) == 2
    assert "a column of text holds bytes that are not UTF-8: write it again" in capsys.readouterr().err

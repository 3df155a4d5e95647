"""How the guide reads the runs of many dates as one table, run as it is written there."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ENGINE
from tests.test_docs import DOCS, blocks

DATES = ("2026-11-24", "2026-11-25")

pytestmark = pytest.mark.engines


@pytest.fixture
def read(spark, tmp_path):
    """Write what two runs leave; return a function that runs one of the guide's blocks on it."""
    for number, date in enumerate(DATES):
        for place in ("clusters", "stages/clusters-0123456789abcdef"):
            folder = tmp_path / f"runs/run_date={date}" / place
            folder.mkdir(parents=True)
            pq.write_table(pa.table({"id": [number], "cluster": [0]}), folder / "part-0.parquet")

    def read(block):
        text = blocks(DOCS / "howto/schedules.md", "python")[block]
        names = {"spark": spark}
        exec(text.replace('"runs', f'"{tmp_path}/runs'), names)
        return names["clusters"]

    return read


def test_by_folder_on_both_engines(read):
    wanted = [(number, 0, datetime.date.fromisoformat(date)) for number, date in enumerate(DATES)]
    assert sorted(tuple(row) for row in read(1).collect()) == wanted


def test_by_pattern_on_spark_alone(read):
    found = read(0)
    if ENGINE == "sail":
        assert (found.columns, found.count()) == ([], 0), "the guide says that Sail finds nothing: mend it"
    else:
        assert {row["run_date"].isoformat() for row in found.collect()} == set(DATES)

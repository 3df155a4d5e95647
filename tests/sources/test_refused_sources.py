"""What Spark says of a table that cannot be opened becomes a line of ours."""

from __future__ import annotations

import pytest

from cdp_spark.base.errors import CdpError
from cdp_spark.base.messages import LONGEST
from cdp_spark.config.input_sections import SourceConfig
from cdp_spark.sources.damaged import translated
from cdp_spark.sources.open_table import open_source

pytestmark = pytest.mark.spark("Hadoop's file systems")


@pytest.mark.parametrize(
    ("place", "code", "message"),
    [
        ({"path": "s3a://bucket/v3"}, 3, "spark.jars.packages=org.apache.hadoop:hadoop-aws:3."),
        ({"path": "s3://bucket/v3"}, 3, "name the place s3a://"),
        ({"path": "hdfs://nowhere:9000/v3"}, 3, "a server does not answer (nowhere)"),
        ({"path": "v3", "format": "delta"}, 3, "Spark lacks the jar of delta"),
        ({"path": "v3", "format": "excel"}, 2, "Spark knows no format excel"),
        ({"table": "nowhere.faces"}, 2, "cannot be found"),
    ],
)
def test_one_line_with_a_remedy_and_no_stack(spark, capfd, place, code, message):
    source = SourceConfig(name="v3", **place)
    with pytest.raises(CdpError) as refused:
        open_source(spark, source, "model v3")
    said = str(refused.value)
    assert (refused.value.exit_code, said.startswith("model v3: "), message in said) == (code, True, True), said
    assert len(said) <= LONGEST
    assert "An error occurred" not in said
    assert capfd.readouterr().out == ""


def test_a_stale_checksum_file_is_named(spark, tmp_path):
    spark.range(100).selectExpr("id", "array(float(id), 1F) as embedding").coalesce(1).write.parquet(
        str(tmp_path / "v3")
    )
    (part,) = (tmp_path / "v3").glob("*.parquet")
    beside = part.with_name(f".{part.name}.crc")
    beside.write_bytes(beside.read_bytes()[:8] + bytes(len(beside.read_bytes()) - 8))
    with pytest.raises(Exception, match="Checksum error") as raised:
        open_source(spark, SourceConfig(name="v3", path=str(tmp_path / "v3")), "model v3").collect()
    refused = translated(raised.value)
    assert refused is not None
    assert refused.exit_code == 2
    assert f"the checksum file beside it ({beside.name}) is of another content: remove that" in str(refused)

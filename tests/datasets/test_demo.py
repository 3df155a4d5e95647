"""The demo clusters the data that comes with the project as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from cdp_spark.datasets import glyphs


@pytest.mark.slow
def test_the_demo_ends_in_clusters_scores_of_all_ways_and_a_page_with_pictures(tmp_path):
    words = [sys.executable, "-m", "cdp_spark.datasets.demo", "--output", str(tmp_path / "demo")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    found = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False, env=kept)
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("cdp-spark cluster --base") == 4
    figures = {line.split()[0]: line.split()[1:] for line in found.stdout.splitlines() if line.split()}
    without_labels, by_vote, by_mediator, without_threshold = map(float, figures["pairwise_f"])
    assert 0.4 < by_vote < by_mediator < min(without_labels, without_threshold)
    record = json.loads((tmp_path / "demo" / "run.json").read_text())
    assert record["metrics"]["kept"]["pairwise_f"] == pytest.approx(without_labels, abs=1e-4)
    assert "without labels" in record["way"]
    assert record["counts"]["items"] == pq.read_table(glyphs.FOLDER / "unlabelled" / "labels.parquet").num_rows
    assert "best:" in found.stdout
    assert "strongest path" in found.stdout
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "data:image/" in page
    assert "The surest items" in page
    assert "Other thresholds" not in page

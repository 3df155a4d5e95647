"""The report of real runs: its figures are those of the run's tables read with plain pandas."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("altair", reason="the extra report is not installed")

from cdp_spark.base.errors import InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.commands.sweep import sweep
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config
from cdp_spark.report import report
from cdp_spark.report.flow import _figures
from cdp_spark.report.given_labels import NamedLabels
from cdp_spark.runs.finished_run import FinishedRun
from tests import data

HOSTILE = "<script>alert('label')</script>"


def settings(folder, output, **more):
    return load_config({
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one", f"{folder}/two"],
                  "labels": f"{folder}/labels.parquet"},
        "output": str(output),
        "consensus": {"accept": 1, "threshold": 0.3},
        "clusters": {"max_cluster_size": 10, "threshold_step": 0.1},
        **data.PATHS["defaults"], **more,
    })  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    ids, labels, models = data.embeddings()
    data.write(folder, ids, models)
    names = [f"{HOSTILE}{label}" for label in labels[:-3]]
    pq.write_table(pa.table({"id": ids[:-3], "label": names}), folder / "labels.parquet")
    return folder


@pytest.fixture(scope="module")
def run(spark, inputs, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    cluster(settings(inputs, output), spark=spark)
    sweep(str(output), [0.2, 0.3, 0.45, 0.6], spark=spark)
    report(str(output), spark=spark)
    return FinishedRun.of(spark, str(output))


@pytest.fixture(scope="module")
def figures(run):
    return _figures(run, None, NamedLabels.of(run, run.config.input.labels))


def read(run, stage):
    return pd.read_parquet(run.folder.path(run.stage(stage).path))


def page_of(run):
    return run.folder.read("report.html")


def test_the_page_has_every_section_and_labels_show_as_text(run):
    text = page_of(run)
    for section in ("clusters", "thresholds", "look", "labels", "models", "input", "cost", "repeat"):
        assert f'<section id="{section}">' in text
    assert text.count("<figure") == text.count("<svg ") >= 7
    assert text.count("<script") == 2
    assert "&lt;script&gt;alert(" in text
    assert len(text.encode()) < 5_000_000


def test_hubs_are_those_of_the_lists(run, figures):
    assert [each.model for each in figures.hubs] == list(data.MODELS)
    for each in figures.hubs:
        lists = read(run, f"knn/{each.model}")
        degrees = np.bincount(np.concatenate(lists["neighbors"].to_list()), minlength=run.item_count)
        assert each.largest == degrees.max()
        assert each.in_none == pytest.approx((degrees == 0).mean())
        assert dict(each.counts) == pd.Series(degrees).value_counts().to_dict()
        assert not each.sampled


def test_agreement_is_that_of_the_lists_and_the_labels(run, figures):
    items = read(run, "items").set_index("item")["id"]
    labels = pd.read_parquet(run.config.input.labels.path).set_index("id")["label"]
    lists = {model: read(run, f"knn/{model}").set_index("item")["neighbors"].to_dict() for model in data.MODELS}
    rows = [
        (min(i, j), max(i, j), j in lists["one"][i], j in lists["two"][i])
        for i, near in lists["base"].items()
        for j in near
    ]
    pairs = pd.DataFrame(rows, columns=["src", "dst", "one", "two"]).groupby(["src", "dst"]).any().reset_index()
    src, dst = (pairs[end].map(items).map(labels) for end in ("src", "dst"))
    known = pairs[src.notna() & dst.notna()].assign(same=src == dst)
    assert figures.agreement.pairs == len(pairs)
    for each in figures.agreement.members:
        assert each.confirmed == pytest.approx(pairs[each.model].mean())
        assert each.right == pytest.approx(known[known[each.model]]["same"].mean())
        assert each.right_otherwise == pytest.approx(known[~known[each.model]]["same"].mean())


def test_identities_and_doubts_are_those_of_the_clusters(run, figures):
    clusters = pd.read_parquet(run.folder.path("clusters"))
    labels = pd.read_parquet(run.config.input.labels.path)
    joined = clusters.merge(labels, on="id")
    for each in figures.split:
        own = joined[joined["label"] == each.label]
        inside = own[own["cluster"] >= 0]["cluster"].value_counts()
        assert (each.size, each.clusters, each.largest) == (len(own), len(inside), inside.max())
    for each in figures.merged:
        own = joined[joined["cluster"] == each.cluster]["label"].value_counts()
        assert (each.size, each.identities, each.most) == (own.sum(), len(own), own.max())
    for each in figures.suspects:
        own = joined[joined["cluster"] == each.cluster]["label"].value_counts()
        assert each.size == (clusters["cluster"] == each.cluster).sum()
        assert each.others == own.sum() - own.max()
        assert each.weakest <= each.mean_score + 1e-6
    assert figures.suspects
    for pair in figures.pairs:
        assert pair.kept == (pair.score > 0.3)
    assert len({(pair.src, pair.dst) for pair in figures.pairs}) == len(figures.pairs) == 12


def test_files_tell_how_uneven_a_stage_was(run, figures):
    manifest = json.loads(run.folder.read(f"{run.stage('knn/base').path}/_cdp_manifest.json"))
    sizes = list(manifest["files"].values())
    found = figures.stage_files["knn/base"]
    assert found.files == len(sizes)
    assert found.skew == (pytest.approx(max(sizes) / np.median(sizes)) if len(sizes) > 1 else None)


def test_what_reads_whole_graphs_is_computed_once(spark, run):
    before = run.folder.files("stages/report")
    assert len(before) == 2
    report(run.folder.location, spark=spark)
    assert run.folder.files("stages/report") == before


def test_other_labels_are_compared_anew_and_wrong_ones_are_refused(spark, run, inputs, tmp_path):
    labels = pd.read_parquet(inputs / "labels.parquet")
    labels.assign(label="all one").to_parquet(tmp_path / "one.parquet")
    report(run.folder.location, spark=spark, labels=LabelsConfig(path=str(tmp_path / "one.parquet")))
    assert "100.0%" in page_of(run)
    pd.concat([labels, labels.head(1).assign(label="another")]).to_parquet(tmp_path / "two.parquet")
    with pytest.raises(InputError, match="more than one label"):
        report(run.folder.location, spark=spark, labels=LabelsConfig(path=str(tmp_path / "two.parquet")))
    report(run.folder.location, spark=spark)


@pytest.mark.parametrize("path", ["defaults", "large"])
def test_a_run_alone_without_labels_has_a_page(spark, inputs, tmp_path, path):
    config = settings(inputs, tmp_path / "run", **data.PATHS[path])
    alone = config.input.model_copy(update={"labels": None, "committee": ()})
    consensus = config.consensus.model_copy(update={"accept": 0})
    cluster(config.model_copy(update={"input": alone, "consensus": consensus}), spark=spark)
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "How the models agree" not in text
    assert '<section id="labels">' not in text
    assert ("Recall of the KNN graphs" in text) == (path == "large")

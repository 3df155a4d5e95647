"""Clusters by a mediator: pairs scored as a plain program would, and a mediator trained on labels does better."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands import cluster as task
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.networks.kernels.mlp import probabilities
from cdp_spark.scoring.mediator_folder import write_mediator
from tests import data
from tests.pairs.kernels.test_features import candidates, plain
from tests.scoring.test_mediator_folder import some_mediator

PATHS = {"defaults": {"k": 5}, "large": {"k": 5, "exact_below": 0, "shard_items": 30, "recall_target": 1.0}}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake")
    ids, labels, models = data.embeddings(people=60)
    data.write(folder, ids, models)
    pq.write_table(pa.table({"id": ids, "label": labels}), folder / "labels.parquet")
    return folder, ids, models


def inputs(folder):
    return {
        "base": f"{folder}/base",
        "committee": [f"{folder}/one", f"{folder}/two"],
        "labels": f"{folder}/labels.parquet",
    }


def run_config(folder, output, mediator, path="defaults", **consensus):
    return load_config(
        {
            "input": inputs(folder),
            "output": str(output),
            "knn": PATHS[path],
            "consensus": {"strategy": "mediator", "mediator": str(mediator), **consensus},
        }
    )


@pytest.mark.engines("defaults")
@pytest.mark.parametrize("path", PATHS)
def test_scores_are_those_of_a_plain_program(spark, tmp_path, lake, path):
    folder, ids, models = lake
    write_mediator(str(tmp_path / "m"), some_mediator(0.5))
    run = task.cluster(run_config(folder, tmp_path / "run", tmp_path / "m", path), spark=spark)
    place = next(stage["path"] for stage in run.record["stages"] if stage["name"] == "scored_pairs")
    rows = pq.read_table(tmp_path / "run" / place, columns=["src", "dst", "score"]).to_pylist()
    found = {(row["src"], row["dst"]): row["score"] for row in rows}
    vectors = [data.unit(rows[np.argsort(ids)]) for rows in models.values()]
    assert set(found) == candidates(vectors, 1, 5)
    mlp = some_mediator(0.5).pairs
    for pair in sorted(found)[::17]:
        wanted = probabilities(mlp, np.float32([plain(vectors, pair, "code", 5)]))[0]
        assert found[pair] == pytest.approx(wanted, abs=1e-6)
    fit = run.record["mediator"]
    assert fit["trained_threshold"] == 0.7
    assert run.record["threshold"] == fit["fitting_threshold"]
    assert (fit["fitting_threshold"] > 0.7) == (fit["positive_share"] < fit["trained_positive_share"])
    assert {"stability", "pair_precision_estimate", "pair_recall_estimate"} <= set(fit)
    asked = task.cluster(run_config(folder, tmp_path / "run", tmp_path / "m", path, threshold=0.6), spark=spark)
    assert asked.record["threshold"] == 0.6


def test_a_mediator_that_does_not_fit_is_refused_before_any_work(spark, tmp_path, lake):
    write_mediator(str(tmp_path / "m"), some_mediator())
    config = load_config(
        {
            "input": {"base": f"{lake[0]}/base", "committee": [f"{lake[0]}/one"]},
            "output": str(tmp_path / "run"),
            "consensus": {"strategy": "mediator", "mediator": str(tmp_path / "m")},
        }
    )
    with pytest.raises(ConfigError, match="was trained for base, one, two"):
        task.cluster(config, spark=spark)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"needs consensus\.mediator"):
        load_config({"input": inputs(lake[0]), "output": "x", "consensus": {"strategy": "mediator"}})


def train_config(folder, output, **mediator):
    mediator = {"feature_set": "code", **mediator}
    given = {"input": inputs(folder), "output": str(output), "knn": PATHS["defaults"], "mediator": mediator}
    return load_config_of(TrainConfig, given)


def test_training_twice_gives_the_same_mediator_which_clusters(spark, tmp_path, lake):
    pytest.importorskip("torch", reason="the extra train is not installed")
    from cdp_spark.training.flow import train

    first = train(train_config(lake[0], tmp_path / "first"), spark=spark)
    second = train(train_config(lake[0], tmp_path / "second"), spark=spark)
    assert first.fingerprint == second.fingerprint
    assert first.card["features"] == first.card["all_features"]
    assert 0 < first.card["threshold"] < 1
    assert first.card["curve"][-1]["loss"] < first.card["curve"][0]["loss"]
    run = task.cluster(run_config(lake[0], tmp_path / "run", tmp_path / "first"), spark=spark)
    parts = {"knn": PATHS["defaults"], "consensus": {"strategy": "vote"}}
    vote = load_config({"input": inputs(lake[0]), "output": str(tmp_path / "vote"), **parts})
    by_vote = task.cluster(vote, spark=spark).record["metrics"]["kept"]["pairwise_f"]
    assert run.record["metrics"]["kept"]["pairwise_f"] > by_vote
    other = task.cluster(run_config(lake[0], tmp_path / "torch", tmp_path / "first", engine="torch"), spark=spark)
    scores = [{tuple(row)[:2]: row["score"] for row in scored_pairs(spark, each).collect()} for each in (run, other)]
    assert scores[0].keys() == scores[1].keys()
    assert max(abs(scores[0][pair] - scores[1][pair]) for pair in scores[0]) < 1e-5


def scored_pairs(spark, run):
    place = next(stage["path"] for stage in run.record["stages"] if stage["name"] == "scored_pairs")
    return spark.read.parquet(f"{run.output}/{place}").select("src", "dst", "score")


@pytest.mark.engines
def test_some_features_can_be_left_out_and_unknown_ones_are_refused(spark, tmp_path, lake):
    pytest.importorskip("torch", reason="the extra train is not installed")
    from cdp_spark.training.flow import train

    mediator = train(train_config(lake[0], tmp_path / "m", features=["affinity"], epochs=2), spark=spark)
    assert mediator.card["features"] == ["affinity.base", "affinity.one", "affinity.two"]
    with pytest.raises(ConfigError, match=r"no feature smell; there are affinity, affinity\.base"):
        train(train_config(lake[0], tmp_path / "other", features=["smell"]), spark=spark)


def test_labels_of_one_identity_are_too_few(spark, tmp_path, lake):
    pytest.importorskip("torch", reason="the extra train is not installed")
    from cdp_spark.training.flow import train

    folder, ids, _ = lake
    pq.write_table(pa.table({"id": ids, "label": np.zeros(len(ids), np.int64)}), tmp_path / "one.parquet")
    config = train_config(folder, tmp_path / "m")
    config = config.model_copy(
        update={
            "input": config.input.model_copy(
                update={"labels": type(config.input.labels)(path=str(tmp_path / "one.parquet"))}
            )
        }
    )
    with pytest.raises(InputError, match="at least two identities"):
        train(config, spark=spark)

"""Runs by a rule without a threshold: the clusters of the plain algorithm, how sure they are, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.agglomeration.kernels.labelled_pieces import clustered, pieces
from cdp_spark.agglomeration.kernels.link_features import link_feature_names
from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands import cluster as task
from cdp_spark.commands.sweep import sweep
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp, log_odds
from cdp_spark.scoring.mediator_folder import load_mediator, write_mediator
from cdp_spark.training.flow import train
from cdp_spark.training.kernels.cluster_examples import trust_in
from tests import data
from tests.scoring.test_flow import inputs, lake
from tests.scoring.test_mediator_folder import some_mediator

__all__ = ["lake"]

PATHS = pytest.mark.parametrize("path", data.PATHS)


def run_config(folder, output, mediator, path="defaults", **clusters):
    settings = {key: dict(values) for key, values in data.PATHS[path].items()}
    consensus = {"strategy": "mediator", "mediator": str(mediator)}
    return load_config(
        {"input": inputs(folder), "output": str(output), "consensus": consensus, "clusters": clusters, **settings}
    )


def stored(run, name):
    place = next(stage["path"] for stage in run.record["stages"] if stage["name"] == name)
    return pq.read_table(f"{run.output}/{place}")


def of_pairs(run, most=10_000):
    """Cluster the run's scored pairs by the kernels: root, and confidence, of every item of a piece."""
    table = stored(run, "scored_pairs")
    src, dst, score = (table.column(name).to_numpy() for name in ("src", "dst", "score"))
    found = pieces(src, dst, log_odds(score), most=most)
    piece_of = dict(zip(found.items.tolist(), found.root.tolist(), strict=True))
    inside = np.array([piece_of.get(a, -1) == piece_of.get(b, -2) for a, b in zip(src, dst, strict=True)])
    return clustered(src[inside], dst[inside], score[inside], Rule())


@pytest.fixture(scope="module")
def mediator(tmp_path_factory):
    """One layer: four times the sum of the three cosines, less seven."""
    folder, some = tmp_path_factory.mktemp("mediator") / "m", some_mediator()
    weights = np.float32([[4.0 if name.startswith("affinity") else 0.0] for name in some.card["features"]])
    net = Mlp(some.pairs.nets[0].mean, some.pairs.nets[0].scale, ((weights, np.float32([-7.0])),))
    write_mediator(str(folder), replace(some, pairs=Ensemble((net,))))
    return folder


@pytest.mark.engines("defaults")
@PATHS
def test_contraction_gives_the_clusters_of_the_kernels(spark, tmp_path, lake, mediator, path):
    folder, ids, _ = lake
    run = task.cluster(run_config(folder, tmp_path / "run", mediator, path, rule="contraction"), spark=spark)
    wanted = of_pairs(run)
    number = {root: place for place, root in enumerate(np.unique(wanted.root).tolist())}
    rows = {row["id"]: row.asDict() for row in run.clusters.collect()}
    order = np.sort(ids)
    assert len(rows) == len(ids)
    for place, item in enumerate(wanted.items.tolist()):
        row = rows.pop(int(order[item]))
        assert row["cluster"] == number[int(wanted.root[place])]
        assert row["size"] == wanted.size[place]
        assert row["confidence"] == pytest.approx(wanted.confidence[place])
        other = int(wanted.best_other[place])
        assert row["best_other"] == (None if other < 0 else number[other])
    assert {(row["cluster"], row["status"], row["confidence"]) for row in rows.values()} <= {(-1, "discarded", None)}
    assert run.record["threshold"] == 0.5
    assert run.record["pieces"]["pieces"] > 1


@pytest.mark.graphframes
def test_both_engines_give_the_same_clusters(graphframes_spark, tmp_path, lake, mediator):
    found = []
    for engine in ("single", "graphframes"):
        config = run_config(lake[0], tmp_path / engine, mediator, "large", rule="contraction", components=engine)
        run = task.cluster(config, spark=graphframes_spark)
        found.append({row["id"]: tuple(row) for row in run.clusters.collect()})
    assert found[0] == found[1]


def test_a_piece_beyond_the_bound_is_cut_and_the_run_says_so(spark, tmp_path, lake, mediator):
    config = run_config(lake[0], tmp_path / "run", mediator, rule="contraction", piece_items=8)
    run = task.cluster(config, spark=spark)
    assert run.record["pieces"]["largest_piece"] <= 8
    assert run.record["pieces"]["cut_pieces"] > 0
    assert any("raise clusters.piece_items" in warning for warning in run.record["warnings"])
    with pytest.raises(ConfigError, match="rule contraction has no threshold"):
        sweep(run.output, [0.5], spark=spark)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"consensus": {"strategy": "vote"}}, "reads probabilities: set consensus.mediator"),
        ({"consensus": {"strategy": "mediator", "mediator": "m", "threshold": 0.7}}, "has no threshold"),
    ],
)
def test_settings_that_do_not_fit_a_rule_are_refused(changes, message):
    settings = {"input": {"base": "a"}, "output": "b", "clusters": {"rule": "learned"}, **changes}
    with pytest.raises(ConfigError, match=message):
        load_config(settings)


def test_vectors_are_for_mediators_of_clusters():
    settings = {
        "input": {"base": "a", "labels": "l"},
        "output": "b",
        "mediator": {"feature_set": "code", "with_embeddings": True},
    }
    with pytest.raises(ConfigError, match=r"set mediator\.feature_set rich"):
        load_config_of(TrainConfig, settings)


def test_a_crowd_is_for_simulated_worlds():
    settings = {
        "input": {"base": "a", "labels": "l"},
        "output": "b",
        "mediator": {"feature_set": "code", "crowd": True},
    }
    with pytest.raises(ConfigError, match=r"mediator\.crowd is for simulated worlds: set mediator\.feature_set rich"):
        load_config_of(TrainConfig, settings)


def test_learned_needs_a_mediator_of_clusters(spark, tmp_path, lake, mediator):
    with pytest.raises(ConfigError, match="has no cluster mediator"):
        task.cluster(run_config(lake[0], tmp_path / "run", mediator, rule="learned"), spark=spark)


@pytest.fixture(scope="module")
def trained(spark, tmp_path_factory, lake):
    pytest.importorskip("torch", reason="torch, of the extra train, is not installed")
    output = tmp_path_factory.mktemp("trained") / "m"
    settings = {
        "input": inputs(lake[0]), "output": str(output), "knn": {"k": 5},
        "mediator": {"feature_set": "rich", "worlds": [0.0, 3.0]},
    }  # fmt: skip
    return train(load_config_of(TrainConfig, settings), spark=spark), output


@pytest.mark.slow
def test_what_is_trained_from_worlds_clusters_well(spark, tmp_path, lake, trained):
    mediator, output = trained
    card = mediator.card
    assert card["worlds"]["items"][0] == len(lake[1]) > card["worlds"]["items"][1]
    assert [net.layers[-1][0].shape[1] for net in mediator.pairs.nets] == [1, 4, 1, 4]
    assert 0.5 < card["held_out"]["learned"]["pairwise_f"] <= 1
    at = {row["threshold"]: row["pairwise_f"] for row in card["threshold_curve"]}
    assert at[card["threshold"]] == card["held_out"]["pruning"]["pairwise_f"] == max(at.values()) > 0.5
    pruned = task.cluster(run_config(lake[0], tmp_path / "pruned", output, rule="code"), spark=spark)
    assert pruned.record["threshold"] == card["threshold"]
    assert pruned.record["metrics"]["kept"]["pairwise_f"] > 0.7
    assert mediator.trust == trust_in(60)
    run = task.cluster(run_config(lake[0], tmp_path / "run", output, rule="learned"), spark=spark)
    assert run.record["metrics"]["kept"]["pairwise_f"] > 0.8
    assert run.record["mediator"]["worlds"]["unexplained"] <= 0.05
    assert sum(run.record["mediator"]["worlds"]["shares"]) == pytest.approx(1, abs=1e-3)
    assert not run.record["warnings"]
    found = load_mediator(str(output), models=card["models"], k=5)
    assert found.fingerprint == mediator.fingerprint
    assert found.cluster_net.digest == mediator.cluster_net.digest
    np.testing.assert_array_equal(found.worlds.ranges[1].whitening, mediator.worlds.ranges[1].whitening)


@pytest.mark.slow
def test_data_of_another_kind_than_the_worlds_are_warned_of(spark, tmp_path, lake, trained):
    ids, models = lake[1:]
    data.write(tmp_path / "lake", ids, {name: rows + 1 for name, rows in models.items()})  # all are more alike
    shutil.copy(lake[0] / "labels.parquet", tmp_path / "lake")
    config = run_config(tmp_path / "lake", tmp_path / "run", trained[1], rule="learned")
    warned = task.cluster(config, spark=spark).record["warnings"]
    assert any("most features are distributed otherwise than in the worlds" in each for each in warned), warned


@pytest.mark.slow
def test_a_mediator_of_clusters_that_reads_vectors_gets_them(spark, tmp_path, lake, trained):
    settings = {
        "input": inputs(lake[0]), "output": str(tmp_path / "m"), "knn": {"k": 5},
        "mediator": {"feature_set": "rich", "worlds": [0.0, 3.0], "with_embeddings": True},
    }  # fmt: skip
    mediator = train(load_config_of(TrainConfig, settings), spark=spark)
    assert mediator.card["with_embeddings"]
    assert mediator.fingerprint == trained[0].fingerprint  # pairs are judged as before
    assert [len(net.mean) for net in mediator.cluster_net.nets] == [len(link_feature_names(3))]
    run = task.cluster(run_config(lake[0], tmp_path / "run", tmp_path / "m", rule="learned"), spark=spark)
    assert run.record["metrics"]["kept"]["pairwise_f"] > 0.8
    card = json.loads((tmp_path / "m/card.json").read_text()) | {"with_embeddings": False}
    (tmp_path / "m/card.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match="truncated or damaged"):
        load_mediator(str(tmp_path / "m"), models=card["models"], k=5)


@pytest.mark.slow
def test_training_again_gives_the_same_networks(spark, tmp_path, lake, trained):
    again = {
        "input": inputs(lake[0]), "output": str(tmp_path / "m"), "knn": {"k": 5},
        "mediator": {"feature_set": "rich", "worlds": [0.0, 3.0]},
    }  # fmt: skip
    found = train(load_config_of(TrainConfig, again), spark=spark)
    assert found.fingerprint == trained[0].fingerprint
    assert found.cluster_net.digest == trained[0].cluster_net.digest


def crowd_config(lake, output, labels):
    mediator = {"feature_set": "rich", "worlds": [0.0, 3.0], "crowd": True}
    settings = {"input": inputs(lake[0]) | {"labels": str(labels)}, "output": str(output), "knn": {"k": 5}}
    return load_config_of(TrainConfig, settings | {"mediator": mediator})


@pytest.mark.slow
def test_items_without_a_label_are_the_crowd_of_all_worlds(spark, tmp_path, lake):
    pytest.importorskip("torch", reason="torch, of the extra train, is not installed")
    labels = pq.read_table(f"{lake[0]}/labels.parquet")
    few = labels.filter(pc.less(labels["label"], 30))
    pq.write_table(few, tmp_path / "few.parquet")
    mediator = train(crowd_config(lake, tmp_path / "m", tmp_path / "few.parquet"), spark=spark)
    crowd = len(labels) - len(few)
    as_it_is, thinned = mediator.card["worlds"]["items"]
    assert as_it_is == len(labels)
    assert crowd + 30 <= thinned < len(labels)
    (place,) = (tmp_path / "m/stages").glob("world_pairs-*/")
    pairs = pq.read_table(place)
    labelled = set(np.flatnonzero(np.isin(np.sort(lake[1]), few["id"].to_numpy())).tolist())
    known = np.array([[item in labelled for item in pairs[end].to_pylist()] for end in ("src", "dst")])
    assert known.any(axis=0).all()
    assert known.all(axis=0).any()
    for end, has_label in zip(("src", "dst"), known, strict=True):
        np.testing.assert_array_equal(pairs[f"{end}_crowd"].to_numpy(), ~has_label)
    assert not pairs["same"].to_numpy()[~known.all(axis=0)].any()
    (place,) = (tmp_path / "m/stages").glob("honest_pairs-*/")
    assert pc.sum(pc.and_(*(pq.read_table(place)[f"{end}_crowd"] for end in ("src", "dst")))).as_py() > 0
    assert mediator.trust == trust_in(30)
    run = task.cluster(run_config(lake[0], tmp_path / "run", tmp_path / "m", rule="learned"), spark=spark)
    assert run.record["metrics"]["kept"]["pairwise_f"] > 0.8


def test_a_crowd_that_is_not_there_is_refused(spark, tmp_path, lake):
    pytest.importorskip("torch", reason="torch, of the extra train, is not installed")
    with pytest.raises(InputError, match=r"mediator\.crowd: every item has a label: add the images"):
        train(crowd_config(lake, tmp_path / "m", f"{lake[0]}/labels.parquet"), spark=spark)

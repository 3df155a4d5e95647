"""The shift of a trained mediator: members of pairs, items alike, and a choice that follows the log odds."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.base import schemas
from cdp_spark.base.errors import ConfigError
from cdp_spark.clusters.kernels.alike import items_alike
from cdp_spark.config.loading import load_config
from cdp_spark.config.sections import KnnConfig
from cdp_spark.config.whole import RunConfig
from cdp_spark.knn.flow import knn_graph
from cdp_spark.networks.kernels.mlp import log_odds
from cdp_spark.scoring.flow import Decision, Scored
from cdp_spark.unlabelled.alike_by_shift import alike_by_shift, member_pairs
from cdp_spark.unlabelled.kernels.mediator import clusters_of
from cdp_spark.unlabelled.kernels.splits import model_splits
from cdp_spark.unlabelled.sample_flow import Sizes
from cdp_spark.unlabelled.trained_shift import SHIFTS, alike, at_agreed_shift
from tests.unlabelled.sets import simulated, taken

K = 8


@dataclasses.dataclass(frozen=True)
class ByOdds:
    """A cluster mediator that adds up log odds."""

    embeddings = None
    fingerprint = "by odds"

    def rule(self, k):
        return Rule(k=k)


@pytest.fixture(scope="module")
def graphs(spark, tmp_path_factory):
    store, config, intake = taken(spark, tmp_path_factory.mktemp("set"), simulated(160, 4))
    return store, config, {name: knn_graph(store, each, KnnConfig(k=K)) for name, each in intake.vectors.items()}


def scored(spark, graphs, offset=0.0):
    """Pairs of the base, scored by their similarity; the log odds are off by a number."""
    store, _, every = graphs
    base = next(iter(every.values())).table.toArrow()
    item = np.repeat(base["item"].to_numpy(), np.diff(base["neighbors"].combine_chunks().offsets.to_numpy()))
    other = base["neighbors"].combine_chunks().flatten().to_numpy()
    similarity = base["similarities"].combine_chunks().flatten().to_numpy()
    z = 12 * (similarity - np.median(similarity)) + offset
    low, high = np.minimum(item, other), np.maximum(item, other)
    _, first = np.unique(low * 1000 + high, return_index=True)
    table = pa.table({"src": low[first], "dst": high[first], "score": (1 / (1 + np.exp(-z)))[first].astype("f4")})
    pairs = store.stage(
        f"made/{offset:g}", f"{offset:g}", lambda: spark.createDataFrame(table.to_pandas(), schemas.SCORED_PAIRS),
        schema=schemas.SCORED_PAIRS,
    )  # fmt: skip
    return Scored(pairs, Decision(0.5, ByOdds()), every, "mediator", {"fit": 1})


def learned(config, shift="auto") -> RunConfig:
    return config.model_copy(
        update={"consensus": config.consensus.model_copy(update={"shift": shift}), "knn": KnnConfig(k=K)}
    )


def listed_by(graph):
    table = graph.table.toArrow().to_pylist()
    return {tuple(sorted((row["item"], other))) for row in table for other in row["neighbors"]}


@pytest.mark.engines
def test_pairs_have_the_members_that_list_them_and_halves_are_compared_at_every_shift(spark, graphs):
    given = scored(spark, graphs)
    _, *members = graphs[2].values()
    made = member_pairs(given.pairs.table.repartition(7), [each.table for each in members], None).toArrow().to_pylist()
    lists = [listed_by(each) for each in members]
    wanted = {}
    for row in given.pairs.table.toArrow().to_pylist():
        pair = (row["src"], row["dst"])
        if bits := sum(1 << number for number, pairs in enumerate(lists) if pair in pairs):
            wanted[pair] = (row["score"], bits)
    assert {(row["src"], row["dst"]): (row["score"], row["members"]) for row in made} == wanted

    splits = model_splits(len(members))
    ends = np.array(sorted(wanted))
    score, bits = (np.array([wanted[tuple(pair)][at] for pair in ends.tolist()]) for at in (0, 1))
    table = spark.createDataFrame(
        [(src, dst, float(s), int(b)) for (src, dst), s, b in zip(ends.tolist(), score, bits, strict=True)],
        "src long, dst long, score float, members long",
    )
    seen = alike_by_shift(table.repartition(3), splits, Rule(k=K), (-1.0, 0.0, 2.0), item_count=160)
    for shift, found in seen.items():

        def root(half, shift=shift):
            kept = bits & sum(1 << member for member in half) != 0
            z = log_odds(score.astype("f4")) + np.float32(shift)
            return clusters_of(ends[kept, 0], ends[kept, 1], z[kept], Rule(k=K), 160)

        assert found == np.mean([items_alike(root(one), root(other)) for one, other in splits])
    assert len(seen) == 3
    assert max(seen.values()) > 10


def test_the_shift_follows_the_log_odds(spark, graphs):
    store, config, _ = graphs
    plain, moved = (at_agreed_shift(store, scored(spark, graphs, by), learned(config)) for by in (0.0, 2.0))
    assert plain.facts["fit"] == 1
    assert moved.facts["shift"] == plain.facts["shift"] - 2
    ends = [each.pairs.table.toPandas().sort_values(["src", "dst"])["score"].to_numpy() for each in (plain, moved)]
    np.testing.assert_allclose(*map(log_odds, ends), atol=1e-3)


def test_a_given_shift_is_taken_and_zero_leaves_the_scores(spark, graphs):
    store, config, _ = graphs
    given = scored(spark, graphs)
    assert at_agreed_shift(store, given, learned(config, 0.0)).pairs is given.pairs
    by_hand = at_agreed_shift(store, given, learned(config, 1.5))
    assert (by_hand.facts["shift"], by_hand.facts["alike"]) == (1.5, {})
    one, other = (each.pairs.table.toPandas().sort_values(["src", "dst"])["score"] for each in (given, by_hand))
    np.testing.assert_allclose(log_odds(other.to_numpy()) - log_odds(one.to_numpy()), 1.5, atol=1e-3)


def test_one_member_and_other_scores_stay(spark, graphs):
    store, config, every = graphs
    given = scored(spark, graphs)
    two = dataclasses.replace(given, graphs=dict(list(every.items())[:2]))
    alone = at_agreed_shift(store, two, learned(config))
    assert alone.pairs is given.pairs
    assert "halves need two" in alone.facts["why_not"]
    voted = dataclasses.replace(given, section="")
    assert at_agreed_shift(store, voted, learned(config)) is voted
    cut = dataclasses.replace(given, decision=Decision(0.7))
    assert at_agreed_shift(store, cut, learned(config)) is cut


def test_a_large_set_is_compared_on_a_sample_of_whole_pieces(spark, graphs):
    store, config, _ = graphs
    sizes = Sizes(compared=80, sampled=80, piece=20)
    found = at_agreed_shift(store, scored(spark, graphs), learned(config), sizes)
    assert 20 < found.facts["compared_items"] < 160
    assert found.facts["shift"] in SHIFTS


def test_no_pair_at_all_is_no_shift():
    assert set(alike(lambda shifts: {}).values()) == {0.0}


@pytest.mark.parametrize("consensus", [{}, {"threshold": 0.5}, {"mediator": "somewhere", "threshold": 0.5}])
@pytest.mark.parametrize("rule", ["auto", "contraction"])
def test_a_shift_is_for_a_trained_mediator_and_the_learned_rule(consensus, rule):
    given = {"input": {"base": "a.parquet"}, "output": "run", "clusters": {"rule": rule}}
    with pytest.raises(
        ConfigError, match=r"consensus\.shift is for a trained mediator|reads probabilities|no threshold"
    ):
        load_config({**given, "consensus": {**consensus, "shift": 1.0}})


def test_a_shift_far_off_is_refused():
    with pytest.raises(ConfigError, match=r"consensus\.shift: must be a number from -20 to 20, or 'auto'"):
        load_config({"input": {"base": "a"}, "output": "run", "consensus": {"mediator": "m", "shift": 30}})

"""Each table equals the reference's arrays, from scattered rows and in any blocks."""

from dataclasses import replace

import numpy as np
import pytest

from cdp_spark.base.numeric.unit_vectors import unit_rows
from cdp_spark.unlabelled import agreements, background, distinct, first_look, joint, looks_flow, self_training
from cdp_spark.unlabelled.coordinates import vectors_at_coordinates
from cdp_spark.unlabelled.flow import mediator_without_labels
from cdp_spark.unlabelled.kernels.agreement import Contingency
from cdp_spark.unlabelled.kernels.mediator import clusters_of, seen_around
from cdp_spark.unlabelled.kernels.set_features import DENSITIES, STANDING
from cdp_spark.unlabelled.kernels.sets import Model, SetPairs
from cdp_spark.unlabelled.kernels.shift import SHIFTS, likeness_of
from cdp_spark.unlabelled.looks_flow import Wanted
from cdp_spark.unlabelled.unlabelled_tables import COMPARED
from tests.unlabelled.sets import simulated, taken

SUBSETS = ((0, 1, 2), (0,), (1, 2))
COUNT = 180


@pytest.fixture(scope="module")
def vectors():
    return simulated(COUNT)


@pytest.fixture(scope="module")
def models(vectors):
    return [Model.of(each) for each in vectors]


@pytest.fixture(scope="module")
def searched(spark, vectors, tmp_path_factory):
    """Lists, backgrounds and joint view in four blocks."""
    store, config, intake = taken(spark, tmp_path_factory.mktemp("stages"), vectors)
    least, looks_flow._LEAST_BLOCK = looks_flow._LEAST_BLOCK, 50
    try:
        found = looks_flow.searched(store, list(intake.vectors.values()), config.knn)
        return store, looks_flow.joint_view(store, found, SUBSETS)
    finally:
        looks_flow._LEAST_BLOCK = least


def vector_table(spark, rows, items=None):
    items = range(len(rows)) if items is None else items
    table = [(int(item), row.tobytes()) for item, row in zip(items, rows, strict=True)]
    return spark.createDataFrame(table, "item long, vector binary").repartition(7)


def test_backgrounds_are_those_of_the_kernel(searched, models):
    _, view = searched
    for model, stored in zip(models, view.models.backgrounds, strict=True):
        rows = stored.table.toPandas().sort_values("item")["background"]
        found = np.frombuffer(b"".join(map(bytes, rows)), np.float64).reshape(-1, 2)
        assert np.array_equal(found, model.background)


def test_a_thousand_items_are_drawn_by_hash(spark):
    rows = unit_rows(np.random.default_rng(0).normal(size=(1500, 4)))[0]
    items = np.random.default_rng(1).permutation(9_000)[:1500]
    found = background.drawn_vectors(vector_table(spark, rows, items), 4, item_count=1500)
    order = np.argsort(items)
    kept = np.isin(items[order], background.kernel.drawn_items(items))
    assert np.array_equal(found, rows[order][kept])
    assert len(found) == 1000


def test_blocks_were_several(searched):
    assert searched[1].blocks.count == 4


@pytest.mark.parametrize("subset", range(len(SUBSETS)))
def test_both_looks_give_the_log_odds_of_the_reference(searched, models, subset):
    store, view = searched
    mediator = mediator_without_labels()
    wanted = SetPairs.of([models[number] for number in SUBSETS[subset]])
    rows = looks_flow.log_odds(store, view, Wanted(f"test{subset}", (subset,)), mediator).table.toPandas()
    rows = rows.sort_values(["src", "dst"])
    assert np.array_equal(rows["src"], wanted.src)
    assert np.array_equal(rows["dst"], wanted.dst)
    first = mediator.mediator.first_look(wanted.numbers.features)
    seen = seen_around(wanted.src, wanted.dst, first)
    np.testing.assert_allclose(rows["z"], mediator.mediator.second_look(wanted.numbers.features, seen), atol=1e-6)
    own = np.frombuffer(b"".join(map(bytes, rows["own"])), np.float16)
    assert np.array_equal(own, wanted.numbers.own.ravel() if subset == 0 else own[:0])


def test_a_sample_changes_no_pair_inside_it(searched):
    store, view = searched
    sample = store.spark.createDataFrame([(item,) for item in range(0, COUNT, 2)], "item long").repartition(3)
    stored = replace(view.joint, table=sample, fingerprint="sample")
    known = mediator_without_labels()
    every = looks_flow.log_odds(store, view, Wanted("every", (1, 2)), known).table.drop("own").toPandas()
    inside = looks_flow.log_odds(store, view, Wanted("inside", (1, 2), stored), known).table.drop("own").toPandas()
    wanted = every[(every["src"] % 2 == 0) & (every["dst"] % 2 == 0)]
    names = ["subset", "src", "dst"]
    assert wanted.sort_values(names).to_numpy().tolist() == inside.sort_values(names).to_numpy().tolist()


def test_a_sample_reaches_both_ends_of_its_pairs(spark):
    rows = [(0, 1, [2, 3]), (0, 2, [9]), (0, 3, [4]), (1, 4, [1]), (0, 5, [9])]
    joint = spark.createDataFrame(
        [(number, item, others, [1.0] * len(others)) for number, item, others in rows],
        "number int, item long, neighbors array<long>, similarities array<float>",
    )
    found = first_look.reached(joint.repartition(3), np.array([1, 8]))
    assert sorted(row["item"] for row in found.collect()) == [1, 2, 3, 4]


def test_items_are_counted_in_the_bins_of_the_kernel(searched, models):
    _, view = searched
    near = view.near.table.toPandas().set_index("item")["near"]
    for number, model in enumerate(models):
        assert [near[item][number] for item in range(COUNT)] == model.near.tolist()
    lower, standing = joint.bin_counts(view.joint.table.repartition(5), len(SUBSETS))[0]
    assert (len(lower), len(standing)) == (DENSITIES.count, STANDING.count)
    assert lower.sum() == standing.sum() == COUNT
    assert np.array_equal(lower, view.bin_counts[0][0])


def test_duplicates_name_the_smallest_item_that_is_the_same_in_every_model(spark):
    one = np.float16([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]])
    other = np.float16([[1, 0], [0, 1], [1, 0], [0, 1], [0, 1]])
    found = distinct.duplicates([vector_table(spark, one), vector_table(spark, other)])
    assert sorted(map(tuple, found.collect())) == [(2, 0), (4, 1)]
    assert distinct.content(vector_table(spark, one)) == distinct.content(vector_table(spark, one.copy()))
    assert distinct.content(vector_table(spark, one)) != distinct.content(vector_table(spark, other))


def test_duplicates_get_the_label_of_the_item_they_repeat(spark):
    schema = "item long, root long, status string, size long, best_score float, level double"
    rows = [(0, 0, "clustered", 2, 0.9, 0.5), (1, 0, "clustered", 2, 0.9, 0.5), (2, 2, "singleton", 1, 0.2, 0.5)]
    repeated = spark.createDataFrame([(7, 1), (8, 2), (9, 5)], "item long, same_as long").repartition(3)
    found = distinct.with_duplicates(spark.createDataFrame(rows, schema).repartition(3), repeated)
    assert found.columns == ["item", "root", "status", "size", "best_score", "level"]
    by_item = {row["item"]: (row["root"], row["status"], row["size"]) for row in found.collect()}
    assert by_item == {
        0: (0, "clustered", 3), 1: (0, "clustered", 3), 7: (0, "clustered", 3), 2: (2, "clustered", 2),
        8: (2, "clustered", 2), 5: (5, "clustered", 2), 9: (5, "clustered", 2),
    }  # fmt: skip


def test_pairs_and_lists_of_items_that_repeat_another(spark):
    scored = spark.createDataFrame([(0, 1, 0.5), (1, 2, 0.25)], "src long, dst long, score float").repartition(3)
    repeated = spark.createDataFrame([(7, 1), (8, 1), (9, 5)], "item long, same_as long").repartition(3)
    rows = sorted(tuple(row) for row in distinct.pairs_with_duplicates(scored, repeated).collect())
    assert rows == [
        (0, 1, 0.5), (0, 7, 0.5), (0, 8, 0.5), (1, 2, 0.25), (1, 7, 1.0), (1, 8, 1.0), (2, 7, 0.25), (2, 8, 0.25),
        (5, 9, 1.0),
    ]  # fmt: skip
    schema = "item long, neighbors array<long>, similarities array<float>"
    knn = spark.createDataFrame([(1, [0, 2], [0.5, 0.25])], schema)
    found = {row["item"]: row["neighbors"] for row in distinct.lists_with_duplicates(knn, repeated).collect()}
    assert found == {1: [0, 2], 7: [1], 8: [1], 9: [5]}


def test_moved_scores_have_moved_log_odds(spark):
    scored = spark.createDataFrame([(0, 1, 0.5), (1, 2, 1.0)], "src long, dst long, score float").repartition(3)
    rows = {row["src"]: row["score"] for row in self_training.moved_scores(scored, -1.0).collect()}
    assert rows[0] == pytest.approx(1 / (1 + np.e))
    assert rows[1] == pytest.approx(1.0, abs=1e-5)


def test_chosen_coordinates_are_unit_vectors(spark, vectors):
    halves = unit_rows(vectors[0])[0]
    coordinates = np.array([0, 3, 4])
    table = (
        vectors_at_coordinates(vector_table(spark, halves), halves.shape[1], coordinates).toPandas().sort_values("item")
    )
    found = np.frombuffer(b"".join(map(bytes, table["vector"])), np.float16).reshape(COUNT, 3)
    assert np.array_equal(found, unit_rows(halves[:, coordinates])[0])


@pytest.mark.engines
def test_agreements_are_those_of_clusterings_made_here(spark):
    rng = np.random.default_rng(0)
    mediator, pairs = mediator_without_labels().mediator, {}
    for subset in range(3):
        src, dst = np.unique(np.sort(rng.integers(0, 60, (200, 2)), axis=1), axis=0).T
        kept = src < dst
        z = rng.normal(0, 4, int(kept.sum())).astype(np.float32)
        pairs[subset] = src[kept], dst[kept], z
    rows = [(subset, int(s), int(d), float(z)) for subset, each in pairs.items() for s, d, z in zip(*each, strict=True)]
    table = spark.createDataFrame(rows, COMPARED).repartition(7)
    indices = [4, 16]
    found = agreements.agreements(table, [(1, 2)], mediator, indices, item_count=64)
    like = agreements.likeness(table, [(1, 2)], mediator, (indices[0], indices), item_count=64)

    def roots(index):
        return [clusters_of(s, d, z + np.float32(SHIFTS[index]), mediator.rule, 64) for s, d, z in pairs.values()]

    for index in indices:
        whole, one, other = roots(index)
        assert found[index][0].halves == pytest.approx(Contingency.of(one, other).adjusted_rand)
        assert like[index] == pytest.approx([likeness_of(*roots(indices[0])[1:], whole)])
    shares = agreements.strengths(table, [(1, 2)])[0]
    whole, one = ({(s, d) for s, d, _ in zip(*pairs[subset], strict=True)} for subset in (0, 1))
    assert shares[0] == pytest.approx(len(whole & one) / len(whole))


def test_few_pairs_of_a_kind_teach_nothing(spark):
    rows = [(0, i, i + 1, 1.0, np.zeros(24, np.float16).tobytes()) for i in range(50)]
    odds = spark.createDataFrame(rows, "subset int, src long, dst long, z float, own binary").repartition(4)
    labelled = spark.createDataFrame([(0, 0, 2), (1, 0, 2)], "item long, root long, size long")
    clustered = self_training.with_clusters(odds, labelled, item_count=2)
    taught = self_training.taught_pairs(clustered, pair_count=50)
    assert taught.count() == 50
    assert [row["src"] for row in taught.where("same").collect()] == [0]
    assert self_training.networks(taught).collect() == []
    scored = self_training.first_scores(odds, -1.0)
    assert {row["score"] for row in scored.collect()} == {0.5}
    assert self_training.predicted_quality(scored, labelled, item_count=2) == {"precision": 0.5, "recall": 1 / 50}

"""How stages grow: what is bounded stays, what each item brings is proportional, what each model brings is added."""

from dataclasses import replace

import pytest

from cdp_spark.knn.kernels.cells import COPIES
from cdp_spark.plan.laws import LAWS, Size, block_bytes, views

SAMPLED = ("looks at halves", "agreement")
PROPORTIONAL = ("joint view", "first look", "second look", "scored_pairs, without labels", "repeated items", "sample")


def size(items=10**6, models=2, dimension=256.0):
    return Size(items, dimension, 40, models)


@pytest.mark.parametrize("kind", SAMPLED)
def test_halves_are_compared_on_a_sample(kind):
    work = LAWS[kind].work
    assert work(size(20_000)) == 2 * work(size(10_000))
    assert work(size(10**9)) == work(size(20_000))


def test_networks_learn_from_a_bounded_number_of_pairs():
    work = LAWS["taught"].work
    assert work(size(20_000)) == 2 * work(size(10_000))
    assert work(size(10**9)) == work(size(10**6))


@pytest.mark.parametrize("kind", PROPORTIONAL)
def test_pairs_are_proportional_to_items(kind):
    assert LAWS[kind].work(size(10**7)) == pytest.approx(10 * LAWS[kind].work(size(10**6)))


@pytest.mark.parametrize("kind", [*SAMPLED, *PROPORTIONAL, "taught"])
def test_more_models_never_cost_less(kind):
    work = LAWS[kind].work
    assert work(size(models=3)) >= work(size(models=2))
    assert work(size(models=5)) >= work(size(models=3))


def test_neighbours_of_the_nearest_are_compared_and_no_others():
    work = LAWS["lists"].work
    expanded = [work(replace(size(), k=k)) - work(replace(size(), k=0)) for k in (8, 16, 32)]
    assert expanded[1] == pytest.approx(4 * expanded[0])
    assert expanded[2] == pytest.approx(2 * expanded[1])


def test_several_shards_hold_copies_of_vectors_near_their_borders():
    one, several = size(), replace(size(), shard_rows=10**5)
    for kind in ("shards", "lists"):
        assert LAWS[kind].written(several) == pytest.approx(COPIES * LAWS[kind].written(one))


def test_subsets_are_the_whole_and_the_distinct_halves():
    assert views(size(models=2)) == ((2, 256, 3, 2),)
    assert views(size(models=3)) == ((3, 256, 7, 6),)
    assert views(size(models=1)) == ((1, 256, 1, 0), (4, 128, 4, 4))


def test_halves_of_coordinates_come_on_top_of_halves_of_models():
    doubtful = replace(size(models=3), coordinates=True)
    assert views(doubtful) == ((3, 256, 7, 6), (6, 128, 2, 2))
    for kind in ("joint view", *SAMPLED):
        assert LAWS[kind].work(doubtful) > LAWS[kind].work(size(models=3))


def test_a_block_is_bounded():
    assert block_bytes(size(10**4)) < block_bytes(size(10**6)) < block_bytes(size(10**8)) == block_bytes(size(10**9))

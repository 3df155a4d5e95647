"""A seed gives one simulated set, and many seeds give sets of all kinds."""

import numpy as np
import pytest

from cdp_spark.training.kernels.set_sizes import LAWS, identity_sizes
from cdp_spark.training.kernels.simulation import simulated_set


def test_a_seed_gives_one_set():
    one, again, other = (simulated_set(seed, items=400) for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(one.models, again.models, strict=True))
    assert np.array_equal(one.identity, again.identity)
    assert len(one.identity) != len(other.identity) or not np.array_equal(one.identity, other.identity)


def test_the_sets_of_the_shipped_mediator_stay_the_same():
    drawn = simulated_set(40)
    assert (len(drawn.identity), int(drawn.identity.max()) + 1, drawn.law) == GOLDEN[:3]
    assert [model.shape[1] for model in drawn.models] == [GOLDEN[3]] * len(drawn.models)
    np.testing.assert_allclose([model[0, 0] for model in drawn.models], GOLDEN[4], atol=1e-5)


GOLDEN = (4835, 120, "const", 31, [0.078408, 0.538467, 0.554975])


def test_vectors_are_unit_rows_and_identities_are_numbered_densely():
    drawn = simulated_set(3, items=500)
    for model in drawn.models:
        assert model.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(model, axis=1), 1, atol=1e-5)
    assert np.array_equal(np.unique(drawn.identity), np.arange(drawn.identity.max() + 1))


def test_all_laws_and_numbers_of_models_occur():
    drawn = [simulated_set(seed, items=60) for seed in range(60)]
    assert {each.law for each in drawn} == set(LAWS)
    assert {len(each.models) for each in drawn} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("seed", range(20))
def test_sizes_add_up_to_the_wanted_number(seed):
    sizes, law = identity_sizes(np.random.default_rng(seed), 2_000)
    assert law in LAWS
    assert sizes.min() >= 1
    # The last identity may go beyond, by at most the largest share that one may have.
    assert 1_000 <= sizes.sum() <= 2_000 + sizes.max()


def test_near_images_of_one_identity_are_nearer_than_others():
    drawn = simulated_set(40, items=300)
    same = drawn.identity[:, None] == drawn.identity
    np.fill_diagonal(same, False)
    for model in drawn.models:
        cosines = model @ model.T
        assert cosines[same].mean() > cosines[~same & ~np.eye(len(same), dtype=bool)].mean()

"""Arrays in, labels out: those of the main job, in the order of the rows."""

import numpy as np
import pytest

import cdp_spark
from cdp_spark.base.errors import InputError
from tests import data


@pytest.mark.engines
def test_labels_are_in_the_order_of_the_rows(spark, tmp_path):
    _, labels, models = data.embeddings(20)
    order = np.random.default_rng(1).permutation(len(labels))
    settings = {"k": 5, "accept": 1, "threshold": 0.45, "spark": spark}
    found = cdp_spark.cluster_arrays(models["base"], [models["one"], models["two"]], **settings)
    shuffled = cdp_spark.cluster_arrays(
        models["base"][order], {"one": models["one"][order], "two": models["two"][order]},
        output=str(tmp_path / "run"), **settings,
    )  # fmt: skip
    assert found.shape == labels.shape
    same = found[:, None] == found
    assert np.array_equal((shuffled[:, None] == shuffled), same[np.ix_(order, order)])
    assert (same & (labels[:, None] == labels)).sum() > 0.8 * same.sum()
    assert (tmp_path / "run" / "clusters").is_dir()


def test_refusals(spark):
    with pytest.raises(InputError, match=r"base is float64 of shape \(3,\)"):
        cdp_spark.cluster_arrays([1.0, 2.0, 3.0], spark=spark)
    with pytest.raises(InputError, match="differ in rows"):
        cdp_spark.cluster_arrays(np.eye(3), [np.eye(4)], spark=spark)

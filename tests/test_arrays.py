"""Arrays in, labels out: those of the main job, in the order of the rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import cdp_spark
from cdp_spark import arrays
from cdp_spark.base.errors import ConfigError, InputError
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


def test_a_row_that_is_set_aside_has_no_cluster_and_the_others_keep_their_places(spark):
    _, _, models = data.embeddings(12)
    settings = {"k": 5, "accept": 1, "threshold": 0.45, "spark": spark}
    whole = cdp_spark.cluster_arrays(models["base"], [models["one"]], **settings)
    rows = {name: np.insert(models[name], [0, 7], models[name][:1], axis=0) for name in ("base", "one")}
    rows["base"][0], rows["one"][8] = 0, np.nan
    found = cdp_spark.cluster_arrays(rows["base"], [rows["one"]], input={"max_bad_fraction": 0.1}, **settings)
    assert found.tolist() == np.insert(whole, [0, 7], -1).tolist()


@pytest.mark.parametrize("factor", [1e39, 1e-50, 1e-310])
def test_rows_of_any_length_are_taken_for_their_direction(factor):
    rows = np.random.default_rng(0).standard_normal((5, 3))
    found = arrays._checked("base", rows * factor)
    cosines = (found * rows).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(rows, axis=1)
    assert np.abs(found).max() <= 1
    assert cosines == pytest.approx(1)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g", "i1", "u8"])
def test_numbers_of_every_kind_keep_their_ratios(kind):
    rows = np.array([[1, 2, 100], [0, 0, 0]], kind)
    found = arrays._checked("base", rows)
    assert found.dtype == (np.float32 if kind in ("f2", "f4") else np.float64)
    assert (found[0] / found[0, 0]).tolist() == [1, 2, 100]
    assert found[1].tolist() == [0, 0, 0]


def test_masked_numbers_are_missing():
    found = arrays._checked("base", np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[False, True], [False, False]]))
    assert np.isnan(found[0]).tolist() == [False, True]


def test_refusals():
    eye = np.eye(3)
    for said, given in {
        r"base is float64 of shape \(3,\)": ([1.0, 2.0, 3.0],),
        "base is not an array of shape": ([[1.0, 2.0], [1.0]],),
        r"base is complex64 of shape \(3, 3\): it must be real numbers": (eye.astype("c8"),),
        "base is bool of shape": (eye > 0,),
        "base is object of shape": ([[None, 1.0]],),
        "differ in rows": (eye, [np.eye(4)]),
        "committee is one array": (eye, eye),
        "committee: 'a/b' cannot name a model": (eye, {"a/b": eye}),
        "committee: '' cannot name a model": (eye, {"": eye}),
        "committee: 7 cannot name a model": (eye, {7: eye}),
        r"committee: 'a\\nb' cannot name a model": (eye, {"a\nb": eye}),
        "a member is named base": (eye, {"base": eye}),
        "committee is one array: put": (eye, pd.DataFrame(eye)),
        "base and member0 have different indexes.* align them": (
            pd.DataFrame(eye),
            [pd.DataFrame(eye[::-1], [2, 1, 0])],
        ),
        r"base is timedelta64\[s\] of shape": (eye.astype("m8[s]"),),
        "base is object of shape .*: give numpy.stack": (pd.Series(list(eye)),),
        r"base is float64 of shape \(3, 1, 3\): .*: give rows.reshape": (eye[:, None],),
        "base is object of shape .*: give rows.toarray": (csr_array(eye),),
    }.items():
        with pytest.raises(InputError, match=said) as refused:
            cdp_spark.cluster_arrays(*given)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("given", ["v3.parquet", {"base": "v3.parquet"}, {"committee": []}])
def test_other_models_beside_the_arrays_are_refused(given):
    with pytest.raises(ConfigError, match="input: the arrays are the models"):
        cdp_spark.cluster_arrays(np.eye(3), None, input=given)


def test_tables_that_are_not_sparks_are_refused_with_what_to_give():
    frame = pd.DataFrame({"id": [0], "embedding": [[1.0]]})
    for given, kind in (((frame,), "base is a pandas.DataFrame"), (({},), "base is a dict")):
        with pytest.raises(
            InputError, match=rf"{kind}, but must be a DataFrame of Spark .*: give spark\.createDataFrame"
        ):
            cdp_spark.cluster(*given, output="run")
    with pytest.raises(InputError, match=r"clusters is a pandas\.DataFrame, but must be a DataFrame of Spark"):
        cdp_spark.evaluate(frame, frame)


def test_a_committee_of_tables_has_names(spark):
    table = spark.createDataFrame([(0, [1.0])], "id long, embedding array<float>")
    with pytest.raises(InputError, match=r"committee is a list, but must be .*a mapping of names"):
        cdp_spark.cluster(table, [table], output="run")

import numpy as np
import pytest
from sklearn import metrics

from cdp_spark.kernels.metrics import Sums, scores


def sums(true, predicted) -> Sums:
    true, predicted = np.asarray(true), np.asarray(predicted)
    cells, n = np.unique(np.stack([true, predicted]), axis=1, return_counts=True)
    a, b = (dict(zip(*np.unique(labels, return_counts=True), strict=True)) for labels in (true, predicted))
    row = np.array([a[i] for i in cells[0]])
    column = np.array([b[j] for j in cells[1]])
    return Sums(
        len(true), int((n**2).sum()), float((n * np.log(n)).sum()), float((n**2 / column).sum()),
        float((n**2 / row).sum()),
        *(np.unique(np.array(list(sizes.values())), return_counts=True) for sizes in (b, a)),
    )  # fmt: skip


def test_the_golden_vector_gives_its_figures():
    found = scores(sums([0, 0, 1, 1, 2, 3, 4, 5, 5, 5, 5], [0, 0, 1, 1, 2, 2, 3, 4, 5, 5, 6]))
    wanted = {
        "pairwise_precision": 0.75, "pairwise_recall": 0.375, "pairwise_f": 0.5,
        "bcubed_precision": 0.909091, "bcubed_recall": 0.772727, "bcubed_f": 0.835381, "nmi": 0.857417,
    }  # fmt: skip
    assert {name: round(found[name], 6) for name in wanted} == wanted


@pytest.mark.parametrize("seed", range(60))
def test_figures_agree_with_scikit_learn(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 120))
    true = random.integers(0, random.integers(1, count + 1), count)
    predicted = random.integers(0, random.integers(1, count + 1), count)
    found = scores(sums(true, predicted))
    assert found["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(true, predicted), abs=1e-9)
    assert found["ami"] == pytest.approx(metrics.adjusted_mutual_info_score(true, predicted), abs=1e-7)
    assert found["v_measure"] == pytest.approx(metrics.v_measure_score(true, predicted), abs=1e-9)
    assert found["ari"] == pytest.approx(metrics.adjusted_rand_score(true, predicted), abs=1e-9)


def test_precision_of_singletons_alone_is_undefined_not_an_error():
    found = scores(sums([0, 0, 1], [0, 1, 2]))
    assert found["pairwise_precision"] is None
    assert found["pairwise_f"] is None

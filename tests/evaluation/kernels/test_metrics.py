import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from cdp_spark.evaluation.kernels.metrics import Groups, Sums, f_scores, scores, sums_of, sums_of_groups


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
    figures = scores(sums([0, 0, 1, 1, 2, 3, 4, 5, 5, 5, 5], [0, 0, 1, 1, 2, 2, 3, 4, 5, 5, 6]))
    wanted = {
        "pairwise_precision": 0.75, "pairwise_recall": 0.375, "pairwise_f": 0.5,
        "bcubed_precision": 0.909091, "bcubed_recall": 0.772727, "bcubed_f": 0.835381, "nmi": 0.857417,
    }  # fmt: skip
    assert {name: round(figures[name], 6) for name in wanted} == wanted


@pytest.mark.parametrize("seed", range(60))
def test_figures_agree_with_scikit_learn(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 120))
    true = random.integers(0, random.integers(1, count + 1), count)
    predicted = random.integers(0, random.integers(1, count + 1), count)
    figures = scores(sums(true, predicted))
    assert figures["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(true, predicted), abs=1e-9)
    assert figures["ami"] == pytest.approx(metrics.adjusted_mutual_info_score(true, predicted), abs=1e-7)
    assert figures["v_measure"] == pytest.approx(metrics.v_measure_score(true, predicted), abs=1e-9)
    assert figures["ari"] == pytest.approx(metrics.adjusted_rand_score(true, predicted), abs=1e-9)


def test_precision_of_singletons_alone_is_undefined_not_an_error():
    figures = scores(sums([0, 0, 1], [0, 1, 2]))
    assert figures["pairwise_precision"] is None
    assert figures["pairwise_f"] is None


@pytest.mark.parametrize("seed", range(20))
def test_counts_by_size_give_the_figures_of_the_items(seed):
    random = np.random.default_rng(seed)
    label, cluster = random.integers(0, 12, 150), random.integers(-1, 9, 150)
    inside = cluster >= 0
    own = np.where(inside, cluster, 1_000 + np.arange(150))
    clusters, classes = by_size(label[inside], cluster[inside], cluster[inside]), by_size(label, own, label)
    alone = int((~inside).sum())
    inner = by_size(label[inside], cluster[inside], cluster[inside] * 100 + label[inside])
    figures = scores(sums_of_groups(clusters, classes, inner, alone=alone))
    assert figures == pytest.approx(scores(sums_of(own, label)))
    removed = sums_of_groups(clusters, by_size(label[inside], cluster[inside], label[inside]), inner)
    assert scores(removed) == pytest.approx(scores(sums_of(cluster[inside], label[inside])))
    assert f_scores(removed) == pytest.approx((scores(removed)["pairwise_f"], scores(removed)["bcubed_f"]))


def by_size(label, cluster, group) -> Groups:
    """Count groups by size, and the squares of their cells."""
    cells = pd.DataFrame({"label": label, "cluster": cluster, "group": group}).value_counts().reset_index(name="n")
    each = cells.assign(square=cells["n"] ** 2).groupby("group").agg(size=("n", "sum"), square=("square", "sum"))
    sizes = each.groupby("size")["square"].agg(groups="count", squares="sum").reset_index()
    return Groups(*(sizes[name].to_numpy(np.int64) for name in sizes.columns))

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from cdp_spark.base.errors import InputError
from cdp_spark.evaluation import label_counts
from cdp_spark.evaluation.flow import evaluate, evaluated_tables


def tables(spark, true, predicted):
    clusters = spark.createDataFrame([(i, int(c)) for i, c in enumerate(predicted)], "id long, cluster long")
    labels = spark.createDataFrame([(i, label) for i, label in enumerate(true)], "id long, label long")
    return clusters.repartition(7), labels.repartition(7)


@pytest.mark.engines
def test_figures_on_spark_agree_with_scikit_learn_kept_and_removed(spark):
    random = np.random.default_rng(5)
    true, predicted = random.integers(0, 30, 400).tolist(), random.integers(-1, 25, 400)
    found = evaluate(*tables(spark, true, predicted))
    own = np.where(predicted < 0, 1000 + np.arange(400), predicted)
    kept = predicted >= 0
    for way, labels, groups in (("kept", true, own), ("removed", np.array(true)[kept], predicted[kept])):
        assert found[way]["ari"] == pytest.approx(metrics.adjusted_rand_score(labels, groups))
        assert found[way]["ami"] == pytest.approx(metrics.adjusted_mutual_info_score(labels, groups))
        assert found[way]["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(labels, groups))
        (_, false), (missed, same) = metrics.pair_confusion_matrix(labels, groups)
        assert found[way]["pairwise_precision"] == pytest.approx(same / (same + false))
        assert found[way]["pairwise_recall"] == pytest.approx(same / (same + missed))
        assert found[way]["clusters"] == len(set(groups.tolist()))
        assert found[way]["discarded_share"] == pytest.approx(1 - kept.mean())


def test_the_golden_vector_gives_its_figures_on_spark(spark):
    found = evaluate(*tables(spark, [0, 0, 1, 1, 2, 3, 4, 5, 5, 5, 5], [0, 0, 1, 1, 2, 2, 3, 4, 5, 5, 6]))["kept"]
    assert [round(found[f"bcubed_{name}"], 6) for name in ("precision", "recall", "f")] == [
        0.909091,
        0.772727,
        0.835381,
    ]
    assert [found[f"pairwise_{name}"] for name in ("precision", "recall", "f")] == [0.75, 0.375, 0.5]
    assert (found["singletons"], found["largest"], found["identities"]) == (3, 2, 6)


def test_items_without_label_are_not_evaluated(spark):
    found = evaluate(*tables(spark, [0, 0, None, None], [0, 0, 0, 1]))["kept"]
    assert (found["clusters"], found["pairwise_f"]) == (1, 1.0)


def test_labels_of_other_ids_or_with_two_for_one_id_are_refused(spark):
    clusters, labels = tables(spark, [0, 1], [0, 1])
    with pytest.raises(InputError, match="no id of the labels occurs in the clusters"):
        evaluate(clusters, labels.selectExpr("id + 10 as id", "label"))
    with pytest.raises(InputError, match="id 1 has more than one label"):
        evaluate(clusters, labels.unionAll(labels.selectExpr("id", "label + id as label")))
    with pytest.raises(InputError, match="ids are string but those of the clusters are bigint"):
        evaluate(clusters, labels.selectExpr("cast(id as string) as id", "label"))
    with pytest.raises(InputError, match="no column who; it has id: bigint, label: bigint"):
        evaluate(clusters, labels, label_column="who")


def test_split_and_merged_are_those_of_plain_pandas(spark):
    random = np.random.default_rng(3)
    names = [f"p{n}" for n in random.integers(0, 25, 400)]
    rows = pd.DataFrame({"id": range(400), "cluster": random.integers(-1, 30, 400), "label": names})
    clusters = spark.createDataFrame(rows[["id", "cluster"]]).repartition(7)
    labels = spark.createDataFrame(rows[["id", "label"]].iloc[:-20]).repartition(3)
    cells = label_counts.label_cells(clusters, labels)
    counts = rows.iloc[:-20].groupby(["cluster", "label"]).size().rename("n").reset_index()
    inside = counts[counts["cluster"] >= 0]

    by_label = inside.groupby("label")["n"].agg(largest="max", clusters="size", inside="sum").reset_index()
    by_label["outside"] = by_label["inside"] - by_label["largest"]
    wanted = by_label[by_label["clusters"] > 1].sort_values(["outside", "label"], ascending=[False, True]).head(8)
    sizes = counts.groupby("label")["n"].sum()
    without = counts[counts["cluster"] < 0].set_index("label")["n"]
    rows_found = label_counts.doubtful_groups(cells, count=8, known=[0, 29]).collect()
    found = chosen(rows_found, label_counts.IDENTITY)
    assert [(row["label"], row["size"], row["cells"], row["most"], row["without"]) for row in found] == [
        (row.label, sizes[row.label], row.clusters, row.largest, without.get(row.label, 0))
        for row in wanted.itertuples()
    ]

    by_cluster = inside.groupby("cluster")["n"].agg(most="max", identities="size", size="sum").reset_index()
    by_cluster["others"] = by_cluster["size"] - by_cluster["most"]
    several = by_cluster[by_cluster["identities"] > 1]
    wanted = several.sort_values(["others", "cluster"], ascending=[False, True]).head(8)
    found = chosen(rows_found, label_counts.CLUSTER)
    assert [(row["cluster"], row["size"], row["cells"], row["most"]) for row in found] == [
        (row.cluster, row.size, row.identities, row.most) for row in wanted.itertuples()
    ]
    others = by_cluster.set_index("cluster")["others"]
    known = {row["cluster"]: row["others"] for row in rows_found if row["kind"] == label_counts.CLUSTER}
    assert {0, 29} <= set(known)
    assert all(others[cluster] == n for cluster, n in known.items())


def chosen(rows, kind):
    return sorted((row for row in rows if row["kind"] == kind and (row["rank"] or 9) <= 8), key=lambda row: row["rank"])


def test_the_usual_label_is_the_most_common_one_and_ties_give_the_first_and_the_last(spark):
    rows = [(0, 5, "b"), (1, 5, "a"), (2, 5, "c"), (3, 5, "c"), (4, 5, "b"), (5, 6, "z"), (6, 7, "y"), (7, 5, None)]
    clusters = spark.createDataFrame([row[:2] for row in rows], "id long, cluster long").repartition(7)
    labels = spark.createDataFrame([(row[0], row[2]) for row in rows], "id long, label string").repartition(3)
    found = label_counts.usual_labels(clusters, labels, [5, 6], [0, 3, 6, 7]).collect()
    assert sorted(map(tuple, found), key=str) == [
        (5, "b", "c", 0, "b"),
        (5, "b", "c", 3, "c"),
        (6, "z", "z", None, None),
    ]


def test_repeated_rows_of_one_label_count_once_and_null_ones_not_at_all(spark):
    clusters, labels = tables(spark, [0, 0, 1, None], [0, 0, 1, 1])
    repeated = labels.unionAll(labels).unionAll(labels.selectExpr("id", "null as label"))
    assert evaluate(clusters, repeated) == evaluate(clusters, labels)


def test_labels_without_an_item_are_counted(spark):
    clusters, labels = tables(spark, [0, 0, 1, 1], [0, 0, 1, -1])
    assert evaluated_tables(clusters, labels)[1] == []
    figures, warnings = evaluated_tables(clusters.where("id > 0"), labels)
    assert warnings == ["labels: 1 of 4 ids have no embedding and are not evaluated"]
    assert figures == evaluate(clusters.where("id > 0"), labels.where("id > 0"))


def test_figures_do_not_depend_on_partitions_to_the_last_digit(spark):
    random = np.random.default_rng(2)
    clusters, labels = tables(spark, random.integers(0, 90, 900).tolist(), random.integers(-1, 70, 900))
    found = [evaluate(clusters.repartition(n), labels.repartition(n, "label")) for n in (1, 5)]
    assert found[0] == found[1]

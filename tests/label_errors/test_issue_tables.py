"""Issues as users read them, and labels with them mended: exact rows."""

import pytest

from cdp_spark.label_errors import issue_tables, support, whole_labels

# Labels: 0 "ann" (items 0, 1, 2, 6), 3 "bob" (items 3, 4, 5). Item 6 looks like bob.
ROWS = [(0, 0), (1, 0), (2, 0), (6, 0), (3, 3), (4, 3), (5, 3)]
NAME = {0: "ann", 3: "bob"}
PAIRS = [(0, 1, 0.9), (0, 2, 0.8), (3, 4, 0.9), (3, 5, 0.8), (3, 6, 0.6), (4, 6, 0.7), (5, 6, 0.95), (1, 6, 0.2)]
ONE = support.kernel.UNIT


@pytest.fixture
def tables(spark):
    label = dict(ROWS)
    items = spark.createDataFrame([(10 + item, item) for item in label], "id long, item long").repartition(3)
    labels = spark.createDataFrame([(10 + item, NAME[number]) for item, number in ROWS], "id long, label string")
    labelled = spark.createDataFrame(
        [(item, number, sum(other == number for _, other in ROWS)) for item, number in ROWS], support.LABELLED
    )
    pairs = spark.createDataFrame([(a, b, s, label[a], label[b]) for a, b, s in PAIRS], support.LABELLED_PAIRS)
    flagged = spark.createDataFrame(
        [(6, "wrong_label", 0, 3, None, 0.9), (5, "outlier", 3, None, None, 0.8)], whole_labels.FLAGGED
    )
    return {
        "items": items, "labels": labels, "labelled": labelled, "pairs": pairs.repartition(4), "flagged": flagged,
        "names": issue_tables.label_names(items, labels, labelled),
        "supports": support.supports(pairs, [ONE] * 512, 0.5),
        "verdicts": spark.createDataFrame(
            [(item, number, {6: "wrong_label", 5: "outlier"}.get(item), None, 0.9) for item, number in ROWS],
            support.VERDICTS,
        ),
    }  # fmt: skip


def shown(spark, tables):
    near = issue_tables.examples(tables["flagged"], tables["pairs"], tables["verdicts"])
    known = issue_tables.evidence(tables["flagged"], tables["supports"])
    clusters = spark.createDataFrame([(10 + item, item // 3) for item, _ in ROWS], "id long, cluster long")
    return issue_tables.issues(known, near, tables["names"], tables["items"], clusters)


def test_an_issue_has_its_evidence_and_clean_examples(spark, tables):
    table = shown(spark, tables)
    wanted = issue_tables.issues_schema(*(tables["labels"].schema[name].dataType for name in ("id", "label")))
    assert [(field.name, field.dataType) for field in table.schema] == [
        (field.name, field.dataType) for field in wanted
    ]
    found = {row["id"]: row.asDict() for row in table.collect()}
    wrong = found[16]
    assert (wrong["issue"], wrong["given"], wrong["suggested"], wrong["score"]) == ("wrong_label", "ann", "bob", 0.9)
    assert (wrong["given_pairs"], wrong["given_score"]) == (0, 0.0)
    assert wrong["suggested_pairs"] == 3
    assert wrong["suggested_score"] == pytest.approx(2.25, abs=1e-4)
    assert (wrong["cluster"], wrong["examples"]) == (2, [14, 13])
    outlier = found[15]
    assert (outlier["suggested"], outlier["examples"], outlier["given_pairs"]) == (None, [13], 1)
    assert (outlier["suggested_pairs"], outlier["suggested_score"]) == (0, 0.0)


def test_the_summary_counts_issues_by_given_label(spark, tables):
    found = {
        row["label"]: row.asDict() for row in issue_tables.summary(tables["labels"], shown(spark, tables)).collect()
    }
    nothing = dict.fromkeys((*issue_tables.ISSUES, "joining"), 0)
    assert found == {
        "ann": {"label": "ann", "items": 4, **nothing, "wrong_label": 1},
        "bob": {"label": "bob", "items": 3, **nothing, "outlier": 1, "joining": 1},
    }


@pytest.mark.engines
def test_every_labelled_item_has_a_score(tables):
    found = issue_tables.scores(tables["verdicts"].repartition(3), tables["names"], tables["items"]).collect()
    assert {(row["id"], row["given"], row["score"]) for row in found} == {
        (10 + item, NAME[number], 0.9) for item, number in ROWS
    }
    assert {row["id"] for row in found if row["issue"] is not None} == {15, 16}


FLAGGED = [
    (6, "wrong_label", 0, 3, None, 0.9), (6, "unsure", 0, 3, None, 0.5), (5, "outlier", 3, None, None, 0.8),
    (2, "merged_identity", 0, None, 2, 0.7), (1, "merged_identity", 0, None, 1, 0.7),
    (4, "near_duplicates", 3, 3, None, 1.0), (3, "duplicate_identities", 3, 0, None, 0.6),
]  # fmt: skip
MENDED = ["wrong_label", "outlier", "merged_identity", "duplicate_identities"]


@pytest.mark.parametrize("numeric", [False, True])
def test_cleaned_labels_keep_what_was_given(spark, tables, numeric):
    labels = tables["labels"].join(tables["items"], "id", "left")
    labels = labels.unionByName(spark.createDataFrame([(99, "ann", None)], "id long, label string, item long"))
    names = tables["names"]
    if numeric:
        labels = labels.selectExpr("id", "item", "if(label = 'ann', 5, 8) as label")
        names = names.selectExpr("label", "if(name = 'ann', 5, 8) as name")
    flagged = spark.createDataFrame(FLAGGED, whole_labels.FLAGGED).repartition(3)
    table = issue_tables.cleaned_labels(labels.repartition(3), flagged, names, applied=MENDED)
    ann, bob, parts = (5, 8, (9, 10)) if numeric else ("ann", "bob", ("ann#2", "ann#3"))
    found = {row["id"]: (row["given"], row["label"], row["issue"]) for row in table.collect()}
    assert found == {
        10: (ann, ann, None), 11: (ann, parts[0], "merged_identity"), 12: (ann, parts[1], "merged_identity"),
        16: (ann, bob, "wrong_label"), 13: (bob, ann, "duplicate_identities"), 14: (bob, bob, None),
        15: (bob, None, "outlier"), 99: (ann, ann, None),
    }  # fmt: skip


def test_what_is_not_applied_changes_nothing(spark, tables):
    labels = tables["labels"].join(tables["items"], "id", "left")
    flagged = spark.createDataFrame(FLAGGED, whole_labels.FLAGGED)
    for applied, changed in ((["outlier"], {15}), ([], set())):
        rows = issue_tables.cleaned_labels(labels, flagged, tables["names"], applied=applied).collect()
        assert {row["id"] for row in rows if row["label"] != row["given"]} == changed
        assert {row["id"] for row in rows if row["issue"] is not None} == changed

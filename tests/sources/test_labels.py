"""Labels as people have them: gaps, repeats, ids of every kind; the same rows in any order are the same labels."""

import datetime
import math
from decimal import Decimal

import pytest

from cdp_spark.base.errors import InputError
from cdp_spark.sources.labels import named_labels

NAN = math.nan


def labels_of(spark, rows, kinds, **columns):
    found = named_labels(spark.createDataFrame(rows, kinds), **columns)
    return {row["id"]: row["label"] for row in found.table.collect()}, found


@pytest.mark.engines
@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_null_nan_and_minus_one_are_no_labels_and_a_label_beside_them_counts(spark, order):
    rows = [(0, None), (0, 4.0), (1, NAN), (1, 5.0), (2, -1.0), (2, 6.0), (3, NAN), (4, -1.0), (5, None), (6, 7.0)]
    found, labels = labels_of(spark, rows[::order], "id long, label double")
    assert found == {0: 4.0, 1: 5.0, 2: 6.0, 6: 7.0}
    assert (labels.ids, labels.warnings) == (4, [])


@pytest.mark.engines
def test_text_is_a_label_whatever_it_says(spark):
    rows = [(0, ""), (1, "nan"), (2, "-1"), (3, "null"), (4, None), (5, "Null")]
    found, labels = labels_of(spark, rows, "id long, label string")
    assert found == {0: "", 1: "nan", 2: "-1", 3: "null", 5: "Null"}
    assert [warning[:30] for warning in labels.warnings] == ["labels: 4 rows hold a text suc"]


@pytest.mark.engines
@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("boolean", [True, False], ["true", "false"]),
        ("date", [datetime.date(2024, 1, 2), None], ["2024-01-02"]),
        ("binary", [b"\x01\xff", b""], ["01FF", ""]),
        ("tinyint", [3, -1], [3]),
        ("float", [-0.0, 0.5], [0.0, 0.5]),
    ],
)
def test_labels_of_other_kinds(spark, kind, given, wanted):
    found, _ = labels_of(spark, list(enumerate(given)), f"id long, label {kind}")
    assert [str(found[id]) for id in sorted(found)] == [str(label) for label in wanted]


@pytest.mark.engines
def test_rows_without_an_id_are_left_out_and_counted(spark):
    found, labels = labels_of(spark, [(None, 1), (None, 2), (3, 4)], "id long, label long")
    assert found == {3: 4}
    assert labels.warnings == ["labels: 2 rows have no id and are left out"]


@pytest.mark.engines
def test_whole_numbers_are_ids_however_they_are_stored(spark):
    assert labels_of(spark, [(1.0, "a"), (NAN, "b"), (None, "c"), (2.0**53, "d")], "id double, label string")[0] == {
        1: "a", 2**53: "d",
    }  # fmt: skip
    assert labels_of(spark, [(7, "a")], "id tinyint, label string")[0] == {7: "a"}
    assert labels_of(spark, [(Decimal(7), "a")], "id decimal(20,0), label string")[0] == {7: "a"}
    assert labels_of(spark, [("007", "a")], "id string, label string")[0] == {"007": "a"}


@pytest.mark.engines
@pytest.mark.parametrize("id", [0.5, 1e300, 2.0**53 + 2, math.inf])
def test_ids_that_are_no_whole_numbers_are_refused(spark, id):
    with pytest.raises(InputError, match="labels: 1 ids are not whole numbers"):
        labels_of(spark, [(1.0, "a"), (id, "b")], "id double, label string")


@pytest.mark.engines
def test_ids_beyond_64_bits_are_refused(spark):
    with pytest.raises(InputError, match="labels: 1 ids are not whole numbers of 64 bits"):
        labels_of(spark, [(Decimal(1), "a"), (Decimal(2**64 - 1), "b")], "id decimal(20,0), label string")


@pytest.mark.engines
def test_columns_are_found_by_name_with_dots_and_in_any_case(spark):
    rows, kinds = [(1, "a")], "`the.id` long, `person.name` string"
    assert labels_of(spark, rows, kinds, id_column="the.id", label_column="Person.Name")[0] == {1: "a"}
    with pytest.raises(
        InputError, match=r"labels: no column person; it has the.id: bigint, person.name: string: name another"
    ):
        labels_of(spark, rows, kinds, id_column="the.id", label_column="person")
    with pytest.raises(InputError, match="labels: columns label, LABEL differ only in case"):
        labels_of(spark, [(1, "a", "b")], "id long, label string, LABEL string")


@pytest.mark.parametrize(
    ("rows", "kinds", "said"),
    [
        ([(1, "a"), (1, "b"), (0, "c"), (0, "d")], "id long, label string", "labels: id 0 has more than one label"),
        ([(1, None)], "id long, label string", r"labels: none of 1 rows has a label \(null, NaN and -1 are none\)"),
        ([(1, NAN), (2, -1.0)], "id long, label double", "labels: none of 2 rows has a label"),
        ([(None, "a")], "id long, label string", "labels: all 1 ids are null"),
        ([], "id long, label string", "labels: the table has no rows"),
        ([(1, [1])], "id long, label array<int>", "labels: label is array<int>; it must be a number or text"),
        ([(datetime.date(2024, 1, 2), 1)], "id date, label long", r"ids \(id\) are date; they must be integers or str"),
        ([(Decimal("1.5"), 1)], "id decimal(9,2), label long", r"ids \(id\) are decimal\(9,2\)"),
    ],
)
def test_refusals(spark, rows, kinds, said):
    with pytest.raises(InputError, match=said) as refused:
        labels_of(spark, rows, kinds)
    assert "\n" not in str(refused.value)

import pytest

from cdp_spark.report.trust import agreement_chart, alike_chart, trust_table
from cdp_spark.runs.run_json import WithoutLabels

CURVE = [
    {"shift": -2.0, "score": 0.4, "agreement": 0.5, "looked_at": True},
    {"shift": -1.5, "score": 0.5, "agreement": 0.6, "looked_at": False},
    {"shift": -1.0, "score": 0.6, "agreement": 0.7, "looked_at": True},
]


def told(**values):
    return WithoutLabels.model_validate({"shift": -1.0, "agreement": 0.7, "curve": CURVE, **values})


def test_the_chart_has_the_shifts_that_were_looked_at_and_marks_the_chosen_one():
    chart = agreement_chart(told())
    assert [row[0] for row in chart.table.rows] == ["-2", "-1"]
    assert "chosen -1" in chart.svg
    assert agreement_chart(told(curve=[])) is None


@pytest.mark.parametrize(("values", "text"), [
    ({"agreement": 0.4}, "0.400, below 0.65"),
    ({"predicted_precision": None}, "–, before self-training"),
    ({"predicted_recall": 0.5}, "0.500, before self-training, below 0.7"),
    ({"granularity": -0.5}, "-0.5: finer"),
    ({"repeated_items": 1200}, "1,200, identical in all models"),
    ({"same_as": {"c": "a"}}, "identical to a: counts once"),
    ({"halves": "coordinates", "strengths": [[0.25, 0.5]]},
     "of the coordinates of every model: .25 and .50 of the pairs of the whole"),
])  # fmt: skip
def test_figures_are_told(values, text):
    assert text in [row[1] for row in trust_table(told(**values)).rows]


def test_the_shift_of_a_trained_mediator_has_a_chart_where_halves_chose_it():
    alike = {"-2": 10.4, "0": 40.0, "-1": 50.6}
    chart = alike_chart({"shift": -1.0, "alike": alike, "compared_items": 1234})
    assert chart.table.rows == [["-2", "10"], ["-1", "51"], ["0", "40"]]
    assert "chosen -1" in chart.svg
    assert "1,234" in chart.reading
    assert alike_chart({"shift": 0.5, "alike": {}}) is None
    assert alike_chart(None) is None

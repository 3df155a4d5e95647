"""What the page says is what plain counting gives."""

import itertools

import numpy as np
import pandas as pd
import pytest

from cdp_spark.report import tables
from cdp_spark.report.figures import Hubs
from cdp_spark.report.model_agreement import PairCount, agreement_of
from cdp_spark.report.what_if import what_if
from tests.report import made_up


def test_hubs_are_those_of_the_degrees_themselves():
    degrees = np.random.default_rng(0).zipf(1.7, 5_000).clip(max=900) - 1
    found = Hubs.of("v3", [(int(d), int(n)) for d, n in pd.Series(degrees).value_counts().items()], sampled=False)
    assert found.largest == degrees.max()
    assert found.in_none == pytest.approx((degrees == 0).mean())
    assert found.top_share == pytest.approx(np.sort(degrees)[-50:].sum() / degrees.sum())


@pytest.mark.parametrize("counts", [[], [(0, 7)]])
def test_hubs_of_nothing_are_nothing(counts):
    found = Hubs.of("v3", counts, sampled=False)
    assert (found.largest, found.top_share) == (0, 0.0)


@pytest.fixture
def pairs():
    """One row per pair: three members' votes, of which the last knows nothing, and whether it is right."""
    random = np.random.default_rng(0)
    right = random.random(6_000) < 0.5
    votes = {
        "good": random.random(6_000) < np.where(right, 0.9, 0.2),
        "fair": random.random(6_000) < np.where(right, 0.8, 0.5),
        "blind": random.random(6_000) < 0.7,
        "liar": random.random(6_000) < np.where(right, 0.4, 0.8),
    }
    return pd.DataFrame({**votes, "same": [bool(r) if n % 5 else None for n, r in enumerate(right)]})


def counted(pairs, members):
    bits = sum(pairs[name].astype(int) * 2**bit for bit, name in enumerate(members))
    groups = pd.DataFrame({"bits": bits, "same": pairs["same"]}).groupby(["bits", "same"], dropna=False).size()
    return [PairCount(bits, None if pd.isna(same) else bool(same), int(n)) for (bits, same), n in groups.items()]


def test_agreement_is_that_of_the_pairs_themselves(pairs):
    members = ["good", "fair", "blind", "liar"]
    found = agreement_of(counted(pairs, members), members, sampled=False)
    known = pairs[pairs["same"].notna()].assign(same=lambda table: table["same"].astype(bool))
    assert found.pairs == len(pairs)
    for votes, count, right in found.votes:
        assert count == (pairs[members].sum(axis=1) == votes).sum()
        assert right == pytest.approx(known[known[members].sum(axis=1) == votes]["same"].mean())
    for each in found.members:
        others = [name for name in members if name != each.model]
        agreed = known[known[others].all(axis=1)]
        assert each.confirmed == pytest.approx(pairs[each.model].mean())
        assert each.right == pytest.approx(known[known[each.model]]["same"].mean())
        assert each.right_otherwise == pytest.approx(known[~known[each.model]]["same"].mean())
        assert each.alone_with == pytest.approx(agreed[agreed[each.model]]["same"].mean())
        assert each.alone_without == pytest.approx(agreed[~agreed[each.model]]["same"].mean())
    verdicts = {each.model: each.verdict for each in found.members}
    assert verdicts == {"good": "helps", "fair": "helps", "blind": "adds little", "liar": "hurts"}


def test_agreement_without_labels_gives_no_verdict(pairs):
    found = agreement_of(counted(pairs.assign(same=None), ["good"]), ["good"], sampled=True)
    assert not found.labelled
    assert (found.members[0].right, found.members[0].verdict) == (None, "")
    assert found.members[0].confirmed == pytest.approx(pairs["good"].mean())


def test_no_pairs_at_all_are_fine():
    found = agreement_of([], ["good"], sampled=False)
    assert (found.pairs, found.members[0].confirmed, found.labelled) == (0, None, False)


def test_the_slider_says_what_the_sweep_says_and_how_it_differs_from_the_run():
    sweep, record = made_up.sweep(), made_up.record()
    found = what_if(sweep, record)
    assert found["steps"][found["start"]]["threshold"] == "0.86"
    for step, row in zip(found["steps"], sweep["rows"], strict=True):
        said = dict(zip(found["names"], zip(step["figures"], step["changes"], strict=True), strict=True))
        change = row["clusters"] - record.counts.clusters
        assert said["clusters"] == (f"{row['clusters']:,}", f"{change:+,}" if change else "same")
        assert said["unclustered"][0] == f"{row['discarded']:,}"
        assert said["clustered with others"][0] == f"{row['clustered_share']:.1%}"
        assert float(said["pairwise F"][0]) == pytest.approx(row["pairwise_f"], abs=1e-4)
        if said["pairwise F"][1] != "same":
            assert float(said["pairwise F"][1]) == pytest.approx(row["pairwise_f"] - 0.75, abs=1e-4)


def test_without_labels_the_slider_has_no_metrics():
    found = what_if(made_up.sweep(labelled=False), made_up.record(labelled=False))
    assert not [name for name in found["names"] if name.endswith("F")]


def test_cells_that_are_not_known_are_dashes_and_numbers_stand_right():
    table = tables.stage_table(made_up.figures())
    assert table.columns[0] == ("stage", False)
    assert table.columns[1] == ("rows", True)
    by_name = {row[0]: row for row in table.rows}
    assert by_name["knn/plain"][-3:] == ["8", "2.2 ×", "now"]
    assert by_name["items"][-3:-1] == ["1", "–"]


def test_every_table_has_a_cell_for_every_column():
    figures = made_up.figures()
    found = [
        tables.input_table(figures.record), tables.set_aside_table(figures.record),
        tables.graph_table(figures.record, figures.hubs), tables.member_table(figures.agreement),
        tables.suspect_table(figures.suspects, labelled=True), tables.split_table(figures.split),
        tables.merged_table(figures.merged), tables.metric_table(figures.record.metrics),
        tables.status_table(figures.record), tables.sweep_table(figures.sweep["rows"]), tables.stage_table(figures),
    ]  # fmt: skip
    for table in found:
        assert table.rows, table.caption
        assert {len(row) for row in table.rows} == {len(table.columns)}, table.caption
    captions = [table.caption for table in found]
    assert len(set(captions)) == len(captions)
    assert all(
        len(cell) <= tables.LONGEST for row in itertools.chain.from_iterable(t.rows for t in found) for cell in row
    )

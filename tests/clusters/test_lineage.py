"""Ids that last: on random runs against a plain account in dictionaries; each event once by hand."""

from collections import Counter

import numpy as np
import pytest

from cdp_spark.clusters import lineage as stage

FIRST = 100


def told(spark, current: dict[int, int], previous: dict[int, int]):
    tables = [
        spark.createDataFrame(list(of.items()), "id long, cluster long").repartition(3) for of in (current, previous)
    ]
    rows = stage.lineage(stage.overlaps(*tables), next_id=FIRST).collect()
    named = {row["number"]: row["cluster"] for row in rows if row["number"] is not None}
    events = {(row["event"], row["cluster"], row["previous"], row["items"]) for row in rows}
    return named, events, rows


def test_each_event(spark):
    previous = {1: 7, 2: 7, 3: 7, 4: 8, 5: 8, 6: 9, 7: 9, 8: 9, 9: 11, 10: 11, 20: -1}
    #           7 stays, takes in all of 8; 9 is split, and lends one item to 7; 11 is gone; 20 and 21 are new
    current = {1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 1, 7: 2, 8: 1, 20: 3, 21: 3, 9: -1}
    named, events, _ = told(spark, current, previous)
    assert named == {0: 7, 1: 9, 2: FIRST, 3: FIRST + 1}
    assert events == {
        ("kept", 7, 7, 3), ("merged", 7, 8, 2), ("kept", 9, 9, 2), ("split", FIRST, 9, 1), ("new", FIRST + 1, None, 2),
        ("gone", None, 11, 2),
    }  # fmt: skip


def test_items_that_change_between_lasting_clusters_are_moved(spark):
    previous = {1: 7, 2: 7, 3: 7, 4: 8, 5: 8}
    current = {1: 1, 2: 1, 3: 0, 4: 0, 5: 0}
    assert told(spark, current, previous)[1] == {("kept", 7, 7, 2), ("moved", 8, 7, 1), ("kept", 8, 8, 2)}


@pytest.mark.engines("0")
@pytest.mark.parametrize("seed", range(4))
def test_against_a_plain_account(spark, seed):
    random = np.random.default_rng(seed)
    previous, current = (
        {int(item): int(random.integers(-1, 12)) for item in random.permutation(80)[:60]} for _ in range(2)
    )
    named, _, rows = told(spark, current, previous)
    shared = Counter(
        (current[i], previous[i]) for i in current if i in previous and current[i] >= 0 and previous[i] >= 0
    )
    best_old = {n: min(o for (m, o), c in shared.items() if m == n and c == max(
        c for (m, _), c in shared.items() if m == n)) for n, _ in shared}  # fmt: skip
    best_new = {o: min(n for (n, p), c in shared.items() if p == o and c == max(
        c for (_, p), c in shared.items() if p == o)) for _, o in shared}  # fmt: skip
    kept = {n: o for n, o in best_old.items() if best_new[o] == n}
    fresh = sorted({c for c in current.values() if c >= 0} - set(kept))
    assert named == kept | {number: FIRST + place for place, number in enumerate(fresh)}
    assert sum(row["items"] for row in rows if row["number"] is not None and row["previous"] is not None) == sum(
        shared.values()
    )
    assert len(set(named.values())) == len(named)

"""Costs carried over from two measured sizes: what grows by a law is found again, and nothing shrinks with size."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_spark.plan.cost_model import Measured, as_json, from_json, line, predicted, probed_at
from cdp_spark.plan.laws import LAWS, Size

SPEED = 50.0


def measured(items: int, seconds, probed: float = 10.0) -> Measured:
    size = Size(items, 128, 14, 3, probed)
    stages = {
        kind: {"seconds": seconds(kind, size), "peak_bytes": 1e8 + items, "written_bytes": 2.0 * items,
               "shuffled_bytes": 3.0 * items}
        for kind in LAWS
    }  # fmt: skip
    return Measured(size, 2, SPEED, stages)


@pytest.mark.parametrize("kind", LAWS)
def test_a_stage_that_follows_its_law_is_found_again(kind):
    def seconds(kind, size):
        return 3 + 1e-9 * LAWS[kind].work(size)

    runs = [measured(items, seconds) for items in (50_000, 200_000)]
    wanted = Size(1_400_000, 128, 14, 3, 10.0)
    models = 3 if LAWS[kind].each_model else 1
    (cost,) = predicted([kind], runs, wanted, cores=2, speed=SPEED).values()
    assert cost.seconds == pytest.approx(models * seconds(kind, wanted), rel=1e-6)


def test_more_cores_divide_the_work_of_many_tasks_and_not_the_fixed_part():
    runs = [measured(items, lambda kind, size: 3 + 1e-9 * LAWS[kind].work(size)) for items in (50_000, 200_000)]
    wanted = Size(1_400_000, 128, 14, 3)

    def seconds(kind, cores):
        return predicted([kind], runs, wanted, cores=cores, speed=SPEED)[kind].seconds

    fixed = 3 * 3
    assert seconds("shards", 8) - fixed == pytest.approx((seconds("shards", 2) - fixed) / 4)
    assert seconds("components", 8) == pytest.approx(seconds("components", 2))
    # One shard is searched by one task, which may use eight cores.
    assert seconds("lists", 8) - fixed == pytest.approx((seconds("lists", 2) - fixed) / 4)
    assert seconds("lists", 64) == pytest.approx(seconds("lists", 8))


def test_a_machine_twice_as_fast_takes_half_as_long():
    runs = [measured(items, lambda kind, size: 5.0) for items in (50_000, 200_000)]
    wanted = Size(100_000, 128, 14, 3)
    slow, fast = (predicted(["clusters"], runs, wanted, cores=2, speed=speed)["clusters"] for speed in (50.0, 100.0))
    assert fast.seconds == pytest.approx(slow.seconds / 2)


def test_memory_stays_within_what_a_task_may_hold():
    runs = [measured(items, lambda kind, size: 5.0) for items in (50_000, 200_000)]

    def peak(kind, **bounds):
        return predicted([kind], runs, Size(10**9, 128, 14, 3, **bounds), cores=2, speed=SPEED)[kind].peak_bytes

    assert peak("lists", shard_rows=1_000_000) == pytest.approx(1e8 + 1_000_000)
    assert peak("forest", task_edges=50_000_000) == pytest.approx(1e8 + 50_000_000)
    assert peak("embeddings") == pytest.approx(1e8 + 200_000)


def test_the_last_way_that_has_a_stage_says_what_it_costs():
    voted = [measured(items, lambda kind, size: 1.0) for items in (50_000, 200_000)]
    other = replace(measured(20_000, lambda kind, size: 9.0), way="without labels")
    size = Size(20_000, 128, 14, 3)
    (cost,) = predicted(["forest"], [*voted, other], size, cores=2, speed=SPEED).values()
    assert cost.seconds == pytest.approx(9.0)
    lacking = replace(other, stages={})
    (cost,) = predicted(["forest"], [*voted, lacking], size, cores=2, speed=SPEED).values()
    assert cost.seconds == pytest.approx(1.0)


def test_sizes_around_the_wanted_one_say_what_it_costs():
    seconds = {20_000: 1.0, 50_000: 2.0, 200_000: 5.0}
    runs = [measured(items, lambda kind, size: seconds[size.items]) for items in seconds]
    for items, wanted in ((10_000, 2 / 3), (35_000, 1.5), (125_000, 3.5), (350_000, 8.0)):
        (cost,) = predicted(["clusters"], runs, Size(items, 128, 14, 3), cores=2, speed=SPEED).values()
        assert cost.seconds == pytest.approx(wanted)


def test_one_process_that_holds_everything_takes_more_for_more_items():
    runs = [replace(measured(items, lambda kind, size: 5.0), in_memory=True) for items in (50_000, 200_000)]
    huge = Size(10**7, 128, 14, 3)
    (cost,) = predicted(["embeddings"], runs, huge, cores=2, speed=SPEED).values()
    assert cost.peak_bytes == pytest.approx(1e8 + 10**7)


def test_blocks_are_sent_in_rounds_so_that_memory_is_bounded():
    runs = [replace(measured(items, lambda kind, size: 5.0), in_memory=True) for items in (50_000, 200_000)]
    few, many, huge = (
        predicted(["first look"], runs, Size(items, 128, 14, 3), cores=2, speed=SPEED)["first look"].peak_bytes
        for items in (200_000, 10**7, 10**8)
    )
    assert few < many == huge


def test_probes_grow_as_a_power():
    runs = [measured(50_000, lambda *_: 1.0, probed=8.0), measured(200_000, lambda *_: 1.0, probed=16.0)]
    assert probed_at(runs, 800_000) == pytest.approx(32.0)
    assert probed_at([], 800_000) == 1.0


@given(st.lists(st.tuples(st.floats(1, 1e12), st.floats(0, 1e6)), min_size=1, max_size=4), st.floats(0, 10))
def test_a_line_never_falls_and_never_begins_below_zero(points, more):
    begin, slope = line(*zip(*sorted(points), strict=True))
    assert begin >= 0
    assert slope >= 0


def test_a_measured_run_survives_json():
    run = measured(50_000, lambda kind, size: 1.5)
    assert from_json(as_json(run)) == run

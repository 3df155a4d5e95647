"""Faults at the stages of all commands: the next start ends like a run that nothing disturbed, or one line helps.

The ordinary run draws a few points of the matrix; ``make faults`` (CDP_TEST_FAULTS=1) tries all, some with a real
SIGKILL, and writes the page ``docs/reference/faults.md``.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from cdp_spark.base.errors import CdpError
from tests import paused
from tests.faults import matrix, page
from tests.faults.commands import COMMANDS, output_of, result, vote_words
from tests.faults.faults import FAULTS, damage, lose
from tests.faults.runs import WELL, Runs, unmanifest

ALL = bool(os.environ.get("CDP_TEST_FAULTS"))

READS = [
    ("export", "clusters"), ("export csv", "clusters"), ("denoise", "scored_pairs"), ("denoise", "knn"),
    ("denoise", "items"), ("sweep", "scored_pairs"), ("sweep", "forest"),
]  # fmt: skip
"""Commands, and stages of the finished run that they read."""
HARMS = {"damaged page": damage, "lost file": lose, "killed while it is made anew": unmanifest}


TABLES = ("clusters", "merges", "quarantine")


@pytest.fixture(scope="module")
def runs(spark, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdp_spark.commands.cluster.write_report", lambda run: "")
        yield Runs(spark, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def rows():
    """Rows of the page: what each point has come to."""
    found: list[page.Row] = []
    yield found
    if ALL:
        page.write(found)


def test_every_stage_and_every_fault_is_in_the_matrix():
    points = matrix.points()
    assert len(points) >= 60
    assert {point.fault for point in points} == set(FAULTS)
    assert {(point.command, point.stage) for point in points} == {
        (name, stage) for name, known in COMMANDS.items() for stage in known.makes
    }
    assert {point.fault for point in matrix.drawn()} == set(FAULTS)
    assert len(matrix.drawn()) == matrix.DRAWN


@pytest.mark.parametrize("name", {point.command: None for point in matrix.tried()})
def test_the_table_names_the_stages_that_a_command_makes(runs, name):
    order = runs.undisturbed(name).order
    made = {path.removeprefix("stages/").removesuffix(".json").rsplit("-", 1)[0].split("/")[0] for path in order}
    listed = {stage for stage in COMMANDS[name].makes if matrix.kind_of(stage) in "tn"}
    assert made == listed


@pytest.mark.parametrize("point", matrix.tried(), ids=str)
def test_the_next_start_ends_like_an_undisturbed_run(runs, rows, point):
    begun = time.time()
    outcome = runs.strike(point.command, point.stage, point.fault)
    rows.append(page.Row(point.command, point.stage, point.fault, outcome, time.time() - begun))


@pytest.mark.skipif(not ALL, reason="starts commands of their own: make faults")
@pytest.mark.parametrize(("stage", "moment"), [("items", "before"), ("knn/base", "between"), ("labelled", "after")])
def test_a_command_killed_by_the_system_continues(runs, rows, tmp_path, stage, moment):
    begun = time.time()
    runs.begin("vote")
    process = paused.start(stage, moment, tmp_path, *vote_words(runs.root))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (runs.root / "vote" / "latest.json").exists()
    runs.start("vote")
    assert result(runs.root / "vote") == runs.undisturbed("vote").result
    rows.append(page.Row("vote", stage, f"killed by the system, {moment}", WELL, time.time() - begun))


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(("name", "stage"), READS if ALL else READS[:1])
def test_a_command_never_reads_half_a_table_of_the_run(runs, rows, name, stage, harm):
    begun = time.time()
    runs.begin(name)
    HARMS[harm](runs.root / "vote", stage)
    with pytest.raises(CdpError) as refusal:
        runs.start(name)
    said = runs.cluster_again("vote", refusal.value)
    runs.start(name)
    assert result(output_of(name, runs.root)) == runs.undisturbed(name).result
    rows.append(page.Row(name, f"{stage} of the run", harm, said, time.time() - begun))

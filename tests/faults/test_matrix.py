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
from tests.faults import matrix, page
from tests.faults.commands import COMMANDS, output_of, result
from tests.faults.faults import FAULTS, damage, lose
from tests.faults.runs import Runs, unmanifest

ALL = bool(os.environ.get("CDP_TEST_FAULTS"))

READS = [
    ("export", "clusters"), ("export csv", "clusters"), ("denoise", "scored_pairs"), ("denoise", "knn"),
    ("denoise", "items"), ("sweep", "scored_pairs"), ("sweep", "forest"),
]  # fmt: skip
"""Commands, and stages of the finished run that they read."""
HARMS = {"damaged page": damage, "lost file": lose, "killed while it is made anew": unmanifest}


@pytest.fixture(scope="session")
def runs(spark, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdp_spark.commands.cluster.write_report", lambda run: "")
        yield Runs(spark, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
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
        (command, stage) for command, known in COMMANDS.items() for stage in known.makes
    }
    assert {point.fault for point in matrix.drawn()} == set(FAULTS)
    assert len(matrix.drawn()) == matrix.DRAWN


@pytest.mark.parametrize("command", {point.command: None for point in matrix.tried()})
def test_the_table_names_the_stages_that_a_command_makes(runs, command):
    order = runs.undisturbed(command).order
    made = {path.removeprefix("stages/").removesuffix(".json").rsplit("-", 1)[0].split("/")[0] for path in order}
    listed = {stage for stage in COMMANDS[command].makes if matrix.kind_of(stage) in "tn"}
    assert made == listed


@pytest.mark.parametrize("point", matrix.tried(), ids=str)
def test_the_next_start_ends_like_an_undisturbed_run(runs, rows, point):
    begun = time.time()
    outcome = runs.strike(point.command, point.stage, point.fault)
    rows.append(page.Row(point.command, point.stage, point.fault, outcome, time.time() - begun))


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(("command", "stage"), READS if ALL else READS[:1])
def test_a_command_never_reads_half_a_table_of_the_run(runs, rows, command, stage, harm):
    begun = time.time()
    runs.until(command, "nothing", whole=False)
    HARMS[harm](runs.root / "vote", stage)
    with pytest.raises(CdpError) as refusal:
        runs.start(command)
    said = runs.cluster_again("vote", refusal.value)
    runs.start(command)
    assert result(output_of(command, runs.root)) == runs.undisturbed(command).result
    rows.append(page.Row(command, f"{stage} of the run", harm, said, time.time() - begun))

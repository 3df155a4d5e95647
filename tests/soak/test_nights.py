"""Nightly runs on changing input, some killed, with ids that last and old runs removed: nothing is lost or grows.

The ordinary run has a few nights; ``make soak`` (CDP_SOAK_NIGHTS=200) has 200, some of them with a real SIGKILL.
"""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from cdp_spark.commands.clean import clean, clean_runs
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from tests import command, paused
from tests.soak.nights import Account, Images, check_run, groups, settings

NIGHTS = int(os.environ.get("CDP_SOAK_NIGHTS") or 0)
FEW, KEEP = 3, 5
KILLS = ("embeddings/one", "items", "knn/base", "scored_pairs", "forest/whole", "labelled", "clusters", "lineage")
"""Stages at which the system kills a run, before they are made, between their files and manifest, or after."""
FIRST = datetime.date(2026, 1, 1)


class Soak:
    """A lake, its runs by date, and the account of their clusters."""

    def __init__(self, spark, root: Path) -> None:
        self.spark, self.root, self.runs = spark, root, root / "runs"
        self.random = np.random.default_rng(30)
        self.images, self.account = Images(self.random), Account()
        self.kills = 0

    def night(self, number: int, kill: bool, whole: bool) -> None:
        """Change the input, run, perhaps after a run that was killed, check, and remove old runs."""
        self.images.change()
        shutil.rmtree(self.root / "lake", ignore_errors=True)
        self.images.write(self.root / "lake")
        output = self.runs / f"run_date={FIRST + datetime.timedelta(number)}"
        config = settings(self.root / "lake", output, self.runs)
        if kill:
            self._killed(config, number)
        cluster(load_config(config), spark=self.spark)
        found = check_run(output, self.images)
        if whole:
            self._check_alone(found)
        self.account.check(found)
        if number % 7 == 3:  # started once more by mistake: nothing changes
            cluster(load_config(config), spark=self.spark)
            assert check_run(output, self.images) == found
        self._clean(output)

    def _killed(self, config: dict, number: int) -> None:
        path = command.write_config(self.root / "cdp.yaml", config)
        stage, moment = (str(self.random.choice(of)) for of in (KILLS[: 7 + bool(number)], paused.MOMENTS))
        process = paused.start(stage, moment, self.root / f"pause-{number}", "cluster", "--config", path)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.kills += 1

    def _check_alone(self, found: dict[int, int]) -> None:
        """Hold the clusters against those of a run that knows of no other."""
        alone = self.root / "alone"
        cluster(load_config(settings(self.root / "lake", alone, None)), spark=self.spark)
        assert groups(check_run(alone, self.images)) == groups(found)
        shutil.rmtree(alone)

    def _clean(self, output: Path) -> None:
        clean_runs(str(self.runs), keep=KEEP, remove=True)
        clean(str(output), remove=True)
        left = sorted(each.name for each in self.runs.iterdir())
        assert len(left) <= KEEP
        assert left[-1] == output.name
        assert clean(str(output)) == []


@pytest.mark.timeout(0 if NIGHTS else 900)
def test_nightly_runs_lose_no_row_and_no_id(spark, tmp_path):
    soak, begun, process = Soak(spark, tmp_path), time.monotonic(), psutil.Process()
    kills = set(np.random.default_rng(3).choice(NIGHTS, NIGHTS // 8, replace=False).tolist()) if NIGHTS else set()
    early = 0
    for number in range(NIGHTS or FEW):
        soak.night(number, number in kills, whole=number % 20 == 2)
        if number == 20:
            early = process.memory_info().rss
        if NIGHTS and number % 10 == 9:
            rss, files, threads = process.memory_info().rss >> 20, process.num_fds(), process.num_threads()
            print(
                f"night {number + 1}: {time.monotonic() - begun:.0f} s, {soak.kills} killed, {rss} MiB, {files} files, "
                f"{threads} threads, cluster ids up to {soak.account.next_id - 1}", flush=True,
            )  # fmt: skip
    if NIGHTS > 100:
        assert process.memory_info().rss < 2 * early
    assert len(soak.account.clusters) > 40

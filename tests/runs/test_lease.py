"""One run at a time: refused while the holder lives, taken over at once when it has died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cdp_spark.base.errors import GuardError, MissingRequirementError
from cdp_spark.runs import lease as module
from cdp_spark.runs.lease import LEASE, Lease

HOLDER = """
import sys, time
from cdp_spark.runs.lease import Lease
with Lease(sys.argv[1]):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def elsewhere(folder: Path, age: float) -> None:
    """Leave the lease of a run on another machine, whose process number also exists here."""
    now = time.time()
    told = {"token": "x", "host": "far", "machine": "far", "pid": os.getpid(), "process_started": now, "since": now}
    (folder / LEASE).write_text(json.dumps({**told, "heartbeat": now - age}))


def test_the_lease_of_a_living_process_is_refused_naming_its_holder(tmp_path, holder):
    with pytest.raises(GuardError, match=rf"process {holder.pid} on .+ since \d{{4}}-"), Lease(str(tmp_path)):
        pass
    assert json.loads((tmp_path / LEASE).read_text())["pid"] == holder.pid


def test_the_lease_of_a_killed_process_is_taken_over_at_once(tmp_path, holder):
    holder.kill()
    holder.wait()
    with Lease(str(tmp_path)):
        assert json.loads((tmp_path / LEASE).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LEASE).exists()


def test_a_lease_from_elsewhere_is_refused_until_it_has_expired(tmp_path):
    elsewhere(tmp_path, age=module.EXPIRY_SECONDS - 10)
    with pytest.raises(GuardError), Lease(str(tmp_path)):
        pass
    elsewhere(tmp_path, age=module.EXPIRY_SECONDS + 1)
    with Lease(str(tmp_path)):
        pass


def test_a_second_run_in_the_same_process_is_refused_and_a_later_one_is_not(tmp_path):
    with Lease(str(tmp_path)):
        with pytest.raises(GuardError), Lease(str(tmp_path)):
            pass
        assert (tmp_path / LEASE).exists()
    with Lease(str(tmp_path)):
        pass


def test_a_lease_that_this_process_failed_to_remove_does_not_lock_it_out(tmp_path):
    with Lease(str(tmp_path)):
        left = (tmp_path / LEASE).read_text()
    (tmp_path / LEASE).write_text(left)
    with Lease(str(tmp_path)):
        pass


def test_of_many_that_start_together_one_wins(tmp_path):
    output, start, end, won = str(tmp_path / "run"), threading.Barrier(8), threading.Event(), []

    def compete() -> None:
        start.wait()
        try:
            with Lease(output):
                won.append(1)
                end.wait(30)
        except GuardError:
            return

    rivals = [threading.Thread(target=compete) for _ in range(8)]
    for rival in rivals:
        rival.start()
    deadline = time.time() + 30
    while sum(rival.is_alive() for rival in rivals) > 1 and time.time() < deadline:
        time.sleep(0.01)
    end.set()
    for rival in rivals:
        rival.join()
    assert len(won) == 1


def test_of_two_processes_that_start_together_one_wins(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    rivals = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    try:
        deadline = time.time() + 60
        while all(rival.poll() is None for rival in rivals) and time.time() < deadline:
            time.sleep(0.05)
        assert sorted(rival.poll() is None for rival in rivals) == [False, True]
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()


def test_the_heartbeat_is_renewed_and_ends_with_the_block(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)
    with Lease(str(tmp_path)):
        first = json.loads((tmp_path / LEASE).read_text())["heartbeat"]
        deadline = time.time() + 10
        while json.loads((tmp_path / LEASE).read_text())["heartbeat"] == first and time.time() < deadline:
            time.sleep(0.02)
        assert json.loads((tmp_path / LEASE).read_text())["heartbeat"] > first
    time.sleep(0.1)
    assert not (tmp_path / LEASE).exists()


def test_a_run_that_lost_its_lease_is_told_and_leaves_the_new_holder_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)
    with Lease(str(tmp_path)) as lease:
        lease.check()
        elsewhere(tmp_path, age=0)
        deadline = time.time() + 10
        while not lease._lost and time.time() < deadline:
            time.sleep(0.02)
        with pytest.raises(GuardError, match="took it over"):
            lease.check()
    assert json.loads((tmp_path / LEASE).read_text())["host"] == "far"


def test_a_lease_file_that_is_no_lease_does_not_lock_the_output_for_ever(tmp_path):
    (tmp_path / LEASE).write_text("{")
    with Lease(str(tmp_path)):
        pass


def test_a_place_that_may_not_be_written_is_said_in_one_line(tmp_path, monkeypatch):
    lease = Lease(str(tmp_path / "run"))

    class Refusing:
        def create_dir(self, *_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lease._folder, "_files", Refusing())
    with pytest.raises(MissingRequirementError, match="may not be read and written"), lease:
        pass


def test_a_clock_that_is_set_does_not_make_a_living_holder_another_process(tmp_path, holder):
    left = json.loads((tmp_path / LEASE).read_text())
    if left["process_ticks"] is None:
        pytest.skip("this system does not say when a process began since its start")
    (tmp_path / LEASE).write_text(json.dumps({**left, "process_started": left["process_started"] - 3600}))
    with pytest.raises(GuardError, match=f"held by process {holder.pid}"), Lease(str(tmp_path)):
        pass
    (tmp_path / LEASE).write_text(json.dumps({**left, "process_ticks": left["process_ticks"] - 100}))
    with Lease(str(tmp_path)):
        pass


def test_a_holder_elsewhere_whose_clock_is_ahead_is_named_with_what_to_do(tmp_path):
    elsewhere(tmp_path, age=-86_400)
    with pytest.raises(GuardError, match=r"clock is ahead.*if it has died, remove _lease\.json"), Lease(str(tmp_path)):
        pass


def test_a_run_asked_before_its_heartbeat_has_noticed_knows_that_it_lost_the_lease(tmp_path):
    with Lease(str(tmp_path)) as lease:
        elsewhere(tmp_path, age=0)
        with pytest.raises(GuardError, match="took it over"):
            lease.check()

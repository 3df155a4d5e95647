"""What `make` says where the machine lacks something."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def setup(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join([path, os.environ["PATH"]]) if path else os.environ["PATH"]
    return subprocess.run(
        ["make", "-C", str(ROOT), *arguments, "setup"],
        env={**os.environ, "PATH": search}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("extras", "needed"), [("spark", "4 GiB"), ("spark,train", "GiB")])
def test_a_full_disk_is_named_before_anything_is_installed(tmp_path: Path, extras: str, needed: str) -> None:
    df = tmp_path / "bin" / "df"
    df.parent.mkdir()
    df.write_text("#!/bin/sh\necho Filesystem\necho /dev/sda 9000000 6000000 3000000 67% /\n")
    df.chmod(0o755)
    venv = tmp_path / "venv"
    made = setup(f"VENV={venv}", f"EXTRAS={extras}", path=str(df.parent))
    assert made.returncode != 0
    assert f"{venv} needs" in made.stdout
    assert f"{needed} of disk and 2 are free" in made.stdout
    assert not venv.exists()


def test_a_missing_python_is_named(tmp_path: Path) -> None:
    made = setup(f"VENV={tmp_path / 'venv'}", "PYTHON=")
    assert made.returncode != 0
    assert "needs Python 3.10 to 3.14" in made.stdout


def test_setup_says_how_long_it_is_silent_and_builds_beside_what_it_installs(tmp_path: Path) -> None:
    planned = subprocess.run(
        ["make", "-C", str(ROOT), "-n", f"VENV={tmp_path}/venv", "setup"], capture_output=True, text=True, check=True
    ).stdout
    assert "a minute or more, silent unless something fails" in planned
    installs = [line for line in planned.splitlines() if "-m pip install" in line]
    assert installs
    assert all(f"TMPDIR={tmp_path / 'venv'}/tmp PYTHONWARNINGS=ignore" in line for line in installs)
    assert "the checkout must be writable" in planned

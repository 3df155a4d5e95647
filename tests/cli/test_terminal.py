"""What commands print to: readers that go, encodings that lack signs, disks that are full, folders that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdp_spark import cli
from cdp_spark.base.errors import ConfigError, MissingRequirementError
from cdp_spark.cli import terminal
from tests.command import arguments

PRINTS = """
import sys
from cdp_spark import cli
def run(options):
    print({text!r}{more})
    return 0
for command in cli.COMMANDS:
    command.run = run
sys.exit(cli.main(["doctor"]))
"""


def printed(text: str, end: str, more: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command that prints a text, its stdout handed to a shell's redirection."""
    script = PRINTS.format(text=text, more=more)
    words = ["bash", "-c", f'set -o pipefail; "$0" -c "$1" {end}', sys.executable, script]
    return subprocess.run(words, capture_output=True, check=False, timeout=60, env={**os.environ, **variables})


posix = pytest.mark.skipif(os.name == "nt", reason="pipes of a POSIX shell")


@posix
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("more", ["", " * 1_000_000"], ids=["short", "long"])
def test_a_reader_that_goes_is_a_good_end(more, unbuffered):
    ran = printed("line\n", "| true", more, PYTHONUNBUFFERED=unbuffered)
    assert (ran.returncode, ran.stderr) == (0, b"")


@posix
def test_so_it_is_for_help():
    ran = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | true', "bash", *arguments("cluster", "--help")], capture_output=True,
        check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_the_environments_fault():
    ran = printed("line", "> /dev/full", PYTHONUNBUFFERED="")
    assert (ran.returncode, ran.stderr.count(b"\n")) == (3, 1)
    assert b"No space left on device: redirect it elsewhere" in ran.stderr


@posix
def test_signs_that_the_terminal_lacks_are_replaced():
    ran = printed("a – b", "", PYTHONIOENCODING="latin-1")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"a ? b\n", b"")


def test_a_closed_stdout_is_no_trouble():
    ran = printed("line", ">&-")
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_a_folder_that_is_gone_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(os, "getcwd", gone)
    assert cli.main(["doctor"]) == 3
    assert "the current folder has been removed: cd to another one" in capsys.readouterr().err


def test_a_name_that_no_engine_can_be_told_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match=r"'m\\udcf6bius' is not UTF-8.*rename it"):
        terminal.check_words(["cluster", "m\udcf6bius"])
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    with pytest.raises(MissingRequirementError, match=r"reads names as ascii .*set LC_ALL=C\.UTF-8 and"):
        terminal.check_words(["m\udcf6bius"])
    terminal.check_words(["cluster", "möbius"])


def test_an_error_is_told_even_where_its_log_cannot_be_written(monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli.tempfile, "NamedTemporaryFile", full)
    monkeypatch.setattr(cli.doctor, "run", lambda _: 1 / 0)
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().err == "cdp-spark: division by zero\n"

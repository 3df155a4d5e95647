"""A packed environment travels with the job: the recipe of docs/howto/spark-submit.md."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig

import pytest

from tests.standalone import run, submit_words

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.mark.skipif(importlib.util.find_spec("venv_pack") is None, reason="venv-pack is not installed")
def test_workers_take_python_and_the_package_from_the_archive(cluster, wheel, tmp_path):
    env, archive = tmp_path / "env", tmp_path / "env.tar.gz"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
    python = env / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    # The recipe installs everything into it; here the test's own packages stand in, as they are large.
    (site,) = env.glob("lib/python*/site-packages")
    # As code: venv-pack refuses a plain path to elsewhere, which may be an editable package.
    (site / "others.pth").write_text(f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n")
    subprocess.run([sys.executable, "-m", "venv_pack", "--prefix", str(env), "--output", str(archive)], check=True)
    words = submit_words(
        cluster, "doctor", "--output", tmp_path, "--json", options=["--archives", f"{archive}#env"],
    )  # fmt: skip
    done = run(words, PYSPARK_DRIVER_PYTHON=str(python), PYSPARK_PYTHON="./env/bin/python")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cdp-spark 0.1.0" in json.loads(done.stdout.splitlines()[-1])["workers"]["text"]

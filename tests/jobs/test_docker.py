"""Image, compose file and entry scripts, as far as they can be looked at without an engine."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyspark
import pytest
import yaml

import cdp_spark
from cdp_spark.datasets import glyphs
from tests.conftest import GRAPHFRAMES
from tests.standalone import DOCKER, ROOT, SETTINGS, run

SCRIPTS = sorted(DOCKER.glob("*.sh"))
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]

services = pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))


@services
def test_every_service_has_a_health_check_and_is_not_root(service):
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["user"].split(":")[0] not in ("0", "root")


@services
def test_images_are_pinned_and_ports_open_to_this_machine_only(service):
    tag = service["image"].rpartition(":")[2]
    assert tag == cdp_spark.__version__ if "build" in service else tag.startswith("RELEASE.2025-")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_there_are_a_master_two_workers_a_bucket_and_a_demo_that_waits_for_them():
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert SERVICES["bucket"]["depends_on"] == {"store": {"condition": "service_healthy"}}
    assert set(SERVICES["demo"]["depends_on"]) == {"bucket", "worker"}
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_no_key_of_the_store_is_written_anywhere_but_in_the_environment():
    written = (DOCKER / "spark-defaults.conf").read_text()
    assert not re.search(r"^[^#]*(secret|access\.key|password)", written, re.MULTILINE)


@services
def test_what_a_service_runs_or_mounts_is_there(service):
    command = service.get("command", [])
    if "build" in service:
        assert (DOCKER / command[0]).exists()
        assert (DOCKER / service["healthcheck"]["test"][1]).exists()
    for volume in service.get("volumes", ()):
        assert (DOCKER / volume.split(":")[0]).exists()


def test_the_image_is_pinned_and_ends_as_another_user_than_root():
    assert all(re.search(r":\d+\.\d+\.\d+-", line) for line in DOCKERFILE.splitlines() if line.startswith("FROM "))
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", last, re.MULTILINE) == ["1000:1000"]
    assert re.search(r"^HEALTHCHECK .* CMD \[", last, re.MULTILINE)
    assert all((DOCKER / script).exists() for script in re.findall(r"\b\w+\.sh\b", DOCKERFILE))


def test_what_is_copied_into_the_image_is_there_and_not_left_out():
    let_in = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert name in let_in


def test_versions_are_those_that_are_tested():
    pinned = dict(re.findall(r"^ARG (\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    assert pinned["GRAPHFRAMES"] == GRAPHFRAMES.rpartition(":")[2]
    if pyspark.__version__ == pinned["PYSPARK"]:
        assert list(Path(pyspark.__file__).parent.glob(f"jars/hadoop-client-api-{pinned['HADOOP']}.jar"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_posix_and_stop_at_the_first_error(script):
    text = script.read_text()
    assert text.startswith("#!/bin/sh\n# ")
    assert "\nset -eu\n" in text
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


def stub(folder: Path, name: str, body: str = "") -> Path:
    """A command that writes down its words, a line each call."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\nset -eu\necho "$@" >>"{folder}/{name}.calls"\n{body}\n')
    (folder / name).chmod(0o755)
    return folder / f"{name}.calls"


def script(name: str, *words: str, path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": f"{path}{os.pathsep}{DOCKER}{os.pathsep}{os.environ['PATH']}", **more}
    return subprocess.run([name, *words], env=settings, capture_output=True, text=True, check=False)


def test_the_bucket_is_made_and_filled(tmp_path):
    calls = stub(tmp_path, "mc")
    keys = {"AWS_ENDPOINT_URL": "http://store:9000", "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "word"}
    done = script("bucket.sh", path=tmp_path, **keys)
    assert done.returncode == 0, done.stderr
    assert calls.read_text().splitlines() == [
        "alias set store http://store:9000 me word",
        "mb --ignore-existing store/cdp",
        "mirror --overwrite /glyphs store/cdp/glyphs",
    ]
    assert script("bucket.sh", path=tmp_path).returncode != 0  # without keys it does nothing


def test_jars_are_put_where_spark_looks(tmp_path):
    fetched = 'for word do case "$word" in spark.jars.ivy=*) ivy="${word#*=}";; esac; done\n'
    calls = stub(tmp_path, "spark-submit", f'{fetched}mkdir -p "$ivy/jars"; : >"$ivy/jars/a.jar"')
    done = script("jars.sh", str(tmp_path / "jars"), "g:a:1", "g:b:2", path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "jars" / "a.jar").exists()
    assert "--packages g:a:1,g:b:2 " in calls.read_text()


def test_a_job_that_is_none_is_said_in_one_line(tmp_path):
    for words, said in (((), "name a command"), (("dance",), "no command dance")):
        done = script("job.sh", *words, path=tmp_path, CDP_JOBS=str(ROOT / "jobs"))
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.cluster
@pytest.mark.slow
def test_the_health_check_asks_the_page(cluster):
    assert run(["health.sh"], CDP_HEALTH_URL=cluster.page).returncode == 0
    gone = run(["health.sh"], CDP_HEALTH_URL="http://127.0.0.1:9")
    assert gone.returncode == 1
    assert gone.stderr.startswith("http://127.0.0.1:9: ")
    assert run(["health.sh"]).returncode == 0


@pytest.mark.cluster
@pytest.mark.slow
def test_the_demo_runs_on_the_cluster(cluster, wheel, tmp_path):
    own = {**SETTINGS, "spark.submit.pyFiles": f"file://{wheel}"}  # the image has it installed
    lines = [(DOCKER / "spark-defaults.conf").read_text(), *(f"{key} {value}" for key, value in own.items())]
    (tmp_path / "spark-defaults.conf").write_text("\n".join(lines))
    part = tenth_of_the_glyphs(tmp_path / "glyphs")
    done = run(
        ["demo.sh", "--json"], SPARK_CONF_DIR=str(tmp_path), CDP_MASTER=cluster.master, CDP_JOBS=str(ROOT / "jobs"),
        CDP_DATA=str(part), CDP_OUTPUT=str(tmp_path / "demo"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    clusters = pq.read_table(tmp_path / "demo" / "clusters")
    assert clusters.num_rows == pq.read_metadata(part / "labels.parquet").num_rows
    assert (tmp_path / "demo" / "report.html").exists()


def tenth_of_the_glyphs(folder: Path) -> Path:
    """Write the data of the demo, a tenth of the characters: a cluster of one machine takes minutes for all."""
    source = glyphs.FOLDER / "unlabelled"
    labels = pq.read_table(source / "labels.parquet")
    kept = labels.filter(pc.less(labels["label"], len(labels["label"].unique()) // 10))
    folder.mkdir()
    for path in source.glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.filter(pc.is_in(table["id"], kept["id"])), folder / path.name)
    return folder

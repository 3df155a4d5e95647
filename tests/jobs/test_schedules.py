"""Examples of schedules: they parse, and every command in them has the options that it has."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark import cli
from tests.standalone import ROOT

DOCS = ROOT / "docs"
PAGES = [DOCS / "howto/schedules.md", DOCS / "howto/spark-submit.md", ROOT / "docker" / "README.md"]
DAY = "2026-11-25"


def check(words: list[str]) -> list[str]:
    """Parse the words after ``cdp-spark``, or after a job's file, as the command would; return them."""
    for place, word in enumerate(words):
        if word.endswith("cdp-spark") or word == "job.sh":
            words = words[place + 1 :]
            break
        if re.fullmatch(r"(\S*/)?jobs/\w+\.py", word):
            assert (ROOT / "jobs" / Path(word).name).exists()
            words = [Path(word).stem, *words[place + 1 :]]
            break
    _, unknown = cli._parser().parse_known_args(words)
    assert not unknown
    return words


def commands(page: Path) -> list[list[str]]:
    """The commands of this project in a page's shell blocks."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    ours = re.compile(r"(^|\s)(cdp-spark|job\.sh|\S*jobs/\w+\.py) ?")
    return [shlex.split(re.sub(r"(^|\s)#.*", "", line)) for line in lines if ours.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_have_the_options_that_they_have(page):
    assert commands(page)
    for words in commands(page):
        check(words)


def cron_line(text: str) -> str:
    (line,) = (line for line in text.splitlines() if re.match(r"\d", line))
    return line


def test_the_cron_line_clusters_then_cleans(tmp_path):
    line = cron_line((DOCS / "examples" / "crontab").read_text())
    assert line == cron_line((DOCS / "howto/schedules.md").read_text())
    *when, command = line.split(maxsplit=5)
    assert all(re.fullmatch(r"\d+|\*", field) for field in when)
    assert not re.search(r"(?<!\\)%", command)  # cron would end the command there
    stub = tmp_path / ".venv" / "bin" / "cdp-spark"
    stub.parent.mkdir(parents=True)
    stub.write_text('#!/bin/sh\necho "$@" >>calls\n')
    stub.chmod(0o755)
    command = command.replace("\\%", "%").replace("/srv/cdp", str(tmp_path))
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    clustered, cleaned = (check(call.split()) for call in (tmp_path / "calls").read_text().splitlines())
    assert re.fullmatch(r"runs/run_date=\d{4}-\d\d-\d\d", clustered[clustered.index("--output") + 1])
    assert clustered[-2:] == ["--previous", "runs"]
    assert cleaned == ["clean", "--runs", "runs", "--keep", "7", "--yes"]


class Dag:
    """Stands in for Airflow's: takes any settings, and is a context."""

    def __init__(self, **settings: object) -> None:
        self.settings = settings

    def __enter__(self) -> Dag:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Operator:
    """Stands in for ``BashOperator``; remembers each that was made, and what follows it."""

    made: list[Operator]

    def __init__(self, *, task_id: str, bash_command: str, **settings: object) -> None:
        self.task_id, self.bash_command, self.settings = task_id, bash_command, settings
        self.then: Operator | None = None
        self.made.append(self)

    def __rshift__(self, other: Operator) -> Operator:
        self.then = other
        return other


def test_the_dag_clusters_then_cleans(monkeypatch):
    Operator.made = []
    bash = "airflow.providers.standard.operators.bash"
    for name in ("airflow", "airflow.sdk", *(bash.rsplit(".", depth)[0] for depth in (3, 2, 1)), bash):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["airflow.sdk"].DAG = Dag
    sys.modules[bash].BashOperator = Operator
    path = DOCS / "examples" / "airflow_dag.py"
    exec(compile(path.read_text(), str(path), "exec"), {})
    cluster, clean = Operator.made
    assert cluster.then is clean
    assert cluster.settings["skip_on_exit_code"] == [4]
    rendered = cluster.bash_command.replace("{{ data_interval_end | ds }}", DAY)
    assert "{" not in rendered + clean.bash_command
    words = check(shlex.split(rendered))
    output, previous = (words[words.index(option) + 1] for option in ("--output", "--previous"))
    assert output == f"{previous}/run_date={DAY}"
    words = check(shlex.split(clean.bash_command))
    assert words[words.index("--runs") + 1] == previous


@pytest.mark.spark("Sail takes no columns from the folders of a pattern")
def test_runs_by_date_read_as_one_table(spark, tmp_path):
    for day in ("2026-11-24", DAY):
        folder = tmp_path / f"run_date={day}" / "clusters"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": [1, 2], "cluster": [0, 0]}), folder / "part-0.parquet")
    table = spark.read.option("basePath", str(tmp_path)).parquet(f"{tmp_path}/*/clusters")
    assert {str(row["run_date"]) for row in table.collect()} == {"2026-11-24", DAY}

"""What SECURITY.md promises, a group of tests per promise."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import pickle
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import cdp_spark
from cdp_spark._archive import unpacked
from cdp_spark.base.compile_cache import private_folder
from cdp_spark.base.errors import CdpError, ConfigError, InputError
from cdp_spark.base.messages import LONGEST, masked
from cdp_spark.cli import main
from cdp_spark.config.loading import load_config
from cdp_spark.config.shorthand import config_of_file
from cdp_spark.files.folder import Folder
from cdp_spark.runs import documents
from cdp_spark.runs.run_record import without_secrets
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.scoring.mediator_folder import load_mediator
from cdp_spark.sources import pictures
from cdp_spark.spark.progress import Progress
from cdp_spark.training_lists import listings
from tests.fuzz.readers import CARD, LATEST, RECORD, SMALL

PACKAGE = Path(cdp_spark.__file__).parent
SOURCES = [*sorted(PACKAGE.rglob("*.py")), *sorted((PACKAGE.parent / "jobs").glob("*.py"))]
PROMISES = re.findall(
    r"^\| \*\*(.+?)\*\* \|", (PACKAGE.parent / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE
)

RUNS_PROGRAMS = {"java.py": "java -version", "warm.py": "this package's own module"}
"""Modules that start another program, and which; the words are fixed."""

sources = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Return the calls of a module by what is written before the bracket."""
    found = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in found]


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


def test_every_promise_is_tested_here():
    assert [name.split()[:2] for name in PROMISES] == [
        ["No", "file"], ["No", "path"], ["No", "code"], ["No", "key"], ["Logs", "hold"],
        ["Bad", "input"], ["Others", "cannot"],
    ]  # fmt: skip


# --- No file is unpickled.

UNPICKLE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "pickletools"}


@sources
def test_no_module_loads_pickles(path):
    assert not {name.split(".")[0] for name in imports(path)} & UNPICKLE
    for name, call in calls(path):
        given = {each.arg: ast.unparse(each.value) for each in call.keywords}
        assert name not in ("torch.load", "pd.read_pickle", "pandas.read_pickle"), name
        assert given.get("allow_pickle", "False") == "False"
        assert name != "yaml.load"
        assert not name.startswith(("yaml.unsafe", "yaml.full"))


def test_a_pickle_in_place_of_a_mediator_is_refused_and_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "card.json").write_bytes(SMALL["card.json"])
    (tmp_path / "mediator.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ConfigError, match="never loaded"):
        load_mediator(str(tmp_path), models=CARD["models"], k=CARD["k"])
    assert not (tmp_path / "ran").exists()


def test_yaml_makes_plain_values_only(tmp_path):
    (tmp_path / "cdp.yaml").write_text(f"output: !!python/object/apply:os.mkdir ['{tmp_path}/ran']")
    with pytest.raises(ConfigError, match="not plain YAML"):
        config_of_file(object, str(tmp_path / "cdp.yaml"))
    assert not (tmp_path / "ran").exists()


# --- No path escapes.


@pytest.mark.parametrize(
    "name", ["../../x", "knn/../../../x", "/etc/x", "knn/..", "_hidden/.x", "a\\..\\b", "knn/\x00"]
)
def test_a_models_name_stays_in_the_folder_of_stages(tmp_path, name):
    store = StageStore.__new__(StageStore)
    place = store._path_of(name, "0" * 64)
    assert (tmp_path / place).resolve().is_relative_to(tmp_path / "stages")
    assert not any(step.startswith((".", "_")) for step in place.split("/"))


@pytest.mark.parametrize(
    "place", ["../other", "stages/../../other", "/etc", "stages", "stages//x", "s3://lake/x", "stages/..\\x"]
)
def test_a_runs_files_name_places_of_that_run_only(tmp_path, place):
    folder = Folder(str(tmp_path))
    folder.write("run.json", json.dumps({**RECORD, "stages": [{**RECORD["stages"][0], "path": place}]}))
    folder.write("latest.json", json.dumps({**LATEST, "clusters": place}))
    for read in (documents.read_record, documents.read_latest):
        with pytest.raises(InputError, match="must lie in the run's folder stages"):
            read(folder)


def test_a_fingerprint_of_a_run_is_no_path(tmp_path):
    folder = Folder(str(tmp_path))
    folder.write("run.json", json.dumps({**RECORD, "stages": [{**RECORD["stages"][0], "fingerprint": "/../../../x"}]}))
    with pytest.raises(InputError, match="is not a fingerprint"):
        documents.read_record(folder)


def test_an_id_leads_to_no_picture_outside_its_folder(tmp_path):
    from PIL import Image

    for name in ("secret.png", "in/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (3, 3)).save(tmp_path / name)
    source = load_config({"input": {"base": "a", "images": f"{tmp_path}/in/{{id}}.png"}, "output": "run"}).input.images
    assert list(pictures.thumbnails(None, source, ["a", "../secret", "x/../../secret"])) == ["a"]


def test_a_link_in_an_output_is_not_followed_when_things_are_removed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "picture").write_text("x")
    (tmp_path / "run" / "stages").mkdir(parents=True)
    (tmp_path / "run" / "stages" / "knn-0123456789abcdef").symlink_to(tmp_path / "mine")
    with contextlib.suppress(OSError, CdpError):
        Folder(str(tmp_path / "run")).remove("stages/knn-0123456789abcdef")
    assert (tmp_path / "mine" / "picture").read_text() == "x"


def test_a_packed_package_is_unpacked_below_its_own_folder(tmp_path, monkeypatch):
    import zipfile

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as files:
        for name in ("cdp_spark/__init__.py", "cdp_spark/../../outside.py", "/outside.py", "other/x.py"):
            files.writestr(name, "x = 1")
        link = zipfile.ZipInfo("cdp_spark/link")
        link.external_attr = 0o120777 << 16
        files.writestr(link, "/etc/passwd")
    found = Path(unpacked(str(tmp_path / "package.whl")))
    assert found.is_relative_to(tmp_path / "cache")
    assert {each.name for each in tmp_path.iterdir()} == {"cache", "package.whl"}
    assert not (found / "link").is_symlink()
    assert [each.name for each in found.parent.iterdir()] == ["cdp_spark"]


# --- No code comes from data.


@sources
def test_no_module_runs_text(path):
    for name, call in calls(path):
        assert name not in ("eval", "exec", "compile", "os.system", "os.popen", "__import__"), name
        given = {each.arg: ast.unparse(each.value) for each in call.keywords}
        assert given.get("shell", "False") == "False"
        if name.startswith(("subprocess.", "os.spawn", "os.exec")):
            assert path.name in RUNS_PROGRAMS, path


@sources
def test_sql_and_templates_are_fixed_texts(path):
    """But for a table's name of the config, which the catalog has taken for one before it stands in a statement."""
    for name, call in calls(path):
        if name.endswith((".sql", ".from_string")) and call.args:
            given = call.args[0]
            fixed = isinstance(given, ast.Constant) or ast.unparse(given).startswith("_text(")
            assert fixed or path.name == "catalog_table.py", f"{path.name}: {ast.unparse(call)}"


def test_the_report_escapes_and_lets_the_browser_run_and_load_nothing():
    from cdp_spark.report.page import page
    from tests.report import made_up

    html = page("<b>run</b>", made_up.bare())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "script-src 'none'" in policy
    assert "<b>run" not in html
    assert "<script>alert" not in html
    assert not re.search(r"<[^>]+\s(?:src|href)=\"(?!#|data:)", html)


# --- No key is in any file.

KEYS = [
    "s3://AKIA:wo/rd@lake/v3", "s3a://key:word@lake/v3", "https://word@host/x", "abfss://faces:word@account/x",
    "https://host/x?sig=word&a=1", "s3://lake/v3?secret_key=word", "https://host/x?X-Amz-Signature=word",
]  # fmt: skip


@pytest.mark.parametrize("url", KEYS)
def test_keys_in_urls_are_masked(url):
    assert "word" not in masked(f"input {url}: it is not there")
    assert "wo/rd" not in masked(url)


@pytest.mark.parametrize(
    "url", ["abfss://faces@account/v3", "hdfs://node:9000/a@b", "a@b.c", "s3://lake/a:b", "file:///a@b"]
)
def test_what_is_no_key_stays(url):
    assert masked(url) == url


def test_settings_that_look_like_keys_are_masked():
    given = dict.fromkeys(("secret_key", "access.key", "password", "session_token", "credential"), "word")
    assert set(without_secrets({"conf": given})["conf"].values()) == {"***"}


def test_no_file_of_a_run_holds_a_key_of_its_config(spark, tmp_path):
    from cdp_spark.commands.cluster import cluster
    from tests.data import embeddings, write

    ids, _, models = embeddings(6)
    write(tmp_path / "in", ids, {"a": models[next(iter(models))]})
    (file,) = (tmp_path / "in").glob("a*")
    given = {"base": str(file), "images": "s3://key:word@lake/{id}.png"}
    cluster(load_config({"input": given, "output": str(tmp_path / "run"), "knn": {"k": 3}}), spark=spark)
    written = [file for file in (tmp_path / "run").rglob("*") if file.suffix in (".json", ".yaml", ".html")]
    assert {"run.json", "config.yaml", "openlineage.json", "latest.json"} <= {file.name for file in written}
    assert not [file for file in written if "word" in file.read_text()]


# --- Logs hold no vector and no key; bad input ends in one line.


def test_progress_shows_no_key():
    for structured in (False, True):
        stream = io.StringIO()
        Progress(stream, structured=structured).say("reading s3://key:word@lake/v3", "warning")
        assert "word" not in stream.getvalue()


def test_a_message_is_one_line_without_keys_whatever_the_input_holds(tmp_path, capsys):
    path = f"s3x://key:word@lake/\x1b[31m{'x' * 900}\nTraceback"
    assert main(["evaluate", "--clusters", path, "--labels", path, "--engine", "none"]) == 2
    assert main(["cluster", "--config", str(tmp_path / "no\nsuch" / ("x" * 900)), "--output", path]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(
        len(line) <= LONGEST + len("cdp-spark: ") and "word" not in line and "\x1b" not in line for line in lines
    )


def test_the_log_of_an_unexpected_error_holds_no_key(monkeypatch, capsys):
    def fails(*given):
        raise RuntimeError("s3://key:hunter2@lake/v3 is odd")

    monkeypatch.setattr("cdp_spark.cli.clean.run", fails)
    assert main(["clean", "--output", "x"]) == 1
    said = capsys.readouterr().err
    log = Path(re.search(r"details in (\S+)\)", said)[1])
    try:
        assert "hunter2" not in said + log.read_text()
        assert log.stat().st_mode & 0o077 == 0
    finally:
        log.unlink()


@sources
def test_no_message_is_made_from_a_vector(path):
    """Names of arrays of numbers do not stand alone in the text of an error or a line of progress."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        raised = isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        said = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "say"
        if raised or said:
            shown = [each.value for each in ast.walk(node) if isinstance(each, ast.FormattedValue)]
            names = {each.id for each in shown if isinstance(each, ast.Name)}
            assert not names & {"vector", "vectors", "embedding", "embeddings", "rows_of_vectors", "centroids"}, (
                ast.unparse(node)
            )


def test_a_list_has_one_line_per_item_whatever_the_id_is():
    rows = pa.table(
        {"id": ["a\n/etc/passwd 1", "b"], "label": [0, 0], "image": ["in/a\n/etc/passwd 1.png", "in/b.png"]}
    )
    data, written = listings._list(rows)
    assert (data, written.tolist()) == (b"in/b.png 0\n", [False, True])


# --- Others cannot put code in your way.

not_on_windows = pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners of files")


@not_on_windows
def test_a_folder_of_compiled_code_that_others_may_write_is_not_used(tmp_path):
    shared = tmp_path / f"cdp-spark-numba-{os.getuid()}"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    found = Path(private_folder(tmp_path))
    assert found != shared
    assert found.stat().st_mode & 0o077 == 0


@not_on_windows
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root to give a folder to another user")
def test_an_unpacked_package_of_another_user_is_not_used(tmp_path, monkeypatch):
    import zipfile

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as files:
        files.writestr("cdp_spark/__init__.py", "x = 1")
    placed = Path(unpacked(str(tmp_path / "package.whl"))).parent
    os.chown(placed, 12345, 12345)
    assert Path(unpacked(str(tmp_path / "package.whl"))).parent != placed

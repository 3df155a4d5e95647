"""Every notebook runs on the demo data, from its script; what is committed is that script with its outputs."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
needs = pytest.importorskip("jupytext", reason="the extra notebooks is not installed")

SHORTER = {"STEPS, BATCH, SCALE, MARGIN = 60, 400,": "STEPS, BATCH, SCALE, MARGIN = 60, 20,"}
"""Training takes minutes. Every cell runs here, but students learn little; the committed notebook has their figures."""

notebooks = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def test_what_is_made_shorter_is_there():
    written = "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    assert all(text in written for text in SHORTER)


@notebooks
def test_a_notebook_holds_what_its_script_says(script):
    committed = needs.read(script.with_suffix(".ipynb"))
    written = needs.read(script)
    assert [cell.source for cell in committed.cells] == [cell.source for cell in written.cells]
    assert [cell.cell_type for cell in committed.cells] == [cell.cell_type for cell in written.cells]
    assert any("image/png" in out.get("data", {}) for cell in committed.cells for out in cell.get("outputs", ()))


@pytest.mark.slow
@notebooks
def test_a_notebook_runs(script, tmp_path):
    client = pytest.importorskip("nbclient", reason="the extra notebooks is not installed")
    notebook = needs.read(script)
    for cell in notebook.cells:
        for text, shorter in SHORTER.items():
            cell.source = cell.source.replace(text, shorter)
    client.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert any("image/png" in out.get("data", {}) for out in outputs)

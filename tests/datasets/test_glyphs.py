"""The data that comes with the project is what its maker makes."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.datasets import glyphs, make_glyphs
from cdp_spark.scoring.mediator_folder import load_mediator

SUBSETS = ("labelled", "unlabelled")
ROUNDING = 2
"""Grey values: another release of scipy or of the font renderer may round the other way."""

DIMENSIONS = {"residual": 96, "plain": 64, "wide": 80, "half": 64}


@pytest.fixture(scope="module")
def wanted():
    """Comparing all characters for look-alikes takes a quarter of a minute."""
    return make_glyphs.split()


@cache
def shipped(subset: str, name: str):
    return pq.read_table(glyphs.FOLDER / subset / f"{name}.parquet").combine_chunks()


@pytest.mark.slow
def test_the_parts_share_no_character_and_have_the_stated_sizes(wanted):
    points = {subset: {point for point, _ in entries} for subset, entries in wanted.items()}
    assert not points["labelled"] & points["unlabelled"]
    assert not points["training"] & (points["labelled"] | points["unlabelled"])
    assert len(points["labelled"]) == 200
    assert len(points["unlabelled"]) == 430 + 500
    for subset in SUBSETS:
        assert shipped(subset, "labels").num_rows == sum(count for _, count in wanted[subset])


@pytest.mark.slow
def test_ids_labels_and_pictures_made_again_are_those_that_ship(wanted):
    again, labels = make_glyphs.drawn("labelled", wanted["labelled"]), shipped("labelled", "labels")
    assert labels.column("id").to_pylist() == again.ids.tolist()
    assert labels.column("label").to_pylist() == again.labels.tolist()
    for row in range(0, len(again.images), 97):
        assert differ(pixels("labelled", row), again.images[row]) <= ROUNDING


@pytest.mark.slow
def test_some_pictures_of_the_larger_part_made_again_are_among_those_that_ship(wanted):
    some = wanted["unlabelled"][:12]  # not all: the shuffle that hides who is who needs the whole subset
    labels = shipped("unlabelled", "labels").column("label").to_numpy()
    again = make_glyphs.drawn("unlabelled", some).images
    mine = np.flatnonzero(labels < len(some)).tolist()
    assert len(mine) == len(again) == sum(count for _, count in some)
    for row in mine:
        assert min(differ(pixels("unlabelled", row), image) for image in again) <= ROUNDING


def pixels(subset: str, row: int):
    return np.asarray(Image.open(io.BytesIO(shipped(subset, "images").column("image")[row].as_py())))


def differ(one, other) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("model", [glyphs.BASE, *glyphs.COMMITTEE])
def test_embeddings_are_unit_vectors_of_the_same_ids(subset, model):
    table = shipped(subset, model)
    assert table.column("id").equals(shipped(subset, "labels").column("id"))
    rows = decode(table.column("embedding").chunk(0), DIMENSIONS[model])
    assert np.linalg.norm(rows.astype(np.float64), axis=1) == pytest.approx(1, abs=2e-3)


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in glyphs.FOLDER.rglob("*") if path.is_file()) < 12 * 2**20


@pytest.mark.parametrize("folder", [glyphs.MEDIATOR, glyphs.RICH_MEDIATOR], ids=lambda path: path.name)
def test_a_mediator_that_ships_fits_the_data(folder):
    mediator = load_mediator(str(folder), models=[glyphs.BASE, *glyphs.COMMITTEE], k=glyphs.K)
    assert mediator.card["items"] == shipped("labelled", "labels").num_rows

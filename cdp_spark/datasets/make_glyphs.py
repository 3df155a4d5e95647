"""Make the data set that comes with the project: ``python -m cdp_spark.datasets.make_glyphs --output FOLDER``."""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from cdp_spark.base.numeric.unit_vectors import encode
from cdp_spark.cli import main as cdp_spark
from cdp_spark.datasets import glyphs
from cdp_spark.datasets.glyph_characters import accented, characters, faces_of
from cdp_spark.datasets.glyph_images import scanned
from cdp_spark.scoring.mediator_folder import CARD, WEIGHTS

LABELLED, UNLABELLED, DISTRACTORS = 200, 430, 500
"""Characters of each part. The embedders are trained on the identities left over, on accented characters and on those
with 3 to 5 faces; distractors have 1 or 2. So all characters of both parts are new to the embedders."""

_SEED = 2018


@dataclass(frozen=True)
class Part:
    """Images of one part: ids, labels (a distractor has one of its own) and pictures."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    images: NDArray[np.uint8]


def split() -> dict[str, list[tuple[int, int]]]:
    """Choose the characters of each part and how many images each has: (code point, images)."""
    random = np.random.default_rng(_SEED)
    identities, others = characters()
    chosen = random.permutation(identities).tolist()
    sizes = np.clip(np.round(np.exp(random.normal(np.log(8), 0.75, UNLABELLED))), 1, 32).astype(int).tolist()
    labelled, unlabelled = chosen[:LABELLED], chosen[LABELLED : LABELLED + UNLABELLED]
    several = [point for point in others if len(faces_of(point)) > 2]
    distractors = random.permutation(sorted(set(others) - set(several)))[:DISTRACTORS].tolist()
    training = chosen[LABELLED + UNLABELLED :] + several
    return {
        "training": [(point, 3 * len(faces_of(point))) for point in training]
        + [(point, len(faces_of(point))) for point in accented()],
        "labelled": [(point, len(faces_of(point))) for point in labelled],
        "unlabelled": [*zip(unlabelled, sizes, strict=True), *((point, 1) for point in distractors)],
    }


def drawn(name: str, wanted: list[tuple[int, int]]) -> Part:
    """Draw one part; an identity that needs more images than it has faces gets more distortions of them."""
    images, labels = [], []
    for label, (point, count) in enumerate(wanted):
        random = np.random.default_rng([_SEED, point])
        faces = faces_of(point)
        order = np.concatenate([random.permutation(faces) for _ in range(-(-count // len(faces)))])[:count]
        images += [scanned(point, int(face), 100_000 * place + point) for place, face in enumerate(order)]
        labels += [label] * count
    # Neither ids nor the order of rows tell who is who.
    shuffle = np.random.default_rng([_SEED, len(name)]).permutation(len(labels))
    ids = np.random.default_rng([_SEED, 1 + len(name)]).permutation(10 * len(labels))[: len(labels)]
    return Part(ids.astype(np.int64), np.array(labels, np.int64)[shuffle], np.stack(images)[shuffle])


def write(folder: Path, part: Part, embeddings: dict[str, NDArray[np.float16]]) -> None:
    """Write a part's images, labels and embeddings as Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.array(part.ids)
    pictures = pa.array([encoded(image) for image in part.images], pa.binary())
    pq.write_table(pa.table({"id": ids, "image": pictures}), folder / "images.parquet", compression="zstd")
    pq.write_table(pa.table({"id": ids, "label": pa.array(part.labels)}), folder / "labels.parquet", compression="zstd")
    for model, rows in embeddings.items():
        table = pa.table({"id": ids, "embedding": encode(rows)})
        pq.write_table(table, folder / f"{model}.parquet", compression="none", use_dictionary=False)


def encoded(image: NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def make(output: Path) -> None:
    """Draw all parts, train the embedders, embed, write."""
    from cdp_spark.datasets.glyph_embedders import DIMENSIONS, embedded, trained

    parts = {name: drawn(name, wanted) for name, wanted in split().items()}
    training = parts.pop("training")
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        networks = workers.map(trained, DIMENSIONS, repeat(training.images), repeat(training.labels))
        models = dict(zip(DIMENSIONS, networks, strict=True))
    for name, part in parts.items():
        rows = {kind: embedded(model, part.images) for kind, model in models.items()}
        for kind, matrix in rows.items():
            sys.stderr.write(f"{name:<11} {kind:<9} nearest neighbour right {nearest_right(matrix, part.labels):.3f}\n")
        write(output / name, part, rows)


def learn(output: Path) -> None:
    """Train the mediators of the labelled part by the command, and put them beside the data."""
    part = output / "labelled"
    words = [
        "train", "--base", f"{part}/{glyphs.BASE}.parquet",
        "--committee", *(f"{part}/{model}.parquet" for model in glyphs.COMMITTEE),
        "--labels", f"{part}/labels.parquet",
        "--set", f"input.encoding={glyphs.ENCODING}", "--set", f"knn.k={glyphs.K}",
    ]  # fmt: skip
    for feature_set, place in (("code", glyphs.MEDIATOR), ("rich", glyphs.RICH_MEDIATOR)):
        with tempfile.TemporaryDirectory() as run:
            if cdp_spark([*words, "--output", run, "--set", f"mediator.feature_set={feature_set}"]):
                raise SystemExit(f"the mediator of {feature_set} was not trained; the data are written")
            (output / place.name).mkdir(exist_ok=True)
            for name in (CARD, WEIGHTS):
                shutil.copy(Path(run, name), output / place.name / name)


def nearest_right(rows: NDArray[np.float16], labels: NDArray[np.int64]) -> float:
    """Return how often the nearest other image shows the same identity, where there is another one."""
    exact = rows.astype(np.float32)
    cosine = exact @ exact.T
    np.fill_diagonal(cosine, -2)
    several = np.bincount(labels)[labels] > 1
    return float((labels[np.argmax(cosine, axis=1)] == labels)[several].mean())


def main() -> None:
    """Parse the command line and make the data."""
    parser = argparse.ArgumentParser(description="Make the glyph data set.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "glyphs")
    output = parser.parse_args().output
    make(output)
    learn(output)


if __name__ == "__main__":
    main()

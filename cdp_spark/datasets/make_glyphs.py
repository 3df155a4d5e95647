"""Make the project's own data.

Run ``python -m cdp_spark.datasets.make_glyphs --output FOLDER``.
"""

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
"""Number of characters per subset. Distractors have 1 or 2 faces. The embedders are trained on the remaining
identities, on accented characters and on those with 3 to 5 faces, so all characters of both subsets are new to them."""

_SEED = 2018


@dataclass(frozen=True)
class Subset:
    """Ids, labels and pictures of one subset; each distractor has its own label."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    images: NDArray[np.uint8]


def split() -> dict[str, list[tuple[int, int]]]:
    """Choose (code point, number of images) for the characters of each subset."""
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


def drawn(name: str, wanted: list[tuple[int, int]]) -> Subset:
    """Draw one subset, repeating faces of an identity with more images than faces."""
    images, labels = [], []
    for label, (point, count) in enumerate(wanted):
        random = np.random.default_rng([_SEED, point])
        faces = faces_of(point)
        order = np.concatenate([random.permutation(faces) for _ in range(-(-count // len(faces)))])[:count]
        images += [scanned(point, int(face), 100_000 * number + point) for number, face in enumerate(order)]
        labels += [label] * count
    # Neither the ids nor the order of rows give an identity away.
    shuffle = np.random.default_rng([_SEED, len(name)]).permutation(len(labels))
    ids = np.random.default_rng([_SEED, 1 + len(name)]).permutation(10 * len(labels))[: len(labels)]
    return Subset(ids.astype(np.int64), np.array(labels, np.int64)[shuffle], np.stack(images)[shuffle])


def write(folder: Path, subset: Subset, embeddings: dict[str, NDArray[np.float16]]) -> None:
    """Write the images, labels and embeddings of a subset as Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.array(subset.ids)
    pictures = pa.array([encoded(image) for image in subset.images], pa.binary())
    pq.write_table(pa.table({"id": ids, "image": pictures}), folder / "images.parquet", compression="zstd")
    pq.write_table(
        pa.table({"id": ids, "label": pa.array(subset.labels)}), folder / "labels.parquet", compression="zstd"
    )
    for model, rows in embeddings.items():
        table = pa.table({"id": ids, "embedding": encode(rows)})
        pq.write_table(table, folder / f"{model}.parquet", compression="none", use_dictionary=False)


def encoded(image: NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def make(output: Path) -> None:
    """Draw all subsets, train the embedders, embed the images, and write everything."""
    from cdp_spark.datasets.glyph_embedders import DIMENSIONS, embedded, trained

    subsets = {name: drawn(name, wanted) for name, wanted in split().items()}
    training = subsets.pop("training")
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        networks = workers.map(trained, DIMENSIONS, repeat(training.images), repeat(training.labels))
        models = dict(zip(DIMENSIONS, networks, strict=True))
    for name, subset in subsets.items():
        rows = {kind: embedded(model, subset.images) for kind, model in models.items()}
        for kind, matrix in rows.items():
            sys.stderr.write(
                f"{name:<11} {kind:<9} nearest neighbour right {nearest_right(matrix, subset.labels):.3f}\n"
            )
        write(output / name, subset, rows)


def learn(output: Path) -> None:
    """Train the mediators on the labelled subset, and copy them beside the data."""
    folder = output / "labelled"
    words = [
        "train", "--base", f"{folder}/{glyphs.BASE}.parquet",
        "--committee", *(f"{folder}/{model}.parquet" for model in glyphs.COMMITTEE),
        "--labels", f"{folder}/labels.parquet",
        "--set", f"input.encoding={glyphs.ENCODING}", "--set", f"knn.k={glyphs.K}",
    ]  # fmt: skip
    for feature_set, shipped in (("code", glyphs.MEDIATOR), ("rich", glyphs.RICH_MEDIATOR)):
        with tempfile.TemporaryDirectory() as run:
            if cdp_spark([*words, "--output", run, "--set", f"mediator.feature_set={feature_set}"]):
                raise SystemExit(
                    f"training the mediator with mediator.feature_set={feature_set} failed; the data is written"
                )
            (output / shipped.name).mkdir(exist_ok=True)
            for name in (CARD, WEIGHTS):
                shutil.copy(Path(run, name), output / shipped.name / name)


def nearest_right(rows: NDArray[np.float16], labels: NDArray[np.int64]) -> float:
    """Return the share of images whose nearest neighbour shows the same identity.

    Identities of one image do not count.
    """
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

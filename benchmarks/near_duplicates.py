"""Images that are there twice, found again after they have been compressed, moved or brightened.

    python benchmarks/near_duplicates.py --output runs/near-duplicates

Pictures as in the project's data, embedded by a network that has not seen their characters. A tenth of them come once
more: unchanged, as JPEG, moved by a pixel, or brighter. ``denoise`` reads a finished run of one model; counted is, for
each smallest similarity, how many of what it calls near duplicates are such copies, and how many copies of each kind
it calls. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from pseudo_labels import write
from students import KIND, Images, drawn

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config
from cdp_spark.datasets.glyph_characters import characters, faces_of
from cdp_spark.datasets.glyph_embedders import trained
from cdp_spark.label_errors.flow import denoise
from cdp_spark.spark.session import local_session

TRAINED, ASKED = 300, 300
"""Characters."""
SIMILARITIES = (0.95, 0.97, 0.98, 0.99, 0.995)


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    points = np.random.default_rng([7, options.seed]).permutation(characters()[0]).tolist()
    seen, asked = (
        drawn([(point, len(faces_of(point))) for point in part], options.seed)
        for part in (points[:TRAINED], points[TRAINED : TRAINED + ASKED])
    )
    model = trained(KIND, seen.pictures, seen.labels, epochs=options.epochs)
    random = np.random.default_rng([12, options.seed])
    count = len(asked.labels)
    rows = random.choice(count, count // 10, replace=False)
    kinds = random.integers(0, len(CHANGES), len(rows))
    names = list(CHANGES)
    copies = np.stack([CHANGES[names[kind]](asked.pictures[row]) for row, kind in zip(rows, kinds, strict=True)])
    both = Images(np.concatenate([asked.pictures, copies]), np.concatenate([asked.labels, asked.labels[rows]]))
    data = options.output / "data"
    write(data, both, {KIND: model})
    settings = {"input": {"base": f"{data}/{KIND}.parquet"}, "output": f"{options.output}/run"}
    run = cluster(load_config(settings), spark=spark)
    found = {}
    for least in SIMILARITIES:
        issues = denoise(
            run.output, LabelsConfig(path=f"{data}/labels.parquet"), output=f"{options.output}/denoised",
            spark=spark, near_duplicate=least,
        ).issues  # fmt: skip
        called = np.array([row["id"] for row in issues.where("issue = 'near_duplicates'").collect()], np.int64)
        found[least] = figures(called, count, np.array(names)[kinds])
        print(least, json.dumps(found[least]), flush=True)
    print(json.dumps({"images": count, "copies": len(rows), **found}))


def figures(called: np.ndarray, count: int, kind: np.ndarray) -> dict[str, float | int]:
    """Judge the called ids: copies come after the ``count`` others, and of two images the later one is called."""
    copied = np.isin(np.arange(len(kind)) + count, called)
    precision = float((called >= count).mean()) if len(called) else float("nan")
    by_kind = {f"recall, {name}": round(float(copied[kind == name].mean()), 3) for name in CHANGES}
    return {
        "called": len(called),
        "precision": round(precision, 3),
        "recall": round(float(copied.mean()), 3),
        **by_kind,
    }


def compressed(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


CHANGES = {
    "unchanged": lambda picture: picture,
    "JPEG": compressed,
    "moved": lambda picture: np.roll(picture, 1, axis=1),
    "brighter": lambda picture: np.clip(picture * 1.1 + 10, 0, 255).astype(np.uint8),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()

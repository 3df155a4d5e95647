"""Small embeddings of several models, with the troubles that real ones have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MODELS = ("base", "one", "two")

PATHS = {
    "defaults": {"knn": {"k": 5}},
    # A target that the first round meets: more rounds take long, and tests of the graph have them.
    "large": {
        "knn": {"k": 5, "exact_below": 0, "shard_items": 60, "recall_target": 0.5},
        "forest": {"task_edges": 100},
    },
}
"""Config by which a small input takes the way of a small one, or of a large one: cells, merge rounds, a superset."""


def embeddings(people: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return ids, labels and per model a float32 matrix; some rows are exact duplicates."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), random.integers(1, 12, people))
    found = {}
    for number, model in enumerate(MODELS):
        dimension = 12 + 4 * number
        centres = random.standard_normal((people, dimension))
        rows = centres[labels] + 0.45 * random.standard_normal((len(labels), dimension))
        rows[5:9] = rows[5]
        found[model] = rows.astype(np.float32)
    return random.permutation(10 * len(labels))[: len(labels)].astype(np.int64) - 50, labels, found


def write(folder: Path, ids: np.ndarray, models: dict[str, np.ndarray], *, files: int = 1, seed: int = 0) -> None:
    """Write each model as a folder of Parquet files, rows shuffled."""
    for model, rows in models.items():
        order = np.random.default_rng(seed).permutation(len(ids))
        (folder / model).mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(np.array_split(order, files)):
            table = pa.table({"id": ids[part], "embedding": pa.array(list(rows[part]), pa.list_(pa.float32()))})
            pq.write_table(table, folder / model / f"part-{number}.parquet")


def unit(rows: np.ndarray) -> np.ndarray:
    """Round as intake does."""
    exact = rows.astype(np.float64)
    exact /= np.abs(exact).max(axis=1, keepdims=True)
    return (exact / np.sqrt((exact**2).sum(axis=1, keepdims=True))).astype(np.float16)

"""Made data that several benchmarks use: seeded, of any size, written in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_spark.base import schemas

FILES = 32
BLOCK = 50_000


def identities(items: int, world: int = 1) -> np.ndarray:
    """Return the identity of each item: sizes follow a lognormal law with mean about 65, as in the published sets."""
    random = np.random.default_rng(world)
    sizes = np.maximum(1, random.lognormal(np.log(45), 0.85, items // 20)).astype(np.int64)
    label = np.repeat(np.arange(len(sizes)), sizes)[:items]
    return random.permutation(label)


@dataclass(frozen=True)
class Difficulty:
    """What makes a committee err, as strengths beside that of the identities' centres (1).

    Attributes
    ----------
    identity : float
        A model's own view of an identity, wrong for all of its images alike.
    image : float
        What is bad about an image for every model.
    model : float
        What is bad about an image for one model alone.
    tail : float
        Deviation of the logarithm of an image's badness, which multiplies the last two.
    """

    identity: float = 0.45
    image: float = 0.5
    model: float = 0.38
    tail: float = 0.42


def committee_points(
    label: np.ndarray, model: int, dimension: int, difficulty: Difficulty, world: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the vectors of one model of a committee in blocks, as :func:`points` does.

    A world is a set of people: the labelled set and the others have worlds of their own. Models see the same image
    with errors that are partly the same, as networks trained on like data do.
    """
    spread = _spread(dimension)
    shape = (int(label.max()) + 1, dimension)

    def normal(*key: int, of: tuple[int, ...] = shape) -> np.ndarray:
        return np.random.default_rng([world, *key]).standard_normal(of, np.float32) * spread

    centres = normal(2) + difficulty.identity * normal(2, 1 + model)
    for start in range(0, len(label), BLOCK):
        rows = label[start : start + BLOCK]
        badness = np.random.default_rng([world, 3, start]).lognormal(0, difficulty.tail, len(rows)).astype(np.float32)
        of = (len(rows), dimension)
        noise = difficulty.image * normal(4, start, of=of) + difficulty.model * normal(4, start, 1 + model, of=of)
        yield start, centres[rows] + badness[:, None] * noise


def points(label: np.ndarray, model: int, dimension: int, strength: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the vectors of one model in blocks: the first item, and float32 rows.

    An image is its identity's centre plus noise whose strength is the image's own in all models (a bad picture is bad
    for all of them). Directions are not equal: the spread along the i-th falls with the square root of i, as real
    embeddings' spectra fall; of half a million such images faiss finds .95 of the neighbours with some 50 of 2,828
    cells.
    """
    spread = _spread(dimension)
    shape = (int(label.max()) + 1, dimension)
    centres = np.random.default_rng([2, model]).standard_normal(shape, np.float32) * spread
    for start in range(0, len(label), BLOCK):
        rows = label[start : start + BLOCK]
        quality = np.random.default_rng([3, start]).lognormal(0, 0.25, len(rows)).astype(np.float32)
        noise = np.random.default_rng([4, model, start]).standard_normal((len(rows), dimension), np.float32) * spread
        yield start, centres[rows] + strength * quality[:, None] * noise


def _spread(dimension: int) -> np.ndarray:
    spread = np.arange(1, dimension + 1, dtype=np.float32) ** -0.5
    return spread / np.sqrt((spread**2).sum())


def write_vectors(path: Path, blocks: Iterator[tuple[int, np.ndarray]], dimension: int) -> None:
    """Write blocks of vectors as one file of (id, embedding), under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema({"id": pa.int64(), "embedding": pa.list_(pa.float32())})
    with pq.ParquetWriter(f"{path}.tmp", schema, compression="none", use_dictionary=False) as writer:
        for start, rows in blocks:
            lists = pa.ListArray.from_arrays(np.arange(len(rows) + 1, dtype=np.int32) * dimension, rows.ravel())
            writer.write_table(pa.table([np.arange(start, start + len(rows)), lists], schema=schema))
    Path(f"{path}.tmp").rename(path)


def pair_identities(items: int) -> np.ndarray:
    """Return the identity of each item of :func:`write_pairs`."""
    start, _, number = _grouped(items, np.random.default_rng(5))
    label = np.empty(items, np.int64)
    label[number] = start
    return label


def _grouped(items: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each identity starts and ends, and the item at each place."""
    sizes = np.maximum(1, random.lognormal(np.log(45), 0.85, items // 20)).astype(np.int64)
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), items) + 1]
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)[:items]
    end = np.minimum(start + np.repeat(sizes, sizes)[:items], items)
    return start, end, random.permutation(items)  # items are ranks of ids: neighbours are anywhere


def write_pairs(data: Path, items: int, pairs: int) -> None:
    """Write items and scored pairs, so many an item.

    Identities of long-tailed sizes, scores that fall with the quality of both images, and one weak pair an item to
    somebody else.
    """
    random = np.random.default_rng(5)
    _, end, number = _grouped(items, random)
    quality = random.lognormal(0, 0.25, items).astype(np.float32)
    parts = []
    step = np.zeros(items, np.int64)
    for _ in range(pairs - 1):
        step += random.integers(1, 4, items)
        other = np.arange(items) + step
        # Past the end of an identity the pair is one to somebody else, and weak.
        inside = other < end
        other[~inside] = random.integers(0, items, int((~inside).sum()))
        parts.append((np.arange(items), other, inside))
    parts.append((np.arange(items), random.integers(0, items, items), np.zeros(items, bool)))
    a, b, inside = (np.concatenate(column) for column in zip(*parts, strict=True))
    noise = random.normal(0, 0.12, len(a)).astype(np.float32)
    score = np.where(inside, 0.95 - 0.2 * quality[a] * quality[b], 0.15) + noise
    del noise, inside, parts
    src, dst = np.minimum(number[a], number[b]), np.maximum(number[a], number[b])
    del a, b
    order = np.argsort(src, kind="stable")
    (data / "pairs").mkdir(parents=True)
    for part, rows in enumerate(np.array_split(order, FILES)):
        own = rows[np.lexsort((dst[rows], src[rows]))]
        columns = [src[own], dst[own], np.clip(score[own], -1, 1).astype(np.float32)]
        pq.write_table(
            pa.table(columns, names=schemas.SCORED_PAIRS.names), data / "pairs" / f"part-{part:03d}.parquet",
            compression="zstd",
        )  # fmt: skip
    pq.write_table(pa.table({"id": np.arange(items), "item": np.arange(items)}), data / "items.parquet")

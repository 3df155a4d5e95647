"""Labelled worlds -> the networks that score pairs, two for each fold of the identities."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.errors import InputError
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.whole import TrainConfig
from cdp_spark.networks.kernels.cross_fitting import fold_of, inside_weights
from cdp_spark.networks.kernels.mlp import Ensemble, world_targets
from cdp_spark.runs import register
from cdp_spark.runs.manifests import is_shown
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.arrow import matrix_of
from cdp_spark.training.worlds import Worlds

Floats = NDArray[np.float32]


def _world_weights(store: StageStore, worlds: Worlds) -> NDArray[np.float32]:
    """Return the weight of a pair by world, so that all worlds have equal weight."""

    def counted() -> dict[str, int]:
        return {str(row["world"]): row["count"] for row in worlds.pairs.table.groupBy("world").count().collect()}

    counts = store.facts(
        register.WORLD_PAIR_COUNTS,
        fingerprint(register.WORLD_PAIR_COUNTS.version, worlds.pairs.fingerprint),
        counted,
    )
    pairs = np.array([counts.get(str(world), 0) for world in range(len(worlds.items))], np.float64)
    weights: Floats = (pairs.sum() / len(pairs) / np.maximum(pairs, 1)).astype(np.float32)
    return weights


def pair_nets(store: StageStore, worlds: Worlds, config: TrainConfig, *, identities: int) -> tuple[Ensemble, Ensemble]:
    """Train, on the pairs inside each half of the identities, two networks that err differently.

    One ignores worlds and was better on faces. The other predicts world and identity together, which fits any mixture,
    and was better on characters. Their mean was close to the better one on both.
    """
    from cdp_spark.training.kernels.train_rich_network import NetRecipe, length_of, train_net

    settings, per_pair = config.mediator, _world_weights(store, worlds)
    epochs, least_steps = length_of(identities)
    recipe = NetRecipe(
        settings.hidden or (64, 64), settings.seed, settings.epochs or epochs, least_steps,
        learning_rate=settings.learning_rate,
    )  # fmt: skip
    names = files_of(store, worlds.pairs.path)
    read = partial(_inside, store, per_pair, settings.seed)
    # A single file is read once; several are read in turn, one per half in memory.
    kept = cache(read) if len(names) == 1 else read

    def of_half(half: int) -> Ensemble:
        readers = [partial(kept, half, name) for name in names]
        rows = _counted(readers)
        nets = []
        for kind, targets in (("identity", _Points.same), ("world and identity", _Points.classes)):
            say = partial(report, store, f"pairs, half {half + 1} of 2, {kind}")
            nets.append(
                train_net([partial(_row, reader, targets, len(per_pair)) for reader in readers], rows, recipe, say)
            )
        return Ensemble(tuple(nets))

    # The networks are too small for more than one core.
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(of_half, (0, 1))
    return one, other


@dataclass(frozen=True)
class _Points:
    """Pairs to learn from: features, shape (n, f); whether each is one identity, its world and its weight."""

    features: Floats
    true: NDArray[np.bool_]
    world: NDArray[np.int32]
    weight: Floats

    def same(self, worlds: int) -> Floats:
        """Targets of a network of one output."""
        return self.true[:, None].astype(np.float32)

    def classes(self, worlds: int) -> Floats:
        """Targets of a network of two outputs per world: see ``networks.kernels.mlp``."""
        return world_targets(self.true, self.world, worlds)


def _row(
    reader: Callable[[], _Points], targets: Callable[[_Points, int], Floats], worlds: int
) -> tuple[Floats, Floats, Floats]:
    points = reader()
    return points.features, targets(points, worlds), points.weight


def _counted(readers: Sequence[Callable[[], _Points]]) -> int:
    """Count the pairs; both kinds, of one identity and of two, must occur."""
    rows = true = 0
    for reader in readers:
        points = reader()
        rows, true = rows + len(points.true), true + int(points.true.sum())
    if not 0 < true < rows:
        raise InputError("labels: half of the identities have no pair of neighbours of one, or of two: label more")
    return rows


def _inside(store: StageStore, per_pair: Floats, seed: int, half: int, name: str) -> _Points:
    """Read one file's examples for the networks of a half."""
    table = store.folder.read_parquet(name).combine_chunks()
    one, other = (fold_of(table.column(f"{end}_identity").to_numpy(), seed=seed) for end in ("src", "dst"))
    same, world = table.column("same").to_numpy(), table.column("world").to_numpy()
    weight = inside_weights(one, other, same, half) * per_pair[world]
    kept = np.flatnonzero(weight)
    features = matrix_of(table.column("features").combine_chunks())
    return _Points(features[kept], same[kept], world[kept], weight[kept])


def files_of(store: StageStore, folder: str) -> list[str]:
    """Return the Parquet files of a folder of the store in numerical order; Sail does not pad the numbers."""
    names = [info.path for info in store.folder.files(folder) if is_shown(info.path)]
    return [f"{folder}/{name}" for name in sorted(names, key=_numbers_in)]


def _numbers_in(name: str) -> list[str]:
    return [piece.zfill(12) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)]


def report(store: StageStore, what: str, line: str) -> None:
    """Report the progress of training."""
    store.progress.say(f"{what}: {line}")

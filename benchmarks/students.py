"""Characters of three disjoint sets, and networks that learn from labels and pseudo-labels together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from cdp_spark.datasets.glyph_characters import characters, faces_of
from cdp_spark.datasets.glyph_images import scanned

STUDENT = "plain"
"""The network of a student: two fifths of the time of the base."""

FAR = 1e-3
HELD_OUT = 0.5
"""Share of the labelled characters that embedders do not see: mediator and threshold are chosen on these."""

LEAST_FACES = 4
"""Typefaces in which a character is drawn that counts as an identity here."""

BATCH, SCALE, MARGIN = 96, 24.0, 0.15


@dataclass(frozen=True)
class Images:
    """Pictures and their characters, numbered from 0."""

    pictures: np.ndarray
    labels: np.ndarray

    def take(self, rows: np.ndarray) -> Images:
        labels = np.unique(self.labels[rows], return_inverse=True)[1]
        return Images(self.pictures[rows], labels)


@dataclass(frozen=True)
class World:
    """What one seed has: ``shown`` tells which labelled images embedders may see."""

    labelled: Images
    shown: np.ndarray
    unlabelled: Images
    test: Images

    def part(self, share: float, seed: int) -> World:
        """Keep a share of the unlabelled characters."""
        count = int(self.unlabelled.labels.max()) + 1
        kept = np.random.default_rng([10, seed]).permutation(count)[: round(share * count)]
        rows = np.flatnonzero(np.isin(self.unlabelled.labels, kept))
        return World(self.labelled, self.shown, self.unlabelled.take(rows), self.test)

    def seen(self) -> Images:
        """Return the labelled images that embedders may see."""
        return self.labelled.take(np.flatnonzero(self.shown))

    def held_out(self) -> Images:
        """Return those that they may not."""
        return self.labelled.take(np.flatnonzero(~self.shown))


@dataclass(frozen=True)
class Pseudo:
    """Rows of the unlabelled images that are trained on, their labels from 0, and weights."""

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Part:
    """Pictures that are named in one way or several, by a head of the network each.

    ``labels`` has a column per head, from 0; -1 where a head does not know a picture. ``weights`` alike.
    """

    pictures: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, images: Images, *ways: Pseudo) -> Part:
        count = len(images.labels)
        labels, weights = np.full((count, len(ways)), -1), np.zeros((count, len(ways)), np.float32)
        for column, pseudo in enumerate(ways):
            labels[pseudo.rows, column], weights[pseudo.rows, column] = pseudo.labels, pseudo.weights
        known = (labels >= 0).any(axis=1)
        return cls(images.pictures[known], labels[known], weights[known])


@dataclass(frozen=True)
class Recipe:
    """How long a network is trained, and how strongly its pictures are distorted each time."""

    steps: int
    distortion: float
    bfloat16: bool


@lru_cache(maxsize=1)  # all shares of a seed are parts of one
def drawn_world(seed: int, labelled: int, test: int, views: int, median: float) -> World:
    """Draw the characters of one seed; identities are shared out anew each time.

    A character that embedders see has ``views`` images in each of its typefaces, a held-out or an unlabelled one from
    1 to 3.5 times ``median``: what judges pairs learns from as many images of one as there are where it is used.
    """
    points = np.random.default_rng([7, seed]).permutation(pool())
    random = np.random.default_rng([8, seed])
    sizes = np.exp(random.normal(np.log(median), 0.75, len(points)))
    sizes = np.clip(np.round(sizes), 1, round(3.5 * median)).astype(int)
    hidden = set(random.permutation(labelled)[: round(HELD_OUT * labelled)].tolist())
    counts = [
        size if label in hidden else views * len(faces_of(point))
        for label, (point, size) in enumerate(zip(points[:labelled].tolist(), sizes.tolist(), strict=False))
    ]
    known = drawn(list(zip(points[:labelled].tolist(), counts, strict=True)), seed)
    tested, rest = points[labelled : labelled + test].tolist(), slice(labelled + test, None)
    return World(
        known,
        np.array([label not in hidden for label in known.labels]),
        drawn(list(zip(points[rest].tolist(), sizes[rest].tolist(), strict=True)), seed),
        drawn([(point, len(faces_of(point))) for point in tested], seed),
    )


def pool() -> list[int]:
    """Return the code points that are drawn from: no two look alike."""
    identities, others = characters()
    return identities + [point for point in others if len(faces_of(point)) >= LEAST_FACES]


def drawn(wanted: Sequence[tuple[int, int]], seed: int) -> Images:
    pictures, labels = [], []
    for label, (point, count) in enumerate(wanted):
        faces = faces_of(point)
        random = np.random.default_rng([9, seed, point])
        order = np.concatenate([random.permutation(faces) for _ in range(-(-count // len(faces)))])[:count]
        pictures += [scanned(point, int(face), 1_000_003 * seed + 100_000 * n + point) for n, face in enumerate(order)]
        labels += [label] * count
    return Images(np.stack(pictures), np.array(labels, np.int64))


def united(one: Images, other: Images) -> Images:
    """Put the images of other characters behind."""
    labels = np.concatenate([one.labels, other.labels + int(one.labels.max()) + 1])
    return Images(np.concatenate([one.pictures, other.pictures]), labels)


def true_labels(images: Images) -> Pseudo:
    count = len(images.labels)
    return Pseudo(np.arange(count), images.labels, np.ones(count, np.float32))


def every_one(images: Images) -> Part:
    return Part.of(images, true_labels(images))


def students(
    world: World, sets: dict[str, list[Pseudo]], recipe: Recipe, *, seed: int, processes: int
) -> Iterator[tuple[str, Any]]:
    """Train one student for each list of pseudo-labels, beside the labelled images."""
    known = every_one(world.labelled)
    parts = {name: [known, Part.of(world.unlabelled, *pseudo)] if pseudo else [known] for name, pseudo in sets.items()}
    return trained({name: (STUDENT, each, recipe, seed) for name, each in parts.items()}, processes)


def trained(wanted: dict[str, tuple[str, list[Part], Recipe, int]], processes: int) -> Iterator[tuple[str, Any]]:
    """Train networks of these kinds side by side; yield each with its name."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = {name: pool.submit(trained_network, *how) for name, how in wanted.items()}
        for name, job in jobs.items():
            yield name, job.result()


def trained_network(kind: str, parts: Sequence[Part], recipe: Recipe, seed: int) -> Any:
    """Train a fresh network that names the images of each part; heads share all but their last layer.

    Every step sees as many images of each part, and each counts as much, so that students differ in what the others
    are, not in how often they see the labelled ones.
    """
    import torch
    from torch.nn import functional

    from cdp_spark.datasets.glyph_embedders import DIMENSIONS, network, tensor_of

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    random = np.random.default_rng([11, seed])
    model = network(kind)
    data = [(tensor_of(part.pictures), torch.from_numpy(part.labels), torch.from_numpy(part.weights)) for part in parts]
    model(data[0][0][:2])  # tells the last layer its size
    model = model.to(memory_format=torch.channels_last)
    heads = [
        [torch.nn.Parameter(torch.randn(int(labels.max()) + 1, DIMENSIONS[kind])) for labels in part[1].T]
        for part in data
    ]
    every = [centres for of_part in heads for centres in of_part]
    optimiser = torch.optim.AdamW([*model.parameters(), *every], lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=recipe.steps)
    for _ in range(recipe.steps):
        chosen = [torch.from_numpy(random.integers(0, len(part[1]), BATCH)) for part in data]
        points = torch.cat([part[0][rows] for part, rows in zip(data, chosen, strict=True)])
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            found = model(distorted(points, recipe.distortion))
        loss = torch.zeros(())
        embedded = functional.normalize(found.float()).split(BATCH)
        for rows, vectors, (_, labels, weights), of_part in zip(chosen, embedded, data, heads, strict=True):
            for column, centres in enumerate(of_part):
                error = unlike(vectors, labels[rows, column], centres)
                loss = loss + (error * weights[rows, column]).mean() / len(of_part)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def unlike(vectors: Any, labels: Any, centres: Any) -> Any:
    """Return the cross entropy of each image with a margin to its own centre; of label -1 any, its weight is 0."""
    from torch.nn import functional

    wanted = labels.clamp(min=0)
    cosine = vectors @ functional.normalize(centres).T - MARGIN * functional.one_hot(wanted, len(centres))
    return functional.cross_entropy(SCALE * cosine, wanted, reduction="none")


def distorted(points: Any, much: float) -> Any:
    """Turn, shear, stretch, shift, darken and blot each picture a little, anew each time it is seen."""
    import torch
    from torch.nn import functional

    if not much:
        return points
    number = len(points)

    def within(bound: float, *shape: int) -> Any:
        return much * bound * (2 * torch.rand(number, *shape) - 1)

    turn, stretch, shift = within(0.15), 1 + within(0.12, 2), within(0.10, 2)
    sine, cosine = torch.sin(turn), torch.cos(turn)
    across = torch.stack([cosine * stretch[:, 0], within(0.15) - sine, shift[:, 0]], dim=1)
    down = torch.stack([sine, cosine * stretch[:, 1], shift[:, 1]], dim=1)
    grid = functional.affine_grid(torch.stack([across, down], dim=1), list(points.shape), align_corners=False)
    moved = functional.grid_sample(points, grid, padding_mode="border", align_corners=False)
    toned = moved * (1 + within(0.2, 1, 1, 1)) + within(0.1, 1, 1, 1)
    return (toned + 0.05 * much * torch.randn(toned.shape)).to(memory_format=torch.channels_last)


def judged(model: Any, test: Images) -> dict[str, float]:
    """Return the verification rate at ``FAR`` and how often the nearest other image is right."""
    from cdp_spark.datasets.glyph_embedders import embedded

    rows = embedded(model, test.pictures).astype(np.float32)
    cosine = rows @ rows.T
    same = test.labels[:, None] == test.labels[None, :]
    above = np.triu(np.ones(cosine.shape, bool), 1)
    bound = np.quantile(cosine[above & ~same], 1 - FAR)
    rate = float((cosine[above & same] > bound).mean())
    np.fill_diagonal(cosine, -2)
    nearest = float((test.labels[cosine.argmax(axis=1)] == test.labels).mean())
    return {"tpr": round(rate, 4), "nearest": round(nearest, 4)}


def agreement(pseudo: Pseudo, true: np.ndarray) -> dict[str, float]:
    """Say how good the pseudo-labels are: images, labels, pairwise precision and recall among all images."""
    from cdp_spark.evaluation.kernels.metrics import scores, sums_of

    cluster = np.arange(len(true)) + len(true)
    cluster[pseudo.rows] = pseudo.labels
    found = scores(sums_of(cluster, true))
    kept = {name: round(found[name], 4) for name in ("pairwise_precision", "pairwise_recall", "pairwise_f")}
    return {"images": len(pseudo.rows), "clusters": len(np.unique(pseudo.labels)), **kept}

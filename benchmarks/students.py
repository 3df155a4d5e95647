"""Characters of three disjoint sets, and networks that learn from labels and pseudo-labels together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from cdp_spark.datasets.glyph_characters import characters, faces_of
from cdp_spark.datasets.glyph_images import scanned

KIND = "residual"
"""The network of a student, and the base of the committee."""

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

    def without_held_out(self) -> World:
        """Keep the labelled images that embedders may see."""
        shown = self.labelled.take(np.flatnonzero(self.shown))
        return World(shown, np.ones(len(shown.labels), bool), self.unlabelled, self.test)


@dataclass(frozen=True)
class Pseudo:
    """Rows of the unlabelled images that are trained on, their labels from 0, and weights."""

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


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


def true_labels(world: World) -> Pseudo:
    count = len(world.unlabelled.labels)
    return Pseudo(np.arange(count), world.unlabelled.labels, np.ones(count, np.float32))


def students(world: World, sets: dict[str, Pseudo | None], *, steps: int, seed: int, processes: int) -> dict[str, Any]:
    """Train one student for each set of pseudo-labels."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = {name: pool.submit(student, world, pseudo, steps, seed) for name, pseudo in sets.items()}
        return {name: job.result() for name, job in jobs.items()}


def student(world: World, pseudo: Pseudo | None, steps: int, seed: int) -> Any:
    """Train a fresh network with a head for the labelled characters and one for the pseudo-labels.

    Every step sees as many labelled images as others, so that students differ in what the others are, not in how often
    they see the labelled ones.
    """
    import torch
    from torch.nn import functional

    from cdp_spark.datasets.glyph_embedders import DIMENSIONS, network, tensor_of

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    random = np.random.default_rng([11, seed])
    model = network(KIND)
    given = Pseudo(np.arange(len(world.labelled.labels)), world.labelled.labels, np.ones(len(world.labelled.labels)))
    parts = [(world.labelled.pictures, given)]
    if pseudo is not None:
        parts.append((world.unlabelled.pictures[pseudo.rows], pseudo))
    data = [(tensor_of(pictures), *_tensors(each)) for pictures, each in parts]
    model(data[0][0][:2])  # tells the last layer its size
    model = model.to(memory_format=torch.channels_last)
    heads = [torch.nn.Parameter(torch.randn(int(part[1].max()) + 1, DIMENSIONS[KIND])) for part in data]
    optimiser = torch.optim.AdamW([*model.parameters(), *heads], lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        chosen = [torch.from_numpy(random.integers(0, len(part[1]), BATCH)) for part in data]
        points = torch.cat([part[0][rows] for part, rows in zip(data, chosen, strict=True)])
        embedded = functional.normalize(model(points)).split(BATCH)
        loss = torch.zeros(())
        for rows, vectors, (_, labels, weights), head in zip(chosen, embedded, data, heads, strict=True):
            wanted = labels[rows]
            cosine = vectors @ functional.normalize(head).T - MARGIN * functional.one_hot(wanted, len(head))
            loss = loss + (functional.cross_entropy(SCALE * cosine, wanted, reduction="none") * weights[rows]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def _tensors(pseudo: Pseudo) -> tuple[Any, Any]:
    import torch

    return torch.from_numpy(pseudo.labels), torch.from_numpy(pseudo.weights.astype(np.float32))


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


def agreement(pseudo: Pseudo | None, true: np.ndarray) -> dict[str, float]:
    """Say how good the pseudo-labels are: images, labels, pairwise precision and recall among all images."""
    from cdp_spark.kernels.metrics import scores, sums_of

    if pseudo is None:
        return {}
    cluster = np.arange(len(true)) + len(true)
    cluster[pseudo.rows] = pseudo.labels
    found = scores(sums_of(cluster, true))
    kept = {name: round(found[name], 4) for name in ("pairwise_precision", "pairwise_recall", "pairwise_f")}
    return {"images": len(pseudo.rows), "clusters": len(np.unique(pseudo.labels)), **kept}

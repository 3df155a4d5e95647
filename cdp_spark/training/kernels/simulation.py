"""Simulated sets: vectors of made-up identities by made-up models, from which the shipped mediator learns.

In: a seed. Out: the vectors of one to six models, and the identities. No real image or embedding is used, so that the
mediator is not tied to a kind of data. The properties in which real collections differ are drawn at random: sizes of
identities, families of look-alikes, crowds of one look, several looks of one identity, bad images, noise that all
models share, and noise of each model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.training.kernels.set_sizes import identity_sizes, log_uniform

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MODELS = (0.04, 0.1, 0.21, 0.3, 0.25, 0.1)
"""Shares of the sets with one to six models."""


@dataclass(frozen=True)
class SimulatedSet:
    """Vectors and identities.

    Attributes
    ----------
    models : tuple of ndarray of float32, shape (n, d)
        Unit rows, one array per model.
    identity : ndarray of int64, shape (n,)
    law : str
        Law of the sizes; see :mod:`~cdp_spark.training.kernels.set_sizes`.
    """

    models: tuple[Floats, ...]
    identity: Longs
    law: str


@dataclass(frozen=True)
class _Space:
    """Deviations of each coordinate between identities (``spread``) and within."""

    rng: np.random.Generator
    spread: Floats
    noise: Floats

    def normal(self, count: int) -> Floats:
        return self.rng.standard_normal((count, len(self.spread))).astype(np.float32)

    def looks(self, count: int) -> Floats:
        rows: Floats = self.normal(count) * self.spread
        return rows


def simulated_set(seed: int, items: int | None = None) -> SimulatedSet:
    """Draw a set.

    Parameters
    ----------
    seed : int
    items : int, optional
        Approximate number of items; default: log-uniform between 900 and 9,000.

    Examples
    --------
    >>> drawn = simulated_set(0, items=300)
    >>> len(drawn.models), drawn.models[0].shape[0] == len(drawn.identity)
    (2, True)
    """
    rng = np.random.default_rng(seed)
    items = items or int(log_uniform(rng, 900, 9000))
    sizes, law = identity_sizes(rng, items)
    identity = np.repeat(np.arange(len(sizes)), sizes)
    identity = identity[rng.permutation(len(identity))]
    space = _space(rng)
    centres, hardness = _centres(space, len(sizes))
    seen, noise = _images(space, centres, hardness, identity)
    models, outlier = _models(space, seen, noise, identity)
    identity = identity.copy()
    identity[outlier] = len(sizes) + np.arange(outlier.sum())
    return SimulatedSet(tuple(models), np.unique(identity, return_inverse=True)[1], law)


def _space(rng: np.random.Generator) -> _Space:
    dimension = int(log_uniform(rng, 24, 180))
    ranks = np.arange(1, dimension + 1)
    spread = (ranks ** -rng.uniform(0, 0.8)).astype(np.float32)
    spread /= np.sqrt((spread**2).mean())
    noise = (ranks ** -rng.uniform(0, 0.8)).astype(np.float32)
    noise = noise[rng.permutation(dimension)] if rng.random() < 0.5 else noise
    noise /= np.sqrt((noise**2).mean())
    return _Space(rng, spread, noise)


def _centres(space: _Space, identities: int) -> tuple[Floats, Doubles]:
    """Draw the centres of identities, and the relative variation of their images."""
    centres, hardness = _families(space, identities), np.ones(identities)
    _add_look_alikes(space, centres)
    _add_crowds(space, centres, hardness)
    return centres, hardness


def _families(space: _Space, identities: int) -> Floats:
    """Draw a tree of families; each level adds what its members have in common."""
    rng, centres = space.rng, space.looks(identities)
    depth, own = int(rng.integers(0, 5)), rng.uniform(0.15, 1)
    if not depth:
        return centres
    weight = rng.dirichlet(np.ones(depth)) * (1 - own)
    families = np.sort(np.exp(rng.uniform(np.log(2), np.log(max(3, identities / 2)), depth)).astype(np.int64))
    centres *= np.float32(np.sqrt(own))
    member = rng.integers(0, families[-1], identities)
    for level in range(depth - 1, -1, -1):
        centres += np.sqrt(weight[level]) * space.looks(families[level])[member]
        if level:
            member = rng.integers(0, families[level - 1], families[level])[member]
    return centres


def _add_look_alikes(space: _Space, centres: Floats) -> None:
    """Move some identities near another one."""
    rng = space.rng
    share = rng.uniform(0, 0.5) if rng.random() < 0.5 else 0.0
    moved = np.flatnonzero(rng.random(len(centres)) < share)
    toward = rng.integers(0, len(centres), len(moved))
    apart = rng.uniform(0.1, 0.7, len(moved)).astype(np.float32)[:, None]
    centres[moved] = (1 - apart) * centres[toward] + apart * space.normal(len(moved)) * space.spread


def _add_crowds(space: _Space, centres: Floats, hardness: Doubles) -> None:
    """Give groups of identities one look."""
    rng = space.rng
    share = rng.uniform(0, 0.25) if rng.random() < 0.5 else 0.0
    free = rng.permutation(len(centres))[: int(share * len(centres))]
    while len(free) > 2:
        crowd = free[: int(log_uniform(rng, 2, 40))]
        free = free[len(crowd) :]
        apart = np.float32(rng.uniform(0.02, 0.45))
        centres[crowd] = (1 - apart) * centres[crowd[0]] + apart * centres[crowd]
        hardness[crowd] = log_uniform(rng, 0.4, 1.2)


@dataclass(frozen=True)
class _Noise:
    """Distances of images from their identity, share common to all models, level."""

    far: Floats
    shared: float
    level: float


def _images(space: _Space, centres: Floats, hardness: Doubles, identity: Longs) -> tuple[Floats, _Noise]:
    """Draw what each image shows, before any model embeds it."""
    rng, count = space.rng, len(identity)
    level, shared = log_uniform(rng, 0.35, 1.4), rng.uniform(0.15, 0.85)
    by_identity, by_image = rng.uniform(0, 0.5), rng.uniform(0, 0.5)
    hard = (rng.lognormal(0, by_identity, len(centres)) * hardness)[identity]
    far = (hard * rng.lognormal(0, by_image, count) * level).astype(np.float32)[:, None]
    modes = _modes(space, len(centres), identity)
    seen = centres[identity]
    _spoil(space, seen)
    return seen + modes, _Noise(far, shared, level)


def _modes(space: _Space, identities: int, identity: Longs) -> Floats | np.float32:
    """Give half of the sets identities with two or three looks each."""
    rng = space.rng
    modes = int(rng.integers(2, 4)) if rng.random() < 0.5 else 0
    strength = rng.uniform(0, 0.8)
    if not modes:
        return np.float32(0)
    offsets = space.looks(identities * modes) * strength
    chosen: Floats = offsets[identity * modes + rng.integers(0, modes, len(identity))]
    return chosen


def _spoil(space: _Space, seen: Floats) -> None:
    """Make some images bad, so that they look like each other."""
    rng = space.rng
    share = rng.uniform(0, 0.1) if rng.random() < 0.4 else 0.0
    bad = np.flatnonzero(rng.random(len(seen)) < share)
    kinds = space.looks(int(rng.integers(1, 6)))
    weight = rng.uniform(0.2, 0.9, len(bad)).astype(np.float32)[:, None]
    seen[bad] = (1 - weight) * seen[bad] + weight * kinds[rng.integers(0, len(kinds), len(bad))]


def _models(space: _Space, seen: Floats, noise: _Noise, identity: Longs) -> tuple[list[Floats], Bools]:
    """Embed the images by one to six models; also return which images are outliers.

    Each outlier is an identity of its own.
    """
    rng, count = space.rng, len(seen)
    models, own = int(rng.choice(len(_MODELS), p=_MODELS)) + 1, rng.uniform(0, 0.7)
    shared = space.normal(count) * space.noise
    common = space.normal(1) * rng.uniform(0, 0.8)
    share = rng.uniform(0, 0.08) if rng.random() < 0.4 else 0.0
    outlier = rng.random(count) < share
    quality = rng.uniform(0, 0.35)
    embedded, identities = [], int(identity.max()) + 1
    for _ in range(models):
        strength = rng.lognormal(0, quality)
        rows = seen + own * space.looks(identities)[identity]
        mixed = np.sqrt(noise.shared) * shared + np.sqrt(1 - noise.shared) * space.normal(count) * space.noise
        rows = rows + noise.far * strength * mixed + common
        rows[outlier] = space.looks(int(outlier.sum())) * np.sqrt(1 + noise.level**2)
        embedded.append(_embedded(rng, rows))
    return embedded, outlier


def _embedded(rng: np.random.Generator, rows: Floats) -> Floats:
    """Scale the coordinates of half of the models, rectify some, and normalise rows."""
    if rng.random() < 0.5:
        rows = rows * np.abs(rng.lognormal(0, 0.4, rows.shape[1])).astype(np.float32)
    if rng.random() < 0.3:
        rows = np.maximum(rows, -0.3 * np.std(rows))
    units: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return units

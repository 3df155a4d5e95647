"""Fine-tune a mediator without labels on few labelled identities: scale and shift of its log odds, then its weights.

The labelled items are a set by themselves, and thinned further into worlds, as for a mediator that is trained from
nothing. How many of the pairs are true differs from world to world and from the data to cluster, so every world has a
shift of its own, and the weights learn what is common to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cdp_spark.networks.kernels.cross_fitting import fold_of
from cdp_spark.networks.kernels.mlp import Mlp, sigmoid
from cdp_spark.training.kernels.thinning import world_members
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator, seen_around, with_around
from cdp_spark.unlabelled.kernels.networks import Training, mean_logits
from cdp_spark.unlabelled.kernels.refinement import Lesson, refined
from cdp_spark.unlabelled.kernels.sets import Model, SetPairs

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_OF_A_KIND = 20
"""A world with fewer pairs of one identity, or of two, teaches nothing."""
TRAINING = Training(least_steps=100, learning_rate=1e-4)

_SLOPE_SPREAD, _SHIFT_SPREAD = 0.3, 2.0
"""Standard deviations that are expected of slope and shift before any label is read."""
_BETTER = 0.85
"""Most that the held-out log loss of tuned weights may be of that before. A little less of it means that the weights
have learned the few identities' prior: on glyphs .92 went with fewer right clusters, on faces .83 with many more."""
_MOST_STEPS, _SMALL = 100, 1e-9


@dataclass(frozen=True)
class LabelledWorld:
    """Candidate pairs of labelled items that form a set.

    Attributes
    ----------
    features : ndarray of float32, shape (n, 98)
        What the second look reads.
    z : ndarray of float64, shape (n,)
        Log odds by the mediator that is tuned.
    one, other : ndarray of int64, shape (n,)
        Identities of the ends.
    """

    features: Floats
    z: Doubles
    one: Longs
    other: Longs

    @property
    def same(self) -> Bools:
        """Whether the ends are one identity."""
        same: Bools = self.one == self.other
        return same

    @property
    def teaches(self) -> bool:
        """Whether there are enough pairs of both kinds."""
        true = int(self.same.sum())
        return min(true, len(self.z) - true) >= LEAST_OF_A_KIND

    def inside(self, fold: int) -> LabelledWorld:
        """Return the pairs inside one fold of the identities."""
        kept = (fold_of(self.one) == fold) & (fold_of(self.other) == fold)
        return LabelledWorld(self.features[kept], self.z[kept], self.one[kept], self.other[kept])


@dataclass(frozen=True)
class Tuned:
    """A tuned mediator.

    Attributes
    ----------
    mediator : UnlabelledMediator
        Its log odds have the scale that labels gave, and the shift of the mediator that it started from.
    slope : float
    shift : float
        What to add for the labelled items as they are, by their labels.
    loss, tuned_loss : float
        Log loss of the start, scaled and shifted, and of the tuned weights, on pairs inside the other fold of the
        identities; mean over folds and worlds. NaN where there are too few.
    weights : bool
        Whether weights were tuned, or scale and shift alone.
    pairs : int
    """

    mediator: UnlabelledMediator
    slope: float = 1.0
    shift: float = 0.0
    loss: float = float("nan")
    tuned_loss: float = float("nan")
    weights: bool = False
    pairs: int = 0


def labelled_worlds(
    models: Sequence[Halves], identity: Longs, mediator: UnlabelledMediator, gammas: Sequence[float], *, seed: int = 0
) -> list[LabelledWorld]:
    """Make the worlds of labelled items; those that teach nothing are left out.

    Parameters
    ----------
    models : sequence of ndarray of float16, shape (n, d)
        Unit vectors; row i of each is of item i.
    identity : ndarray of int64, shape (n,)
    mediator : UnlabelledMediator
    gammas : sequence of float
        How strongly each world is thinned; see ``thinning.world_members``.
    seed : int
    """
    worlds = []
    for gamma in gammas:
        kept = np.flatnonzero(world_members(identity, np.arange(len(identity)), gamma, seed=seed))
        pairs = SetPairs.of([Model.of(vectors[kept]) for vectors in models])
        features = pairs.numbers.features
        seen = seen_around(pairs.src, pairs.dst, mediator.first_look(features))
        rows = with_around(features, seen)
        ends = identity[kept][pairs.src], identity[kept][pairs.dst]
        worlds.append(LabelledWorld(rows, mean_logits(mediator.second, rows), *ends))
    return [world for world in worlds if world.teaches]


def fine_tuned(mediator: UnlabelledMediator, worlds: Sequence[LabelledWorld], training: Training = TRAINING) -> Tuned:
    """Tune a mediator: slope and shifts first, then the weights of its second look, kept where that helps.

    Weights are kept when networks that were tuned on either fold of the identities have the lower log loss on the
    pairs inside the other fold.

    Parameters
    ----------
    mediator : UnlabelledMediator
    worlds : sequence of LabelledWorld
        With log odds by this mediator. Without any the mediator stays as it is.
    training : Training
    """
    if not worlds:
        return Tuned(mediator)
    slope, shifts = calibration(worlds)
    scaled = _scaled(mediator, slope)
    loss, tuned_loss = _held_out_losses(scaled, worlds, slope, training)
    better = tuned_loss < _BETTER * loss
    second = _refined(scaled.second, worlds, shifts, training) if better else scaled.second
    pairs = sum(len(world.z) for world in worlds)
    return Tuned(replace(scaled, second=second), slope, float(shifts[0]), loss, tuned_loss, better, pairs)


def calibration(worlds: Sequence[LabelledWorld]) -> tuple[float, Doubles]:
    """Fit one slope for all worlds and a shift for each: the most probable ones, by Newton's method.

    Pairs of an identity are no independent witnesses: those of a world weigh as much as it has identities.

    Returns
    -------
    slope : float
    shifts : ndarray of float64, shape (worlds,)
    """
    weights = [len(np.union1d(world.one, world.other)) / max(1, len(world.z)) for world in worlds]
    at, expected = np.array([1.0, *np.zeros(len(worlds))]), np.array([1.0, *np.zeros(len(worlds))])
    stiff = 1 / np.array([_SLOPE_SPREAD / np.sqrt(len(worlds)), *np.full(len(worlds), _SHIFT_SPREAD)]) ** 2
    loss = _loss(at, worlds, weights) + float((stiff * (at - expected) ** 2).sum()) / 2
    for _ in range(_MOST_STEPS):
        gradient, curvature = stiff * (at - expected), np.diag(stiff)
        for number, (world, weight) in enumerate(zip(worlds, weights, strict=True), 1):
            probability = sigmoid(at[0] * world.z + at[number])
            error, bend = weight * (probability - world.same), weight * probability * (1 - probability)
            gradient[0] += (error * world.z).sum()
            gradient[number] += error.sum()
            curvature[0, 0] += (bend * world.z**2).sum()
            curvature[0, number] = curvature[number, 0] = (bend * world.z).sum()
            curvature[number, number] += bend.sum()
        step = np.linalg.solve(curvature, gradient)
        while True:
            closer = at - step
            lower = _loss(closer, worlds, weights) + float((stiff * (closer - expected) ** 2).sum()) / 2
            if lower <= loss or np.abs(step).max() <= _SMALL:
                break
            step = step / 2
        at, loss = closer, lower
        if np.abs(step).max() <= _SMALL:
            break
    return float(at[0]), at[1:]


def _loss(at: Doubles, worlds: Sequence[LabelledWorld], weights: Sequence[float]) -> float:
    return sum(
        weight * float(_losses(at[0] * world.z + at[number], world.same).sum())
        for number, (world, weight) in enumerate(zip(worlds, weights, strict=True), 1)
    )


def _losses(odds: Doubles, same: Bools) -> Doubles:
    losses: Doubles = np.logaddexp(0, np.where(same, -odds, odds))
    return losses


def _scaled(mediator: UnlabelledMediator, slope: float) -> UnlabelledMediator:
    """Multiply the log odds of the second look."""

    def scaled(net: Mlp) -> Mlp:
        *hidden, (weights, bias) = net.layers
        return replace(net, layers=(*hidden, (np.float32(slope) * weights, np.float32(slope) * bias)))

    return replace(mediator, second=tuple(scaled(net) for net in mediator.second))


def _refined(
    nets: tuple[Mlp, ...], worlds: Sequence[LabelledWorld], shifts: Doubles, training: Training
) -> tuple[Mlp, ...]:
    lessons = [
        Lesson(world.features, world.same.astype(np.float32), float(shift))
        for world, shift in zip(worlds, shifts, strict=True)
    ]
    return tuple(refined(net, lessons, replace(training, seed=number)) for number, net in enumerate(nets))


def _held_out_losses(
    scaled: UnlabelledMediator, worlds: Sequence[LabelledWorld], slope: float, training: Training
) -> tuple[float, float]:
    """Return the log losses on each fold, before and after tuning on the other one."""
    before: list[float] = []
    after: list[float] = []
    for fold in (0, 1):
        both = [(world.inside(1 - fold), world.inside(fold)) for world in worlds]
        both = [(taught, held) for taught, held in both if taught.teaches and held.teaches]
        if not both:
            return float("nan"), float("nan")
        taught = [each for each, _ in both]
        nets = _refined(scaled.second, taught, calibration(taught)[1], training)
        for _, held in both:
            for odds, losses in ((slope * held.z, before), (mean_logits(nets, held.features), after)):
                # Each calibrated by itself: shifts do not carry over.
                again, shift = calibration([replace(held, z=odds)])
                losses.append(float(_losses(again * odds + shift[0], held.same).mean()))
    return float(np.mean(before)), float(np.mean(after))

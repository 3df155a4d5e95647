"""Draw five of the simulated sets from which the mediator without labels has learned: ``docs/simulated-sets.png``.

A column is a set, seen by its first model. Above: cosines between the items of some 25 identities, neighbours beside
each other. Middle: how many items each identity has. Below: cosines of items with their nearest item of the same
identity and of another one.

python -m benchmarks.simulated_sets --output docs/simulated-sets.png
"""

from __future__ import annotations

import argparse
import io

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import leaves_list, linkage

from cdp_spark.training.kernels.simulation import SimulatedSet, simulated_set

SEEDS = (3, 18, 20, 22, 1)
LAWS = {"const": "equal sizes", "lognormal": "lognormal sizes", "power": "power law", "mixed": "sizes and singletons"}
SHOWN, MOST_OF_ONE = 120, 12
BLUE, RED = "#4c7fb8", "#c8553d"


def main() -> None:
    """Draw the picture and write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", default="docs/simulated-sets.png")
    output = parser.parse_args().output
    figure, axes = plt.subplots(3, len(SEEDS), figsize=(12, 6.4), height_ratios=(2, 1, 1))
    for seed, (matrix, sizes, nearest) in zip(SEEDS, axes.T, strict=True):
        drawn = simulated_set(seed)
        _cosines(matrix, drawn)
        _sizes(sizes, drawn)
        _nearest(nearest, drawn)
        matrix.set_title(f"seed {seed}: {LAWS[drawn.law]}\n{_in_words(drawn)}", fontsize=9)
    axes[0, 0].set_ylabel("cosines of some items")
    axes[1, 0].set_ylabel("items")
    axes[2, 0].set_ylabel("share of items")
    axes[2, 0].legend(["same identity", "another"], fontsize=7, frameon=False, loc="upper left")
    figure.tight_layout()
    _write(figure, output)


def _write(figure: Figure, output: str) -> None:
    """Write with few colours: noise of many shades does not compress."""
    data = io.BytesIO()
    figure.savefig(data, dpi=80)
    Image.open(data).convert("RGB").quantize(64).save(output, optimize=True)


def _in_words(drawn: SimulatedSet) -> str:
    identities = int(drawn.identity.max()) + 1
    count = len(drawn.models)
    return f"{len(drawn.identity):,} items, {count} models\n{identities:,} identities"


def _cosines(axis: Axes, drawn: SimulatedSet) -> None:
    shown = _some(drawn)
    rows = drawn.models[0][shown]
    axis.imshow(rows @ rows.T, vmin=-0.2, vmax=1, cmap="Blues", interpolation="nearest")
    axis.set(xticks=[], yticks=[])


def _some(drawn: SimulatedSet) -> NDArray[np.int64]:
    """Choose items of one identity and of those nearest to it; similar identities come after each other."""
    rows, identity = drawn.models[0].astype(np.float64), drawn.identity
    counts = np.bincount(identity)
    centres = np.stack([np.bincount(identity, column) for column in rows.T], axis=1) / counts[:, None]
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    first = int(np.flatnonzero(counts == np.median(counts))[0])
    near = np.argsort(-(centres @ centres[first]), kind="stable")
    taken = np.minimum(counts[near], MOST_OF_ONE).cumsum() <= SHOWN
    near = near[taken]
    ordered = near[leaves_list(linkage(centres[near], "average", optimal_ordering=True))]
    return np.concatenate([np.flatnonzero(identity == each)[:MOST_OF_ONE] for each in ordered])


def _sizes(axis: Axes, drawn: SimulatedSet) -> None:
    counts = np.sort(np.bincount(drawn.identity))[::-1]
    axis.loglog(np.arange(1, len(counts) + 1), counts, color=BLUE, drawstyle="steps-post")
    axis.set_xlabel("identities, largest first", fontsize=8)
    axis.set(ylim=(0.8, 1_000), xlim=(0.9, 3_000))
    axis.tick_params(labelsize=7)


def _nearest(axis: Axes, drawn: SimulatedSet) -> None:
    """Draw how far apart the nearest item of the same identity and the nearest one of another lie."""
    rows, identity = drawn.models[0], drawn.identity
    cosine = rows @ rows.T
    np.fill_diagonal(cosine, -2)
    same = identity[:, None] == identity[None, :]
    own, other = np.where(same, cosine, -2).max(axis=1), np.where(same, -2, cosine).max(axis=1)
    bins = np.linspace(0, 1, 51)
    for values, colour in ((own[own > -2], BLUE), (other, RED)):
        axis.hist(values, bins, weights=np.full(len(values), 1 / len(values)), color=colour, histtype="step", lw=1.4)
    axis.set(yticks=[], xlim=(0, 1))
    axis.set_xlabel("cosine with the nearest", fontsize=8)
    axis.tick_params(labelsize=7)


if __name__ == "__main__":
    main()

"""How many items the shift of a run without labels needs: the shift that samples of whole pieces choose, and its F.

    python benchmarks/sample_size.py --data DATA --set omniglot --sizes 5000 10000 20000 --output runs/sample-size

Pairs are scored once, over all items. Pieces of probable pairs are cut and drawn as the distributed job does it, with
several salts; the shift is chosen among the drawn items, and scored by clusters of all items, before self-training.
The whole set is its own last sample. Sets: see ``no_labels.py``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from no_labels import SETS, read
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from cdp_spark.agglomeration.kernels.labelled_pieces import pieces
from cdp_spark.base.numeric.uniform_hashes import uniform
from cdp_spark.evaluation.kernels.metrics import f_scores, sums_of
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator, clusters_of
from cdp_spark.unlabelled.kernels.reference import Scored
from cdp_spark.unlabelled.kernels.sets import Model
from cdp_spark.unlabelled.kernels.shift import (
    SHIFTS,
    Curve,
    agreement_of,
    likeness_of,
    shift_by_agreement,
    split_weights,
)
from cdp_spark.unlabelled.kernels.splits import distinct_halves, model_splits
from cdp_spark.unlabelled.shipped import load_unlabelled

PROBABLE = -2.0
HIGHEST = 40.0
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
Splits = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


def main() -> None:
    options = arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    mediator, _ = load_unlabelled()
    given = read(options.set, options.data)
    models = [Model.of(vectors) for vectors in given.models]
    splits, count = model_splits(len(models)), len(given.identity)
    subsets = [tuple(range(len(models))), *distinct_halves(splits)]
    scored = {subset: scored_pairs([models[m] for m in subset], mediator) for subset in subsets}
    whole = scored[subsets[0]]
    strengths = [tuple(strength(whole, scored[half], count) for half in split) for split in splits]
    piece_of = cut(whole, count, options.piece)
    rows = []
    for size in [*options.sizes, count]:
        for salt in options.salts if size < count else [0]:
            kept = uniform(piece_of, 0x9A3 + 2 * salt) < size / count if size < count else np.ones(count, bool)
            curve = chosen(scored, splits, split_weights(strengths), kept, mediator)
            shift = float(SHIFTS[curve.chosen])
            labels = clusters_of(whole[0], whole[1], whole[2] + np.float32(shift), mediator.rule, count)
            f = [round(each or 0.0, 4) for each in f_scores(sums_of(labels, given.identity))]
            rows.append({"size": size, "salt": salt, "items": int(kept.sum()), "shift": shift, "f": f})
            print(json.dumps(rows[-1]), flush=True)
    (options.output / "sample_size.json").write_text(json.dumps(rows, indent=1))


def scored_pairs(models: list[Model], mediator: UnlabelledMediator) -> Pairs:
    scored = Scored.of(models, mediator)
    return scored.pairs.src, scored.pairs.dst, scored.z


def strength(whole: Pairs, half: Pairs, count: int) -> float:
    """Return the share of the whole's pairs that a half also lists."""
    ours, theirs = (pairs[0] * np.int64(count) + pairs[1] for pairs in (whole, half))
    return float(np.isin(ours, theirs).mean())


def cut(whole: Pairs, count: int, most: int) -> np.ndarray:
    """Return the piece of each item: components of probable pairs, cut until none has more than ``most`` items."""
    src, dst, z = (column[whole[2] > PROBABLE] for column in whole)
    tree = minimum_spanning_tree(coo_matrix((HIGHEST - z.astype(float), (src, dst)), shape=(count, count))).tocoo()
    ends = np.sort(np.stack([tree.row, tree.col]).astype(np.int64), axis=0)
    parts = pieces(ends[0], ends[1], (HIGHEST - tree.data).astype(np.float32), most=most)
    piece_of = np.arange(count)
    piece_of[parts.items] = parts.root
    return piece_of


def chosen(
    scored: dict[tuple[int, ...], Pairs],
    splits: Splits,
    weights: np.ndarray,
    kept: np.ndarray,
    mediator: UnlabelledMediator,
) -> Curve:
    """Choose the shift among some items."""
    number = np.cumsum(kept) - 1
    inside = {subset: within(pairs, kept, number) for subset, pairs in scored.items()}
    whole, known = next(iter(scored)), {}

    def root(subset: tuple[int, ...], at: int) -> np.ndarray:
        if (subset, at) not in known:
            src, dst, z = inside[subset]
            shifted = z + np.float32(SHIFTS[at])
            known[subset, at] = clusters_of(src, dst, shifted, mediator.rule, int(kept.sum()))
        return known[subset, at]

    return shift_by_agreement(
        lambda indices: {
            at: [agreement_of(root(one, at), root(other, at), root(whole, at)) for one, other in splits]
            for at in indices
        },
        lambda top, indices: {
            at: [likeness_of(root(one, top), root(other, top), root(whole, at)) for one, other in splits]
            for at in indices
        },
        weights,
    )


def within(pairs: Pairs, kept: np.ndarray, number: np.ndarray) -> Pairs:
    rows = kept[pairs[0]] & kept[pairs[1]]
    return number[pairs[0][rows]], number[pairs[1][rows]], pairs[2][rows]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", choices=list(SETS), default="glyphs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 10_000, 20_000])
    parser.add_argument("--salts", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--piece", type=int, default=5_000)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()

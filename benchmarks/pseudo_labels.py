"""Training without labels: how much of what true labels would give do pseudo-labels give?

    python benchmarks/pseudo_labels.py --seeds 0 1 2 3 4 5 6 7 --output runs/pseudo

Characters as in the project's data (``cdp_spark.datasets``), of three disjoint sets per seed: few labelled ones, many
without labels, and others for the test. Embedders learn from half of the labelled characters; the mediators, and the
threshold of the vote, from the others in the crowd of the unlabelled images. These are clustered and exported, and a
fresh network is trained with two heads, one for the labelled characters and one for clusters: on (a) the labelled
images alone, and beside them the unlabelled ones with (b) true labels, (c) clusters by vote, (d) by mediator, with a
threshold and without, (e) K-means with as many clusters as (d). Others have a head for each of three clusterings:
*several clusterings* are (c), (d) and (e), *several bases* three of (d), each with another model as the base, *several
K-means* three of (e), of one model each. Students are judged on the third set by verification (share of same pairs
accepted when one in a thousand others is) and by how often the nearest other image is of the same character. ``gap``
is the share of the way from (a) to (b). With ``--shares`` the same for parts of the unlabelled images; with
``--second-round`` a student of (d), to which the characters that the mediator learns from are unlabelled ones, joins
the committee and all is done again. What was trained is kept: a call that was cut off goes on. The last line is one
line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pseudo_clusters import (
    KMEANS,
    NO_CROWD,
    NO_THRESHOLD,
    VOTE,
    WAYS,
    by_other_bases,
    clustered,
    embedders,
    joining,
    kmeans_of_others,
    student_recipe,
)  # fmt: skip
from scipy.stats import t as student_t
from students import Pseudo, World, agreement, drawn_world, judged, students, true_labels

LABELLED, TRUE = "labelled", "true labels"
TOGETHER, BASES, CONTROL = "several clusterings", "several bases", "several K-means"
SECOND, SECOND_TOGETHER = "second round", "second round, several clusterings"
SEVERAL = (NO_THRESHOLD, VOTE, KMEANS)
"""Clusterings of ``TOGETHER``. ``BASES`` has as many by mediator, without a threshold, each with another model as the
base; ``CONTROL`` as many of K-means, of one model each."""

BEGIN_WITH = {TOGETHER: SEVERAL, BASES: (NO_THRESHOLD,), CONTROL: (KMEANS,)}
"""Ways whose clusterings these have as well."""

DECIDING = ("labelled", "views", "median", "test", "steps", "distortion", "precision")
"""Options that figures depend on."""

DRAWS = 2_000
"""Of seeds, for the interval of a share of the gap."""


def main() -> None:
    options = arguments()
    rows = [row for seed in options.seeds for share in options.shares for row in Case(options, seed, share).figures()]
    found = summary(rows)
    if options.chart is not None:
        draw(found["by_share"], rows, options.chart)
    print(json.dumps({"rows": rows, **found}))


@dataclass(frozen=True)
class Case:
    """The data of one seed, or a share of them. What takes minutes is kept, and found again by a later call."""

    options: argparse.Namespace
    seed: int
    share: float

    @property
    def of_seed(self) -> Path:
        return Path(self.options.output) / f"seed{self.seed}"

    @property
    def folder(self) -> Path:
        return self.of_seed / f"share{self.share:g}"

    @cached_property
    def world(self) -> World:
        asked = self.options
        return drawn_world(self.seed, asked.labelled, asked.test, asked.views, asked.median).part(self.share, self.seed)

    def figures(self) -> list[dict[str, Any]]:
        """Return a row for each student; a way that is refused has none."""
        self._check_options()
        names = [LABELLED, TRUE, *self.options.ways]
        if self.options.second_round:
            names += [SECOND, SECOND_TOGETHER] if TOGETHER in names else [SECOND]
        missing = [name for name in names if not self._kept(name).exists()]
        if missing:
            self._train(missing)
        rows = [json.loads(self._kept(name).read_text()) for name in names]
        return [row for row in rows if row]

    def _check_options(self) -> None:
        same = {name: getattr(self.options, name) for name in DECIDING}
        kept = self.of_seed / "options.json"
        if kept.exists() and json.loads(kept.read_text()) != same:
            raise SystemExit(f"{self.of_seed} was made with other options: choose another --output, or remove it")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(same))

    def _kept(self, name: str) -> Path:
        return self.folder / "students" / f"{name}.json"

    def _keep(self, name: str, row: dict[str, Any]) -> None:
        self._kept(name).parent.mkdir(parents=True, exist_ok=True)
        self._kept(name).write_text(json.dumps(row))

    def _train(self, names: list[str]) -> None:
        """Train students, judge them, and keep their figures."""
        sets = self._sets(names)
        for refused in {*names} - {*sets}:
            self._keep(refused, {})
        found = students(
            self.world, sets, student_recipe(self.options), seed=self.seed, processes=self.options.processes
        )
        times = round(len(self.world.unlabelled.labels) / len(self.world.labelled.labels), 2)
        for name, model in found:
            row = {
                "seed": self.seed,
                "share": self.share,
                "times": times,
                "way": name,
                **judged(model, self.world.test),
            }
            for pseudo in sets[name] if len(sets[name]) == 1 else []:
                row |= agreement(pseudo, self.world.unlabelled.labels)
            self._keep(name, row)
            print(json.dumps(row), flush=True)

    def _sets(self, names: list[str]) -> dict[str, list[Pseudo]]:
        """Cluster for these students; return what each learns from beside the labelled images."""
        sets: dict[str, list[Pseudo]] = {LABELLED: [], TRUE: [true_labels(self.world.unlabelled)]}
        if {*names} - {*sets}:
            models = embedders(self.of_seed, self.world, self.options)
            needed = {*names, *(way for name in names for way in BEGIN_WITH.get(name, ()))}
            ways = [way for way in (*WAYS, NO_CROWD) if way in needed]
            found = clustered(self.folder, self.world, models, ways, self.options.master)
            sets |= {name: [pseudo] for name, pseudo in found.items()}
        if TOGETHER in names:
            sets[TOGETHER] = [found[name] for name in SEVERAL]
        if BASES in names:
            others = by_other_bases(self.folder, self.world, models, len(SEVERAL), self.options.master)
            sets[BASES] = [found[NO_THRESHOLD], *others]
        if CONTROL in names:
            sets[CONTROL] = [found[KMEANS], *kmeans_of_others(self.folder, models, len(SEVERAL))]
        if {SECOND, SECOND_TOGETHER} & {*names}:
            larger = {"student": joining(self.folder, self.world, models, self.options), **models}
            ways = SEVERAL if SECOND_TOGETHER in names else (NO_THRESHOLD,)
            again = clustered(self.folder / "second", self.world, larger, ways, self.options.master)
            sets |= {SECOND: [again[NO_THRESHOLD]], SECOND_TOGETHER: [again[name] for name in ways]}
        return {name: sets[name] for name in names if name in sets}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % interval over seeds of the rates, and of the shares of the gap, by way and share."""
    found: dict[str, Any] = {}
    for share in shares_of(rows):
        by_way: dict[str, dict[int, dict[str, float]]] = {}
        for row in rows:
            if row["share"] == share:
                by_way.setdefault(row["way"], {})[row["seed"]] = row
        found[f"share {share:g}"] = {way: of_way(way, by_way) for way in by_way}
    largest = found[f"share {max(row['share'] for row in rows):g}"]
    ratios = {"mediator_gap_ratio": NO_THRESHOLD, "several_bases_gap_ratio": BASES}
    return {"by_share": found, **{name: largest[way]["gap"][0] for name, way in ratios.items() if way in largest}}


def of_way(way: str, by_way: dict[str, dict[int, dict[str, float]]]) -> dict[str, Any]:
    seeds = sorted(by_way[way])
    rates = {name: np.array([by_way[name][seed]["tpr"] for seed in seeds]) for name in (LABELLED, TRUE, way)}
    found: dict[str, Any] = {"tpr": interval(rates[way].tolist()), "gap": gap_of(rates, way)}
    for name in ("nearest", "pairwise_f"):
        if name in by_way[way][seeds[0]]:
            found[name] = round(statistics.mean(by_way[way][seed][name] for seed in seeds), 4)
    return found


def gap_of(rates: dict[str, np.ndarray], way: str) -> list[float]:
    """Return the share of the way from labelled to true labels, of means, and its 95 % interval by drawing seeds."""
    won, all_there_is = rates[way] - rates[LABELLED], rates[TRUE] - rates[LABELLED]
    drawn = np.random.default_rng(0).integers(0, len(won), (DRAWS, len(won)))
    shares = won[drawn].mean(axis=1) / all_there_is[drawn].mean(axis=1)
    bounds = np.quantile(shares, [0.025, 0.975])
    return np.round([won.mean() / all_there_is.mean(), *bounds], 3).tolist()


def draw(by_share: dict[str, Any], rows: list[dict[str, Any]], chart: Path) -> None:
    """Draw the rates over how many times as many unlabelled images there are as labelled ones: means, and each seed."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.6), dpi=150)
    alone = {row["seed"]: row["tpr"] for row in rows if row["way"] == LABELLED}
    times = {share: statistics.mean(row["times"] for row in rows if row["share"] == share) for share in shares_of(rows)}
    for way, (colour, text) in DRAWN.items():
        some = [share for share in times if way in by_share[f"share {share:g}"]]
        if not some:
            continue
        across = [0.0, *(times[share] for share in some)]
        for seed, tpr in alone.items():
            own = {row["share"]: row["tpr"] for row in rows if (row["way"], row["seed"]) == (way, seed)}
            axis.plot(across, [tpr, *(own.get(share, np.nan) for share in some)], color=colour, alpha=0.25, linewidth=1)
        means = [statistics.mean(alone.values()), *(by_share[f"share {share:g}"][way]["tpr"][0] for share in some)]
        axis.plot(across, means, color=colour, marker="o", markersize=4)
        place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
        axis.annotate(text, (across[-1], means[-1]), color=colour, **place)
    axis.set(xlabel="unlabelled images for each labelled one", ylabel="verification (TPR at FAR 1e-3)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(chart, bbox_inches="tight")


DRAWN = {
    TRUE: ("#c8553d", "true labels"),
    BASES: ("#2f7d5b", "three clusterings, a head each"),
    TOGETHER: ("#8a6db1", "vote, mediator and K-means, a head each"),
    NO_THRESHOLD: ("#6aa67c", "clusters without a threshold"),
    VOTE: ("#4c7fb8", "clusters by vote"),
    KMEANS: ("#999999", "K-means"),
}


def shares_of(rows: list[dict[str, Any]]) -> list[float]:
    return sorted({row["share"] for row in rows})


def interval(values: list[float]) -> list[float]:
    """Return the mean and the half width of its 95 % interval."""
    if len(values) < 2:
        return [round(values[0], 4), 0.0]
    half = student_t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return [round(statistics.mean(values), 4), round(float(half), 4)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--labelled", type=int, default=200, help="characters with labels")
    parser.add_argument(
        "--views", type=int, default=2, help="images of a character that embedders see, in each typeface"
    )
    parser.add_argument("--median", type=float, default=9, help="images of other characters")
    parser.add_argument("--test", type=int, default=250, help="characters of the test")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="of the unlabelled characters")
    ways = [*WAYS, TOGETHER, BASES, CONTROL]
    parser.add_argument("--ways", nargs="+", default=ways, choices=[*ways, NO_CROWD])
    parser.add_argument("--steps", type=int, default=2_000, help="of a student")
    parser.add_argument("--distortion", type=float, default=1.0, help="of the pictures that a student sees")
    parser.add_argument(
        "--precision", choices=["bfloat16", "float32"], default="bfloat16",
        help="of networks while they are trained: half the time where the processor multiplies bfloat16",
    )  # fmt: skip
    parser.add_argument("--second-round", action="store_true")
    parser.add_argument("--chart", type=Path, help="file of the curve over --shares, such as curve.svg")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""What few labels give: the mediator that ships, the same tuned on them, and one that is trained on them from nothing.

    python benchmarks/few_labels.py --data DATA --output runs/few-labels

Identities are drawn from the labelled part, with all their images: glyphs that ship, faces (half of the people teach,
the other half is clustered; the one with 530 images is among those that teach), Omniglot for its long tail. Pairwise /
BCubed F of the clusters, by labels that only judge. A tuned mediator takes the shift by agreement, like the one that
ships; beside it, the clusters at the shift that the labels gave, and at the mean of both (``consensus.granularity``).
The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from no_labels import OMNIGLOT, show, vectors_of

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.datasets import glyphs
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train

FACES = ["mobileface_v3", "mfn_casia", "mobileface_v2", "mobileface_v1"]
SETS: dict[str, tuple[list[str], Path, Path]] = {
    "glyphs": ([glyphs.BASE, *glyphs.COMMITTEE], glyphs.FOLDER / "labelled", glyphs.FOLDER / "unlabelled"),
    "faces": (FACES, Path("lfw/labelled"), Path("lfw/labelled")),
    "long tail": (OMNIGLOT, Path("omniglot/labelled"), Path("omniglot_longtail/unlabelled")),
}
"""Models, base first; labelled part; part that is clustered: the other half where it is the same."""
STARTS = {"tuned": "shipped", "from nothing": "none"}


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {}, engine="sail" if options.master is None else "auto")
    found: dict[str, dict[str, Any]] = {}
    for name in options.sets:
        models, labelled, wanted = SETS[name]
        labelled, wanted = (options.data / each if options.data else each for each in (labelled, wanted))
        vectors, identity = read(labelled, models)
        taught = np.ones(len(identity), bool)
        if labelled == wanted:
            taught = (np.random.default_rng(0).permutation(identity.max() + 1) % 2)[identity] == 1
            target = write(options.output / name / "clustered", models, vectors, identity, ~taught)
        else:
            target = write(options.output / name / "clustered", models, *read(wanted, models))
        people = np.unique(identity[taught])
        rows = found.setdefault(name, {})
        rows["shipped"] = figures(clustered(spark, target, options.output / name, "shipped"))
        print(name, "shipped", rows["shipped"], flush=True)
        for count in [each for each in options.identities if each <= len(people)]:
            for draw in range(options.draws):
                some = np.random.default_rng(100 + draw).permutation(people)[:count]
                folder = options.output / name / f"{count}-{draw}"
                source = write(folder, models, vectors, identity, np.isin(identity, some))
                for way, start in STARTS.items():
                    row = one(spark, source, target, (options.output / name, folder, start))
                    rows[f"{way}, {count}, draw {draw}"] = row
                    print(name, way, count, draw, row, flush=True)
        (options.output / "few_labels.json").write_text(json.dumps(found, indent=1))
    show(found, shown)
    print(json.dumps(found))


def one(spark: Any, source: dict, target: dict, where: tuple[Path, Path, str]) -> dict[str, Any]:
    """Train on labelled identities and cluster the target."""
    runs, folder, start = where
    output = str(folder / f"mediator-{start}")
    try:
        settings = {"input": source, "output": output, "mediator": {"start": start}}
        card = train(load_config_of(TrainConfig, settings), spark=spark).card
    except Exception as error:  # too few labels: the figure is that there is none
        return {"failed": str(error)}
    told = {key: card[key] for key in ("slope", "labelled_shift", "weights_tuned") if key in card}
    row = figures(clustered(spark, target, runs, output)) | told
    if start == "shipped":
        for name, share in (("labelled", 1.0), ("mean", 0.5)):
            away = share * (card["labelled_shift"] - row["shift"])
            other = figures(clustered(spark, target, runs, output, granularity=away))
            row |= {f"{name}_{metric}": other[metric] for metric in ("pairwise_f", "bcubed_f")}
    return row


def clustered(spark: Any, target: dict, runs: Path, mediator: str, **consensus: float) -> dict[str, Any]:
    """Cluster; lists and joint view are those of the first run, in the same folder."""
    settings = {"input": target, "output": str(runs / "run"), "consensus": {"mediator": mediator, **consensus}}
    return cluster(load_config(settings), spark=spark).record


def figures(record: Any) -> dict[str, Any]:
    kept, way = record["metrics"]["kept"], record.get("without_labels")
    row = {metric: round(kept[metric] or 0.0, 3) for metric in ("pairwise_f", "bcubed_f")}
    return row | ({} if way is None else {"shift": way["shift"], "agreement": way["agreement"]})


def read(folder: Path, models: list[str]) -> tuple[list[np.ndarray], np.ndarray]:
    labels = pq.read_table(folder / "labels.parquet").sort_by("id")
    identity = np.unique(labels["label"].to_numpy(), return_inverse=True)[1]
    return [vectors_of(folder / f"{model}.parquet") for model in models], identity


def write(
    folder: Path, models: list[str], vectors: list[np.ndarray], identity: np.ndarray, kept: np.ndarray | None = None
) -> dict[str, Any]:
    """Write the kept rows, and return them as the input of a config."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.arange(len(identity)) if kept is None else np.flatnonzero(kept)
    for model, each in zip(models, vectors, strict=True):
        column = pa.array(list(each[rows].astype(np.float32)), pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": rows, "embedding": column}), folder / f"{model}.parquet")
    pq.write_table(pa.table({"id": rows, "label": identity[rows]}), folder / "labels.parquet")
    base, *committee = (str(folder / f"{model}.parquet") for model in models)
    return {"base": base, "committee": committee, "labels": str(folder / "labels.parquet")}


def shown(row: dict[str, Any] | None) -> str:
    if row is None or "failed" in row:
        return "" if row is None else "fails"
    return " / ".join(f"{row[metric]:.3f}".removeprefix("0") for metric in ("pairwise_f", "bcubed_f"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="evaluation sets; without it, glyphs alone")
    parser.add_argument("--sets", nargs="+", choices=list(SETS))
    parser.add_argument("--identities", nargs="+", type=int, default=[5, 10, 30, 100, 300])
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    options = parser.parse_args()
    options.sets = options.sets or (list(SETS) if options.data else ["glyphs"])
    return options


if __name__ == "__main__":
    main()

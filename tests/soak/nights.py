"""Images that come, go and change from night to night, and a plain account of what their nightly runs must give."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from cdp_spark.files.folder import Folder
from cdp_spark.runs.manifests import MANIFEST, checked_manifest
from tests import data

MODELS = ("base", "one")
DIMENSION = 8
TABLES = ("clusters", "merges", "quarantine", "lineage")


def _draw(*seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIMENSION)


@dataclass
class Images:
    """What lies in the lake: ids with their person, how often each was embedded anew, and the unusable rows."""

    random: np.random.Generator
    person: dict[int, int] = field(default_factory=dict)
    version: dict[int, int] = field(default_factory=dict)
    unusable: set[int] = field(default_factory=set)
    next_id: int = 0

    def change(self) -> None:
        """Add some images, some of new people; take others away; embed a few anew; some turn out unusable."""
        wanted = 60 + int(self.random.integers(30))
        while len(self.person) < wanted:
            self._add(int(self.random.integers(20 + self.next_id // 40)))
        for _ in range(int(self.random.integers(6))):
            self._remove(int(self.random.choice(list(self.person))))
        for each in self.random.choice(list(self.person), 3, replace=False).tolist():
            self.version[each] += 1
        self.unusable = set(self.random.choice(list(self.person), int(self.random.integers(4)), replace=False).tolist())

    def write(self, folder: Path) -> None:
        """Put them into a number of files that changes, too."""
        ids = np.array(sorted(self.person), np.int64)
        models = {model: np.stack([self._row(each, number) for each in ids]) for number, model in enumerate(MODELS)}
        data.write(folder, ids, models, files=int(self.random.integers(1, 5)), seed=int(self.random.integers(99)))

    def usable(self) -> set[int]:
        return set(self.person) - self.unusable

    def _row(self, each: int, model: int) -> np.ndarray:
        noise = _draw(2, each, model, self.version[each])
        row = _draw(1, self.person[each], model) + 0.3 * noise
        return (np.zeros(DIMENSION) if each in self.unusable else row).astype(np.float32)

    def _add(self, person: int) -> None:
        self.person[self.next_id], self.version[self.next_id] = person, 0
        self.next_id += int(self.random.integers(1, 4))

    def _remove(self, each: int) -> None:
        del self.person[each], self.version[each]


@dataclass
class Account:
    """Which cluster each image was in, and the first cluster id that no night has given."""

    clusters: dict[int, int] = field(default_factory=dict)
    next_id: int = 0

    def check(self, found: dict[int, int]) -> None:
        """Hold the ids that a night gave against the rule of lineage, and take them as the last night's."""
        kept = self._kept(found)
        given = {each for each in found.values() if each >= 0}
        fresh = given - set(kept.values())
        assert all(new == old for new, old in kept.items()), kept
        assert fresh == set(range(self.next_id, self.next_id + len(fresh))), (fresh, self.next_id)
        self.clusters, self.next_id = found, self.next_id + len(fresh)

    def _kept(self, found: dict[int, int]) -> dict[int, int]:
        """Return, by tonight's cluster, the earlier one with which it shares most images, where that is mutual.

        Ties go to the smaller earlier id, and to the cluster of the smallest image.
        """
        first: dict[int, int] = {}
        for each in sorted(found):
            first.setdefault(found[each], each)
        both = [each for each in found if found[each] >= 0 and self.clusters.get(each, -1) >= 0]
        shared = Counter((found[each], self.clusters[each]) for each in both)
        best_old, best_new = {}, {}
        for (new, old), count in shared.items():
            best_old[new] = min(best_old.get(new, (0, 0)), (-count, old))
            best_new[old] = min(best_new.get(old, (0, 0)), (-count, first[new]))
        return {new: old for new, (_, old) in best_old.items() if best_new[old][1] == first[new]}


def check_run(output: Path, images: Images) -> dict[int, int]:
    """Hold a night's counts and ids against the input; return the clusters by image."""
    table = pq.read_table(output / "clusters", columns=["id", "cluster", "status"])
    found = dict(zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True))
    assert set(found) == images.usable()
    assert table.num_rows == len(found)
    aside = pq.read_table(output / "quarantine")
    assert set(aside["id"].to_pylist()) == images.unusable
    counts = json.loads((output / "run.json").read_text())["counts"]
    assert counts["items"] == len(found)
    assert counts["statuses"] == dict(Counter(table["status"].to_pylist()))
    assert counts["rows"] == dict.fromkeys(MODELS, len(images.person))
    assert all(sum(reasons.values()) == len(images.unusable) for reasons in counts["quarantined"].values())
    assert counts["clusters"] == len({each for each in found.values() if each >= 0})
    for name in TABLES:
        if (output / name / MANIFEST).exists():
            assert checked_manifest(Folder(str(output)), name) is not None
    return found


def groups(found: dict[int, int]) -> set[frozenset[int]]:
    """Return clusters as sets of images; those of none are left out."""
    by_cluster: dict[int, set[int]] = {}
    for each, cluster in found.items():
        by_cluster.setdefault(cluster, set()).add(each)
    return {frozenset(of) for cluster, of in by_cluster.items() if cluster >= 0}


def settings(lake: Path, output: Path, previous: Path | None) -> dict[str, Any]:
    return {
        "input": {"base": str(lake / "base"), "committee": [str(lake / "one")], "max_bad_fraction": 0.2},
        "output": str(output), "knn": {"k": 5}, "consensus": {"accept": 1, "threshold": 0.7},
        "clusters": {"max_cluster_size": 10}, **({"previous": str(previous)} if previous else {}),
    }  # fmt: skip

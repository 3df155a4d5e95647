"""Documented import paths of version 0.1 that have moved; they still work, with a DeprecationWarning.

Version 1.0 will remove them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "base.config": "config.whole",
    "base.loading": "config.loading",
    "base.parts": "config.sections",
    "runtime.mediators": "scoring.mediator_folder",
    "runtime.session": "spark.session",
    "stages.clusters": "clusters.cut_and_number",
    "stages.components": "clusters.forest.components",
    "stages.denoise": "label_errors.support",
    "stages.expansion": "knn.search_shards",
    "stages.export": "training_lists.training_rows",
    "stages.forest": "clusters.forest.grow",
    "stages.intake": "intake.checks",
    "stages.knn": "knn.search_shards",
    "stages.label_issues": "label_errors.whole_labels",
    "stages.lineage": "clusters.lineage",
    "stages.merges": "clusters.forest.merges",
    "stages.pairs": "pairs.block_join",
    "stages.shards": "knn.shards",
    "stages.vote": "scoring.vote",
    "tasks.clean": "commands.clean",
    "tasks.cluster": "commands.cluster",
    "tasks.denoise": "label_errors.flow",
    "tasks.evaluate": "evaluation.flow",
    "tasks.explain": "evidence.flow",
    "tasks.explained": "evidence.as_text",
    "tasks.export": "training_lists.flow",
    "tasks.plan": "plan.flow",
    "tasks.report": "report",
    "tasks.sweep": "commands.sweep",
    "tasks.train": "training.flow",
}
_PACKAGES = {"runtime", "stages", "tasks"}


class MovedModules(MetaPathFinder, Loader):
    """Finds only the old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a name of version 0.1."""
        name = fullname.removeprefix("cdp_spark.")
        if name == fullname or (name not in MOVED and name not in _PACKAGES):
            return None
        return ModuleSpec(fullname, self, is_package=name in _PACKAGES)

    def exec_module(self, module: ModuleType) -> None:
        """Fill the old module with the names of the new one."""
        old = module.__name__.removeprefix("cdp_spark.")
        if old in _PACKAGES:
            return
        new = f"cdp_spark.{MOVED[old]}"
        warnings.warn(f"{module.__name__} is {new} now", DeprecationWarning, stacklevel=2)
        names = vars(import_module(new))
        vars(module).update({name: value for name, value in names.items() if not name.startswith("__")})


def install() -> None:
    """Try old names if no other finder knows the module."""
    if not any(isinstance(each, MovedModules) for each in sys.meta_path):
        sys.meta_path.append(MovedModules())

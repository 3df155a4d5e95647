"""Explain why two items are, or are not, in one cluster."""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A room with the name of a public function: an import of it must not hide ``cdp_spark.explain(...)``."""

    def __call__(self, *words: Any, **settings: Any) -> Any:
        from cdp_spark.explain.flow import explain

        return explain(*words, **settings)


sys.modules[__name__].__class__ = _Room

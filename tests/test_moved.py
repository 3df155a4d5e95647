"""What was documented in version 0.1 can still be imported from where it was."""

import sys
from importlib import import_module
from inspect import isfunction
from pathlib import Path

import pytest

import cdp_spark
from cdp_spark._moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_path_gives_what_the_new_one_does(old):
    with pytest.warns(DeprecationWarning, match="is cdp_spark"):
        cdp_spark._moved.MovedModules().exec_module(module := type(cdp_spark)(f"cdp_spark.{old}"))
    new = import_module(f"cdp_spark.{MOVED[old]}")
    shared = [name for name in vars(new) if not name.startswith("__")]
    assert shared
    assert all(getattr(module, name) is getattr(new, name) for name in shared)


def test_old_paths_are_imported_as_ever(monkeypatch):
    monkeypatch.delitem(sys.modules, "cdp_spark.stages.vote", raising=False)
    with pytest.warns(DeprecationWarning, match=r"cdp_spark\.stages\.vote is cdp_spark\.scoring\.vote now"):
        from cdp_spark.stages.vote import scored_pairs  # a name of version 0.1
    from cdp_spark.scoring import vote

    assert scored_pairs is vote.scored_pairs


def test_other_names_stay_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"cdp_spark\.tasks\.nothing"):
        import_module("cdp_spark.tasks.nothing")


def test_no_room_hides_a_public_function():
    package = Path(cdp_spark.__file__).parent
    assert not {path.stem for path in package.iterdir()} & set(cdp_spark.__all__)


@pytest.mark.parametrize(("name", "room"), [("explain", "evidence"), ("export", "training_lists")])
def test_a_function_stays_a_function_after_its_room_was_imported(name, room):
    flow = import_module(f"cdp_spark.{room}.flow")
    assert isfunction(getattr(cdp_spark, name))
    assert getattr(cdp_spark, name) is getattr(flow, name)

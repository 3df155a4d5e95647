"""What was documented in version 0.1 can still be imported from where it was."""

import sys
from importlib import import_module

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


@pytest.mark.parametrize("name", ["explain", "export"])
def test_a_room_does_not_hide_the_function_of_its_name(name, monkeypatch):
    flow = import_module(f"cdp_spark.{name}.flow")
    monkeypatch.setattr(flow, name, lambda *words, **settings: (words, settings))
    assert getattr(cdp_spark, name)("run", output="out") == (("run",), {"output": "out"})

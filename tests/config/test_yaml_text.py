"""Configs are read as they are written: no key twice, no number out of a word, one line for every other encoding."""

import math

import pytest
import yaml

from cdp_spark.base.errors import ConfigError
from cdp_spark.config.yaml_text import local_text, parsed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nknn: {k: 7}\nb: 2\nknn: {l: 1}", r"config x: knn is given twice \(lines 2 and 4\): keep one of them"),
        ("knn:\n  k: 7\n  'k': 8", r"knn\.k is given twice \(lines 2 and 3\)"),
        ("list:\n- a: {b: 1}\n- a: {b: 1,\n     b: 2}", r"list\.a\.b is given twice \(lines 3 and 4\)"),
        ("a: &it {k: 1, k: 2}\nb: *it", r"a\.k is given twice \(lines 1 and 1\)"),
    ],
)
def test_a_key_that_is_given_twice_is_refused_with_both_lines(text, said):
    with pytest.raises(ConfigError, match=said) as refused:
        parsed(text, "config x")
    assert "\n" not in str(refused.value)


def test_merges_may_be_overridden_in_any_depth():
    text = "deep: {a: &a {k: 1, l: 2}, b: &b {<<: *a, k: 3}}\nc: {<<: *b, l: 4}"
    assert parsed(text, "x") == {"deep": {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}, "c": {"k": 3, "l": 4}}
    text = "a: &a {k: 1}\nb: &b {k: 2, l: 2}\nc: {m: 3, <<: [*a, *b]}"
    assert parsed(text, "x")["c"] == {"k": 1, "l": 2, "m": 3}
    with pytest.raises(ConfigError, match="not plain YAML at line 2: <<: needs a mapping"):
        parsed("a: &a 1\nb: {<<: *a}", "x")


@pytest.mark.parametrize(
    "text", ["yes", "off", "014", "0x1F", "0b1", "1_0", "12:30", "2024-01-01", "5e-1", "+.5e3", "=", "٣"]
)
def test_what_reads_in_two_ways_stays_text(text):
    assert parsed(f"a: {text}", "x") == {"a": text}


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -12, 10**20, 0.5, -1e-9, 1e300, math.inf, "", "a b", "null", "true", "0", "1.5", "~", "5e-1",
     "014", "yes", "1_0", "2024-01-01", "a: b", "# c", "- d", "\U0001f98a", " ", "line\nbreak"],
)  # fmt: skip
def test_what_was_written_is_read_as_it_was(value):
    found = parsed(yaml.safe_dump({"a": value}), "x")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_other_encodings_are_refused(tmp_path, encoding):
    (tmp_path / "cdp.yaml").write_bytes("output: möbius\n".encode(encoding))
    with pytest.raises(ConfigError, match="it is not UTF-8: write it as UTF-8"):
        parsed(local_text(str(tmp_path / "cdp.yaml")), "x")


def test_a_mark_of_utf_8_is_none_of_the_text(tmp_path):
    (tmp_path / "cdp.yaml").write_bytes("output: möbius\n".encode("utf-8-sig"))
    assert parsed(local_text(str(tmp_path / "cdp.yaml")), "x") == {"output": "möbius"}


@pytest.mark.parametrize(
    "text", ["a: [", "a: !!python/object:os.system {}", "a: !!int x", "a: b: c", "? [a]\n: b", "a: 1\n---\nb: 2",
             "\x01", "[" * 1_500, "a: !!timestamp x", "a: !!float _", "a: !!bool x", "a: !!binary x"],
)  # fmt: skip
def test_what_is_no_plain_yaml_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match="not plain YAML") as refused:
        parsed(text, "config x")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400

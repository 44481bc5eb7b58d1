"""YAML as data: no key is dropped, and what is no YAML is a YAML error."""

from __future__ import annotations

import pytest
import yaml

from yolov7.utils.safe_yaml import load_yaml


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "{1: a, 0x1: b}", "x: {a: 1, b: 2, a: 3}"])
def test_a_key_given_twice(text):
    with pytest.raises(yaml.YAMLError, match="is given twice"):
        load_yaml(text)


@pytest.mark.parametrize("text", ["{[1, 2]: 3}", "{{NAME: x}: 1}", "!!python/object:os.system {}"])
def test_what_only_python_could_hold(text):
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)


def test_keys_that_only_look_alike():
    assert load_yaml("{1: a, '1': b}") == {1: "a", "1": "b"}


def test_merged_mappings():
    assert load_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}

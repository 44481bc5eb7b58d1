"""Lazy configs: loading, saving, overriding, calling."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

import pytest
from omegaconf import DictConfig, ListConfig

from yolov7.d2.embedded.instantiate import instantiate
from yolov7.d2.embedded.lazy_config import LazyCall, LazyConfig
from yolov7.d2.embedded.shape_spec import ShapeSpec
from yolov7.utils.errors import ConfigError


@dataclass
class Size:
    height: int = 1
    width: int = 2


@pytest.fixture
def files(tmp_path):
    (tmp_path / "base.py").write_text("part = dict(a=1, b=[1, 2])\nname = 'base'\n_hidden = {}\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.py").write_text(
        "from collections import Counter\n"
        "from yolov7.d2.embedded.lazy_config import LazyCall, LazyConfig\n"
        "from ..base import part, name\n"
        "part.a = 9\n"
        "from ..base import part as fresh\n"
        "rel = LazyConfig.load_rel('../base.py', 'name')\n"
        "call = LazyCall(Counter)(x=fresh.a, y=part.a, z=rel)\n"
    )
    return tmp_path


def test_relative_imports_are_isolated_and_absolute_ones_ordinary(files):
    path = str(files / "sub" / "one.py")
    cfg = LazyConfig.load(path)
    assert cfg.part.a == 9
    assert cfg.fresh.a == 1
    assert dict(instantiate(cfg.call)) == {"x": 1, "y": 9, "z": "base"}
    cfg.part.a = 100
    assert LazyConfig.load(path).part.a == 9


def test_keys_pick_and_dicts_become_configs(files):
    path = str(files / "base.py")
    assert LazyConfig.load(path, "name") == "base"
    part, name = LazyConfig.load(path, ("part", "name"))
    assert isinstance(part, DictConfig)
    assert name == "base"
    assert set(LazyConfig.load(path)) == {"part"}


@pytest.mark.parametrize(
    ("line", "message"),
    [("from . import sub", "relative import"), ("from .no import x", r"no\.py', which does not")],
)
def test_bad_imports_name_the_file(files, line, message):
    (files / "bad.py").write_text(line)
    with pytest.raises(ImportError, match=message):
        LazyConfig.load(str(files / "bad.py"))


def test_other_kinds_of_files_are_refused():
    with pytest.raises(ConfigError, match=r"must end in \.py"):
        LazyConfig.load("config.json")


def test_saved_configs_load_by_safe_yaml_and_build_the_same(files):
    cfg = DictConfig(
        {
            "call": LazyCall(Counter)(x=1, y="${.x}"),
            "spec": LazyCall(ShapeSpec)(channels=3),
            "inside": ShapeSpec(channels=4),
        },
        flags={"allow_objects": True},
    )
    path = str(files / "saved.yaml")
    LazyConfig.save(cfg, path)
    assert "!!python" not in (files / "saved.yaml").read_text()
    again = LazyConfig.load(path)
    again.call.x = 5
    assert instantiate(again.call) == Counter(x=5, y=5)
    assert instantiate(again.spec) == ShapeSpec(channels=3)
    assert instantiate(again.inside) == ShapeSpec(channels=4)


def test_yaml_that_builds_objects_is_refused(files):
    (files / "bad.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="builds Python objects"):
        LazyConfig.load(str(files / "bad.yaml"))


def test_objects_that_yaml_cannot_hold_are_pickled_beside_it(files, caplog):
    cfg = DictConfig({"f": lambda: 3}, flags={"allow_objects": True})
    with caplog.at_level(logging.WARNING):
        LazyConfig.save(cfg, str(files / "bad.yaml"))
    assert (files / "bad.yaml").exists()
    assert (files / "bad.yaml.pkl").exists()
    assert "not loaded" in caplog.text


def test_overrides():
    cfg = DictConfig({"a": {"b": 1, "c": "x"}})
    overrides = ["a.b=[1, 2]", "a.c='y=z'", "a.new=text", "d.e=1.5"]
    assert LazyConfig.apply_overrides(cfg, overrides) is cfg
    assert cfg == {"a": {"b": [1, 2], "c": "y=z", "new": "text"}, "d": {"e": 1.5}}
    with pytest.raises(KeyError, match=r"'a\.c' is 'y=z'"):
        LazyConfig.apply_overrides(cfg, ["a.c.deep=1"])
    with pytest.raises(ConfigError, match="key=value"):
        LazyConfig.apply_overrides(cfg, ["a.b"])


def test_to_py_breaks_long_calls():
    call = LazyCall(Counter)(
        first={"name": "a" * 30, "numbers": [1, 2.5]}, second=LazyCall(Counter)(x="b" * 20)
    )
    source = LazyConfig.to_py(DictConfig({"call": call, "n": {"a": None}}))
    expected = f"""cfg.call = collections.Counter(
    first={{"name": "{"a" * 30}", "numbers": [1, 2.5]}},
    second=collections.Counter(x="{"b" * 20}"),
)
cfg.n.a = None
"""
    assert source == expected


def test_instantiate_leaves_other_things_alone():
    for value in (5, {"a": 1}, Size()):
        assert instantiate(value) is value


def test_instantiate_goes_inside_out_and_keeps_kinds_of_lists():
    cfg = LazyCall("builtins.dict")(items=[LazyCall(Counter)(x=1), 2], size=Size(width=7))
    built = instantiate(cfg)
    assert isinstance(built["items"], ListConfig)
    assert built["items"][0] == Counter(x=1)
    assert built["size"] == Size(width=7)
    plain = instantiate([{"_target_": "collections.Counter", "x": 1}])
    assert type(plain) is list
    assert plain == [Counter(x=1)]


def test_a_target_may_itself_be_described():
    class Adder:
        def __init__(self, base):
            self.base = base

        def __call__(self, more):
            return self.base + more

    assert instantiate({"_target_": {"_target_": Adder, "base": 3}, "more": 4}) == 7


def test_bad_targets():
    with pytest.raises(TypeError, match="can be called"):
        LazyCall(3)
    with pytest.raises(ImportError):
        instantiate({"_target_": "no.such.name"})
    with pytest.raises(AssertionError, match="cannot be called"):
        instantiate({"_target_": "math.pi"})


def test_a_failing_call_is_logged_by_name(caplog):
    with pytest.raises(TypeError), caplog.at_level(logging.ERROR):
        instantiate({"_target_": f"{ShapeSpec.__module__}.ShapeSpec", "depth": 1})
    assert "Calling ShapeSpec failed" in caplog.text

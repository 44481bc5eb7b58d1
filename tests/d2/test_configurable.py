"""Constructors that take a config or explicit arguments."""

from __future__ import annotations

import pytest
from omegaconf import DictConfig

from yolov7.d2.embedded.cfg_node import CfgNode
from yolov7.d2.embedded.configurable import configurable

CFG = CfgNode({"WIDTH": 8})


class Part:
    @configurable
    def __init__(self, width, depth=2, *, name="part"):
        """Docstring of the constructor."""
        self.values = (width, depth, name)

    @classmethod
    def from_config(cls, cfg, depth=3):
        return {"width": cfg.WIDTH, "depth": depth}


class Narrow(Part):
    @classmethod
    def from_config(cls, cfg):
        return {"width": 1}


class Forwards(Part):
    @classmethod
    def from_config(cls, cfg, **kwargs):
        return {"width": cfg.WIDTH, "name": "+".join(sorted(kwargs))}


class Undecorated(Part):
    def __init__(self, width):
        super().__init__(width, name="sub")


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((5,), {}, (5, 2, "part")),
        ((5, 6), {"name": "x"}, (5, 6, "x")),
        ((CFG,), {}, (8, 3, "part")),
        ((), {"cfg": CFG}, (8, 3, "part")),
        ((CFG, 9), {}, (8, 9, "part")),  # further positions go to from_config
        ((CFG,), {"depth": 9}, (8, 9, "part")),  # so do keywords that it declares
        ((CFG,), {"width": 1, "name": "x"}, (1, 3, "x")),  # the rest overrides its result
        ((DictConfig({"WIDTH": 4}),), {}, (4, 3, "part")),
    ],
)
def test_calls(args, kwargs, expected):
    assert Part(*args, **kwargs).values == expected


def test_a_subclass_translates_in_its_own_way():
    assert Narrow(CFG).values == (1, 2, "part")


def test_with_variable_keywords_everything_goes_to_from_config():
    assert Forwards(CFG, name="x", other=1).values == (8, 2, "name+other")


def test_an_undecorated_constructor_does_not_inherit_the_config_form():
    assert Undecorated(7).values == (7, 2, "sub")
    with pytest.raises(TypeError):
        Undecorated(CFG, width=7)


def test_wrong_arguments_are_type_errors():
    with pytest.raises(TypeError):
        Part(CFG, nothing=1)
    with pytest.raises(TypeError):
        Part()


def test_the_constructor_keeps_its_docstring():
    assert Part.__init__.__doc__ == "Docstring of the constructor."


def test_functions_take_from_config_as_an_argument():
    @configurable(from_config=lambda cfg, extra=0: {"a": cfg.WIDTH + extra})
    def add(a, b=1):
        return a + b

    assert add(1) == 2
    assert add(CFG) == 9
    assert add(CFG, extra=10, b=100) == 118
    assert add.from_config(CFG) == {"a": 8}


def test_classes_that_cannot_translate_say_so():
    class Without:
        @configurable
        def __init__(self, a=1):
            pass

    class NotAClassmethod(Without):
        def from_config(self, cfg):
            return {}

    class OtherName(Without):
        @classmethod
        def from_config(cls, config):
            return {}

    with pytest.raises(AttributeError, match="Without has a @configurable __init__ but no"):
        Without()
    with pytest.raises(TypeError, match="must be a classmethod"):
        NotAClassmethod()
    with pytest.raises(TypeError, match="must be called 'cfg'"):
        OtherName(CFG)


def test_wrong_use_of_the_decorator():
    with pytest.raises(AssertionError):
        configurable(lambda self: None)
    with pytest.raises(AssertionError):
        configurable(from_config=Part)

    class Parentheses:
        @configurable()
        def __init__(self, a):
            self.a = a

        @classmethod
        def from_config(cls, cfg):
            return {"a": cfg.WIDTH}

    assert Parentheses(CFG).a == 8

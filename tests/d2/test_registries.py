"""Registries, backbones, paths of objects, hooks, files."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from yolov7.d2.embedded.backbone import Backbone
from yolov7.d2.embedded.dataset_evaluator import DatasetEvaluator
from yolov7.d2.embedded.default_config import get_cfg
from yolov7.d2.embedded.hook_base import HookBase
from yolov7.d2.embedded.locate import dotted_path, locate
from yolov7.d2.embedded.path_manager import PathManager
from yolov7.d2.embedded.registries import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    build_backbone,
    build_model,
)
from yolov7.d2.embedded.shape_spec import ShapeSpec


class SeamBackbone(Backbone):
    def __init__(self, cfg, input_shape):
        super().__init__()
        self.input_shape = input_shape
        self._out_features = ["p3", "p4"]
        self._out_feature_channels = {"p3": 8, "p4": 16, "unused": 1}
        self._out_feature_strides = {"p3": 8, "p4": 16, "unused": 1}

    def forward(self, images):
        return {"p3": images}


def seam_model(cfg):
    return nn.Linear(2, 1)


def seam_no_backbone(cfg, input_shape):
    return nn.Identity()


@pytest.fixture
def cfg():
    BACKBONE_REGISTRY.register(SeamBackbone)
    BACKBONE_REGISTRY.register(seam_no_backbone)
    META_ARCH_REGISTRY.register(seam_model)
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    yield cfg
    for registry in (BACKBONE_REGISTRY, META_ARCH_REGISTRY):
        for name in ("SeamBackbone", "seam_no_backbone", "seam_model"):
            registry._obj_map.pop(name, None)


def test_build_model_puts_it_on_the_device(cfg):
    cfg.MODEL.META_ARCHITECTURE = "seam_model"
    cfg.MODEL.DEVICE = "meta"
    assert build_model(cfg).weight.device == torch.device("meta")
    cfg.MODEL.META_ARCHITECTURE = "absent"
    with pytest.raises(KeyError, match=r"absent.*META_ARCH"):
        build_model(cfg)


def test_build_backbone_tells_it_the_number_of_channels(cfg):
    cfg.MODEL.BACKBONE.NAME = "SeamBackbone"
    cfg.MODEL.PIXEL_MEAN = [1.0]
    assert build_backbone(cfg).input_shape == ShapeSpec(channels=1)
    assert build_backbone(cfg, ShapeSpec(channels=7)).input_shape.channels == 7
    cfg.MODEL.BACKBONE.NAME = "seam_no_backbone"
    with pytest.raises(AssertionError, match="built a Identity, expected a Backbone"):
        build_backbone(cfg)


def test_a_name_is_taken_once(cfg):
    with pytest.raises(AssertionError):
        BACKBONE_REGISTRY.register(SeamBackbone)


def test_backbones_describe_their_outputs():
    backbone = SeamBackbone(None, None)
    assert backbone.output_shape() == {
        "p3": ShapeSpec(channels=8, stride=8),
        "p4": ShapeSpec(channels=16, stride=16),
    }
    assert backbone.size_divisibility == 0
    assert backbone.padding_constraints == {}
    with pytest.raises(TypeError):
        Backbone()


def test_locate_and_dotted_path_are_inverse():
    for obj in (torch.optim.SGD, nn.Conv2d, len, dict, nn.Conv2d.forward, PathManager.__class__):
        assert locate(dotted_path(obj)) is obj
    assert dotted_path(torch.optim.SGD) == "torch.optim.SGD"
    assert locate("builtins.len") is locate("len") is len


@pytest.mark.parametrize("name", ["absent", "torch.absent", "torch.nn.Conv2d.absent", "a.b.c"])
def test_locate_names_what_is_missing(name):
    with pytest.raises(ImportError, match="Cannot locate"):
        locate(name)


def test_locate_passes_on_the_error_of_a_module_that_is_broken(tmp_path, monkeypatch):
    (tmp_path / "seam_broken.py").write_text("import seam_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="seam_is_not_there"):
        locate("seam_broken.Thing")


def test_hooks_and_evaluators_do_nothing_by_themselves():
    hook = HookBase()
    assert hook.trainer is None
    assert hook.state_dict() == {}
    for method in ("before_train", "after_train", "before_step", "after_backward", "after_step"):
        assert getattr(hook, method)() is None
    evaluator = DatasetEvaluator()
    evaluator.reset()
    evaluator.process([], [])
    assert evaluator.evaluate() is None


def test_files(tmp_path):
    path = str(tmp_path / "a" / "b.txt")
    PathManager.mkdirs(str(tmp_path / "a"))
    with PathManager.open(path, "w") as file:
        file.write("text")
    assert PathManager.isfile(path)
    assert PathManager.get_local_path(path) == path

"""Configs, constructors from configs, lazy configs, registries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from plain import attempt, plain
from torch import nn

from yolov7 import d2


def case_config(folder: Path) -> Any:
    (folder / "base.yaml").write_text("VERSION: 2\nSOLVER: {BASE_LR: 0.5, STEPS: [1, 2]}\n")
    (folder / "child.yaml").write_text("_BASE_: base.yaml\nMODEL: {DEVICE: cpu}\n")
    (folder / "wrong.yaml").write_text("VERSION: 2\nSOLVER: {BASE_LR: 1}\n")
    (folder / "unknown.yaml").write_text("VERSION: 2\nSOLVER: {BASE_LP: 1.0}\n")
    cfg = d2.get_cfg()
    cfg.merge_from_file(str(folder / "child.yaml"))
    cfg.merge_from_list(["INPUT.MIN_SIZE_TRAIN", "640,", "TEST.EVAL_PERIOD", "7"])
    frozen = cfg.clone()
    frozen.freeze()
    return [
        plain(cfg),
        cfg.dump(),
        isinstance(cfg, d2.CfgNode),
        attempt(cfg.merge_from_file, str(folder / "wrong.yaml")),
        attempt(cfg.merge_from_file, str(folder / "unknown.yaml")),
        attempt(setattr, frozen, "SEED", 1),
        attempt(cfg.merge_from_list, ["SEED", "1.5"]),
    ]


class Part:
    @d2.configurable
    def __init__(self, a, b=2, *, c=3):
        self.values = (a, b, c)

    @classmethod
    def from_config(cls, cfg, shape=None):
        return {"a": cfg.SEED, "b": shape}


def case_configurable(folder: Path) -> Any:
    cfg = d2.get_cfg()
    calls = [
        ((cfg,), {}),
        ((cfg, 5), {}),
        ((), {"cfg": cfg, "shape": 6, "c": 7}),
        ((1,), {"c": 9}),
        ((cfg, 1, 2), {}),
        ((cfg,), {"nothing": 1}),
    ]
    return [attempt(lambda args=a, kw=k: Part(*args, **kw).values) for a, k in calls]


def case_lazy(folder: Path) -> Any:
    (folder / "one.py").write_text("numbers = dict(a=1, b=[1, 2])\n")
    (folder / "two.py").write_text(
        "from collections import Counter\nfrom yolov7.d2 import LazyCall\n"
        "from .one import numbers\nnumbers.a = 5\ncall = LazyCall(Counter)(x=numbers.a)\n"
    )
    cfg = d2.LazyConfig.load(str(folder / "two.py"))
    d2.LazyConfig.apply_overrides(cfg, ["numbers.b=[3]", "call.x='s'"])
    d2.LazyConfig.save(cfg, str(folder / "saved.yaml"))
    again = d2.LazyConfig.load(str(folder / "saved.yaml"))
    built = d2.instantiate(again.call)
    nested = d2.LazyCall("builtins.dict")(
        x=[d2.LazyCall("builtins.dict")(y=1)], z=d2.ShapeSpec(channels=2)
    )
    return [
        list(d2.LazyConfig.load(str(folder / "two.py"), ("numbers", "call"))[0].items()),
        next(iter(again.numbers.items())),
        type(built).__name__,
        dict(built),
        plain(d2.instantiate({"_target_": "builtins.dict", "u": [1]})),
        repr(d2.instantiate(nested)),
        attempt(d2.LazyConfig.load, str(folder / "missing.py")),
        attempt(d2.LazyConfig.apply_overrides, cfg, ["call.x.y=1"]),
    ]


def case_registries(folder: Path) -> Any:
    class ParityBackbone(d2.Backbone):
        def __init__(self, cfg, input_shape):
            super().__init__()
            self.input_channels = input_shape.channels
            self._out_features = ["p3"]
            self._out_feature_channels, self._out_feature_strides = {"p3": 4}, {"p3": 8}

        def forward(self, images):
            return {"p3": images}

    def parity_linear(cfg):
        return nn.Linear(1, 1)

    def parity_bad(cfg, input_shape):
        return nn.Identity()

    d2.BACKBONE_REGISTRY.register(ParityBackbone)
    d2.BACKBONE_REGISTRY.register(parity_bad)
    d2.META_ARCH_REGISTRY.register()(parity_linear)
    cfg = d2.get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "parity_linear"
    cfg.MODEL.BACKBONE.NAME = "ParityBackbone"
    backbone = d2.build_backbone(cfg)
    bad = cfg.clone()
    bad.MODEL.BACKBONE.NAME = "parity_bad"
    absent = cfg.clone()
    absent.MODEL.META_ARCHITECTURE = "absent"
    shape = backbone.output_shape()["p3"]
    return [
        type(d2.build_model(cfg)).__name__,
        backbone.input_channels,
        backbone.size_divisibility,
        plain(backbone.padding_constraints),
        [shape.channels, shape.height, shape.stride, shape == d2.ShapeSpec(4, stride=8)],
        attempt(d2.build_backbone, bad),
        attempt(d2.build_model, absent),
        attempt(d2.BACKBONE_REGISTRY.register, ParityBackbone),
        attempt(d2.Backbone),
        d2.locate("torch.optim.SGD") is torch.optim.SGD,
        d2.locate("builtins.len") is len,
        attempt(d2.locate, "no.such.thing"),
    ]

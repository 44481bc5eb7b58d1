"""detectron2's backbones, detectors and hooks in our trainer."""

from __future__ import annotations

import json
import math

import pytest
import torch

from yolov7.engine.setup import build_trainer
from yolov7.engine.trainer import Trainer
from yolov7.solver import build_lr_scheduler, build_optimizer

pytestmark = pytest.mark.detectron2


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


@pytest.mark.slow
def test_resnet_fpn_under_our_head(detectron2, documented_text, make_config, tmp_path):
    yaml = documented_text("Its backbones", "yaml")
    cfg = make_config("MODEL.BACKBONE.FREEZE_AT", 0, yaml=yaml)
    trainer = build_trainer(cfg)
    backbone = trainer.model.backbone
    assert isinstance(backbone, detectron2.modeling.backbone.FPN)
    assert isinstance(backbone.bottom_up, detectron2.modeling.ResNet)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    same = [n for n, p in trainer.model.named_parameters() if torch.equal(p, before[n])]
    assert same == []
    last = metrics(tmp_path / "run")[-1]
    assert last["iteration"] == cfg.SOLVER.MAX_ITER and "bbox/AP" in last


def test_resnet_without_pyramid_under_our_neck(detectron2, make_config):
    yaml = """MODEL:
  BACKBONE: {NAME: build_resnet_backbone, FREEZE_AT: 0}
  RESNETS: {DEPTH: 18, RES2_OUT_CHANNELS: 64, OUT_FEATURES: [res3, res4, res5], NORM: BN}
"""
    cfg = make_config("DATASETS.TEST", "()", yaml=yaml)
    trainer = build_trainer(cfg)
    trainer.train()
    assert all(math.isfinite(value) for value in trainer.summary.losses.values())
    assert all(p.grad is not None for p in trainer.model.parameters())


@pytest.mark.slow
def test_retinanet_in_our_trainer(detectron2, documented, documented_text, make_config, tmp_path):
    heading = "Its detectors with our backbones"
    documented(heading)
    cfg = make_config(yaml=documented_text(heading, "yaml"))
    build_trainer(cfg).train()
    lines = metrics(tmp_path / "run")
    assert {"loss_cls", "loss_box_reg", "total_loss"} <= set(lines[0])
    assert lines[-1]["iteration"] == cfg.SOLVER.MAX_ITER and "bbox/AP" in lines[-1]


@pytest.mark.slow
def test_its_hooks_beside_ours(detectron2, documented, make_config, tmp_path):
    cfg = make_config("SOLVER.MAX_ITER", 12, "DATASETS.TEST", "()")
    trainer = documented("Its hooks")["build_profiled_trainer"](cfg)
    trainer.train()
    names = sorted(path.name for path in (tmp_path / "run").glob("profiler-*"))
    assert names == ["profiler-trace-iter10.json", "profiler-trace-iter11.json"]


@pytest.mark.slow
def test_its_hooks_alone(detectron2, make_config, tmp_path):
    """Timer, schedule, precise BN, checkpoints, evaluation, best checkpoint and writers."""
    hooks = detectron2.engine.hooks
    cfg = make_config("SOLVER.MAX_ITER", 6)
    ours = build_trainer(cfg)
    model, loader = ours.model, ours.loader
    optimizer = build_optimizer(cfg, model)
    trainer = Trainer(
        model=model, optimizer=optimizer, loader=loader, max_iter=6, on_nonfinite_loss=pytest.fail
    )
    folder = tmp_path / "theirs"
    checkpointer = detectron2.checkpoint.DetectionCheckpointer(
        model, str(folder), optimizer=optimizer
    )
    test_loader = detectron2.data.build_detection_test_loader(cfg, "interop_val")
    evaluator = detectron2.evaluation.COCOEvaluator("interop_val", output_dir=str(folder))

    def evaluate():
        return detectron2.evaluation.inference_on_dataset(model, test_loader, evaluator)

    statistics = [
        (name, value.clone()) for name, value in model.named_buffers() if "running_var" in name
    ]
    trainer.register_hooks(
        [
            hooks.IterationTimer(),
            hooks.LRScheduler(scheduler=build_lr_scheduler(cfg, optimizer)),
            hooks.PreciseBN(3, model, loader, 2),
            hooks.PeriodicCheckpointer(checkpointer, 2),
            hooks.EvalHook(3, evaluate),
            hooks.BestCheckpointer(3, checkpointer, "bbox/AR@100"),
            hooks.PeriodicWriter(detectron2.engine.default_writers(str(folder), 6), period=1),
        ]
    )
    trainer.train()
    lines = metrics(folder)
    assert [line["iteration"] for line in lines] == list(range(7))
    schedule = build_lr_scheduler(cfg, build_optimizer(cfg, model))
    rates = [schedule.base_lrs[0] * schedule.lr_lambdas[0](i) for i in range(6)]
    assert [line["lr"] for line in lines[:6]] == pytest.approx(rates)
    assert ["bbox/AP" in line for line in lines] == [False, False, True, False, False, False, True]
    saved = {path.name for path in folder.glob("*.pth")}
    assert {"model_0000001.pth", "model_0000003.pth", "model_final.pth"} <= saved
    assert any(not torch.equal(dict(model.named_buffers())[n], v) for n, v in statistics)

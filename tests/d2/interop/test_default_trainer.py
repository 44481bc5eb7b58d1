"""Our detectors in detectron2's DefaultTrainer, and its detectors on our backbones."""

from __future__ import annotations

import json
import math

import pytest
import torch

from yolov7.checkpoint import load_checkpoint, load_weights
from yolov7.d2 import META_ARCH_REGISTRY
from yolov7.engine import hooks
from yolov7.engine.ema import ModelEMA
from yolov7.engine.evaluate import evaluate_weights
from yolov7.engine.setup import build_trainer
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError

pytestmark = pytest.mark.detectron2


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


@pytest.mark.slow
def test_trains_evaluates_and_resumes(detectron2, documented, make_config, tmp_path):
    trainer_type = documented("DefaultTrainer")["Trainer"]
    assert META_ARCH_REGISTRY is detectron2.modeling.META_ARCH_REGISTRY
    cfg = make_config("INPUT.MOSAIC_AND_MIXUP.ENABLED", True, "SOLVER.MAX_ITER", 20)
    trainer = trainer_type(cfg)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    results = trainer._last_eval_results

    lines = metrics(tmp_path / "run")
    losses = {"loss_box", "loss_class", "loss_objectness", "loss_l1", "total_loss"}
    assert losses | {"lr", "time", "data_time"} <= set(lines[0])
    assert lines[0]["iteration"] == 19
    assert all(math.isfinite(lines[0][name]) for name in losses)
    assert lines[-1]["iteration"] == 20 and lines[-1]["bbox/AP"] == results["bbox"]["AP"]
    assert {"AP", "AP50", "AP75", "APs", "APm", "APl"} < set(results["bbox"])
    changed = [n for n, v in trainer.model.state_dict().items() if not torch.equal(v, before[n])]
    assert set(changed) == set(before)
    entries = json.loads((tmp_path / "run" / "coco_instances_results.json").read_text())
    assert {entry["category_id"] for entry in entries} <= set(range(1, 11)) and entries

    cfg.SOLVER.MAX_ITER = 22
    resumed = trainer_type(cfg)
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 20
    momentum = [s["momentum_buffer"] for s in trainer._trainer.optimizer.state.values()]
    restored = [s["momentum_buffer"] for s in resumed._trainer.optimizer.state.values()]
    assert all(map(torch.equal, momentum, restored)) and len(momentum) == len(restored) > 100
    resumed.train()
    assert metrics(tmp_path / "run")[-1]["iteration"] == 22


@pytest.mark.slow
def test_our_hooks_work_in_it(detectron2, documented, make_config):
    cfg = make_config("DATASETS.TEST", "()")
    trainer = documented("DefaultTrainer")["Trainer"](cfg)
    ema = ModelEMA(trainer.model, decay=0.5, tau=1.0)
    weights = trainer.model.criterion.loss_weights
    seen = []
    look = detectron2.engine.hooks.CallbackHook(
        after_step=lambda trainer: seen.append(weights["loss_l1"])
    )
    phase = hooks.LossPhase(
        loss_weights=weights, last_phase_weights={"loss_l1": 1.0}, start=cfg.SOLVER.MAX_ITER - 1
    )
    trainer.register_hooks([phase, hooks.EMAUpdate(ema), look])
    trainer.train()
    assert seen == [0.0, 0.0, 0.0, 1.0]
    assert ema.updates == cfg.SOLVER.MAX_ITER


@pytest.mark.slow
def test_its_checkpoint_gives_our_tools_their_weights(
    detectron2, documented, make_config, tmp_path
):
    cfg = make_config("DATASETS.TEST", "()")
    trainer = documented("DefaultTrainer")["Trainer"](cfg)
    trainer.train()
    path = tmp_path / "run" / "model_final.pth"
    model = build_detector(cfg)
    report = load_weights(model, path)
    assert not (report.missing or report.unexpected or report.mismatched)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    with pytest.raises(ConfigError, match="cannot be resumed from: it lacks ema, optimizer"):
        build_trainer(cfg, resume=True)


@pytest.mark.slow
def test_it_goes_on_from_our_weights(detectron2, documented, make_config, tmp_path):
    cfg = make_config("DATASETS.TEST", "()")
    build_trainer(cfg).train()
    ours = load_checkpoint(tmp_path / "run" / "model_final.pth")
    trainer = documented("DefaultTrainer")["Trainer"](cfg)
    trainer.resume_or_load(resume=True)
    assert all(torch.equal(trainer.model.state_dict()[n], v) for n, v in ours["model"].items())
    assert len(trainer._trainer.optimizer.state) == 0

    averaged = tmp_path / "averaged.pth"
    export = documented("Weights and checkpoints")["export_averaged_weights"]
    export(tmp_path / "run" / "model_final.pth", averaged)
    cfg.MODEL.WEIGHTS = str(averaged)
    trainer.cfg = cfg
    trainer.resume_or_load(resume=False)
    state = trainer.model.state_dict()
    assert all(torch.equal(state[n], v) for n, v in ours["ema"]["model"].items())


@pytest.mark.slow
def test_retinanet_on_our_backbone(detectron2, documented, documented_text, make_config, tmp_path):
    heading = "Its detectors with our backbones"
    documented(heading)
    yaml = documented_text(heading, "yaml")
    # One picture a batch, as detectron2 evaluates: padding of a batch moves the last digits.
    cfg = make_config("TEST.IMS_PER_BATCH", 1, "MODEL.MEMORY_FORMAT", "contiguous", yaml=yaml)
    trainer = documented("DefaultTrainer")["Trainer"](cfg)
    assert type(trainer.model) is detectron2.modeling.META_ARCH_REGISTRY.get("RetinaNet")
    kinds = {type(module).__name__ for module in trainer.model.backbone.modules()}
    assert {"CSPDarknet", "FPN"} <= kinds
    trainer.train()
    theirs = trainer._last_eval_results

    # The same weights through our loader, our loop and our evaluator give the same numbers.
    cfg.MODEL.WEIGHTS = str(tmp_path / "run" / "model_final.pth")
    ours = evaluate_weights(cfg)
    for name, value in theirs["bbox"].items():
        assert ours[f"bbox/{name}"] == pytest.approx(value, abs=1e-6, nan_ok=True), name

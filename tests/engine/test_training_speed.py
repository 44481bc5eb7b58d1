import time

import pytest
import torch

from yolov7.analysis import synthetic_samples
from yolov7.engine.training_speed import TrainingSpeed, compare_with_loader
from yolov7.utils.errors import DatasetError, UserError


def test_steps_train_and_are_timed(cfg):
    speed = TrainingSpeed.from_config(cfg)
    weights = [p.clone() for p in speed.trainer.model.parameters()]
    seconds, waiting = speed.seconds_per_step(2)
    assert 0 <= waiting < seconds
    assert speed.trainer.iter == 3
    moved = [
        not torch.equal(before, after)
        for before, after in zip(weights, speed.trainer.model.parameters(), strict=True)
    ]
    assert sum(moved) > len(moved) / 2


def test_waiting_for_batches_is_seen_and_the_first_ones_do_not_count(cfg, monkeypatch):
    speed = TrainingSpeed.from_config(cfg)
    clock = 0.0

    def batches():
        nonlocal clock
        for pause in (0.3, 0.05, 0.07):
            clock += pause
            yield synthetic_samples(2, (64, 64), num_classes=2)

    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    # Nothing but waiting moves this clock.
    assert speed.seconds_per_step(2, batches=batches(), warm_up=1) == pytest.approx((0.06, 0.06))


def test_with_the_loader(cfg):
    result = compare_with_loader(cfg, iterations=2, rounds=1)
    for name in ("step", "loader", "both"):
        assert result[name]["median_s"] > 0
    assert result["step"]["ratio"] == 1.0
    assert result["loader_bound"] is (result["waiting"] >= 0.2)
    assert "oader-bound: training waits for data" in result["verdict"]


def test_too_few_iterations_and_no_data(cfg):
    with pytest.raises(UserError, match=r"MAX_ITER is 3: too few .* 1 iterations .* and 3 to time"):
        compare_with_loader(cfg, iterations=3, rounds=1)
    cfg.DATASETS.REGISTER[0]["NAME"] = "absent"
    cfg.DATASETS.REGISTER[0]["ANNOTATIONS"] = "absent.json"
    cfg.DATASETS.TRAIN = ("absent",)
    with pytest.raises(DatasetError, match="absent"):
        compare_with_loader(cfg, iterations=2, rounds=1)


def test_a_loss_that_is_not_finite_ends_the_measurement(cfg):
    speed = TrainingSpeed.from_config(cfg)
    with torch.no_grad():
        speed.trainer.model.head.box_predictors[0].bias.fill_(float("nan"))
        speed.trainer.model.head.objectness_predictors[0].bias.fill_(float("nan"))
    with pytest.raises(UserError, match="iteration 0 is not finite"):
        speed.seconds_per_step(1)

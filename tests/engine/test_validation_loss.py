"""Validation losses: a data set's, whatever the batches, and without a trace in training."""

import json

import pytest
import torch
from torch import nn

from yolov7.checkpoint import get_rng_state
from yolov7.d2 import EventStorage
from yolov7.data import build_test_loader
from yolov7.data.mappers import build_validation_mapper
from yolov7.engine.evaluate import common_copy
from yolov7.engine.run_folder import prepare_run
from yolov7.engine.setup import build_trainer
from yolov7.engine.validation_loss import LossAverage, check_validation_loss, validation_losses
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError


def test_average_by_hand(monkeypatch):
    """Batches of one and of three pairs: (2 + 10) / 4, not the mean of 2 and 10/3."""
    average = LossAverage()
    average.process([], ({"loss_box": torch.tensor(2.0), "loss_l1": torch.tensor(0.0)}, 1))
    average.process([], ({"loss_box": torch.tensor(10.0), "loss_l1": torch.tensor(1.0)}, 3))
    assert average.evaluate() == {"loss_box": 3.0, "loss_l1": 0.25, "total_loss": 3.25}
    average.reset()
    average.process([], ({"loss_box": torch.tensor(0.5)}, 0))
    assert average.evaluate() == {"loss_box": 0.5, "total_loss": 0.5}


def test_each_loss_may_have_a_count_of_its_own():
    average = LossAverage()
    for losses, counts in (((2.0, 3.0), (1, 0.5)), ((10.0, 0.0), (3, 0.25))):
        sums = dict(zip(("loss_box", "loss_class"), map(torch.tensor, losses), strict=True))
        average.process([], (sums, dict(zip(sums, counts, strict=True))))
    assert average.evaluate() == {"loss_box": 3.0, "loss_class": 4.0, "total_loss": 7.0}


def test_ranks_are_joined_also_those_without_a_picture(monkeypatch):
    average = LossAverage()
    parts = [
        ({}, {}),
        ({"loss_box": 6.0}, {"loss_box": 1}),
        ({"loss_box": 2.0}, {"loss_box": 3}),
    ]
    monkeypatch.setattr("yolov7.engine.validation_loss.all_gather", lambda mine: parts)
    assert average.evaluate() == {"loss_box": 2.0, "total_loss": 2.0}


@pytest.fixture
def detector(cfg):
    torch.manual_seed(0)
    return build_detector(cfg)


def test_the_whole_data_set_at_once_in_batches_and_by_the_training_criterion(cfg, detector):
    weights = {**detector.criterion.loss_weights, "loss_l1": 1.0}
    results = []
    for size in (1, 3, 4):
        cfg.TEST.IMS_PER_BATCH = size
        results.append(validation_losses(cfg, common_copy(detector), loss_weights=weights))
    assert results[1] == pytest.approx(results[0], rel=1e-5)
    assert results[2] == pytest.approx(results[0], rel=1e-5)
    assert detector.criterion.loss_weights["loss_l1"] == 0
    # What training says about all four pictures, as one batch, with batch norm in eval mode.
    name = cfg.DATASETS.TEST[0]
    (batch,) = build_test_loader(cfg, name, mapper=build_validation_mapper(cfg))
    model = detector.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    model.criterion.loss_weights.update(weights)
    expected = {key: value.item() for key, value in model(batch).items()}
    assert results[2] == pytest.approx(
        {
            **{f"validation/{key}": value for key, value in expected.items()},
            "validation/total_loss": sum(expected.values()),
        },
        rel=1e-5,
    )


def test_generators_buffers_and_log_stay_as_they_are(cfg, detector):
    torch.manual_seed(5)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    state = get_rng_state()
    with EventStorage() as storage:
        validation_losses(cfg, common_copy(detector), loss_weights=detector.criterion.loss_weights)
        assert storage.latest() == {}
    assert torch.equal(get_rng_state()["torch"], state["torch"])
    assert get_rng_state()["python"]["words"].equal(state["python"]["words"])
    assert all(torch.equal(before[k], v) for k, v in detector.state_dict().items())
    assert detector.training


def test_several_data_sets_are_told_apart(cfg, detector):
    cfg.DATASETS.TEST = cfg.DATASETS.TEST * 2
    name = cfg.DATASETS.TEST[0]
    losses = validation_losses(
        cfg, common_copy(detector), loss_weights=detector.criterion.loss_weights
    )
    assert f"{name}/validation/loss_box" in losses


@pytest.mark.slow
@pytest.mark.parametrize("ema", [True, False])
def test_training_with_and_without_it_is_equal_to_the_last_bit(cfg, tmp_path, ema):
    cfg.merge_from_list(["SOLVER.MAX_ITER", 5, "SOLVER.LOG_PERIOD", 1, "TEST.EVAL_PERIOD", 2])
    cfg.SOLVER.EMA.ENABLED = ema
    states, metrics = [], []
    for validation in (False, True):
        cfg.TEST.VALIDATION_LOSS = validation
        cfg.OUTPUT_DIR = str(tmp_path / f"run_{validation}")
        prepare_run(cfg)
        trainer = build_trainer(cfg)
        trainer.train()
        states.append(
            {
                **trainer.bare_model.state_dict(),
                **dict(enumerate(p.grad for p in trainer.bare_model.parameters())),
                "rng": get_rng_state()["torch"],
            }
        )
        lines = (tmp_path / f"run_{validation}" / "metrics.json").read_text().splitlines()
        metrics.append({line["iteration"]: line for line in map(json.loads, lines)})
    without, with_it = states
    assert without.keys() == with_it.keys()
    assert all(torch.equal(without[key], with_it[key]) for key in without)
    for iteration in (1, 3, 5):
        new = metrics[1][iteration].keys() - metrics[0][iteration].keys()
        assert {key for key in new if key.startswith("validation/")} == {
            f"validation/{name}"
            for name in ("loss_box", "loss_objectness", "loss_class", "loss_l1", "total_loss")
        }
        assert metrics[0][iteration]["bbox/AP"] == metrics[1][iteration]["bbox/AP"]


def test_contradicting_settings(cfg):
    cfg.TEST.VALIDATION_LOSS, cfg.DATASETS.TEST = True, ()
    with pytest.raises(ConfigError, match=r"VALIDATION_LOSS is True, but DATASETS\.TEST names no"):
        build_trainer(cfg)


def test_a_criterion_without_sums_is_named(cfg):
    model = nn.Module()
    model.criterion = nn.MSELoss()
    with pytest.raises(ConfigError, match="the criterion MSELoss of YOLOX has no `sums`"):
        check_validation_loss(cfg, model)

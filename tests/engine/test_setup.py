import json
import logging

import pytest
import torch
import yaml

from yolov7.checkpoint import load_checkpoint, save_checkpoint
from yolov7.config import load_config
from yolov7.engine.evaluate import evaluate_weights
from yolov7.engine.run_folder import prepare_run
from yolov7.engine.setup import build_trainer
from yolov7.utils.errors import ConfigError, UserError

NAMES = ["square", "disc"]


@pytest.mark.slow
def test_the_output_folder_of_a_run(cfg, tmp_path):
    folder = tmp_path / "run"
    prepare_run(cfg)
    build_trainer(cfg).train()
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {
        "config.yaml", "log.txt", "metrics.json", "last_checkpoint", "model_0000001.pth",
        "model_final.pth", "inference/coco_instances_results.json", "pictures/labels.png",
        "pictures/train_batch_0000000.jpg", "pictures/predictions_0000003.jpg",
        "pictures/curves.png",
    } <= names  # fmt: skip
    assert any(name.startswith("events.") for name in names)
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [2, 3]
    assert {"total_loss", "loss_box", "data_time", "lr"} <= lines[0].keys()
    assert {"bbox/AP", "bbox/AP50", "bbox/AP-disc"} <= lines[1].keys()
    log = (folder / "log.txt").read_text()
    assert "iter: 2  total_loss:" in log
    loaded = load_config(folder / "config.yaml")
    assert yaml.safe_load(loaded.dump()) == yaml.safe_load(cfg.dump())
    checkpoint = load_checkpoint(folder / "model_final.pth")
    assert checkpoint["classes"] == {"names": NAMES, "category_ids": [5, 6]}
    assert checkpoint["seed"] == 1

    # A complete run is evaluated again, not trained again; its weights give the same numbers.
    again = build_trainer(cfg, resume=True)
    assert again.start_iter == 3
    alone = evaluate_weights(cfg, resume=True)
    assert alone["bbox/AP"] == lines[1]["bbox/AP"]


def test_weights_start_a_fresh_training(cfg, tmp_path, caplog):
    first = build_trainer(cfg)
    state = {k: torch.ones_like(v) for k, v in first.bare_model.state_dict().items()}
    save_checkpoint(tmp_path / "start.pth", {"model": state})
    cfg.MODEL.WEIGHTS = str(tmp_path / "start.pth")
    trainer = build_trainer(cfg)
    assert all((value == 1).all() for value in trainer.bare_model.state_dict().values())


def test_a_negative_seed_is_drawn_and_logged(cfg, caplog):
    cfg.SEED = -1
    with caplog.at_level(logging.INFO, logger="yolov7"):
        build_trainer(cfg)
    assert "The seed of this run, drawn because SEED is negative" in caplog.text


def test_ignored_keys_are_named(cfg, caplog):
    cfg.TEST.PRECISE_BN.ENABLED = True
    prepare_run(cfg)
    log = cfg.OUTPUT_DIR + "/log.txt"
    with open(log, encoding="utf-8") as file:
        assert (
            "TEST.PRECISE_BN.ENABLED is set in the config, but nothing here obeys it" in file.read()
        )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SOLVER.ACCUMULATION_STEPS", 3, "must divide the 2 images"),
        ("SOLVER.LOG_PERIOD", 0, "LOG_PERIOD must be at least 1"),
        ("SOLVER.EARLY_STOPPING_PATIENCE", -1, "PATIENCE must be 0 .never. or more, got -1"),
        ("SOLVER.EARLY_STOPPING_PATIENCE", 2, "there are none during training: set DATASETS.TEST"),
        ("SOLVER.LR_IMS_PER_BATCH", -1, r"LR_IMS_PER_BATCH: .*got -1"),
        ("SOLVER.LOSS_WATCH_ITERS", 99, "WATCH_ITERS: expected 0 .*at least 100, got 99"),
        ("SOLVER.AMP.DTYPE", "bfloat", "Did you mean 'bfloat16'"),
        ("SOLVER.ON_NONFINITE_LOSS", "halt", "there is no 'halt'"),
        ("MODEL.MEMORY_FORMAT", "nchw", "must be 'contiguous' or 'channels_last'"),
    ],
)
def test_wrong_settings(cfg, key, value, message):
    cfg.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=message):
        build_trainer(cfg)


@pytest.mark.parametrize(
    ("period", "patience", "warned"),
    # Ten iterations; the evaluation after the last one stops nothing.
    [(10, 1, True), (5, 1, True), (4, 1, False), (3, 2, False), (3, 3, True), (3, 0, False)],
)
def test_early_stopping_that_cannot_act_is_told(cfg, caplog, period, patience, warned):
    cfg.merge_from_list(
        ["SOLVER.MAX_ITER", 10, "TEST.EVAL_PERIOD", period]
        + ["SOLVER.EARLY_STOPPING_PATIENCE", patience]
    )
    with caplog.at_level(logging.WARNING, logger="yolov7"):
        build_trainer(cfg)
    assert ("nothing will end early" in caplog.text) is warned


def test_wrong_views_are_told_before_the_training(cfg):
    cfg.merge_from_list(["TEST.AUG.ENABLED", True, "TEST.AUG.VIEWS", [[1.0, "up"]]])
    with pytest.raises(ConfigError, match=r"TEST\.AUG\.VIEWS.*got the flip 'up'"):
        build_trainer(cfg)


@pytest.mark.parametrize(
    ("name", "strides"), [("contiguous", (108, 9, 3, 1)), ("channels_last", (108, 1, 36, 12))]
)
def test_memory_format_of_weights_and_features(cfg, name, strides):
    """Strides by hand, of 3x3 kernels of Focus's twelve channels: row by row or pixel by pixel."""
    cfg.MODEL.MEMORY_FORMAT = name
    model = build_trainer(cfg).bare_model.eval()
    weight = next(p for p in model.parameters() if p.shape[1:] == (12, 3, 3))
    assert weight.stride() == strides
    layout = torch.channels_last if name == "channels_last" else torch.contiguous_format
    maps = model.backbone(torch.zeros(2, 3, 64, 64))
    assert all(value.is_contiguous(memory_format=layout) for value in maps.values())


def test_output_folder_that_is_a_file(cfg, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        prepare_run(cfg)


def test_a_used_folder_is_warned_of(cfg, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last_checkpoint").write_text("model_final.pth")
    with caplog.at_level(logging.WARNING, logger="yolov7"):
        build_trainer(cfg)
    assert "holds a training already" in caplog.text
    assert "--resume" in caplog.text


def test_evaluation_leaves_the_config_of_the_training(cfg, tmp_path):
    prepare_run(cfg, training=False)
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert (tmp_path / "run" / "log.txt").exists()

"""detectron2's own scripts with our detectors."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

pytestmark = [pytest.mark.detectron2, pytest.mark.end_to_end]


@pytest.fixture
def tools(detectron2):
    """The folder of scripts, which lies beside the package where that is a checkout."""
    folder = Path(importlib.util.find_spec("detectron2").origin).parents[1] / "tools"
    if not (folder / "plain_train_net.py").is_file():
        pytest.skip("detectron2 is not installed from a checkout (pip install -e)")
    return folder


def copypaste(printed):
    """The lines of results that detectron2 prints at the end of an evaluation."""
    marked = [line.partition("copypaste: ")[2] for line in printed.splitlines()]
    return [line for line in marked if line]


@pytest.mark.parametrize("script", ["plain_train_net.py", "train_net.py"])
def test_trains_and_evaluates(tools, documented_text, make_config, run_script, tmp_path, script):
    launcher = tmp_path / "with_yolov7.py"
    launcher.write_text(documented_text("Its scripts", "python"))
    # The names that `import yolov7.data` registers, and a schedule that detectron2 has.
    cfg = make_config(
        "DATASETS.TRAIN", "('digits_train',)", "DATASETS.TEST", "('digits_val',)",
        "SOLVER.MAX_ITER", 8, "SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR",
        "SOLVER.WARMUP_METHOD", "linear", "SOLVER.CHECKPOINT_PERIOD", 5,
    )  # fmt: skip
    cfg.DATASETS.REGISTER = []
    config = tmp_path / "dumped.yaml"
    config.write_text(cfg.dump())
    flags = ["--config-file", config, "--num-gpus", 0]
    printed = run_script("detectron2", launcher, tools / script, *flags)
    assert "Evaluation results for digits_val in csv format" in printed
    folder = tmp_path / "run"
    checkpoint = torch.load(folder / "model_final.pth", weights_only=True)
    assert checkpoint["iteration"] == 7
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert lines[0]["iteration"] == 7 and {"loss_box", "total_loss", "lr"} <= set(lines[0])

    weights = ["MODEL.WEIGHTS", folder / "model_final.pth", "OUTPUT_DIR", tmp_path / "again"]
    again = run_script("detectron2", launcher, tools / script, "--eval-only", *flags, *weights)
    numbers = copypaste(printed)
    assert numbers[1] == "AP,AP50,AP75,APs,APm,APl" and "0." in numbers[2]
    assert copypaste(again) == numbers

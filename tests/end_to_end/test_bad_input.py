"""Mistakes end in one clear line and exit code 1, not in a stack trace."""

import json

import pytest
import torch

from yolov7.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.end_to_end

SHORT = ["SOLVER.MAX_ITER", "4", "SOLVER.LAST_PHASE_ITERS", "0", "SOLVER.WARMUP_ITERS", "0",
         "SOLVER.FLAT_ITERS", "0", "SOLVER.CHECKPOINT_PERIOD", "2"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(runner, tmp_path_factory):
    return runner.run(tmp_path_factory.mktemp("trained") / "run", opts=SHORT)


@pytest.mark.parametrize(
    ("flags", "opts", "message"),
    [
        ([], ["SOLVER.BASE_LRR", "1"], r"unknown key SOLVER.BASE_LRR. Did you mean SOLVER.BASE_LR"),
        ([], ["MODEL.META_ARCHITECTURE", "YOLOXX"], "Did you mean 'YOLOX'"),
        ([], ["MODEL.DEVICE", "cuda"], "--num-gpus 0"),
        ([], ["SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.DTYPE", "float16"], "works on CUDA"),
        ([], ["SOLVER.ACCUMULATION_STEPS", "3"], "SOLVER.ACCUMULATION_STEPS must divide"),
        ([], ["SOLVER.ON_NONFINITE_LOSS", "ignore"], "there is no 'ignore'"),
        ([], ["MODEL.MEMORY_FORMAT", "nhwc"], "MODEL.MEMORY_FORMAT must be"),
        ([], ["MODEL.YOLO.CLASSES", "3"], "MODEL.YOLO.CLASSES"),
        ([], ["DATASETS.TRAIN", "('digits_trian',)"], "Did you mean 'digits_train'"),
        (["--eval-only"], [], "MODEL.WEIGHTS is empty"),
        (["--eval-only"], ["MODEL.WEIGHTS", "nothing.pth"], "nothing.pth does not exist"),
    ],
)  # fmt: skip
def test_clear_errors(runner, tmp_path, flags, opts, message):
    run = runner.run(tmp_path / "run", *flags, opts=opts, code=1)
    assert message in run.printed
    assert "Traceback" not in run.printed


def test_unwritable_output_folder(runner, tmp_path):
    (tmp_path / "file").write_text("")
    run = runner.run(tmp_path / "file", opts=SHORT, code=1)
    assert "Cannot write" in run.printed
    assert "OUTPUT_DIR" in run.printed
    assert "Traceback" not in run.printed


def test_damaged_checkpoint(runner, trained):
    last = trained.folder / "model_final.pth"
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    run = runner.run(trained.folder, "--resume", opts=SHORT, code=1)
    last.write_bytes(content)
    assert "model_final.pth is damaged" in run.printed
    assert "Traceback" not in run.printed


def test_weights_of_another_class_count(runner, trained, tmp_path):
    checkpoint = load_checkpoint(trained.folder / "model_final.pth")
    del checkpoint["ema"]
    checkpoint["model"] = {
        name: torch.zeros(80, *value.shape[1:]) if "cls_pred" in name or "class" in name else value
        for name, value in checkpoint["model"].items()
    }
    save_checkpoint(tmp_path / "other.pth", checkpoint)
    opts = [*SHORT, "MODEL.WEIGHTS", str(tmp_path / "other.pth")]
    refused = runner.run(tmp_path / "evaluated", "--eval-only", opts=opts, code=1)
    assert "of another shape" in refused.printed
    # As a start for training such weights are welcome; the classes begin anew.
    started = runner.run(tmp_path / "started", opts=opts)
    assert "another number of classes?" in started.printed


def test_config_of_a_run_is_a_config(runner, trained, tmp_path):
    """The written config.yaml repeats the run."""
    arguments = ["--config-file", trained.folder / "config.yaml", "OUTPUT_DIR", tmp_path / "again"]
    script = runner.root / "train_net.py"
    again = runner.start_script(script, tmp_path / "again", arguments, {})
    again.wait()
    assert again.differences(trained) == []


def test_black_box_is_replayed_by_its_command(runner, trained, tmp_path):
    """Poisoned weights: the run stops, says what to type, and that repeats the step."""
    checkpoint = load_checkpoint(trained.folder / "model_final.pth")
    del checkpoint["ema"]
    name = next(name for name in checkpoint["model"] if name.endswith("weight"))
    checkpoint["model"][name].fill_(float("inf"))
    save_checkpoint(tmp_path / "bad.pth", checkpoint)
    opts = [*SHORT, "MODEL.WEIGHTS", str(tmp_path / "bad.pth")]
    run = runner.run(tmp_path / "run", opts=opts, code=1)
    assert "The loss of iteration 0 is not finite" in run.printed
    folder = tmp_path / "run" / "black_box" / "iteration_0000000_rank_0"
    report = json.loads((folder / "report.json").read_text())
    assert name in report["weights_that_are_not_finite"]
    assert len(report["sources"]) == 4
    _, script, *arguments = report["command"].split()
    replayed = runner.start_script(runner.root / script, tmp_path / "replay", arguments, {})
    printed = replayed.wait()
    assert "The step was repeated." in printed

"""`--eval-only`: the same numbers from every file that holds the weights."""

import pytest
import torch

from yolov7.checkpoint import load_checkpoint

pytestmark = pytest.mark.end_to_end

SHORT = ["SOLVER.MAX_ITER", "8", "SOLVER.LAST_PHASE_ITERS", "0", "SOLVER.WARMUP_ITERS", "0",
         "SOLVER.FLAT_ITERS", "0", "SOLVER.CHECKPOINT_PERIOD", "0",
         "TEST.EVAL_PERIOD", "4"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(runner, tmp_path_factory):
    return runner.run(tmp_path_factory.mktemp("trained") / "run", opts=SHORT)


def copypaste(printed):
    """The numbers of the last evaluation as printed."""
    return [line.rpartition("copypaste: ")[2] for line in printed.splitlines()
            if "copypaste: " in line][-1]  # fmt: skip


def evaluate(runner, weights, folder):
    run = runner.run(folder, "--eval-only", opts=[*SHORT, "MODEL.WEIGHTS", str(weights)])
    assert not (folder / "config.yaml").exists()
    assert (folder / "inference" / "coco_instances_results.json").exists()
    return run.printed


def test_final_best_and_bare_weights(runner, trained, tmp_path):
    expected = copypaste(trained.printed)
    printed = evaluate(runner, trained.folder / "model_final.pth", tmp_path / "final")
    assert copypaste(printed) == expected
    assert "entries of the model from 'ema' of" in printed

    best = load_checkpoint(trained.folder / "model_best.pth")
    printed = evaluate(runner, trained.folder / "model_best.pth", tmp_path / "best")
    assert float(copypaste(printed).split(",")[0]) == pytest.approx(best["value"], abs=1e-4)
    assert "from 'ema' of" in printed

    averaged = load_checkpoint(trained.folder / "model_final.pth")["ema"]["model"]
    torch.save(averaged, tmp_path / "bare.pth")
    printed = evaluate(runner, tmp_path / "bare.pth", tmp_path / "bare")
    assert copypaste(printed) == expected
    assert "from 'state dict' of" in printed

    live = {"model": load_checkpoint(trained.folder / "model_final.pth")["model"]}
    torch.save(live, tmp_path / "live.pth")
    assert "from 'model' of" in evaluate(runner, tmp_path / "live.pth", tmp_path / "live")


def test_the_last_checkpoint_of_a_folder(runner, trained):
    config = (trained.folder / "config.yaml").read_bytes()
    again = runner.run(trained.folder, "--eval-only", "--resume", opts=SHORT)
    assert copypaste(again.printed) == copypaste(trained.printed)
    assert (trained.folder / "config.yaml").read_bytes() == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": torch.zeros(3)}, "no entry fits the model"),
        (None, "does not exist"),
        (b"PK not a checkpoint", "is damaged or is not a PyTorch checkpoint"),
    ],
)
def test_what_cannot_be_evaluated_ends_with_code_1(runner, tmp_path, content, message):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    opts = [*SHORT, "MODEL.WEIGHTS", str(path)]
    run = runner.run(tmp_path / "run", "--eval-only", opts=opts, code=1)
    assert message in run.printed
    assert "Traceback" not in run.printed


def test_without_a_data_set(runner, trained, tmp_path):
    weights = ["MODEL.WEIGHTS", str(trained.folder / "model_final.pth"), "DATASETS.TEST", "()"]
    run = runner.run(tmp_path / "run", "--eval-only", opts=[*SHORT, *weights], code=1)
    assert "DATASETS.TEST is empty" in run.printed

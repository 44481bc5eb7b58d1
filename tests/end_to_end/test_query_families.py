"""DETR and Anchor DETR: what holds for every family holds for those that predict sets."""

import math
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.end_to_end

CONFIG = Path(__file__).with_name("detr.yaml")
EVERY_STEP = {"loss_class", "loss_l1", "loss_box"}


def start(runner, folder, *flags, opts=(), **environment):
    """Start a run of the config into a folder."""
    arguments = ["--config-file", CONFIG, *flags, "OUTPUT_DIR", folder, *opts]
    return runner.start_script(runner.root / "train_net.py", folder, arguments, environment)


@pytest.fixture(scope="module")
def whole(runner, tmp_path_factory):
    run = start(runner, tmp_path_factory.mktemp("whole") / "run")
    run.wait()
    return run


def test_bf16_trains_with_every_loss_in_every_step(whole):
    """24 steps under bf16 autocast, of pictures that all have other sizes."""
    metrics = whole.metrics()
    names = EVERY_STEP | {f"{name}_0" for name in EVERY_STEP}
    for iteration in range(24):
        entry = metrics[iteration]
        assert {name for name in entry if name.startswith("loss_")} == names
        assert all(math.isfinite(entry[name]) for name in names)
        assert 0 <= entry["class_error"] <= 100
        assert entry["cardinality_error"] >= 0
    losses = [metrics[iteration]["total_loss"] for iteration in range(24)]
    assert sum(losses[-4:]) < sum(losses[:4])


def test_a_killed_run_resumes_to_the_same_bits(runner, whole, tmp_path):
    """kill -9 with dropout, two workers and drawn sizes."""
    moments = random.Random(random.SystemRandom().randrange(1000))
    run = start(runner, tmp_path / "run")
    run.wait_for("model_0000007.pth")
    time.sleep(moments.uniform(0, 0.5))
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.join()
    resumed = start(runner, tmp_path / "run", "--resume")
    assert "Resuming from" in resumed.wait()
    assert resumed.differences(whole) == []


def test_two_ranks_train_and_evaluate(runner, tmp_path):
    folder = tmp_path / "run"
    opts = ["SOLVER.MAX_ITER", "4", "TEST.VALIDATION_LOSS", "True", "TEST.EVAL_PERIOD", "4"]
    runs = [start(runner, folder, opts=opts, **env) for env in runner.ranks(2)]
    for run in runs:
        run.wait()
    assert runs[0].checkpoint()["world_size"] == 2
    entry = runs[0].metrics()[4]
    assert "bbox/AP" in entry
    assert {f"validation/{name}" for name in EVERY_STEP} <= set(entry)
    assert math.isfinite(entry["validation/total_loss"])


@pytest.mark.parametrize("family", ["detr", "anchordetr"])
def test_gradients_of_two_ranks_are_those_of_one(runner, tmp_path, family):
    """To 1e-10, in float64: normalisers are counts over the global batch."""
    config = runner.root / "configs" / "digits" / f"{family}_small.yaml"
    arguments = [
        config, "MODEL.DEVICE", "cpu", "INPUT.INPUT_SIZE", "[96, 96]", "SOLVER.IMS_PER_BATCH", "4",
        "MODEL.NECK.CHANNELS", "32", "SEED", "1",
    ]  # fmt: skip
    results = []
    for world_size in (1, 2):
        path = tmp_path / f"{world_size}.pth"
        runs = [
            runner.start_script(
                Path(__file__).with_name("rank_gradients.py"),
                tmp_path / f"rank{environment['RANK']}_of_{world_size}",
                [path, *arguments],
                environment,
            )
            for environment in runner.ranks(world_size)
        ]
        for run in runs:
            run.wait()
        results.append(torch.load(path, weights_only=True))
    one, two = results
    assert torch.allclose(one["losses"], two["losses"], rtol=1e-12, atol=1e-12)
    assert max(gradient.abs().max() for gradient in one["gradients"].values()) > 1e-3
    for name, gradient in one["gradients"].items():
        assert (gradient - two["gradients"][name]).abs().max() < 1e-10, name

"""YOLOv7 with an auxiliary head: killed while everything warms up, it ends in the same bits."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.end_to_end

CONFIG = Path(__file__).with_name("yolov7_w6.yaml")


def start(runner, folder, *flags):
    """Start a run of the config into a folder."""
    arguments = ["--config-file", CONFIG, *flags, "OUTPUT_DIR", folder]
    return runner.start_script(runner.root / "train_net.py", folder, arguments, {})


@pytest.fixture(scope="module")
def whole(runner, tmp_path_factory):
    run = start(runner, tmp_path_factory.mktemp("whole") / "run")
    run.wait()
    return run


def numbers(run):
    """Every number of every iteration, but those that a clock or the machine gives."""
    measured = {"time", "data_time", "eta_seconds", "max_mem"}
    return {
        iteration: {k: v for k, v in entry.items() if k not in measured}
        for iteration, entry in run.metrics().items()
    }


def test_warm_up_is_under_way_in_the_checkpoints(whole):
    """What a resume must restore is there and has moved: else the next test shows little."""
    checkpoint = whole.checkpoint("model_0000007.pth")
    groups = checkpoint["optimizer"]["param_groups"]
    # Used for iteration 7 of 20, from 0.8 to 0.937.
    assert [group["momentum"] for group in groups] == pytest.approx([0.84795] * 4)
    # For iteration 8, 8/20 of the way to the cosine's 0.00160288 from 0 and, for biases, from 0.1.
    rates = sorted({group["lr"] for group in groups})
    assert rates == pytest.approx([0.000641154, 0.060641154], abs=1e-9)
    assert all("momentum_buffer" in state for state in checkpoint["optimizer"]["state"].values())
    assert len(checkpoint["optimizer"]["state"]) == sum(len(group["params"]) for group in groups)
    assert checkpoint["ema"]["updates"] == 8
    names = [name for name in checkpoint["ema"]["model"] if name.startswith("auxiliary_head.")]
    assert len(names) > 8
    ema, live = checkpoint["ema"]["model"], checkpoint["model"]
    assert all(not ema[name].equal(live[name]) for name in names if name.endswith("bias"))


def test_killed_in_warm_up_and_after_the_change_of_phase(runner, whole, tmp_path):
    """kill -9 with Mosaic on, and again without it; each time lr and momentum are still moving."""
    seed = random.SystemRandom().randrange(1000)
    moments = random.Random(seed)
    folder = tmp_path / "run"
    for last in (7, 15):
        run = start(runner, folder, "--resume")
        run.wait_for(f"model_{last:07d}.pth")
        time.sleep(moments.uniform(0, 0.2))
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.join()
        assert not (folder / "model_final.pth").exists(), f"too late, moments of seed {seed}"
    resumed = start(runner, folder, "--resume")
    assert "Resuming from" in resumed.wait()
    assert resumed.differences(whole) == [], f"moments of seed {seed}"
    for checkpoint in sorted(path.name for path in whole.folder.glob("model_0*.pth")):
        assert resumed.differences(whole, checkpoint) == [], checkpoint
    ours, theirs = numbers(resumed), numbers(whole)
    assert list(ours) == list(theirs) == list(range(25))
    assert ours == theirs
    assert "loss_auxiliary_class" in ours[23]

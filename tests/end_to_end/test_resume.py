"""Killed, stopped and resumed runs end in the bits of a run that nobody touched."""

import os
import random
import signal
import time

import pytest

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def whole(runner, tmp_path_factory):
    return runner.run(tmp_path_factory.mktemp("whole") / "run")


def test_kill_at_random_moments(runner, whole, tmp_path):
    """kill -9 twice, with two workers, Mosaic and averaged weights."""
    seed = random.SystemRandom().randrange(1000)
    moments = random.Random(seed)
    folder = tmp_path / "run"
    for attempt in range(2):
        run = runner.start(folder, "--resume")
        run.wait_for(f"model_{4 * attempt + 3:07d}.pth")
        time.sleep(moments.uniform(0, 1.0))
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.join()
        if (folder / "model_final.pth").exists():
            break
    resumed = runner.run(folder, "--resume")
    assert "Resuming from" in resumed.printed
    assert resumed.differences(whole) == [], f"moments of seed {seed}"
    ours, theirs = resumed.metrics(), whole.metrics()
    assert list(ours) == list(theirs) == list(range(25))
    assert ours[23]["lr"] == theirs[23]["lr"]
    assert not list(folder.glob(".*.tmp"))


def test_sigterm_loses_no_step(runner, whole, tmp_path):
    run = runner.start(tmp_path / "run")
    run.wait_for("model_0000003.pth")
    os.kill(run.process.pid, signal.SIGTERM)
    printed = run.wait(code=128 + signal.SIGTERM)
    assert "SIGTERM: training stops after iteration" in printed
    last = (run.folder / "last_checkpoint").read_text()
    iteration = run.checkpoint(last)["iteration"]
    assert max(run.metrics()) == iteration >= 4 or iteration == 3
    resumed = runner.run(run.folder, "--resume")
    assert f"after iteration {iteration}" in resumed.printed
    assert resumed.differences(whole) == []

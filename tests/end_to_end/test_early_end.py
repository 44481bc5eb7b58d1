"""Trainings that end before their last iteration, or are not allowed to begin."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.end_to_end

EVALUATED = ["TEST.EVAL_PERIOD", "2", "SOLVER.EARLY_STOPPING_PATIENCE", "2",
             "TEST.VALIDATION_LOSS", "True"]  # fmt: skip


def expected_end(aps, patience):
    """Follow the rule over {iteration: AP}: where training ends."""
    best, since = None, 0
    for iteration, ap in sorted(aps.items()):
        if best is None or ap > best:
            best, since = ap, 0
        else:
            since += 1
        if since == patience:
            return iteration
    raise AssertionError(f"no end within {aps}")


def test_two_ranks_stop_early_together_and_stay_complete(runner, tmp_path):
    """The rate is 0, so no evaluation beats the first ones for long; rank 0 alone knows of it."""
    folder = tmp_path / "run"
    opts = [*EVALUATED, "SOLVER.BASE_LR", "0.0", "SOLVER.BASE_LR_END", "0.0"]
    runs = [runner.start(folder, opts=opts, **env) for env in runner.ranks(2)]
    printed = runs[0].wait()
    runs[1].wait()
    metrics = runs[0].metrics()
    aps = {i: line["bbox/AP"] for i, line in metrics.items() if "bbox/AP" in line}
    ended = expected_end(aps, patience=2)
    assert max(metrics) == max(aps) == ended < 23
    assert f"Training ends early, after {ended + 1} of 24 iterations" in printed
    assert printed.count("Training ends early") == 1
    assert runs[0].checkpoint()["iteration"] == ended
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"
    losses = {name: value for name, value in metrics[ended].items() if "validation/" in name}
    assert losses["validation/total_loss"] == pytest.approx(sum(losses.values()) / 2)

    again = [runner.start(folder, "--resume", opts=opts, **env) for env in runner.ranks(2)]
    assert "Training ends early" in again[0].wait()
    again[1].wait()
    assert again[0].checkpoint()["iteration"] == ended
    assert again[0].metrics()[ended + 1]["bbox/AP"] == aps[ended]


def test_resuming_amid_the_patience_is_exact(runner, tmp_path):
    whole = runner.run(tmp_path / "whole", opts=EVALUATED)
    cut = runner.start(tmp_path / "cut", opts=EVALUATED)
    cut.wait_for("last_checkpoint")
    os.kill(cut.process.pid, signal.SIGKILL)
    cut.process.join()
    resumed = runner.run(cut.folder, "--resume", opts=EVALUATED)
    assert resumed.differences(whole) == []
    ours, theirs = resumed.metrics(), whole.metrics()
    assert max(ours) == max(theirs)
    for iteration in theirs:
        for name, value in theirs[iteration].items():
            # Losses are written as medians of a window, which begins anew with a run.
            if name.startswith(("bbox/AP", "validation/")):
                assert str(ours[iteration][name]) == str(value), (iteration, name)


def test_a_folder_in_use_is_refused_and_free_after_a_kill(runner, tmp_path):
    first = runner.start(tmp_path / "run")
    first.wait_for("last_checkpoint")
    os.kill(first.process.pid, signal.SIGSTOP)  # it runs on, but neither ends nor removes files
    log = (first.folder / "log.txt").read_text()
    second = runner.run(first.folder, "--resume", code=1)
    assert f"is in use by process {first.process.pid} on " in second.printed
    assert "Traceback" not in second.printed
    assert (first.folder / "log.txt").read_text().startswith(log)
    assert "in use" not in (first.folder / "log.txt").read_text()
    # An evaluation may look at a running training.
    weights = ["MODEL.WEIGHTS", str(first.folder / "model_0000003.pth")]
    runner.run(first.folder, "--eval-only", opts=weights)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.join()
    resumed = runner.run(first.folder, "--resume")
    assert "Resuming from" in resumed.printed
    assert not (first.folder / ".lock").exists()


def test_ranks_of_a_killed_launcher_end_and_the_folder_is_free(runner, tmp_path):
    first = runner.start(tmp_path / "run", "--num-gpus", "2")
    first.wait_for("last_checkpoint")
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.join()
    resumed = runner.run(first.folder, "--resume", "--num-gpus", "2")
    assert "Resuming from" in resumed.printed


def test_a_full_disk_stops_with_a_clear_error_and_the_run_can_be_resumed(runner, tmp_path):
    """The system refuses files beyond a size that the first checkpoints just have."""
    opts = ["SOLVER.CHECKPOINT_KEEP", "1"]
    first = runner.run(tmp_path / "small", opts=[*opts, "SOLVER.MAX_ITER", "12"])
    size = (first.folder / "model_final.pth").stat().st_size
    limited = subprocess.run(
        [sys.executable, "-c",
         "import resource, runpy, sys\n"
         "limit = int(sys.argv.pop(1))\n"
         "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
         "sys.argv.pop(0)\n"
         "runpy.run_path(sys.argv[0], run_name='__main__')",
         str(size // 2), str(runner.root / "train_net.py"),
         "--config-file", str(first.folder / "config.yaml"), "--resume",
         "SOLVER.MAX_ITER", "16"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert limited.returncode == 1
    assert "error: Could not write" in limited.stderr
    assert "File too large" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert first.checkpoint()["iteration"] == 11
    assert (first.folder / "last_checkpoint").read_text() == "model_final.pth"
    assert not list(first.folder.glob(".*.tmp"))
    resumed = runner.run(first.folder, "--resume", opts=[*opts, "SOLVER.MAX_ITER", "16"])
    assert "after iteration 11" in resumed.printed
    assert resumed.checkpoint()["iteration"] == 15

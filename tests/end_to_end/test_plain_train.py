"""The readable loop and the trainer compute the same."""

import pytest
import torch

pytestmark = pytest.mark.end_to_end


def test_the_plain_loop_trains_the_same_weights(runner, tmp_path):
    opts = ["SOLVER.MAX_ITER", "12"]
    trained = runner.run(tmp_path / "trainer", opts=opts)
    config = trained.folder / "config.yaml"
    plain = runner.start_script(
        runner.root / "tools" / "plain_train.py",
        tmp_path / "plain",
        ["--config-file", config, "--json", "OUTPUT_DIR", tmp_path / "plain"],
        {},
    )
    printed = plain.wait()
    assert '"bbox/AP"' in printed
    ours, theirs = trained.checkpoint(), plain.checkpoint()
    for name, value in ours["model"].items():
        assert torch.equal(value, theirs["model"][name]), name
    for name, value in ours["ema"]["model"].items():
        assert torch.equal(value, theirs["ema"]["model"][name]), name

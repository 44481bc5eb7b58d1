import random

import numpy as np
import torch

from yolov7.checkpoint import get_rng_state, load_checkpoint, save_checkpoint, set_rng_state


def draw():
    return (
        random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(),
        torch.rand(1).item(),
    )  # fmt: skip


def test_generators_continue_after_a_file(tmp_path):
    draw()
    save_checkpoint(tmp_path / "rng.pth", get_rng_state())
    expected = [draw(), draw()]
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    set_rng_state(load_checkpoint(tmp_path / "rng.pth"))
    assert [draw(), draw()] == expected

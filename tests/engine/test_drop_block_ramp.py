import copy

import pytest
import torch

from yolov7.checkpoint import load_checkpoint
from yolov7.d2 import HookBase
from yolov7.engine import hooks
from yolov7.engine.setup import build_trainer
from yolov7.layers import DropBlock


class Look(HookBase):
    """Keeps the strength of each step."""

    def __init__(self, block):
        self.block = block
        self.seen = []

    def after_step(self):
        self.seen.append((self.trainer.iter, float(self.block.strength)))


@pytest.mark.parametrize("start_iter", [0, 3, 4, 9])
def test_the_strength_follows_the_iteration_also_after_a_resume(make_toy, start_iter):
    block = DropBlock(share=0.1, block_size=3)
    look = Look(block)
    ramp = hooks.DropBlockRamp([block], ramp_iters=4)
    make_toy(start_iter=start_iter, max_iter=10, more_hooks=[ramp, look]).trainer.train()
    strengths = [0.0, 0.25, 0.5, 0.75] + [1.0] * 6
    assert look.seen == list(enumerate(strengths))[start_iter:]


def test_without_a_ramp_a_loaded_strength_is_overruled(make_toy):
    block = DropBlock(share=0.1, block_size=3)
    block.strength.fill_(0.3)
    look = Look(block)
    ramp = hooks.DropBlockRamp([block], ramp_iters=0)
    make_toy(max_iter=2, more_hooks=[ramp, look]).trainer.train()
    assert look.seen == [(0, 1.0), (1, 1.0)]


@pytest.fixture
def drop_cfg(cfg):
    cfg.merge_from_list(
        ["MODEL.NECK.NAME", "PPYOLOPAN", "MODEL.YOLO.WIDTH_MUL", 0.0625, "MODEL.HEAD.CHANNELS",
         128, "SOLVER.MAX_ITER", 4, "SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.CHECKPOINT_KEEP", 0,
         "SOLVER.DROP_BLOCK_RAMP_ITERS", 8, "MODEL.PPYOLO_PAN.DROP_SHARE", 0.4]
    )  # fmt: skip
    cfg.DATASETS.TEST = ()
    return cfg


def test_a_training_ramps_the_blocks_of_its_model(drop_cfg):
    trainer = build_trainer(drop_cfg)
    blocks = [m for m in trainer.bare_model.modules() if isinstance(m, DropBlock)]
    assert len(blocks) == 5
    (ramp,) = (hook for hook in trainer.hooks if isinstance(hook, hooks.DropBlockRamp))
    trainer.iter = 2
    ramp.before_step()
    assert {float(block.strength) for block in blocks} == {2 / 8}


@pytest.mark.slow
def test_a_resumed_training_drops_what_it_would_have(drop_cfg, tmp_path):
    states = []
    for ramp in (0, 8):  # the comparison would also hold if nothing was dropped
        drop_cfg.SOLVER.DROP_BLOCK_RAMP_ITERS = ramp
        drop_cfg.OUTPUT_DIR = str(tmp_path / f"ramp_{ramp}")
        whole = build_trainer(drop_cfg)
        whole.train()
        states.append(copy.deepcopy(whole.bare_model.state_dict()))
    name = "neck.pooling_block.mix.conv.weight"
    assert not torch.equal(states[0][name], states[1][name])

    folder = tmp_path / "ramp_8"
    (folder / "last_checkpoint").write_text("model_0000001.pth")
    state = load_checkpoint(folder / "model_0000001.pth")["model"]
    assert state["neck.pooling_block.blocks.2.strength"] == 1 / 8
    resumed = build_trainer(drop_cfg, resume=True)
    assert resumed.start_iter == 2
    resumed.train()
    found = resumed.bare_model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in states[1].items())

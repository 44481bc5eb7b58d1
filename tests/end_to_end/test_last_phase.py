"""The last phase: Mosaic off and L1 on, at the same iteration, also after a resume."""

import pytest

from yolov7.d2 import HookBase
from yolov7.engine.run_folder import prepare_run
from yolov7.engine.setup import build_trainer

pytestmark = pytest.mark.end_to_end

MAX_ITER, SWITCH = 10, 6


class Look(HookBase):
    """Notes what each iteration saw; ends the run before iteration `end`."""

    def __init__(self, end):
        self.end = end
        self.seen = {}

    def before_step(self):
        if self.trainer.iter == self.end:
            raise KeyboardInterrupt

    def after_step(self):
        trainer = self.trainer
        has_mosaic = any(len(sample["sources"]) > 1 for sample in trainer.batch)
        self.seen[trainer.iter] = (has_mosaic, trainer.summary.losses["loss_l1"] > 0)


def look_at_run(cfg, *, end=None, resume):
    trainer = build_trainer(cfg, resume=resume)
    look = Look(end)
    trainer.register_hooks([look])
    try:
        trainer.train()
    except KeyboardInterrupt:
        assert trainer.iter == end
    return look.seen


@pytest.mark.parametrize("end", [5, SWITCH, 8])
def test_switches_exactly_also_after_a_resume(tiny_config, end):
    tiny_config.merge_from_list(
        ["SOLVER.MAX_ITER", MAX_ITER, "SOLVER.LAST_PHASE_ITERS", MAX_ITER - SWITCH,
         "SOLVER.CHECKPOINT_PERIOD", 1, "INPUT.MOSAIC_AND_MIXUP.PROBABILITY", 1.0]
    )  # fmt: skip
    prepare_run(tiny_config)
    seen = look_at_run(tiny_config, end=end, resume=False)
    assert set(seen) == set(range(end))
    rest = look_at_run(tiny_config, resume=True)
    assert set(rest) == set(range(end, MAX_ITER))
    for iteration, found in {**seen, **rest}.items():
        assert found == ((True, False) if iteration < SWITCH else (False, True)), iteration

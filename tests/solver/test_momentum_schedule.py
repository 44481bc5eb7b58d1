import pytest
import torch

from yolov7.config import get_config
from yolov7.solver import build_momentum_schedule, set_momentum
from yolov7.utils.errors import ConfigError


def config(**solver):
    cfg = get_config()
    for key, value in solver.items():
        assert key in cfg.SOLVER
        cfg.SOLVER[key] = value
    return cfg


def test_it_rises_linearly_and_stays():
    cfg = config(MOMENTUM=0.9, WARMUP_MOMENTUM=0.5, WARMUP_ITERS=4, MAX_ITER=10)
    momentum = build_momentum_schedule(cfg)
    assert [momentum(i) for i in (0, 1, 3, 4, 9)] == pytest.approx([0.5, 0.6, 0.8, 0.9, 0.9])


def test_without_a_warm_up_there_is_none():
    assert build_momentum_schedule(config()) is None
    momentum = build_momentum_schedule(config(WARMUP_MOMENTUM=0.5, WARMUP_ITERS=0))
    assert momentum(0) == 0.9


def test_it_needs_an_optimiser_with_momentum():
    with pytest.raises(ConfigError, match=r"WARMUP_MOMENTUM.*AdamW.*SGD"):
        build_momentum_schedule(config(WARMUP_MOMENTUM=0.8, OPTIMIZER="AdamW"))


def test_all_groups_get_it():
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [p]} for p in parameters], lr=0.1, momentum=0.9)
    set_momentum(optimizer, 0.25)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.25, 0.25]

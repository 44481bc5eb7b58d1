"""Rates against detectron2's (recorded from its build_lr_scheduler) and YOLOX's reference."""

import pytest
import torch

from yolov7.config import get_config
from yolov7.solver import build_lr_scheduler, cosine, multi_step
from yolov7.utils.errors import ConfigError


def rates(iterations, **solver):
    cfg = get_config()
    for key, value in solver.items():
        assert key in cfg.SOLVER
        cfg.SOLVER[key] = value
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_lr_scheduler(cfg, optimizer)
    factor = scheduler.lr_lambdas[0]
    return [cfg.SOLVER.BASE_LR * factor(iteration) for iteration in iterations]


ITERATIONS = [0, 1, 5, 9, 10, 11, 29, 30, 50, 99]
DETECTRON2 = [
    (
        {"LR_SCHEDULER_NAME": "WarmupMultiStepLR", "GAMMA": 0.1, "STEPS": (10, 30, 200),
             "WARMUP_FACTOR": 0.001, "WARMUP_ITERS": 7},
        [0.005, 0.7185714285714285, 3.572857142857143, 5.0, 0.5, 0.5, 0.5, 0.05, 0.05, 0.05],
    ),
    (
        {"LR_SCHEDULER_NAME": "WarmupMultiStepLR", "GAMMA": 0.1, "STEPS": (5, 30),
             "WARMUP_FACTOR": 0.1, "WARMUP_ITERS": 10, "WARMUP_METHOD": "constant"},
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.05],
    ),
    (
        {"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 0.2, "WARMUP_FACTOR": 0.001,
             "WARMUP_ITERS": 10},
        [0.005, 0.4927535639108368, 2.4437678195541843, 4.394782075197531, 4.882535639108369,
         4.858113845490141, 4.070976928767144, 4.010684605501936, 2.6, 0.2011842551222442],
    ),
    (
        {"LR_SCHEDULER_NAME": "WarmupCosineLR", "WARMUP_FACTOR": 0.25, "WARMUP_ITERS": 10,
             "WARMUP_METHOD": "constant"},
        [1.25, 1.25, 1.25, 1.25, 4.877641290737884, 4.852201922385564, 4.032267634132442,
         3.969463130731183, 2.5, 0.001233599085671],
    ),
    (
        {"LR_SCHEDULER_NAME": "WarmupCosineLR", "WARMUP_ITERS": 0},
        [5.0, 4.998766400914329, 4.969220851487845, 4.900734214192358, 4.877641290737884,
         4.852201922385564, 4.032267634132442, 3.969463130731183, 2.5, 0.001233599085671],
    ),
    (
        {"LR_SCHEDULER_NAME": "WarmupCosineLR", "WARMUP_FACTOR": 0.25, "WARMUP_ITERS": 10,
             "RESCALE_INTERVAL": True},
        [1.25, 1.625, 3.125, 4.625, 5.0, 4.998477067547739, 4.4700268840168045,
         4.415111107797445, 2.9341204441673256, 0.0015229324522605947],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "expected"), DETECTRON2)
def test_detectron2s_numbers(solver, expected):
    actual = rates(ITERATIONS, BASE_LR=5.0, MAX_ITER=100, **solver)
    assert actual == pytest.approx(expected, rel=1e-12)


def test_yolox_reference_rates():
    actual = rates(
        [0, 1, 2500, 5000, 100000, 200000, 284999, 285000, 299999],
        LR_SCHEDULER_NAME="WarmupCosineFlatLR",
        BASE_LR=0.01,
        BASE_LR_END=0.0005,
        MAX_ITER=300_000,
        FLAT_ITERS=15_000,
        WARMUP_ITERS=5_000,
        WARMUP_METHOD="quadratic",
        WARMUP_FACTOR=0.0,
    )
    expected = [0, 4e-10, 0.0025, 0.01, 0.0075476647, 0.0025013113, 0.0005, 0.0005, 0.0005]
    assert actual == pytest.approx(expected, rel=1e-8, abs=5e-11)


def test_the_optimizer_runs_iteration_i_at_factor_i():
    cfg = get_config()
    cfg.merge_from_list(["SOLVER.MAX_ITER", 10, "SOLVER.WARMUP_ITERS", 4, "SOLVER.STEPS", (8,)])
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.2)]
    optimizer = torch.optim.SGD(groups)
    scheduler = build_lr_scheduler(cfg, optimizer)
    for iteration in range(10):
        factor = scheduler.lr_lambdas[0](iteration)
        lrs = [group["lr"] for group in optimizer.param_groups]
        assert lrs == pytest.approx([0.1 * factor, 0.2 * factor])
        optimizer.step()
        scheduler.step()


def test_parts_by_hand():
    assert cosine(0.0, end=0.2) == 1
    assert cosine(0.5, end=0.2) == pytest.approx(0.6)
    assert cosine(1.0, end=0.2) == pytest.approx(0.2)
    assert [multi_step(i, milestones=(2, 4), gamma=0.5) for i in range(5)] == [
        1, 1, 0.5, 0.5, 0.25,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        ({"LR_SCHEDULER_NAME": "WarmupCosinLR"}, "Did you mean 'WarmupCosineLR'"),
        ({"WARMUP_METHOD": "square"}, "WARMUP_METHOD.*quadratic"),
        ({"MAX_ITER": 0}, "MAX_ITER must be at least 1"),
        ({"BASE_LR_END": 1.0}, "BASE_LR_END must lie between"),
        (
            {
                "LR_SCHEDULER_NAME": "WarmupCosineFlatLR",
                "MAX_ITER": 10,
                "FLAT_ITERS": 5,
                "WARMUP_ITERS": 6,
            },
            "together longer",
        ),
    ],
)
def test_wrong_settings(solver, message):
    with pytest.raises(ConfigError, match=message):
        rates([0], **solver)


@pytest.mark.detectron2
def test_side_by_side_with_detectron2():
    solver_package = pytest.importorskip("detectron2.solver")
    cfg = get_config()
    cfg.merge_from_list(["SOLVER.MAX_ITER", 60, "SOLVER.WARMUP_ITERS", 7, "SOLVER.STEPS", (20, 40)])
    for name in ("WarmupCosineLR", "WarmupMultiStepLR"):
        cfg.SOLVER.LR_SCHEDULER_NAME = name
        ours, theirs = (
            torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1) for _ in range(2)
        )
        a = build_lr_scheduler(cfg, ours)
        b = solver_package.build_lr_scheduler(cfg, theirs)
        for _ in range(59):
            assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
            for part in (ours, theirs, a, b):
                part.step()


def test_biases_may_warm_up_from_a_rate_of_their_own():
    cfg = get_config()
    cfg.merge_from_list(
        ["SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "SOLVER.MAX_ITER", 100]
        + ["SOLVER.BASE_LR", 0.01, "SOLVER.BASE_LR_END", 0.001, "SOLVER.BIAS_LR_FACTOR", 2.0]
        + ["SOLVER.WARMUP_ITERS", 10, "SOLVER.WARMUP_FACTOR", 0.0, "SOLVER.WARMUP_BIAS_LR", 0.1]
    )
    groups = [
        {"name": name, "params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate}
        for name, rate in [("weight", 0.01), ("bias", 0.02), ("norm_bias", 0.02)]
    ]
    optimizer = torch.optim.SGD(groups)
    scheduler = build_lr_scheduler(cfg, optimizer)
    seen = []
    for _ in range(12):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    # The cosine's factor after the warm-up, and half way there.
    after = cosine(0.1, end=0.1)
    assert seen[0] == pytest.approx([0.0, 0.1, 0.1])
    half = [0.01 * after / 2, (0.1 + 0.02 * after) / 2, (0.1 + 0.02 * after) / 2]
    assert seen[5] == pytest.approx(half)
    assert seen[10] == pytest.approx([0.01 * after, 0.02 * after, 0.02 * after])
    later = cosine(0.11, end=0.1)
    assert seen[11] == pytest.approx([0.01 * later, 0.02 * later, 0.02 * later])
    cfg.SOLVER.BIAS_LR_FACTOR = 0.0
    with pytest.raises(ConfigError, match="WARMUP_BIAS_LR"):
        build_lr_scheduler(cfg, optimizer)

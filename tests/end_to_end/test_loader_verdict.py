"""What a training says about its loader, in both situations."""

import time
from functools import partial

import pytest

from yolov7.d2 import HookBase
from yolov7.data import build_train_loader
from yolov7.data.mappers import build_train_mapper
from yolov7.engine import setup
from yolov7.engine.run_folder import prepare_run

pytestmark = pytest.mark.end_to_end


class SlowStep(HookBase):
    """Makes the computing of a step last longer."""

    def __init__(self, seconds):
        self.seconds = seconds

    def after_backward(self):
        time.sleep(self.seconds)


def train(cfg, monkeypatch, *, slow, num_workers, cores=8, step_seconds=0.0):
    """Train ten iterations of four samples; return what the log says about the loader."""
    cfg.merge_from_list(
        ["SOLVER.MAX_ITER", 10, "DATALOADER.NUM_WORKERS", num_workers,
         "INPUT.MOSAIC_AND_MIXUP.ENABLED", False]
    )  # fmt: skip
    fast = build_train_mapper(cfg, [], seed=1)

    def mapper(record, rng, key):
        slow()
        return fast(record, rng, key)

    monkeypatch.setattr(setup, "build_train_loader", partial(build_train_loader, mapper=mapper))
    monkeypatch.setattr(setup, "available_cores", lambda: cores)
    prepare_run(cfg)
    trainer = setup.build_trainer(cfg)
    trainer.register_hooks([SlowStep(step_seconds)])
    trainer.train()
    with open(f"{cfg.OUTPUT_DIR}/log.txt", encoding="utf-8") as file:
        (line,) = [line for line in file if "oader-bound" in line]
    return line


def work():
    started = time.thread_time()
    while time.thread_time() - started < 0.15:
        pass


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_fast_loader_is_none_to_worry_about(tiny_config, monkeypatch, num_workers):
    line = train(
        tiny_config, monkeypatch, slow=lambda: None, num_workers=num_workers, step_seconds=0.5
    )
    assert "INFO] Not loader-bound: training waits for data" in line


@pytest.mark.parametrize("num_workers", [0, 1])
def test_heavy_augmentation_needs_workers(tiny_config, monkeypatch, num_workers):
    line = train(tiny_config, monkeypatch, slow=work, num_workers=num_workers)
    assert "WARNING] Loader-bound: training waits for data" in line
    assert f"Raise DATALOADER.NUM_WORKERS from {num_workers} to " in line
    assert "storage" not in line


def test_heavy_augmentation_where_all_cores_are_taken(tiny_config, monkeypatch):
    line = train(tiny_config, monkeypatch, slow=work, num_workers=1, cores=1)
    assert "More workers would not help: the 1 cores are taken" in line
    assert "Cheaper samples help" in line


@pytest.mark.parametrize("num_workers", [0, 1])
def test_slow_storage_is_named(tiny_config, monkeypatch, num_workers):
    line = train(tiny_config, monkeypatch, slow=lambda: time.sleep(0.3), num_workers=num_workers)
    assert "is waiting for the storage" in line
    assert f"DATALOADER.NUM_WORKERS from {num_workers} to " in line

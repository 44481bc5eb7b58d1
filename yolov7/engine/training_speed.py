"""How fast a config trains: the step alone, the loader alone, and both together."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from yolov7.analysis.loader_speed import seconds_per_batch, warm_up_batches
from yolov7.analysis.loader_verdict import judge_loader
from yolov7.analysis.synthetic import synthetic_samples
from yolov7.analysis.timing import alternate, summarize, wait_for_device
from yolov7.d2 import CfgNode, HookBase
from yolov7.data import build_train_loader
from yolov7.engine import hooks
from yolov7.engine.ema import ModelEMA
from yolov7.engine.evaluate import memory_format
from yolov7.engine.precision import Precision
from yolov7.engine.trainer import Batch, Trainer
from yolov7.modeling import build_detector
from yolov7.solver import build_gradient_clipper, build_lr_scheduler, build_optimizer
from yolov7.utils.environment import available_cores
from yolov7.utils.errors import UserError
from yolov7.utils.seeding import seed_all


@dataclass
class _StepClock(HookBase):
    """When the first step began and each one ended, and how long each waited for its batch."""

    marks: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def before_train(self) -> None:
        self.marks, self.waits = [], []

    def before_step(self) -> None:
        if not self.marks:
            self.marks.append(time.perf_counter())

    def after_step(self) -> None:
        wait_for_device()
        self.marks.append(time.perf_counter())
        self.waits.append(self.trainer.storage.latest()["data_time"][0])


class TrainingSpeed:
    """Measures steps of a trainer: its loop, its losses, its optimiser, its hooks.

    Args:
        trainer: whose loader and number of iterations are replaced at every measurement.
        batch: samples of a step that is not fed by a loader.
    """

    def __init__(self, trainer: Trainer, *, batch: Batch) -> None:
        self.trainer = trainer
        self._batch = batch
        self._clock = _StepClock()
        trainer.register_hooks([self._clock])

    @classmethod
    def from_config(cls, cfg: CfgNode, *, seed: int = 0) -> TrainingSpeed:
        """Build the trainer of a config without what writes files or evaluates.

        Args:
            cfg: the config of a training.
            seed: of the weights and of the made-up pictures of `INPUT.INPUT_SIZE`.

        Raises:
            ConfigError: see `Precision`.
        """
        seed_all(seed)
        model = build_detector(cfg).to(memory_format=memory_format(cfg))
        optimizer = build_optimizer(cfg, model)
        trainer = Trainer(
            model=model,
            optimizer=optimizer,
            loader=(),
            max_iter=0,
            precision=Precision.from_config(cfg),
            clip_gradients=build_gradient_clipper(cfg),
            accumulation_steps=cfg.SOLVER.ACCUMULATION_STEPS,
            on_nonfinite_loss=_refuse,
        )
        trainer.register_hooks([hooks.LearningRate(build_lr_scheduler(cfg, optimizer))])
        if cfg.SOLVER.EMA.ENABLED:
            ema = ModelEMA(model, decay=cfg.SOLVER.EMA.DECAY, tau=cfg.SOLVER.EMA.TAU)
            trainer.register_hooks([hooks.EMAUpdate(ema)])
        batch = synthetic_samples(
            cfg.SOLVER.IMS_PER_BATCH,
            tuple(cfg.INPUT.INPUT_SIZE),
            num_classes=cfg.MODEL.YOLO.CLASSES,
            num_channels=len(cfg.MODEL.PIXEL_MEAN),
            seed=seed,
        )
        return cls(trainer, batch=batch)

    def seconds_per_step(
        self, iterations: int, *, batches: Iterable[Any] | None = None, warm_up: int = 1
    ) -> tuple[float, float]:
        """Train and give the mean seconds of a step, and those of them spent waiting for data.

        Args:
            iterations: steps that are timed.
            batches: of samples; one batch of made-up pictures again and again by default.
            warm_up: steps before them that are not timed.
        """
        steps = warm_up + iterations
        self.trainer.loader = itertools.repeat(self._batch) if batches is None else batches
        self.trainer.start_iter, self.trainer.max_iter = 0, steps
        self.trainer.train()
        # The next pass over a loader must not share the processor with this one's workers.
        self.trainer.loader = ()
        seconds = self._clock.marks[-1] - self._clock.marks[warm_up]
        return seconds / iterations, sum(self._clock.waits[warm_up:]) / iterations


def compare_with_loader(
    cfg: CfgNode, *, iterations: int, rounds: int, seed: int = 0
) -> dict[str, Any]:
    """Time a config's step, its loader and both together, in turn.

    Args:
        cfg: the config of a training. `INPUT.MULTI_SCALE` should be off: with it, rounds have
            pictures of other sizes.
        iterations: batches of each in a round.
        rounds: that count.
        seed: of the weights, the made-up pictures and the loader.

    Returns:
        {"step", "loader", "both": what `summarize` gives, seconds of one batch;
        "loader_bound": bool, "waiting": part of the time, "verdict": both in words}.

    Raises:
        UserError: the data set is not there, or there are too few iterations to time.
    """
    num_workers = cfg.DATALOADER.NUM_WORKERS
    warm_up = warm_up_batches(num_workers)
    if cfg.SOLVER.MAX_ITER < warm_up + iterations:
        raise UserError(
            f"SOLVER.MAX_ITER is {cfg.SOLVER.MAX_ITER}: too few for {warm_up} iterations of "
            f"warming up and {iterations} to time. Raise it, or time fewer."
        )
    loader = build_train_loader(cfg, seed=seed)
    speed = TrainingSpeed.from_config(cfg, seed=seed)
    waits: list[float] = []

    def both() -> float:
        seconds, waiting = speed.seconds_per_step(iterations, batches=loader, warm_up=warm_up)
        waits.append(waiting)
        return seconds

    timing = summarize(
        alternate(
            {
                "step": lambda: speed.seconds_per_step(iterations)[0],
                "loader": lambda: seconds_per_batch(loader, batches=iterations, warm_up=warm_up),
                "both": both,
            },
            rounds,
        )
    )
    verdict = judge_loader(
        step_seconds=timing["both"]["median_s"],
        # The round that does not count comes first.
        waiting_seconds=statistics.median(waits[1:]),
        batch_size=cfg.SOLVER.IMS_PER_BATCH,
        cost=loader.cost,
        num_workers=num_workers,
        num_processes=1,
        cores=available_cores(),
        training_threads=torch.get_num_threads() if cfg.MODEL.DEVICE == "cpu" else 1,
    )
    return {
        **timing,
        "loader_bound": verdict.is_loader_bound,
        "waiting": verdict.waiting,
        "verdict": verdict.text,
    }


def _refuse(trainer: Trainer) -> None:
    raise UserError(
        f"The loss of iteration {trainer.iter} is not finite: {trainer.summary.losses}. Lower "
        "SOLVER.BASE_LR for the measurement; speed does not depend on it."
    )

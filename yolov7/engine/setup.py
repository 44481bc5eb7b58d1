"""From a config to a trainer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from yolov7.analysis import judge_loader
from yolov7.checkpoint import Checkpointer, load_checkpoint, save_checkpoint
from yolov7.d2 import (
    CfgNode,
    CommonMetricPrinter,
    HookBase,
    JSONWriter,
    get_local_size,
    get_rank,
    get_world_size,
    is_main_process,
    shared_random_seed,
    synchronize,
)
from yolov7.data import SampleLoader, build_train_loader, training_records
from yolov7.engine import hooks
from yolov7.engine.anchor_report import report_anchor_fit
from yolov7.engine.black_box import BlackBox
from yolov7.engine.class_list import class_list_of_dataset
from yolov7.engine.drawings import Drawings
from yolov7.engine.ema import ModelEMA
from yolov7.engine.evaluate import common_copy, inference_copy, run_evaluation
from yolov7.engine.initial_weights import load_initial_weights
from yolov7.engine.learning_rate_notice import note_learning_rate
from yolov7.engine.metrics_file import drop_lines_from
from yolov7.engine.precision import Precision
from yolov7.engine.tensorboard_writer import TensorBoardWriter
from yolov7.engine.trainer import Trainer
from yolov7.engine.training_model import build_training_model, distribute
from yolov7.engine.training_state import TrainingState, check_resumable
from yolov7.engine.validation_loss import check_validation_loss, validation_losses
from yolov7.layers import DropBlock
from yolov7.modeling.test_time_augmentation import views_from_config, with_views
from yolov7.solver import (
    build_gradient_clipper,
    build_lr_scheduler,
    build_momentum_schedule,
    build_optimizer,
)
from yolov7.utils.cli import command_line
from yolov7.utils.environment import available_cores
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect
from yolov7.utils.names import suggest
from yolov7.utils.seeding import seed_all

__all__ = ["build_trainer", "run_evaluation"]

logger = logging.getLogger(__name__)


def build_trainer(cfg: CfgNode, *, resume: bool = False) -> Trainer:
    """Build everything a training needs, ready for `trainer.train()`.

    A fresh training starts from `MODEL.WEIGHTS`, if given, or from pretrained weights of the
    backbone. All ranks must call it.

    Args:
        cfg: the config; `prepare_run(cfg)` has been called.
        resume: go on from the last checkpoint in `OUTPUT_DIR`; where there is none, start.

    Raises:
        ConfigError: a key is wrong, or the checkpoint is of another number of processes.
        DatasetError: see `yolov7.data.load_records`.
        WeightsError: the checkpoint is damaged, or the weights are of another model.
    """
    _check_numbers(cfg)
    checkpointer = Checkpointer(cfg.OUTPUT_DIR, keep=cfg.SOLVER.CHECKPOINT_KEEP)
    checkpoint = _last_checkpoint(checkpointer) if resume else None
    if not resume and (checkpointer.folder / "last_checkpoint").exists():
        logger.warning(
            "%s holds a training already, whose files this one replaces. To go on with it, "
            "interrupt and add --resume; to keep it, set another OUTPUT_DIR.",
            checkpointer.folder,
        )
    seed = _choose_seed(cfg, checkpoint)
    seed_all(seed + get_rank())
    start_iter = 0 if checkpoint is None else checkpoint["iteration"] + 1

    precision = Precision.from_config(cfg)
    records = training_records(cfg)
    loader = build_train_loader(cfg, seed=seed, start_iter=start_iter, records=records)
    model = build_training_model(cfg)
    if is_main_process():
        report_anchor_fit(model, records, input_size=cfg.INPUT.INPUT_SIZE)
        note_learning_rate(cfg)
    if cfg.TEST.VALIDATION_LOSS:
        check_validation_loss(cfg, model)
    # Wrong views are told now, not by the first evaluation.
    with_views(model, views_from_config(cfg))
    if checkpoint is None:
        load_initial_weights(cfg, model)
    # Before the average is made: this gives all ranks the weights of rank 0.
    wrapped_model = distribute(model)
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    ema = None
    if cfg.SOLVER.EMA.ENABLED:
        ema = ModelEMA(model, decay=cfg.SOLVER.EMA.DECAY, tau=cfg.SOLVER.EMA.TAU)
    loss_weights = getattr(getattr(model, "criterion", None), "loss_weights", {})
    trainer = Trainer(
        model=wrapped_model,
        optimizer=optimizer,
        loader=loader,
        max_iter=cfg.SOLVER.MAX_ITER,
        start_iter=start_iter,
        precision=precision,
        clip_gradients=build_gradient_clipper(cfg),
        accumulation_steps=cfg.SOLVER.ACCUMULATION_STEPS,
        on_nonfinite_loss=BlackBox(
            cfg.OUTPUT_DIR, loss_weights=loss_weights, stop=_stops_on_bad_loss(cfg)
        ),
    )
    classes = class_list_of_dataset(cfg.DATASETS.TRAIN[0])
    state = TrainingState(
        trainer=trainer,
        scheduler=scheduler,
        ema=ema,
        seed=seed,
        extra={"classes": classes.state_dict()},
    )
    drawings = Drawings.from_config(cfg, classes.names)
    timer = hooks.IterationTimer()
    trainer.register_hooks([hooks.StopSignals(), timer, hooks.LearningRate(scheduler)])
    momentum = build_momentum_schedule(cfg)
    if momentum is not None:
        trainer.register_hooks([hooks.Momentum(momentum)])
    if ema is not None:
        trainer.register_hooks([hooks.EMAUpdate(ema)])
    drop_blocks = [module for module in model.modules() if isinstance(module, DropBlock)]
    if drop_blocks:
        ramp_iters = cfg.SOLVER.DROP_BLOCK_RAMP_ITERS
        trainer.register_hooks([hooks.DropBlockRamp(drop_blocks, ramp_iters=ramp_iters)])
    if cfg.SOLVER.LAST_PHASE_ITERS and "loss_l1" in loss_weights:
        trainer.register_hooks([_loss_phase(cfg, loss_weights)])
    evaluation = None
    if cfg.DATASETS.TEST:
        evaluated = model if ema is None else ema.model
        evaluation, *others = _evaluation_hooks(cfg, trainer, evaluated, state, drawings)
        trainer.register_hooks([evaluation, *others])
    trainer.register_hooks([_loader_report(cfg, loader)])
    if is_main_process():
        trainer.register_hooks(_main_process_hooks(cfg, start_iter, records, drawings, evaluation))
    # After what acts on a step: it saves the state in which the next iteration starts.
    trainer.register_hooks(
        [
            hooks.Checkpointing(
                checkpointer, collect=state.collect, period=cfg.SOLVER.CHECKPOINT_PERIOD
            ),
            hooks.TimeReport(timer),
        ]
    )
    if checkpoint is not None:
        state.restore(checkpoint, rank=get_rank())
    if start_iter >= cfg.SOLVER.MAX_ITER:
        logger.info("All %d iterations are done already.", cfg.SOLVER.MAX_ITER)
    return trainer


def _last_checkpoint(checkpointer: Checkpointer) -> dict[str, Any] | None:
    path = checkpointer.last()
    if path is None:
        logger.info("No checkpoint in %s yet: training starts anew.", checkpointer.folder)
        return None
    checkpoint = load_checkpoint(path)
    check_resumable(checkpoint, path)
    logger.info("Resuming from %s, after iteration %d.", path, checkpoint["iteration"])
    return checkpoint


def _choose_seed(cfg: CfgNode, checkpoint: Mapping[str, Any] | None) -> int:
    if checkpoint is not None:
        if cfg.SEED >= 0 and cfg.SEED != checkpoint["seed"]:
            logger.warning(
                "SEED is %d, but the run to resume has seed %d, which it keeps.",
                cfg.SEED,
                checkpoint["seed"],
            )
        return checkpoint["seed"]
    if cfg.SEED >= 0:
        return cfg.SEED
    seed = shared_random_seed()
    logger.info("The seed of this run, drawn because SEED is negative: %d.", seed)
    return seed


def _check_numbers(cfg: CfgNode) -> None:
    """Refuse what contradicts itself before anything is built."""
    per_rank = cfg.SOLVER.IMS_PER_BATCH // get_world_size()
    parts = cfg.SOLVER.ACCUMULATION_STEPS
    if parts < 1 or per_rank % parts:
        raise ConfigError(
            f"SOLVER.ACCUMULATION_STEPS must divide the {per_rank} images of each process "
            f"(SOLVER.IMS_PER_BATCH / processes), got {parts}."
        )
    if cfg.SOLVER.LOG_PERIOD < 1:
        raise ConfigError(f"SOLVER.LOG_PERIOD must be at least 1, got {cfg.SOLVER.LOG_PERIOD}.")
    if cfg.TEST.VALIDATION_LOSS and not cfg.DATASETS.TEST:
        raise ConfigError("TEST.VALIDATION_LOSS is True, but DATASETS.TEST names no data set.")
    batch, watched = cfg.SOLVER.LR_IMS_PER_BATCH, cfg.SOLVER.LOSS_WATCH_ITERS
    expect(batch >= 0, "SOLVER.LR_IMS_PER_BATCH", "0 (unknown) or a batch", batch)
    least = 2 * hooks.LossWatch.WINDOW
    fits = watched == 0 or watched >= least
    expect(fits, "SOLVER.LOSS_WATCH_ITERS", f"0 (never) or at least {least}", watched)
    patience = cfg.SOLVER.EARLY_STOPPING_PATIENCE
    if patience < 0:
        raise ConfigError(
            f"SOLVER.EARLY_STOPPING_PATIENCE must be 0 (never) or more, got {patience}."
        )
    if patience and not (cfg.DATASETS.TEST and cfg.TEST.EVAL_PERIOD > 0):
        raise ConfigError(
            f"SOLVER.EARLY_STOPPING_PATIENCE is {patience} evaluations, but there are none during "
            "training: set DATASETS.TEST and TEST.EVAL_PERIOD."
        )
    # One before them to be better than, and the last iteration's comes when training is over.
    evaluations = (cfg.SOLVER.MAX_ITER - 1) // cfg.TEST.EVAL_PERIOD if patience else 0
    if patience and evaluations <= patience:
        logger.warning(
            "SOLVER.EARLY_STOPPING_PATIENCE is %d, but there are only %d evaluations during the %d "
            "iterations: nothing will end early. Lower it, or TEST.EVAL_PERIOD (%d).",
            patience,
            evaluations,
            cfg.SOLVER.MAX_ITER,
            cfg.TEST.EVAL_PERIOD,
        )


def _stops_on_bad_loss(cfg: CfgNode) -> bool:
    policies = {"stop": True, "skip": False}
    name = cfg.SOLVER.ON_NONFINITE_LOSS
    if name not in policies:
        raise ConfigError(
            f"SOLVER.ON_NONFINITE_LOSS: there is no '{name}'.{suggest(name, policies)}"
        )
    return policies[name]


def _loss_phase(cfg: CfgNode, loss_weights: dict[str, float]) -> HookBase:
    return hooks.LossPhase(
        loss_weights=loss_weights,
        last_phase_weights={"loss_l1": cfg.MODEL.CRITERION.L1_WEIGHT},
        start=cfg.SOLVER.MAX_ITER - cfg.SOLVER.LAST_PHASE_ITERS,
    )


def _loss_watch(cfg: CfgNode) -> list[HookBase]:
    solver = cfg.SOLVER
    at = solver.WARMUP_ITERS + solver.LOSS_WATCH_ITERS
    # The last phase has a loss term more.
    if solver.LOSS_WATCH_ITERS == 0 or at > solver.MAX_ITER - solver.LAST_PHASE_ITERS:
        return []
    advice = (
        "Look at the pictures and boxes that it learns from (train_batch_*.jpg in "
        f"{cfg.OUTPUT_DIR}; more: {command_line('visualize_data')} --config-file CONFIG --output "
        "DIR): boxes beside their objects and mixed-up classes cannot be learned. Then at the "
        f"learning rate, SOLVER.BASE_LR {solver.BASE_LR:g} for {solver.IMS_PER_BATCH} pictures: "
        "try three times and a tenth of it, or SOLVER.OPTIMIZER AdamW with a small one. Then at "
        "what training starts from: MODEL.WEIGHTS, MODEL.BACKBONE.PRETRAINED. "
        "SOLVER.LOSS_WATCH_ITERS 0 turns this check off."
    )
    return [hooks.LossWatch(at=at, advice=advice)]


def _evaluation_hooks(
    cfg: CfgNode,
    trainer: Trainer,
    evaluated: nn.Module,
    state: TrainingState,
    drawings: Drawings,
) -> list[HookBase]:
    def evaluate() -> dict[str, float]:
        model = inference_copy(cfg, evaluated)
        results = run_evaluation(cfg, model)
        if cfg.TEST.VALIDATION_LOSS:
            weights = trainer.bare_model.criterion.loss_weights
            results |= validation_losses(cfg, common_copy(evaluated), loss_weights=weights)
        if is_main_process():
            drawings.predictions(model, trainer.iter)
        synchronize()
        return results

    def save_best(about: dict[str, Any]) -> None:
        if is_main_process():
            save_checkpoint(Path(cfg.OUTPUT_DIR) / "model_best.pth", {**state.weights(), **about})

    evaluation = hooks.Evaluation(evaluate, period=cfg.TEST.EVAL_PERIOD)
    best = hooks.BestCheckpoint(evaluation, metric=cfg.TEST.BEST_METRIC, save=save_best)
    patience = cfg.SOLVER.EARLY_STOPPING_PATIENCE
    stopping = [hooks.EarlyStopping(best, patience=patience)] if patience else []
    return [evaluation, best, *stopping]


def _loader_report(cfg: CfgNode, loader: SampleLoader) -> HookBase:
    on_gpu = torch.device(cfg.MODEL.DEVICE).type != "cpu"
    judge = partial(
        judge_loader,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        num_processes=get_local_size(),
        cores=available_cores(),
        training_threads=1 if on_gpu else torch.get_num_threads(),
    )
    return hooks.LoaderReport(judge=judge, cost=lambda: loader.cost, period=cfg.SOLVER.LOG_PERIOD)


def _main_process_hooks(
    cfg: CfgNode,
    start_iter: int,
    records: Sequence[Mapping[str, Any]],
    drawings: Drawings,
    evaluation: hooks.Evaluation | None,
) -> list[HookBase]:
    output_dir = Path(cfg.OUTPUT_DIR)
    output_dir.mkdir(parents=True, exist_ok=True)
    metrics = output_dir / "metrics.json"
    drop_lines_from(metrics, start_iter)
    draw_data: Callable[[], None] = lambda: drawings.labels(records)  # noqa: E731
    return [
        hooks.ProgressBar(),
        hooks.RecentScalars(),
        *_loss_watch(cfg),
        hooks.Writing(
            [
                CommonMetricPrinter(cfg.SOLVER.MAX_ITER),
                JSONWriter(str(metrics)),
                TensorBoardWriter(output_dir, start_iter=start_iter),
            ],
            period=cfg.SOLVER.LOG_PERIOD,
            evaluation=evaluation,
        ),
        hooks.Pictures(
            draw_data=draw_data,
            draw_batch=drawings.batch,
            draw_curves=drawings.curves,
            period=cfg.VIS_PERIOD,
        ),
    ]

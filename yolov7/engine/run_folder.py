"""What a run does before anything else: its folder, its log, its machine."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from yolov7.checkpoint import remove_temporaries
from yolov7.config import changed_but_not_honoured
from yolov7.d2 import (
    CfgNode,
    CommonMetricPrinter,
    all_gather,
    get_local_size,
    get_rank,
    is_main_process,
)
from yolov7.engine.determinism import use_exact_algorithms
from yolov7.utils.atomic import atomic_write
from yolov7.utils.environment import available_cores, collect_environment
from yolov7.utils.errors import UserError
from yolov7.utils.file_lock import locked_folder
from yolov7.utils.logging import setup_logger

logger = logging.getLogger(__name__)


def prepare_run(cfg: CfgNode, *, training: bool = True) -> None:
    """Open the output folder and the log, note machine and config, set up PyTorch.

    Args:
        cfg: the config.
        training: write `config.yaml`, which can be loaded again as a config. An evaluation leaves
            that of the training in the folder as it is.

    Raises:
        UserError: the folder cannot be written.
    """
    output_dir = Path(cfg.OUTPUT_DIR)
    setup_logger(output_dir, rank=get_rank())
    # With detectron2 installed, some of what is logged comes from its package.
    package = CommonMetricPrinter.__module__.partition(".")[0]
    if package != "yolov7":
        setup_logger(output_dir, rank=get_rank(), name=package)
    if cfg.SOLVER.DETERMINISTIC:
        setup_logger(output_dir, rank=get_rank(), name="py.warnings")
    if is_main_process():
        logger.info("The machine:\n%s", collect_environment())
        logger.info("The config:\n%s", cfg.dump())
        if training:
            remove_temporaries(output_dir)
            with atomic_write(output_dir / "config.yaml", "w") as file:
                file.write(cfg.dump())
    for name in changed_but_not_honoured(cfg):
        logger.warning("%s is set in the config, but nothing here obeys it.", name)
    _set_up_torch(cfg)


@contextlib.contextmanager
def exclusive_run(cfg: CfgNode) -> Iterator[None]:
    """Keep every other training out of the output folder; all ranks must enter it together.

    Raises:
        UserError: on all ranks, when another process trains there; it is named.
    """
    with contextlib.ExitStack() as lock:
        error = None
        if is_main_process():
            try:
                lock.enter_context(locked_folder(cfg.OUTPUT_DIR))
            except UserError as refusal:
                error = refusal
        error = next(filter(None, all_gather(error)), None)
        if error is not None:
            raise error
        yield


def _set_up_torch(cfg: CfgNode) -> None:
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    if cfg.SOLVER.DETERMINISTIC:
        use_exact_algorithms()
    if get_local_size() > 1:
        # The ranks of a machine share its cores; torchrun's default of one thread leaves most idle.
        torch.set_num_threads(max(1, available_cores() // get_local_size()))

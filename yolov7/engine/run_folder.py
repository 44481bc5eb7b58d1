"""What a run does before anything else: its folder, its log, its machine."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch

from yolov7.checkpoint import remove_temporaries
from yolov7.config import changed_but_not_honoured
from yolov7.d2 import CfgNode, CommonMetricPrinter, get_local_size, get_rank, is_main_process
from yolov7.utils.atomic import atomic_write
from yolov7.utils.environment import collect_environment
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


def _set_up_torch(cfg: CfgNode) -> None:
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK and not cfg.SOLVER.DETERMINISTIC
    if cfg.SOLVER.DETERMINISTIC:
        # What has no exact algorithm warns by its name and goes on.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
    if get_local_size() > 1:
        # The ranks of a machine share its cores; torchrun's default of one thread leaves most idle.
        torch.set_num_threads(max(1, _available_cores() // get_local_size()))


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

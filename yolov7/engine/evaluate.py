"""Evaluation of a model on the data sets of a config."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from yolov7.checkpoint import Checkpointer, load_weights
from yolov7.d2 import CfgNode, get_world_size
from yolov7.data import build_test_loader
from yolov7.evaluation import (
    build_evaluator,
    copypaste_lines,
    flatten_results,
    inference_on_dataset,
    warn_if_threshold_changes_ap,
)
from yolov7.modeling import build_detector, pack_for_inference, reparameterize
from yolov7.modeling.test_time_augmentation import views_from_config, with_views
from yolov7.utils.errors import ConfigError

logger = logging.getLogger(__name__)


def run_evaluation(cfg: CfgNode, model: nn.Module) -> dict[str, float]:
    """Evaluate on every data set of `DATASETS.TEST`, on all ranks together.

    Args:
        cfg: the config.
        model: a detector, already reparameterised or not; it is not changed.

    Returns:
        Numbers ×100 under detectron2's flat keys, `{"bbox/AP": 40.5, …}`; with several data sets
        each key starts with the data set's name. Empty on ranks other than 0.
    """
    warn_if_threshold_changes_ap(cfg.MODEL.YOLO.CONF_THRESHOLD, key="MODEL.YOLO.CONF_THRESHOLD")
    folder = Path(cfg.OUTPUT_DIR) / "inference"
    several = len(cfg.DATASETS.TEST) > 1
    flat: dict[str, float] = {}
    for name in cfg.DATASETS.TEST:
        evaluator = build_evaluator(
            name,
            output_dir=folder / name if several else folder,
            tasks=("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",),
            voc_metric=cfg.TEST.VOC_METRIC,
        )
        results = inference_on_dataset(model, build_test_loader(cfg, name), evaluator)
        for line in copypaste_lines(results):
            logger.info(line)
        flat.update(flatten_results(results, f"{name}/" if several else ""))
    return flat


def evaluate_weights(cfg: CfgNode, *, resume: bool = False) -> dict[str, float]:
    """Build the model, load its weights and evaluate it.

    Args:
        cfg: the config.
        resume: take the last checkpoint of `OUTPUT_DIR` instead of `MODEL.WEIGHTS`, if there is
            one.

    Raises:
        ConfigError: no weights or no data set are named.
        WeightsError: the weights do not fit the model.
    """
    last = Checkpointer(cfg.OUTPUT_DIR).last() if resume else None
    weights = last or cfg.MODEL.WEIGHTS
    if not weights:
        raise ConfigError(
            "MODEL.WEIGHTS is empty: there is nothing to evaluate. Give MODEL.WEIGHTS FILE after "
            "the flags, or --resume for the last checkpoint in OUTPUT_DIR."
        )
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty: name the data sets to evaluate on.")
    model = build_detector(cfg)
    load_weights(model, weights).require_complete(weights)
    return run_evaluation(cfg, inference_copy(cfg, model))


def inference_copy(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """Make the model that is evaluated: that of rank 0, reparameterised, on `TEST.AUG`'s views.

    On the CPU its convolutions are packed; it is for inference only.
    """
    model = _of_rank_0(reparameterize(model)).to(memory_format=memory_format(cfg))
    return with_views(pack_for_inference(model), views_from_config(cfg))


def common_copy(model: nn.Module) -> nn.Module:
    """Copy a model in eval mode, on all ranks that of rank 0."""
    return _of_rank_0(copy.deepcopy(model).eval())


def _of_rank_0(model: nn.Module) -> nn.Module:
    """The same model with the values of rank 0, which are saved: batch norm's differ by rank."""
    if get_world_size() > 1:
        for entry in model.state_dict().values():
            dist.broadcast(entry, src=0)
    return model


def memory_format(cfg: CfgNode) -> torch.memory_format:
    """Read `MODEL.MEMORY_FORMAT`.

    Raises:
        ConfigError: it is neither of the two.
    """
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    name = cfg.MODEL.MEMORY_FORMAT
    if name not in formats:
        raise ConfigError(
            f"MODEL.MEMORY_FORMAT must be 'contiguous' or 'channels_last', got '{name}'."
        )
    return formats[name]

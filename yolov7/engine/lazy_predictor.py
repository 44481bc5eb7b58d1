"""A predictor from a LazyConfig file, for models that no YAML describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import nn

from yolov7.checkpoint import load_checkpoint, load_weights
from yolov7.config import load_lazy_config
from yolov7.d2 import instantiate
from yolov7.data.mappers import TestMapper
from yolov7.engine.class_list import ClassList, check_number, look_up_classes
from yolov7.engine.predictor import Predictor, check_device, check_threshold
from yolov7.utils.errors import ConfigError


def predictor_from_lazy_config(
    path: str | Path, overrides: Sequence[str] = (), *, confidence_threshold: float = 0.0
) -> Predictor:
    """Build the model that a LazyConfig file describes and load its weights.

    The file is a program; run only files that you trust. What it must have, by detectron2's names:

    * `model`: the description of a detector. Called in eval mode with a list of
      `{"image": uint8 (3, H, W), "height", "width"}`, it returns `[{"instances": Instances}]`;
    * `train.init_checkpoint`: its weights; `train.device`: where it runs;
    * `dataloader.test.mapper`: the description of a `yolov7.data.mappers.TestMapper`, which knows
      size and channel order of the pictures;
    * where the checkpoint has no class names: `dataloader.test.dataset.names`, a registered data
      set or several, or `dataloader.class_names`.

    Args:
        path: the file.
        overrides: `key=value`, such as `train.init_checkpoint=model.pth`.
        confidence_threshold: the lowest score of a detection; the model's own limit holds as well.

    Raises:
        ConfigError: something of this is missing or of another kind, or the device does not exist.
        WeightsError: the weights are damaged or another model's.
    """
    check_threshold(confidence_threshold)
    cfg = load_lazy_config(path, overrides)
    weights = _get(cfg, "train.init_checkpoint")
    if not weights:
        raise ConfigError(
            f"{path}: train.init_checkpoint is empty: an untrained model finds nothing. Name a "
            "checkpoint, for example --opts train.init_checkpoint=output/model_final.pth"
        )
    device = _get(cfg, "train.device")
    if not device:
        raise ConfigError(f"{path} has no 'train.device', such as 'cuda' or 'cpu'.")
    check_device(device, key="train.device", remedy="--opts train.device=cpu")
    model = _build(cfg, "model", nn.Module, path).to(device)
    mapper = _build(cfg, "dataloader.test.mapper", TestMapper, path)
    classes = _find_classes(cfg, load_checkpoint(weights), model)
    load_weights(model, weights).require_complete(weights)
    return Predictor(model, mapper=mapper, classes=classes, min_score=confidence_threshold)


def _find_classes(cfg: Any, checkpoint: Mapping[str, Any], model: nn.Module) -> ClassList:
    datasets = _get(cfg, "dataloader.test.dataset.names") or ()
    classes, source = look_up_classes(
        checkpoint,
        datasets=[datasets] if isinstance(datasets, str) else datasets,
        class_names=_get(cfg, "dataloader.class_names") or (),
        datasets_key="dataloader.test.dataset.names",
        names_key="dataloader.class_names",
    )
    number = getattr(model, "num_classes", len(classes))
    check_number(classes, source, number, key="The model's num_classes")
    return classes


def _get(cfg: Any, key: str) -> Any:
    return OmegaConf.select(cfg, key, default=None)


def _build(cfg: Any, key: str, kind: type, path: str | Path) -> Any:
    if _get(cfg, key) is None:
        raise ConfigError(f"{path} has no '{key}', which should describe a {kind.__name__}.")
    built = instantiate(_get(cfg, key))
    if not isinstance(built, kind):
        raise ConfigError(
            f"{path}: '{key}' describes a {type(built).__name__}; expected a {kind.__name__} "
            f"({kind.__module__})."
        )
    return built

"""The training's losses on the pictures that are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from yolov7.checkpoint import get_rng_state, set_rng_state
from yolov7.d2 import CfgNode, DatasetEvaluator, EventStorage, all_gather
from yolov7.data import build_test_loader
from yolov7.data.mappers import build_validation_mapper
from yolov7.evaluation import inference_on_dataset
from yolov7.utils.errors import ConfigError


class LossAverage(DatasetEvaluator):
    """Averages losses over a data set, as if all of it were one batch.

    Each loss is the sum over all pictures divided by the count over all pictures, which is one for
    all losses or one for each. Where it adds up over batches (`DenseCriterion`, `SetCriterion`),
    neither the size of the batches nor the number of ranks matters; averages by level
    (`AnchorCriterion`) are those of each batch, weighted by pictures.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    def process(
        self,
        inputs: list[dict],
        outputs: tuple[dict[str, torch.Tensor], float | Mapping[str, float]],
    ) -> None:
        """Add what `Detector.loss_sums` gave for a batch."""
        sums, counts = outputs
        if not isinstance(counts, Mapping):
            counts = dict.fromkeys(sums, counts)
        values = torch.stack([value.double() for value in sums.values()]).tolist()
        for name, value in zip(sums, values, strict=True):
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + counts[name]

    def evaluate(self) -> dict[str, float]:
        """The averages and their sum, `{"loss_box": …, "total_loss": …}`; on all ranks."""
        parts = all_gather((self._sums, self._counts))
        # A rank without a picture knows no names.
        names = next((sums for sums, _ in parts if sums), {})
        averages = {}
        for name in names:
            count = sum(counts.get(name, 0) for _, counts in parts)
            averages[name] = sum(sums.get(name, 0.0) for sums, _ in parts) / (count or 1)
        return {**averages, "total_loss": sum(averages.values())}


def validation_losses(
    cfg: CfgNode, model: nn.Module, *, loss_weights: Mapping[str, float]
) -> dict[str, float]:
    """Compute the losses on every data set of `DATASETS.TEST`, on all ranks together.

    Pictures come as in training, but without augmentation. Training is not touched: the random
    generators are left as they were, and diagnostics of the criterion do not reach the log.

    Args:
        cfg: the config.
        model: a detector in eval mode, the same on all ranks.
        loss_weights: those of training at present; averaged weights come with a criterion of
            their own, which does not know of the last phase. It gets them.

    Returns:
        `{"validation/loss_box": 2.5, …, "validation/total_loss": 8.1}`; with several data sets
        each key starts with the data set's name. Empty on ranks other than 0.
    """
    several = len(cfg.DATASETS.TEST) > 1
    model.criterion.loss_weights.update(loss_weights)
    mapper = build_validation_mapper(cfg)
    flat: dict[str, float] = {}
    state = get_rng_state()
    with EventStorage():
        for name in cfg.DATASETS.TEST:
            loader = build_test_loader(cfg, name, mapper=mapper)
            losses = inference_on_dataset(model.loss_sums, loader, LossAverage())
            prefix = f"{name}/validation/" if several else "validation/"
            flat.update({prefix + key: value for key, value in losses.items()})
    set_rng_state(state)
    return flat


def check_validation_loss(cfg: CfgNode, model: nn.Module) -> None:
    """Make sure that a config's model can do it.

    Raises:
        ConfigError: its criterion does not give sums.
    """
    criterion: Any = getattr(model, "criterion", None)
    if not (hasattr(criterion, "sums") and hasattr(criterion, "loss_weights")):
        raise ConfigError(
            "TEST.VALIDATION_LOSS is True, but the criterion "
            f"{type(criterion).__name__} of {cfg.MODEL.META_ARCHITECTURE} has no `sums` "
            "or no `loss_weights`. Set it to False."
        )

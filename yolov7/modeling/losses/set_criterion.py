"""The criterion of detectors that predict a set of boxes by queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, configurable, get_world_size
from yolov7.modeling.build import build_assigner, find_component
from yolov7.modeling.losses.diagnostics import log_matching
from yolov7.modeling.losses.elementwise import ElementwiseLoss
from yolov7.modeling.losses.mask import dice, mask_focal, upsampled
from yolov7.modeling.losses.no_auxiliary import refuse_auxiliary
from yolov7.modeling.losses.normalization import global_count
from yolov7.modeling.losses.set_classes import (
    FocalClassLoss,
    Index,
    Number,
    SetClassLoss,
    SoftmaxClassLoss,
)
from yolov7.modeling.normalized_boxes import normalized_boxes, object_frames
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.query_scores import QueryScores, query_scores
from yolov7.modeling.registries import CRITERION_REGISTRY, LOSS_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import cxcywh_to_xyxy
from yolov7.utils.names import look_up

LOSS_NAMES = ("loss_class", "loss_l1", "loss_box")
MASK_LOSS_NAMES = ("loss_mask", "loss_dice")

QueryMatcher = Callable[[QueryPredictions, Targets], Tensor]
"""Called with predictions and targets; the query of each object in each layer, ``(L, M)``."""

Value = TypeVar("Value")


@CRITERION_REGISTRY.register()
class SetCriterion(nn.Module):
    """Compares sets of predictions with the objects, each of which one query answers for.

    The matcher pairs queries and objects anew in every layer of the decoder. Then, in each layer
    (DETR, arXiv:2005.12872):

    * ``loss_class``: of *all* queries, those without an object included;
    * ``loss_l1``: of the pairs, the L1 distance of the normalised (cx, cy, w, h);
    * ``loss_box``: of the pairs, 1 − GIoU or another loss of xyxy pixels;

    and of the final layer, when the head predicts masks, ``loss_mask`` (focal) and ``loss_dice`` of
    the pairs' masks, over the padded frame of the batch.

    Keys of the final layer are these; the others' have the layer's number: ``loss_class_0`` ….
    The weights are the same for all layers. All keys are there in every step: without objects a
    loss is a zero that hangs on the graph, so that distributed training never waits for a gradient.

    Losses are sums divided by the number of objects in the global batch (at least 1), but for the
    softmax's class loss, a mean weighted by class: it is divided by the sum of the weights in the
    global batch. So W ranks train as one would on the whole batch. (The authors' ranks take the
    weighted mean of their own part, and at least one object *a rank*; on one rank both are the
    same.) With accumulated gradients each part of the batch is normalised on its own.

    Attributes:
        loss_weights: ``{name: weight}`` of the five losses, read at every call.

    Args:
        assigner: the matcher.
        class_loss: see `yolov7.modeling.losses.set_classes`.
        scores: how the logits that `class_loss` trains are read, for the diagnostics.
        box_loss: of ``(..., 4)`` predicted and true boxes, xyxy pixels.
        loss_weights: a weight for each of ``LOSS_NAMES`` and ``MASK_LOSS_NAMES``.
        mask_loss: of logits and masks ``(N, H, W)``, ``(N,)``.

    Raises:
        ValueError: when the weights' names are others.
    """

    of_queries = True

    @configurable
    def __init__(
        self,
        *,
        assigner: QueryMatcher,
        class_loss: SetClassLoss,
        scores: QueryScores,
        box_loss: ElementwiseLoss,
        loss_weights: Mapping[str, float],
        mask_loss: ElementwiseLoss = mask_focal,
    ) -> None:
        super().__init__()
        names = (*LOSS_NAMES, *MASK_LOSS_NAMES)
        if set(loss_weights) != set(names):
            raise ValueError(f"loss_weights has {sorted(loss_weights)}, expected {names}")
        self.assigner = assigner
        self.class_loss = class_loss
        self.scores = scores
        self.box_loss = box_loss
        self.loss_weights = dict(loss_weights)
        self.mask_loss = mask_loss

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read ``MODEL.CRITERION`` and ``MODEL.ASSIGNER``.

        Raises:
            ConfigError: for an unknown loss, or one that does not fit queries.
        """
        criterion = cfg.MODEL.CRITERION
        numbers = {"alpha": criterion.FOCAL_ALPHA, "gamma": criterion.FOCAL_GAMMA}
        class_losses: dict[str, Callable[[], SetClassLoss]] = {
            "softmax": lambda: SoftmaxClassLoss(no_object_weight=criterion.NO_OBJECT_WEIGHT),
            "focal": lambda: FocalClassLoss(**numbers),
        }
        key = "MODEL.CRITERION.CLASS_LOSS"
        return {
            "assigner": build_assigner(cfg, of_queries=True),
            "class_loss": look_up(class_losses, criterion.CLASS_LOSS, key)(),
            "scores": query_scores(cfg),
            "box_loss": find_component(
                LOSS_REGISTRY, criterion.BOX_LOSS, "MODEL.CRITERION.BOX_LOSS"
            ),
            "loss_weights": {
                "loss_class": criterion.CLASS_WEIGHT,
                "loss_l1": criterion.L1_WEIGHT,
                "loss_box": criterion.BOX_WEIGHT,
                "loss_mask": criterion.MASK_WEIGHT,
                "loss_dice": criterion.DICE_WEIGHT,
            },
            "mask_loss": partial(mask_focal, **numbers),
        }

    def forward(
        self, predictions: QueryPredictions, targets: Targets, auxiliary: None = None
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch.

        Args:
            predictions: of L layers and B images. Half precision is raised.
            targets: M objects of the same images, which lie at the top left of the padded frame;
                with masks if the predictions have some.
            auxiliary: must be None: the decoder's layers are in `predictions`.

        Returns:
            ``{name: scalar}`` of each loss in each layer; their sum is the loss.

        Raises:
            ValueError: the predictions have masks, but the targets have none.
            ConfigError: for auxiliary predictions.
            DatasetError: an image has more objects than there are queries.
        """
        sums = self._sums(predictions, targets, auxiliary)
        like = sums["loss_class"]
        own = like.new_tensor([len(targets), _num_queries(predictions)])
        counts = self._counts(sums, *global_count(own, like=like))
        ranks = get_world_size()
        # A count is the divisor, but for 0, which is the count of nothing.
        divisors = {name: torch.where(n == 0, 1, n) / ranks for name, n in counts.items()}
        return _of_each_layer({name: part / divisors[name] for name, part in sums.items()})

    def sums(
        self, predictions: QueryPredictions, targets: Targets, auxiliary: None = None
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The losses before normalisation, which add up over batches and ranks.

        Args:
            predictions, targets, auxiliary: as for a call.

        Returns:
            ``{name: scalar}``, the weighted sums over this rank's batch, and ``{name: count}``, by
            the sum of which each is to be divided.

        Raises:
            as for a call.
        """
        sums = self._sums(predictions, targets, auxiliary)
        counts = self._counts(sums, len(targets), _num_queries(predictions))
        return _of_each_layer(sums), _of_each_layer(
            {name: [count] * len(sums[name]) for name, count in counts.items()}
        )

    def _sums(
        self, predictions: QueryPredictions, targets: Targets, auxiliary: None
    ) -> dict[str, Tensor]:
        """Weighted sums ``(L,)`` of each loss over each layer; of masks ``(1,)``."""
        refuse_auxiliary(self, auxiliary)
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            predictions = predictions.at_least_float32()
            queries = self.assigner(predictions, targets)
            log_matching(predictions, targets, queries, no_object=self.scores.has_no_object)
            layers = torch.arange(predictions.num_layers, device=queries.device)[:, None]
            matched = (layers, targets.image_index, queries)
            classes = self.class_loss(predictions.class_logits, matched, targets.labels)
            sums = {"loss_class": classes, **self._box_sums(predictions, matched, targets)}
            if predictions.mask_logits is not None:
                sums |= self._mask_sums(predictions.mask_logits, queries[-1], targets)
        return {name: self.loss_weights[name] * value for name, value in sums.items()}

    def _box_sums(
        self, predictions: QueryPredictions, matched: Index, targets: Targets
    ) -> dict[str, Tensor]:
        pred_boxes_norm = predictions.boxes_norm[matched]
        dtype = pred_boxes_norm.dtype
        distance = (pred_boxes_norm - normalized_boxes(targets, dtype)).abs().sum(dim=-1)
        # In pixels, so that losses that look at the shape of boxes see the true one.
        pred_boxes = cxcywh_to_xyxy(pred_boxes_norm * object_frames(targets, dtype))
        overlap = self.box_loss(pred_boxes, targets.boxes.to(dtype))
        return {"loss_l1": distance.sum(dim=1), "loss_box": overlap.sum(dim=1)}

    def _mask_sums(
        self, mask_logits: Tensor, queries: Tensor, targets: Targets
    ) -> dict[str, Tensor]:
        if targets.masks is None:
            raise ValueError("the predictions have mask_logits, but the targets have no masks")
        logits = upsampled(mask_logits[targets.image_index, queries], targets.masks.shape[-2:])
        masks = targets.masks.to(logits.dtype)
        return {
            "loss_mask": self.mask_loss(logits, masks).sum(dim=0, keepdim=True),
            "loss_dice": dice(logits, masks).sum(dim=0, keepdim=True),
        }

    def _counts(
        self, sums: Mapping[str, Tensor], num_objects: Number, num_queries: Number
    ) -> dict[str, Number]:
        """What each loss is a sum over, for the counts of a batch."""
        counts = dict.fromkeys(sums, num_objects)
        counts["loss_class"] = self.class_loss.count(num_objects, num_queries)
        return counts


def _num_queries(predictions: QueryPredictions) -> int:
    """Queries of all images of a batch together."""
    return predictions.num_images * predictions.num_queries


def _of_each_layer(values: Mapping[str, Sequence[Value]]) -> dict[str, Value]:
    """One entry for each layer: the last keeps the name, the others' end with their number."""
    final = {name: parts[-1] for name, parts in values.items()}
    others = {
        f"{name}_{layer}": part
        for name, parts in values.items()
        for layer, part in enumerate(parts[:-1])
    }
    return final | others

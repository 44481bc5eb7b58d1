"""Assignment by the anchors' shapes with a competition between them, as YOLOv4 does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.assignment import Assignment
from yolov7.modeling.assignment.dynamic_k import check_labels
from yolov7.modeling.assignment.overlap import largest_iou
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import ASSIGNER_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import at_least_float32, elementwise_iou
from yolov7.utils.expectations import expect, is_size


@ASSIGNER_REGISTRY.register()
class BestAnchor:
    """The anchor most like an object answers for it, and all that are alike enough.

    YOLOv4 (arXiv 2004.10934), as its authors' program darknet defines it; with ``iou_threshold`` 1
    it is YOLOv3's (arXiv 1804.02767). Likeness is the IoU of an anchor and an object with one
    common centre.

    * An object's best anchor, of *all* levels, answers for it, and every anchor whose likeness is
      above ``iou_threshold``; each in the one cell of its level that holds the object's centre. The
      first of equally good shapes is the best; a shape that several levels have is best on all of
      them. There is no competition between objects.
    * A prediction that answers for none, but whose box overlaps some object of the image by more
      than ``ignore_threshold`` and which gives some class more than ``ignore_score``, is *ignored*:
      its objectness is not trained. The classes need not agree.

    Args:
        iou_threshold: likeness above which an anchor answers beside the best one; 1 for none.
        ignore_threshold: IoU above which a prediction is not called background.
        ignore_score: σ(class) above which that holds.
        unused_anchors: ``[width, height]`` in pixels of shapes that compete for the best but that
            no level has, so that objects like them have no best (YOLOv4-tiny's first one).
        max_pairs: (object, prediction) overlaps at once; bounds the memory. By default what suits
            the device.

    Raises:
        ConfigError: a number is out of range.
    """

    needs_anchors = True

    @configurable
    def __init__(
        self,
        *,
        iou_threshold: float = 0.213,
        ignore_threshold: float = 0.7,
        ignore_score: float = 0.25,
        unused_anchors: Sequence[Sequence[float]] = (),
        max_pairs: int | None = None,
    ) -> None:
        key, wanted = "MODEL.ASSIGNER.IOU_THRESHOLD", "a number in (0, 1]"
        expect(0 < iou_threshold <= 1, key, wanted, iou_threshold)
        key, wanted = "MODEL.YOLO.IGNORE_THRESHOLD", "a number in [0, 1]"
        expect(0 <= ignore_threshold <= 1, key, wanted, ignore_threshold)
        key, wanted = "MODEL.ASSIGNER.UNUSED_ANCHORS", "a list of [width, height] in pixels"
        expect(all(map(is_size, unused_anchors)), key, wanted, unused_anchors)
        self.iou_threshold = iou_threshold
        self.ignore_threshold = ignore_threshold
        self.ignore_score = ignore_score
        self.unused_anchors = [list(pair) for pair in unused_anchors]
        self.max_pairs = max_pairs

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, object]:
        """Read ``MODEL.ASSIGNER`` and ``MODEL.YOLO.IGNORE_THRESHOLD``."""
        return {
            "iou_threshold": cfg.MODEL.ASSIGNER.IOU_THRESHOLD,
            "ignore_threshold": cfg.MODEL.YOLO.IGNORE_THRESHOLD,
            "unused_anchors": cfg.MODEL.ASSIGNER.UNUSED_ANCHORS,
        }

    @torch.no_grad()
    def __call__(
        self, predictions: DensePredictions, pred_boxes: Tensor, targets: Targets
    ) -> Assignment:
        """Assign.

        Args:
            predictions: of B images, with anchors.
            pred_boxes: ``(B, P, 4)`` decoded boxes, xyxy pixels; for ``ignored`` and
                ``matched_iou`` only.
            targets: M objects. Those whose centre is outside a level's map have no pair there.

        Returns:
            The pairs, ordered by object, level and anchor, and the ignored predictions. The device
            is waited for twice, not at all when M = 0.

        Raises:
            ValueError: for predictions without anchors.
            DatasetError: for a label that is not in ``[0, K)``.
        """
        if predictions.anchors is None:
            raise ValueError("BestAnchor needs predictions with anchors")
        pred_boxes = at_least_float32(pred_boxes)
        if len(targets) == 0 or predictions.num_predictions == 0:
            return Assignment.empty(pred_boxes.device, pred_boxes.dtype)
        lowest, highest = torch.stack([targets.labels.min(), targets.labels.max()]).tolist()
        check_labels(lowest, highest, predictions.num_classes)
        boxes = targets.boxes.to(pred_boxes.dtype)
        index, found = self._responsible(boxes, predictions)
        target_index, column = torch.nonzero(found, as_tuple=True)
        image_index = targets.image_index[target_index]
        prediction_index = index[target_index, column]
        matched = pred_boxes[image_index, prediction_index]
        ignored = self._overlapping(predictions, pred_boxes, boxes, targets.image_index)
        ignored[image_index, prediction_index] = False
        return Assignment(
            image_index=image_index,
            prediction_index=prediction_index,
            target_index=target_index,
            matched_iou=elementwise_iou(matched, boxes[target_index]),
            ignored=ignored,
        )

    def _responsible(self, boxes: Tensor, predictions: DensePredictions) -> tuple[Tensor, Tensor]:
        """For each object and each anchor of each level (S = L · A) the prediction of its cell.

        Returns:
            ``(M, S)`` int64 predictions in ``[0, P)`` and ``(M, S)`` bool: which of them answer.
        """
        middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        shapes, indices, insides = [], [], []
        start, num_anchors = 0, predictions.num_anchors
        for rows, columns in predictions.level_sizes:
            cells = rows * columns
            if cells == 0:
                continue
            stop = start + num_anchors * cells
            shapes.append(predictions.anchors[start:stop:cells].to(boxes.dtype))
            column, row = (middle / predictions.strides[start]).floor().unbind(dim=1)
            inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
            cell = torch.where(inside, row * columns + column, 0).long()
            first = torch.arange(start, stop, cells, device=boxes.device)
            indices.append(first + cell[:, None])
            insides.append(inside[:, None].expand(-1, num_anchors))
            start = stop
        answers = self._chosen_shapes(size, torch.cat(shapes)) & torch.cat(insides, dim=1)
        return torch.cat(indices, dim=1), answers

    def _chosen_shapes(self, sizes: Tensor, shapes: Tensor) -> Tensor:
        """Whether each of the shapes ``(S, 2)`` answers for each size ``(M, 2)``: ``(M, S)``."""
        unused = shapes.new_tensor(self.unused_anchors).reshape(-1, 2)
        competing = torch.cat([unused, shapes])
        common = torch.minimum(sizes[:, None], competing).prod(dim=2)
        union = sizes.prod(dim=1)[:, None] + competing.prod(dim=1) - common
        likeness = common / union
        best = competing[likeness.argmax(dim=1)]
        is_best = (shapes == best[:, None]).all(dim=2)
        return is_best | (likeness[:, len(unused) :] > self.iou_threshold)

    def _overlapping(
        self, predictions: DensePredictions, pred_boxes: Tensor, boxes: Tensor, image_index: Tensor
    ) -> Tensor:
        """``(B, P)`` bool: predictions that overlap some object and name some class."""
        best = largest_iou(pred_boxes, boxes, image_index, max_pairs=self.max_pairs)
        score = predictions.class_logits.amax(dim=2)
        named = score > math.log(self.ignore_score / (1 - self.ignore_score))
        return (best > self.ignore_threshold) & named

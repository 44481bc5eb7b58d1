"""From the predictions of queries to detections in the pixels of the original images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import Boxes, CfgNode, ImageList, Instances, configurable
from yolov7.modeling.postprocessing.masks import full_image_masks
from yolov7.modeling.postprocessing.query_choice import QUERY_CHOICES, QueryChoice
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.query_scores import QueryScores, query_scores
from yolov7.modeling.registries import POSTPROCESSOR_REGISTRY
from yolov7.ops.box_ops import cxcywh_to_xyxy
from yolov7.utils.names import look_up


@POSTPROCESSOR_REGISTRY.register()
class QueryPostprocessor:
    """Reads the final layer's queries as detections; there is no suppression.

    As the authors of DETR and Anchor DETR do it: boxes are scaled to the original image and not
    clipped to it, and every detection that is chosen is reported. ``score_threshold`` is 0 there.
    Detections whose score or box is not finite are left out.

    Args:
        scores: how class logits are read.
        choice: see `yolov7.modeling.postprocessing.query_choice`.
        score_threshold: lowest score that is reported.
        max_detections: most detections of an image.
    """

    @configurable
    def __init__(
        self,
        *,
        scores: QueryScores,
        choice: QueryChoice,
        score_threshold: float = 0.0,
        max_detections: int = 100,
    ) -> None:
        self.scores = scores
        self.choice = choice
        self.score_threshold = score_threshold
        self.max_detections = max_detections

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read thresholds and choices; the scores are those that the class loss trains.

        Raises:
            ConfigError: for an unknown ``MODEL.CLASSES_PER_BOX`` or a class loss that does not fit.
        """
        return {
            "scores": query_scores(cfg),
            "choice": look_up(QUERY_CHOICES, cfg.MODEL.CLASSES_PER_BOX, "MODEL.CLASSES_PER_BOX"),
            "score_threshold": cfg.MODEL.YOLO.CONF_THRESHOLD,
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    @torch.no_grad()
    def __call__(
        self,
        predictions: QueryPredictions,
        images: ImageList,
        original_sizes: Sequence[tuple[int, int]],
        offsets: Tensor | Sequence[tuple[float, float]] = (),
    ) -> list[Instances]:
        """Detections of every image.

        Args:
            predictions: of B images; half precision is raised.
            images: the batch; each image lies at the top left of its frame.
            original_sizes: (height, width) to which results are scaled.
            offsets: not looked at: boxes are relative to their image, wherever it lies.

        Returns:
            one ``Instances`` an image, in its original size, with ``pred_boxes`` (Boxes),
            ``scores``, ``pred_classes`` (int64), and ``pred_masks`` (bool, of the whole image) when
            the predictions have masks; in the order of the choice, on the predictions' device.
        """
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            final = predictions.final.at_least_float32()
            queries, classes, scores = self.choice(
                self.scores(final.class_logits[0]), self.max_detections
            )
            boxes = final.boxes_norm[0].gather(1, queries[..., None].expand(-1, -1, 4))
            sizes = boxes.new_tensor([list(size) for size in original_sizes]).reshape(-1, 1, 2)
            boxes = cxcywh_to_xyxy(boxes) * sizes.flip(-1).repeat(1, 1, 2)
            kept = (scores >= self.score_threshold) & boxes.isfinite().all(dim=-1)
            results = []
            for index, (height, width) in enumerate(original_sizes):
                own = kept[index]
                instances = Instances(
                    (int(height), int(width)),
                    pred_boxes=Boxes(boxes[index, own]),
                    scores=scores[index, own],
                    pred_classes=classes[index, own],
                )
                if final.mask_logits is not None:
                    instances.pred_masks = full_image_masks(
                        final.mask_logits[index, queries[index, own]],
                        frame=tuple(images.tensor.shape[-2:]),
                        resized=images.image_sizes[index],
                        original=instances.image_size,
                    )
                results.append(instances)
        return results

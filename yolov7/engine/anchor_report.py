"""Says at the start of a training whether the anchors fit the data."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import nn

from yolov7.analysis.anchors import measure_anchors, training_sizes
from yolov7.data import Record
from yolov7.utils.cli import command_line

logger = logging.getLogger(__name__)

_LEAST_RECALL = 0.98


def report_anchor_fit(
    model: nn.Module, records: Sequence[Record], *, input_size: tuple[int, int]
) -> None:
    """Log the best possible recall of a model's anchors, as a warning where it is below 98 %.

    Nothing is said of a model whose assigner has no limit of the side ratio between anchors and
    objects (`max_anchor_ratio`): its anchors can be given any object.

    Args:
        model: a `Detector`, or any other model.
        records: what is trained on.
        input_size: (height, width) of training.
    """
    assigner = getattr(getattr(model, "criterion", None), "assigner", None)
    if not hasattr(assigner, "max_anchor_ratio"):
        return
    ratio = assigner.max_anchor_ratio
    sizes = training_sizes(records, input_size)
    if not len(sizes):
        return
    anchors = model.head.anchors.reshape(-1, 2).double().cpu().numpy()
    fit = measure_anchors(sizes, anchors, ratio=ratio)
    if fit.recall >= _LEAST_RECALL:
        logger.info(
            "Anchors: best possible recall %.4f, mean best IoU %.3f over %d boxes.",
            fit.recall, fit.mean_best_iou, len(sizes),
        )  # fmt: skip
        return
    logger.warning(
        "The anchors do not fit: %.1f %% of %d boxes have sides that differ from every anchor's by "
        "more than %g times, and cannot be learned (mean best IoU %.3f). Better ones: "
        "%s --config-file CONFIG --write",
        100 * (1 - fit.recall), len(sizes), ratio, fit.mean_best_iou,
        command_line("compute_anchors"),
    )  # fmt: skip

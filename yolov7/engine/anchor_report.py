"""Says at the start of a training whether the anchors fit the data."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from yolov7.analysis.anchors import measure_anchors, training_sizes
from yolov7.data import Record

logger = logging.getLogger(__name__)

_LEAST_RECALL = 0.98


def report_anchor_fit(
    records: Sequence[Record],
    anchors: torch.Tensor,
    *,
    input_size: tuple[int, int],
    ratio: float,
) -> None:
    """Log the best possible recall of anchors, as a warning where it is below 98 %.

    Args:
        records: what is trained on.
        anchors: (…, 2), width and height in pixels.
        input_size: (height, width) of training.
        ratio: `MODEL.ASSIGNER.MAX_ANCHOR_RATIO`.
    """
    sizes = training_sizes(records, input_size)
    if not len(sizes):
        return
    fit = measure_anchors(sizes, anchors.reshape(-1, 2).double().cpu().numpy(), ratio=ratio)
    if fit.recall >= _LEAST_RECALL:
        logger.info(
            "Anchors: best possible recall %.4f, mean best IoU %.3f over %d boxes.",
            fit.recall, fit.mean_best_iou, len(sizes),
        )  # fmt: skip
        return
    logger.warning(
        "The anchors do not fit: %.1f %% of %d boxes have sides that differ from every anchor's by "
        "more than %g times, and cannot be learned (mean best IoU %.3f). Better ones: "
        "python tools/compute_anchors.py --config-file CONFIG --write",
        100 * (1 - fit.recall), len(sizes), ratio, fit.mean_best_iou,
    )  # fmt: skip

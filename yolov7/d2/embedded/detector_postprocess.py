"""Detections from the size the network saw to the size of the original image."""

from __future__ import annotations

from yolov7.d2.embedded.instances import Instances
from yolov7.d2.embedded.mask_paste import paste_masks


def detector_postprocess(
    results: Instances, output_height: int, output_width: int, mask_threshold: float = 0.5
) -> Instances:
    """Scale detections to an image of another size, clip them, and drop empty ones.

    Right only where the network's input was the resized image itself, without offset. The fields
    are shared with `results`, whose boxes are scaled and clipped in place.

    Args:
        results: with `pred_boxes` (or `proposal_boxes`), and optionally `pred_masks`
            (N, 1, M, M) as probabilities inside the boxes and `pred_keypoints` (N, K, 3).
        output_height, output_width: size of the original image.
        mask_threshold: probability from which a pixel belongs to the mask.

    Returns:
        Instances of that size; `pred_masks` are bool (N, output_height, output_width).
    """
    height, width = results.image_size
    scale_x, scale_y = output_width / width, output_height / height
    results = Instances((output_height, output_width), **results.get_fields())
    names = [name for name in ("pred_boxes", "proposal_boxes") if results.has(name)]
    assert names, "There are no boxes among the predictions."
    boxes = results.get(names[0])
    boxes.scale(scale_x, scale_y)
    boxes.clip(results.image_size)
    results = results[boxes.nonempty()]
    if results.has("pred_masks"):
        results.pred_masks = paste_masks(
            results.pred_masks[:, 0], results.pred_boxes.tensor, results.image_size, mask_threshold
        )
    if results.has("pred_keypoints"):
        results.pred_keypoints[:, :, 0] *= scale_x
        results.pred_keypoints[:, :, 1] *= scale_y
    return results

"""Detections of given predictions against those of the authors' code, run as a black box.

github.com/chensnathan/YOLOF, commit a44b7af: scores above 0.05, the best 1000 pairs of an anchor
and a class, suppression within a class at 0.6, the best 100.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch

from yolov7.d2 import ImageList
from yolov7.modeling.box_coders import YOLOFBoxCoder
from yolov7.modeling.postprocessing import DensePostprocessor
from yolov7.modeling.postprocessing.class_choice import every_class
from yolov7.ops.nms import class_aware_nms

# Of each image: the first scores and classes, the first box, the sums of boxes and scores.
RECORDED = [
    (
        [0.22661825, 0.22404461, 0.22191982, 0.21799192, 0.21664318],
        [2, 3, 5, 1, 4, 4, 5, 7, 4, 3, 1, 6],
        [34.250126, -139.656677, 93.749878, 76.708794],
        [2299.065158, 855.785132, 19324.766352, 15908.941222],
        17.41263385,
    ),
    (
        [0.22914045, 0.22148229, 0.22123556, 0.21800329, 0.21555987],
        [5, 4, 0, 4, 7, 7, 1, 7, 1, 1, 5, 1],
        [177.352753, 12.671928, 270.647247, 179.328064],
        [1937.602720, -3916.096077, 20997.532495, 17738.302901],
        16.60760362,
    ),
]


def test_detections_are_the_authors(yolof_recipe) -> None:
    postprocessor = DensePostprocessor(
        box_coder=YOLOFBoxCoder(),
        score_threshold=0.05,
        nms=partial(class_aware_nms, threshold=0.6),
        max_detections=100,
        class_choice=every_class,
        max_candidates=1000,
    )
    # A frame around the image, since the recorded boxes are not clipped yet.
    margin, size = 2000, (5000, 5000)
    images = ImageList(torch.zeros(2, 3, 192, 256), [size] * 2)
    with torch.no_grad():
        found = postprocessor(
            yolof_recipe.predictions, images, [size] * 2, [(-margin, -margin)] * 2
        )
    for instances, (scores, classes, box, box_sums, score_sum) in zip(found, RECORDED, strict=True):
        boxes = instances.pred_boxes.tensor.double() - margin
        assert len(instances) == 100
        assert instances.scores[:5].tolist() == pytest.approx(scores, abs=1e-7)
        assert instances.pred_classes[:12].tolist() == classes
        # Half a thousandth of a pixel is what the margin leaves of float32.
        assert boxes[0].tolist() == pytest.approx(box, abs=5e-4)
        assert boxes.sum(dim=0).tolist() == pytest.approx(box_sums, abs=2e-2)
        assert instances.scores.double().sum().item() == pytest.approx(score_sum, abs=1e-5)

from functools import partial

import pytest
import torch

from yolov7.d2 import ImageList
from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.postprocessing import AnchorPostprocessor
from yolov7.modeling.predictions import DensePredictions
from yolov7.ops.nms import NMS_TYPES


def detect(class_logits, objectness_logits):
    """Scores from two cells of stride 32 with one anchor of their size."""
    centers, strides = cell_centers([(1, 2)], [32])
    predictions = DensePredictions(
        class_logits=torch.tensor([class_logits]),
        objectness_logits=torch.tensor([objectness_logits]),
        box_deltas=torch.zeros(1, 2, 4),
        centers=centers,
        strides=strides,
        level_sizes=((1, 2),),
        anchors=torch.full((2, 2), 32.0),
    )
    postprocessor = AnchorPostprocessor(
        box_coder=YOLOv7BoxCoder(),
        score_threshold=0.1,
        nms=partial(NMS_TYPES["normal"], threshold=0.5),
        max_detections=10,
    )
    images = ImageList(torch.zeros(1, 3, 32, 64), [(32, 64)])
    return postprocessor(predictions, images, [(32, 64)], [(0, 0)])[0]


def test_one_class_is_as_sure_as_there_is_an_object():
    found = detect([[-9.0], [9.0]], [0.0, 1.0])
    assert found.scores.tolist() == pytest.approx([0.731059, 0.5])
    assert found.pred_classes.tolist() == [0, 0]
    assert found.pred_boxes.tensor.tolist() == [[32.0, 0.0, 64.0, 32.0], [0.0, 0.0, 32.0, 32.0]]


def test_several_classes_share_it():
    found = detect([[0.0, -9.0], [-9.0, 1.0]], [0.0, 1.0])
    assert found.scores.tolist() == pytest.approx([0.5344466, 0.25])
    assert found.pred_classes.tolist() == [1, 0]

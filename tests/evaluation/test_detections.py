"""Detections of one image and of all of them."""

from __future__ import annotations

import numpy as np
import torch
from pycocotools import mask as mask_tools

from yolov7.d2 import Boxes, Instances
from yolov7.evaluation.detections import Detections, ImageDetections, encode_masks


def instances(boxes, *, masks=None):
    found = Instances((6, 8))
    found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    found.scores = torch.arange(len(boxes)) / 4
    found.pred_classes = torch.arange(len(boxes))
    if masks is not None:
        found.pred_masks = masks
    return found


def test_from_instances_and_to_coco():
    masks = torch.zeros(2, 6, 8, dtype=torch.bool)
    masks[0, 1:3, 2:7] = True
    given = instances([[1, 2, 4, 8], [0.5, 0, 1, 3]], masks=masks)
    image = ImageDetections.from_instances("a", given, with_masks=True)
    rows = image.to_coco([10, 20])
    assert [row["bbox"] for row in rows] == [[1, 2, 3, 6], [0.5, 0, 0.5, 3]]
    assert [row["category_id"] for row in rows] == [10, 20]
    assert [row["score"] for row in rows] == [0, 0.25]
    assert [row["image_id"] for row in rows] == ["a", "a"]
    decoded = [mask_tools.decode(row["segmentation"]) for row in rows]
    np.testing.assert_array_equal(np.stack(decoded), masks.numpy())
    assert given.pred_boxes.tensor[0].tolist() == [1, 2, 4, 8], "the model's result is left alone"


def test_nothing_found():
    none = torch.zeros(0, 6, 8, dtype=torch.bool)
    image = ImageDetections.from_instances(1, instances([], masks=none), with_masks=True)
    assert image.to_coco([]) == [] and image.finite() is image
    joined = Detections.concatenate(
        [image], image_index=[0], category_index_of_class=np.array([0, 1])
    )
    assert len(joined) == 0 and joined.boxes_xywh.shape == (0, 4) and joined.masks == []
    assert (
        len(Detections.concatenate([], image_index=[], category_index_of_class=np.array([0]))) == 0
    )
    assert encode_masks(np.zeros((0, 4, 4), dtype=bool)) == []


def test_concatenate_keeps_order_and_renumbers():
    parts = [
        ImageDetections.from_instances(i, instances([[0, 0, 1, 1]] * n), with_masks=False)
        for i, n in ((5, 2), (6, 0), (7, 1))
    ]
    joined = Detections.concatenate(
        parts, image_index=[3, 4, 8], category_index_of_class=np.array([1, 0])
    )
    assert joined.image_index.tolist() == [3, 3, 8]
    assert joined.category_index.tolist() == [1, 0, 1]
    assert joined.scores.tolist() == [0, 0.25, 0] and joined.masks is None

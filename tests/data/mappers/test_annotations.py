"""Objects on their way through augmentation."""

from __future__ import annotations

import copy

import numpy as np
import pycocotools.mask as coco_mask
import pytest

from yolov7.d2 import BoxMode
from yolov7.data.augmentation import HorizontalFlip, ResizeTransform
from yolov7.data.mappers import Annotations, concatenate
from yolov7.data.mappers.box_rule import BoxRule
from yolov7.utils.errors import DatasetError

SQUARE = [2.0, 2.0, 8.0, 2.0, 8.0, 6.0, 2.0, 6.0]


def annotation(bbox, mode=BoxMode.XYXY_ABS, category_id=1, **more):
    return {"bbox": bbox, "bbox_mode": mode, "category_id": category_id, "iscrowd": 0, **more}


def record(*annotations, height=10, width=12):
    return {"file_name": "a.jpg", "height": height, "width": width, "annotations": [*annotations]}


def test_boxes_of_a_record_are_clipped_and_crowds_and_empty_ones_left_out():
    given = record(
        annotation([1, 2, 3, 4], BoxMode.XYWH_ABS, 0),
        annotation([-5, 5, 30, 30], category_id=2),
        annotation([3, 3, 3, 9]),
        annotation([20, 0, 30, 9]),
        {**annotation([0, 0, 9, 9]), "iscrowd": 1},
    )
    kept = copy.deepcopy(given)
    objects = Annotations.from_record(given, with_masks=False)
    assert objects.boxes.tolist() == [[1, 2, 4, 6], [0, 5, 12, 10]]
    assert objects.classes.tolist() == [0, 2] and objects.classes.dtype == np.int64
    assert objects.masks is None
    assert given == kept


def test_no_objects_anywhere():
    without = Annotations.from_record({"file_name": "a", "height": 5, "width": 6}, with_masks=True)
    moved = without.transformed(HorizontalFlip(6)).cropped((0, 0, 3, 3))
    both = concatenate([moved, Annotations.empty(with_masks=True)])
    instances = both.to_instances((5, 6), rule=BoxRule())
    assert len(instances) == 0
    assert instances.gt_boxes.tensor.shape == (0, 4)
    assert instances.gt_masks.tensor.shape == (0, 5, 6)
    assert (
        not Annotations.empty(with_masks=False).to_instances((5, 6), rule=BoxRule()).has("gt_masks")
    )


def test_a_box_that_is_no_number_names_the_file():
    with pytest.raises(DatasetError, match=r"a\.jpg.*finite"):
        Annotations.from_record(record(annotation([0, 0, float("nan"), 5])), with_masks=False)


@pytest.mark.parametrize(
    ("segmentation", "found"),
    [(None, "none"), ([], "none"), ({"size": [5, 5], "counts": [25]}, r"size \[5, 5\]")],
)
def test_a_missing_or_wrong_mask_names_file_object_and_remedy(segmentation, found):
    given = record(annotation([0, 0, 5, 5], id=77, segmentation=segmentation))
    with pytest.raises(DatasetError, match=rf"a\.jpg.*id 77.*{found}.*MODEL\.MASK_ON False"):
        Annotations.from_record(given, with_masks=True)
    assert len(Annotations.from_record(given, with_masks=False)) == 1


def test_polygons_and_run_lengths_give_the_same_mask():
    compressed = coco_mask.merge(coco_mask.frPyObjects([SQUARE], 10, 12))
    bitmap = coco_mask.decode(compressed)
    runs = np.flatnonzero(np.diff(np.concatenate([[0], bitmap.T.ravel(), [0]])))
    counts = np.diff(np.concatenate([[0], runs, [bitmap.size]])).tolist()
    uncompressed = {"size": [10, 12], "counts": counts}
    given = record(
        *(annotation([2, 2, 8, 6], segmentation=s) for s in ([SQUARE], compressed, uncompressed))
    )
    kept = copy.deepcopy(given)
    objects = Annotations.from_record(given, with_masks=True)
    masks = objects.to_instances((10, 12), rule=BoxRule()).gt_masks.tensor.numpy()
    assert np.array_equal(masks[0], bitmap.astype(bool))
    assert np.array_equal(masks[0], masks[1]) and np.array_equal(masks[0], masks[2])
    # Enlarged threefold and mirrored: every pixel becomes nine.
    larger = objects.transformed(
        ResizeTransform(height=10, width=12, new_height=30, new_width=36)
    ).transformed(HorizontalFlip(36))
    masks = larger.to_instances((30, 36), rule=BoxRule()).gt_masks.tensor.numpy()
    expected = np.kron(bitmap, np.ones((3, 3)))[:, ::-1].astype(bool)
    assert np.array_equal(masks[1], expected) and np.array_equal(masks[0], expected)
    assert larger.boxes[0].tolist() == [12, 6, 30, 18]
    assert given == kept


def test_cropping_cuts_boxes_and_masks_alike():
    bitmap = np.zeros((10, 12), bool)
    bitmap[2:6, 2:8] = True
    polygon = np.array(SQUARE).reshape(-1, 2)
    objects = Annotations(
        np.array([[2.0, 2.0, 8.0, 6.0]] * 2), np.array([0, 1]), [[polygon], bitmap]
    )
    cut = objects.cropped((5, 0, 12, 4))
    assert cut.boxes.tolist() == [[5, 2, 8, 4]] * 2
    masks = cut.to_instances((10, 12), rule=BoxRule()).gt_masks.tensor.numpy()
    expected = np.zeros((10, 12), bool)
    expected[2:4, 5:8] = True
    assert np.array_equal(masks[0], expected) and np.array_equal(masks[1], expected)
    assert bitmap.sum() == 24
    assert len(objects.cropped((5, 0, 12, 4), rule=BoxRule(min_side=(3, 0)))) == 0
    assert len(objects.cropped((5, 0, 12, 4), rule=BoxRule(min_side=(2.9, 1.9)))) == 2


def test_thin_boxes_and_objects_without_a_pixel_go():
    boxes = np.array([[0.0, 0, 1, 9], [0, 0, 1.01, 9], [-4, -4, 1.5, 30], [5, 5, 9, 9]])
    objects = Annotations(boxes, np.arange(4), None)
    instances = objects.to_instances((10, 12), rule=BoxRule())
    assert instances.gt_classes.tolist() == [1, 2, 3]
    np.testing.assert_allclose(
        instances.gt_boxes.tensor, [[0, 0, 1.01, 9], [0, 0, 1.5, 10], [5, 5, 9, 9]]
    )
    empty, full = np.zeros((10, 12), bool), np.ones((10, 12), bool)
    masked = Annotations(boxes, np.arange(4), [full, empty, full, full])
    instances = masked.to_instances((10, 12), rule=BoxRule())
    assert instances.gt_classes.tolist() == [2, 3]
    assert len(instances.gt_masks) == 2


def test_masks_lose_what_something_in_front_covers():
    bitmap = np.zeros((10, 12), bool)
    bitmap[2:6, 2:8] = True
    polygon = np.array(SQUARE).reshape(-1, 2)
    boxes = np.array([[2.0, 2.0, 8.0, 6.0]] * 2)
    objects = Annotations(boxes, np.array([0, 1]), [[polygon], bitmap])
    covered = np.zeros((10, 12), bool)
    covered[5:9, 4:10] = True
    left = objects.behind(covered)
    expected = bitmap & ~covered
    assert expected.sum() == 24 - 4
    assert all(np.array_equal(found, expected) for found in left.bitmaps((10, 12)))
    assert left.boxes.tolist() == boxes.tolist()
    assert bitmap.sum() == 24
    # What is not touched stays points; without masks, or with nothing in front, nothing is done.
    covered[:] = False
    covered[6:9, 2:10] = True
    assert objects.behind(covered).masks[0][0] is polygon
    assert objects.behind(np.zeros_like(covered)) is objects
    plain = Annotations(boxes, np.array([0, 1]), None)
    assert plain.behind(covered) is plain

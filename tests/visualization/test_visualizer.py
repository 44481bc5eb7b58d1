"""Pictures of instances, records and samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_util

from yolov7.d2 import BitMasks, Boxes, BoxMode, Instances, PolygonMasks
from yolov7.visualization import Visualizer, class_color, draw_boxes, draw_masks

NAMES = ("cat", "dog")
CAT, DOG = class_color(0)[::-1], class_color(1)[::-1]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def ground_truth(**fields: object) -> Instances:
    boxes = Boxes(torch.tensor([[5.0, 20, 15, 30], [10, 20, 50, 55]]))
    return Instances((60, 80), gt_boxes=boxes, gt_classes=torch.tensor([0, 1]), **fields)


def expected(image: np.ndarray, labels: tuple[str, str] = ("dog", "cat")) -> np.ndarray:
    """The two boxes, the larger one first."""
    boxes = np.array([[10, 20, 50, 55], [5, 20, 15, 30]])
    return draw_boxes(image, boxes, colors=[DOG, CAT], labels=labels)


def test_ground_truth_is_drawn_large_boxes_first(image):
    before = image.copy()
    drawn = Visualizer(NAMES).draw_instances(image, ground_truth())
    np.testing.assert_array_equal(drawn, expected(image))
    np.testing.assert_array_equal(image, before)


def test_detections_show_scores(image):
    instances = Instances(
        (60, 80),
        pred_boxes=Boxes(torch.tensor([[5.0, 20, 15, 30], [10, 20, 50, 55]], requires_grad=True)),
        pred_classes=torch.tensor([0, 1]),
        scores=torch.tensor([0.5, 0.987]),
    )
    drawn = Visualizer(NAMES).draw_instances(image, instances)
    np.testing.assert_array_equal(drawn, expected(image, ("dog 0.99", "cat 0.50")))
    nothing = Visualizer(NAMES).draw_instances(image, instances[:0])
    np.testing.assert_array_equal(nothing, image)


def test_a_class_beyond_the_names_shows_its_number(image):
    drawn = Visualizer(("cat",)).draw_instances(image, ground_truth())
    np.testing.assert_array_equal(drawn, expected(image, ("1", "cat")))


@pytest.mark.parametrize("kind", ["tensor", "bitmasks", "polygons"])
def test_masks_of_every_kind(image, kind):
    masks = torch.zeros(2, 60, 80, dtype=torch.bool)
    masks[0, 20:30, 5:15] = True
    masks[1, 20:55, 10:50] = True
    polygons = [[[5, 20, 15, 20, 15, 30, 5, 30]], [[10, 20, 50, 20, 50, 55, 10, 55]]]
    given = {"tensor": masks, "bitmasks": BitMasks(masks), "polygons": PolygonMasks(polygons)}
    instances = ground_truth(gt_masks=given[kind])
    drawn = Visualizer(NAMES, mask_alpha=0.3).draw_instances(image, instances)
    tinted = draw_masks(image, masks.numpy()[::-1], colors=[DOG, CAT], alpha=0.3)
    np.testing.assert_array_equal(drawn, expected(tinted))


def test_instances_of_another_size_are_refused(image):
    with pytest.raises(ValueError, match=r"60 by 80.*30 by 40"):
        Visualizer().draw_instances(image, Instances((30, 40)))
    with pytest.raises(ValueError, match="GRAY2BGR"):
        Visualizer().draw_instances(image[..., 0], Instances((60, 80)))


def test_records_with_crowds_polygons_and_run_lengths(image):
    crowd = np.zeros((60, 80), np.uint8)
    crowd[20:55, 10:50] = 1
    run_lengths = mask_util.encode(np.asfortranarray(crowd))
    record = {
        "annotations": [
            {
                "bbox": [5, 20, 10, 10], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0,
                "segmentation": [[5, 20, 15, 20, 15, 30, 5, 30]],
            },
            {
                "bbox": [10, 20, 50, 55], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 1,
                "iscrowd": 1, "segmentation": run_lengths,
            },
        ]
    }  # fmt: skip
    drawn = Visualizer(NAMES).draw_record(image, record)
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 20:55, 10:50] = True
    masks[1, 20:30, 5:15] = True
    tinted = draw_masks(image, masks, colors=[DOG, CAT])
    np.testing.assert_array_equal(drawn, expected(tinted, ("dog (crowd)", "cat")))
    np.testing.assert_array_equal(Visualizer().draw_record(image, {"annotations": []}), image)


def test_samples_of_either_channel_order_look_the_same(image):
    planes = torch.from_numpy(image.transpose(2, 0, 1).copy())
    visualizer = Visualizer(NAMES)
    bgr = {"image": planes, "instances": ground_truth()}
    rgb = {"image": planes.flip(0).float(), "instances": ground_truth()}
    np.testing.assert_array_equal(visualizer.draw_sample(bgr), expected(image))
    np.testing.assert_array_equal(visualizer.draw_sample(rgb, "RGB"), expected(image))
    np.testing.assert_array_equal(visualizer.draw_sample({"image": planes}), image)
    with pytest.raises(ValueError, match="'HSV'"):
        visualizer.draw_sample(bgr, "HSV")


def test_small_pictures_are_enlarged_by_a_whole_factor(image):
    drawn = Visualizer(NAMES, min_side=150).draw_instances(image, ground_truth())
    assert drawn.shape == (180, 240, 3)
    assert tuple(drawn[100, 30]) == DOG, "the left side of the larger box, at 10 x 3"
    assert Visualizer(NAMES, min_side=60).draw_instances(image, ground_truth()).shape == (60, 80, 3)

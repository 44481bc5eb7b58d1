from __future__ import annotations

import pytest
import torch

from yolov7.d2 import BitMasks, Boxes, Instances, PolygonMasks
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import DatasetError


def instances(size: tuple[int, int], boxes: list[list[float]], labels: list[int]) -> Instances:
    return Instances(
        size,
        gt_boxes=Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        gt_classes=torch.tensor(labels, dtype=torch.int64),
    )


def test_images_are_packed_in_order() -> None:
    images = [
        instances((20, 30), [[1, 2, 3, 4], [5, 6, 7, 8]], [3, 1]),
        instances((10, 10), [], []),
        instances((40, 20), [[0, 0, 9, 9]], [0]),
    ]
    sizes = [(20, 30), (10, 10), (40, 20)]
    targets = Targets.from_instances(images, image_sizes=sizes, device="cpu")
    assert len(targets) == 3
    assert targets.num_images == 3
    assert targets.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 9, 9]]
    assert targets.labels.tolist() == [3, 1, 0]
    assert targets.image_index.tolist() == [0, 0, 2]
    assert targets.image_sizes.tolist() == [[20, 30], [10, 10], [40, 20]]
    assert targets.masks is None


@pytest.mark.parametrize("count", [0, 2])
def test_no_objects(count: int) -> None:
    images = [instances((8, 8), [], []) for _ in range(count)]
    targets = Targets.from_instances(images, image_sizes=[(8, 8)] * count, device="cpu")
    assert len(targets) == 0
    assert targets.num_images == count
    assert targets.boxes.shape == (0, 4)
    assert targets.labels.dtype == targets.image_index.dtype == torch.int64


def test_masks_are_packed_into_the_largest_frame_when_asked_for() -> None:
    small, large = instances((2, 3), [[0, 0, 1, 1]], [0]), instances((4, 4), [[0, 0, 2, 2]], [0])
    small.gt_masks = BitMasks(torch.tensor([[[1, 0, 1], [0, 1, 0]]], dtype=torch.bool))
    large.gt_masks = PolygonMasks([[[0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 0.0, 2.0]]])
    targets = Targets.from_instances(
        [small, large], image_sizes=[(2, 3), (4, 4)], device="cpu", with_masks=True
    )
    assert targets.masks.shape == (2, 4, 4)
    assert targets.masks[0].long().tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0] * 4, [0] * 4]
    assert targets.masks[1].long().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]


def test_boxes_and_masks_follow_their_image_in_the_frame() -> None:
    image = instances((2, 3), [[0, 0, 1, 2]], [0])
    image.gt_masks = BitMasks(torch.tensor([[[1, 0, 1], [0, 1, 0]]], dtype=torch.bool))
    targets = Targets.from_instances(
        [image],
        image_sizes=[(2, 3)],
        device="cpu",
        with_masks=True,
        frame=(4, 6),
        offsets=((2, 1),),
    )
    assert targets.boxes.tolist() == [[2, 1, 3, 3]]
    expected = [[0] * 6, [0, 0, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0], [0] * 6]
    assert targets.masks[0].long().tolist() == expected


def test_masks_that_are_asked_for_must_be_there() -> None:
    with pytest.raises(DatasetError, match=r"image 0 .* no gt_masks, which MODEL\.MASK_ON wants"):
        Targets.from_instances(
            [instances((8, 8), [[0, 0, 2, 4]], [0])],
            image_sizes=[(8, 8)],
            device="cpu",
            with_masks=True,
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_box_that_is_not_finite_is_named(value: float) -> None:
    images = [instances((8, 8), [], []), instances((8, 8), [[0, 0, value, 4]], [0])]
    with pytest.raises(DatasetError, match=r"image 1 of the batch has the box .*finite"):
        Targets.from_instances(images, image_sizes=[(8, 8)] * 2, device="cpu")


def test_as_many_sizes_as_images() -> None:
    with pytest.raises(ValueError, match="1 instances but 2 image sizes"):
        Targets.from_instances([instances((8, 8), [], [])], image_sizes=[(8, 8)] * 2, device="cpu")

"""A small data set on disk: every kind of record that training meets."""

from __future__ import annotations

import cv2
import numpy as np
import pycocotools.mask as coco_mask
import pytest

from yolov7.config import get_config
from yolov7.d2 import BoxMode

SIZES = ((48, 64), (64, 48), (60, 60), (30, 90), (50, 70), (40, 40))


def polygon_of(x0, y0, x1, y1):
    """An octagon that touches all four sides of a box."""
    third_x, third_y = (x1 - x0) / 3, (y1 - y0) / 3
    return [
        x0 + third_x, y0, x1 - third_x, y0, x1, y0 + third_y, x1, y1 - third_y,
        x1 - third_x, y1, x0 + third_x, y1, x0, y1 - third_y, x0, y0 + third_y,
    ]  # fmt: skip


def write_records(folder):
    """Six pictures with coloured octagons; the fifth has none, the sixth only a crowd."""
    rng = np.random.default_rng(0)
    records = []
    for index, (height, width) in enumerate(SIZES):
        image = rng.integers(90, 130, (height, width, 3), dtype=np.uint8)
        annotations = []
        for number in range(0 if index >= 4 else index + 2):
            box_width, box_height = rng.integers(9, 24, 2).tolist()
            x0 = int(rng.integers(0, width - box_width))
            y0 = int(rng.integers(0, height - box_height))
            polygon = polygon_of(x0, y0, x0 + box_width, y0 + box_height)
            color = rng.integers(0, 256, 3).tolist()
            cv2.fillPoly(image, [np.array(polygon).reshape(-1, 2).astype(np.int32)], color)
            segmentation = [polygon]
            if number % 2:
                run_lengths = coco_mask.frPyObjects([polygon], height, width)
                segmentation = coco_mask.merge(run_lengths)
            annotations.append(
                {
                    "bbox": [x0, y0, box_width, box_height],
                    "bbox_mode": BoxMode.XYWH_ABS,
                    "category_id": number % 3,
                    "iscrowd": 0,
                    "segmentation": segmentation,
                }
            )
        if index == 5:
            annotations.append(
                {
                    "bbox": [1, 2, 30, 20],
                    "bbox_mode": BoxMode.XYWH_ABS,
                    "category_id": 0,
                    "iscrowd": 1,
                }
            )
        file = folder / f"{index}.png"
        cv2.imwrite(str(file), image)
        records.append(
            {
                "file_name": str(file), "height": height, "width": width, "image_id": 10 + index,
                "annotations": annotations,
            }
        )  # fmt: skip
    return records


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def cfg():
    """A small mosaic with everything on."""
    cfg = get_config()
    cfg.INPUT.INPUT_SIZE = [64, 96]
    cfg.INPUT.HSV_SHIFT.ENABLED = True
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = True
    cfg.INPUT.MOSAIC_AND_MIXUP.SCALE = [0.5, 1.5]
    cfg.MODEL.MASK_ON = True
    cfg.SOLVER.MAX_ITER = 100
    cfg.SOLVER.LAST_PHASE_ITERS = 40
    return cfg


@pytest.fixture(scope="session")
def assert_consistent():
    return _assert_consistent


def _assert_consistent(sample, size):
    """Boxes inside the picture, at least a pixel wide, and masks inside them (± 1 pixel)."""
    instances = sample["instances"]
    assert sample["image"].shape == (3, *size)
    boxes = instances.gt_boxes.tensor.numpy()
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= size[::-1]).all()
    assert (boxes[:, 2:] - boxes[:, :2] > 1).all()
    for box, mask in zip(boxes, instances.gt_masks.tensor.numpy(), strict=True):
        rows, columns = np.nonzero(mask)
        assert (box[:2] - 1 <= [columns.min(), rows.min()]).all()
        assert (box[2:] + 1 >= [columns.max() + 1, rows.max() + 1]).all()

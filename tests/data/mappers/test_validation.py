"""Samples for the validation loss: ground truth, and nothing random."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from yolov7.config import get_config
from yolov7.d2 import BoxMode
from yolov7.data.mappers import build_validation_mapper


def test_fits_pads_and_keeps_the_objects(tmp_path):
    """A picture of 40x20 into 64x64: twice its size, at the top left, the rest grey."""
    picture = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    cfg = get_config()
    cfg.INPUT.INPUT_SIZE = [64, 64]
    cfg.INPUT.HSV_SHIFT.ENABLED = True
    cfg.INPUT.RANDOM_AFFINE.ENABLED = True
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = True
    crowd = {"bbox": [0, 0, 9, 9], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": 1}
    single = {"bbox": [10, 5, 30, 15], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 1}
    record = {
        "file_name": str(tmp_path / "a.png"), "height": 20, "width": 40, "image_id": 1,
        "annotations": [crowd, single],
    }  # fmt: skip
    mapper = build_validation_mapper(cfg)
    state = torch.get_rng_state()
    sample = mapper(record)
    scale = 64 / 40
    assert sample["image"].shape == (3, 64, 64)
    assert (sample["image"][:, 32:] == 114).all()
    expected = cv2.resize(picture, (64, 32), interpolation=cv2.INTER_LINEAR)
    assert torch.equal(sample["image"][:, :32], torch.from_numpy(expected).permute(2, 0, 1))
    boxes = sample["instances"].gt_boxes.tensor
    torch.testing.assert_close(boxes, torch.tensor([[10.0, 5.0, 30.0, 15.0]]) * scale)
    assert sample["instances"].gt_classes.tolist() == [1]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(mapper(record)["image"], sample["image"])

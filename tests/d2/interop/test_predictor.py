"""Our detectors in detectron2's DefaultPredictor."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from yolov7.checkpoint import save_checkpoint
from yolov7.d2 import Boxes, Instances
from yolov7.modeling import build_detector

pytestmark = pytest.mark.detectron2


def test_predicts_in_pixels_of_the_picture(detectron2, documented, make_config, tmp_path):
    cfg = make_config("MODEL.YOLO.CONF_THRESHOLD", 0.0, "INPUT.FORMAT", "RGB")
    cfg.MODEL.WEIGHTS = str(tmp_path / "weights.pth")
    torch.manual_seed(0)
    model = build_detector(cfg).eval()
    save_checkpoint(cfg.MODEL.WEIGHTS, {"model": model.state_dict()})
    picture = np.random.default_rng(0).integers(0, 255, (32, 48, 3)).astype(np.uint8)
    found = documented("DefaultPredictor")["detect"](cfg, picture)
    assert type(found) is Instances is detectron2.structures.Instances
    assert type(found.pred_boxes) is Boxes
    assert found.image_size == (32, 48) and len(found) > 0

    # By hand: the predictor doubles the picture with PIL and passes float32.
    resize = detectron2.data.transforms.ResizeShortestEdge([64, 64], 96)
    rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    doubled = resize.get_transform(rgb).apply_image(rgb)
    assert doubled.shape == (64, 96, 3)
    image = torch.from_numpy(doubled.astype(np.float32).transpose(2, 0, 1))
    with torch.no_grad():
        (plain,) = model([{"image": image}])
        (as_bytes,) = model([{"image": image.to(torch.uint8)}])
    assert plain["instances"].image_size == (64, 96)
    torch.testing.assert_close(plain["instances"].scores, found.scores)
    torch.testing.assert_close(plain["instances"].pred_boxes.tensor / 2, found.pred_boxes.tensor)
    assert torch.equal(plain["instances"].scores, as_bytes["instances"].scores)

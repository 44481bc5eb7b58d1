"""A model as a function of pictures: the same answers as evaluation gives, in original pixels."""

from __future__ import annotations

import copy
import logging

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from yolov7.checkpoint import save_checkpoint
from yolov7.config import get_config
from yolov7.data.mappers import build_test_mapper
from yolov7.engine.class_list import ClassList
from yolov7.engine.predictor import Predictor
from yolov7.layers import PackedConv
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError, WeightsError

CLASSES = {"names": ["a", "b", "c"], "category_ids": [4, 5, 6]}


def tiny_config():
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE = "YOLOX"
    cfg.MODEL.BACKBONE.NAME = "CSPDarknet"
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    cfg.MODEL.YOLO.CLASSES = 3
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.YOLO.CONF_THRESHOLD = 1e-5
    cfg.INPUT.INPUT_SIZE = [64, 64]
    return cfg


def tiny_model(cfg, seed=0) -> nn.Module:
    torch.manual_seed(seed)
    model = build_detector(cfg)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    cfg = tiny_config()
    path = tmp_path_factory.mktemp("weights") / "model.pth"
    model = tiny_model(cfg)
    save_checkpoint(path, {"model": model.state_dict(), "classes": CLASSES})
    cfg.MODEL.WEIGHTS = str(path)
    return cfg


@pytest.fixture(scope="module")
def predictor(cfg):
    return Predictor.from_config(cfg)


@pytest.fixture(autouse=True)
def messages_reach_caplog(monkeypatch):
    monkeypatch.setattr(logging.getLogger("yolov7"), "propagate", True)


def picture(seed, height, width):
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def same(a, b, tolerance=0.0):
    assert a.image_size == b.image_size and len(a) == len(b)
    torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor, rtol=0, atol=tolerance)
    torch.testing.assert_close(a.scores, b.scores, rtol=0, atol=tolerance)
    assert a.pred_classes.tolist() == b.pred_classes.tolist()


def test_equals_the_model_as_evaluation_runs_it(cfg, predictor, tmp_path):
    """The fused model on an array, against the plain one on a sample of the test mapper."""
    image = picture(1, 90, 130)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    sample = build_test_mapper(cfg)({"file_name": str(tmp_path / "a.png"), "image_id": 1})
    with torch.no_grad():
        expected = tiny_model(cfg).eval()([sample])[0]["instances"]
    found = predictor([image])[0]
    assert found.image_size == (90, 130) and len(found) == len(expected) > 10
    best, reference = found.scores.argmax(), expected.scores.argmax()
    torch.testing.assert_close(
        found.pred_boxes.tensor[best], expected.pred_boxes.tensor[reference], rtol=0, atol=1e-3
    )
    torch.testing.assert_close(
        found.scores.sort().values, expected.scores.sort().values, rtol=1e-4, atol=1e-7
    )


def test_a_batch_is_its_pictures_one_by_one_in_order(predictor):
    images = [picture(1, 40, 60), picture(2, 64, 30), picture(3, 40, 60), picture(4, 500, 700)]
    together = predictor(images)
    for image, found in zip(images, together, strict=True):
        same(found, predictor([image])[0], tolerance=1e-4)
    assert [found.image_size for found in together] == [(40, 60), (64, 30), (40, 60), (500, 700)]
    assert predictor([]) == []


def test_the_threshold_overrides_the_configs(cfg, predictor):
    image = picture(5, 64, 64)
    everything = predictor([image])[0]
    threshold = everything.scores.median().item()
    before = copy.deepcopy(cfg)
    found = Predictor.from_config(cfg, confidence_threshold=threshold)([image])[0]
    assert 0 < len(found) < len(everything) and found.scores.min() >= threshold
    assert cfg == before
    with pytest.raises(ConfigError, match=r"\[0, 1\], got 30"):
        Predictor.from_config(cfg, confidence_threshold=30)


def test_several_views_when_the_config_says_so(cfg, predictor):
    """From the config to the detections of the reparameterised model's views."""
    changed = cfg.clone()
    changed.TEST.AUG.ENABLED, changed.TEST.AUG.VIEWS = True, [[1.0, "horizontal"]]
    flipped = Predictor.from_config(changed)
    assert not [m for m in flipped.model.modules() if isinstance(m, nn.BatchNorm2d)]
    # As large as the network's input, so that nothing but the flip is between the two.
    image = picture(9, 64, 64)
    (found,) = flipped([image])
    (expected,) = predictor([np.ascontiguousarray(image[:, ::-1])])
    assert len(found) == len(expected) > 10
    mirrored = 64 - expected.pred_boxes.tensor[:, [2, 1, 0, 3]]
    mirrored[:, 1::2] = expected.pred_boxes.tensor[:, 1::2]
    torch.testing.assert_close(found.scores, expected.scores)
    torch.testing.assert_close(found.pred_boxes.tensor, mirrored, rtol=0, atol=1e-3)


def test_a_box_has_one_class_here(cfg, predictor):
    changed = cfg.clone()
    changed.MODEL.CLASSES_PER_BOX = "every"
    image = picture(10, 64, 64)
    same(Predictor.from_config(changed)([image])[0], predictor([image])[0])


def test_conv_and_norm_are_fused_and_packed_in_a_copy(cfg):
    model = tiny_model(cfg)
    model.train()
    predictor = Predictor(
        model, mapper=build_test_mapper(cfg), classes=ClassList.from_state_dict(CLASSES)
    )
    norms = [m for m in predictor.model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not norms and not predictor.model.training
    assert sum(isinstance(m, PackedConv) for m in predictor.model.modules()) > 40
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert not any(isinstance(m, PackedConv) for m in model.modules())


def test_averaged_weights_are_preferred_and_it_is_said(cfg, tmp_path, caplog):
    other = tiny_model(cfg, seed=1)
    both = {
        "model": tiny_model(cfg).state_dict(),
        "ema": {"model": other.state_dict(), "updates": 5},
        "classes": CLASSES,
    }
    save_checkpoint(tmp_path / "both.pth", both)
    changed = cfg.clone()
    changed.MODEL.WEIGHTS = str(tmp_path / "both.pth")
    with caplog.at_level(logging.INFO):
        predictor = Predictor.from_config(changed)
    assert "'ema'" in caplog.text
    image = picture(6, 64, 64)
    expected = Predictor(other, mapper=build_test_mapper(cfg), classes=predictor.classes)
    same(predictor([image])[0], expected([image])[0])


def test_the_channel_order_is_the_models(cfg, predictor):
    mapper = build_test_mapper(cfg)
    mapper.image_format = "RGB"
    rgb = Predictor(tiny_model(cfg), mapper=mapper, classes=predictor.classes)
    image = picture(7, 50, 64)
    same(rgb([image])[0], predictor([np.ascontiguousarray(image[:, :, ::-1])])[0])


def test_channels_last_gives_the_same(cfg, predictor):
    changed = cfg.clone()
    changed.MODEL.MEMORY_FORMAT = "channels_last"
    last = Predictor.from_config(changed)
    weights = [p for p in last.model.parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    image = picture(8, 64, 64)
    a, b = last([image])[0].scores, predictor([image])[0].scores
    torch.testing.assert_close(a.sort().values, b.sort().values, rtol=1e-4, atol=1e-7)


def test_no_weights(cfg):
    changed = cfg.clone()
    changed.MODEL.WEIGHTS = ""
    with pytest.raises(ConfigError, match=r"MODEL\.WEIGHTS is empty"):
        Predictor.from_config(changed)


def test_weights_of_another_number_of_classes(cfg):
    changed = cfg.clone()
    changed.MODEL.YOLO.CLASSES = 4
    with pytest.raises(ConfigError, match="CLASSES is 4, but the checkpoint has 3 classes: a, b"):
        Predictor.from_config(changed)
    state = torch.load(cfg.MODEL.WEIGHTS, weights_only=True)
    path = cfg.MODEL.WEIGHTS.replace("model.pth", "other.pth")
    four = {"names": list("abcd"), "category_ids": [1, 2, 3, 4]}
    save_checkpoint(path, {"model": state["model"], "classes": four})
    changed.MODEL.WEIGHTS = path
    with pytest.raises(WeightsError, match=r"other\.pth does not fit.*MODEL\.YOLO\.CLASSES"):
        Predictor.from_config(changed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there(cfg):
    changed = cfg.clone()
    changed.MODEL.DEVICE = "cuda"
    with pytest.raises(ConfigError, match=r"MODEL\.DEVICE cpu"):
        Predictor.from_config(changed)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_arrays_that_are_no_pictures(predictor, image):
    with pytest.raises(ValueError, match=r"\(height, width, 3\) uint8"):
        predictor([image])

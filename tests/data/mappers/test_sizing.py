"""How the config says what sizes pictures get."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolov7.config import changed_but_not_honoured, get_config
from yolov7.data.augmentation import ResizeOrCrop
from yolov7.data.mappers import (
    build_test_mapper,
    build_train_mapper,
    build_validation_mapper,
)
from yolov7.data.mappers.sizing import build_sizing
from yolov7.utils.errors import ConfigError


@pytest.fixture
def short_cfg(cfg):
    cfg.INPUT.RESIZE = "short_side"
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    cfg.INPUT.HSV_SHIFT.ENABLED = False
    cfg.INPUT.MULTI_SCALE.ENABLED = False
    cfg.INPUT.RANDOM_AFFINE.ENABLED = False
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = (40, 50, 60), 90
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 72, 120
    cfg.INPUT.MIN_BOX_SIDE = 0.0
    return cfg


def test_test_pictures_have_the_asked_short_side(short_cfg, records) -> None:
    mapper = build_test_mapper(short_cfg)
    assert mapper(records[0])["image"].shape == (3, 72, 96)  # 48x64
    assert mapper(records[3])["image"].shape == (3, 40, 120)  # 30x90 would be 72x216
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert mapper.resize(image).shape == (72, 96, 3)
    assert torch.equal(mapper(records[0])["image"], mapper(records[0])["image"])


def test_validation_pictures_are_test_pictures_with_objects(short_cfg, records) -> None:
    sample = build_validation_mapper(short_cfg)(records[0])
    assert torch.equal(sample["image"], build_test_mapper(short_cfg)(records[0])["image"])
    x, y, width, height = records[0]["annotations"][0]["bbox"]
    expected = np.array([x, y, x + width, y + height]) * 1.5
    np.testing.assert_allclose(sample["instances"].gt_boxes.tensor[0], expected, rtol=1e-6)


@given(position=st.integers(0, 2**31))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_training_pictures_are_not_padded_and_a_function_of_their_dice(
    short_cfg, records, position
) -> None:
    short_cfg.INPUT.RESIZE_OR_CROP.ENABLED = True
    short_cfg.INPUT.RESIZE_OR_CROP.MIN_SIZES = [40, 50]
    short_cfg.INPUT.RESIZE_OR_CROP.CROP_SIZE = [20, 50]
    short_cfg.INPUT.RANDOM_FLIP = "horizontal"
    mapper = build_train_mapper(short_cfg, records, seed=0)
    first, second = (mapper(records[0], np.random.default_rng(position)) for _ in range(2))
    assert torch.equal(first["image"], second["image"])
    height, width = first["image"].shape[1:]
    assert min(height, width) in (40, 50, 60) or max(height, width) <= 91
    instances = first["instances"]
    assert instances.image_size == (height, width)
    assert instances.gt_masks.tensor.shape == (len(instances), height, width)
    boxes = instances.gt_boxes.tensor
    assert torch.equal(boxes, second["instances"].gt_boxes.tensor)
    assert ((boxes[:, 2:] > boxes[:, :2]).all() and (boxes >= 0).all()).item()
    assert (boxes <= torch.tensor([width, height] * 2)).all()


def test_flips_come_after_and_nothing_pads(short_cfg, records) -> None:
    short_cfg.INPUT.RANDOM_FLIP = "horizontal"
    policies = build_train_mapper(short_cfg, records, seed=0).augmentations
    kinds = [type(policy).__name__ for policy in policies]
    assert kinds == ["ResizeShortSide", "RandomHorizontalFlip"]
    short_cfg.INPUT.RESIZE_OR_CROP.ENABLED = True
    policy = build_train_mapper(short_cfg, records, seed=0).augmentations[0]
    assert isinstance(policy, ResizeOrCrop)
    assert (policy.crop, policy.probability) == ((384, 600), 0.5)
    assert policy.before_crop.short_sides == (400, 500, 600)
    assert policy.before_crop.longest is None
    assert (policy.resize.short_sides, policy.resize.longest) == ((40, 50, 60), 90)


def test_every_length_between_two(short_cfg) -> None:
    short_cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING, short_cfg.INPUT.MIN_SIZE_TRAIN = "range", (40, 43)
    (policy,) = build_sizing(short_cfg).training
    assert policy.short_sides == (40, 41, 42, 43)
    short_cfg.INPUT.MIN_SIZE_TRAIN = (40,)
    with pytest.raises(ConfigError, match="MIN_SIZE_TRAIN"):
        build_sizing(short_cfg)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RESIZE": "shortest"}, r"INPUT.RESIZE.*'shortest'.*short_side"),
        ({"RANDOM_AFFINE.ENABLED": True}, "INPUT.RANDOM_AFFINE.*short_side"),
        ({"MULTI_SCALE.ENABLED": True}, "INPUT.MULTI_SCALE.*short_side"),
        ({"RESIZE": "fit", "RESIZE_OR_CROP.ENABLED": True}, "RESIZE_OR_CROP.*fit"),
        ({"MIN_SIZE_TEST": 0}, r"MIN_SIZE_TEST.*\[0\]"),
        ({"MIN_SIZE_TRAIN": ()}, r"MIN_SIZE_TRAIN.*\[\]"),
        ({"MIN_SIZE_TRAIN_SAMPLING": "any"}, r"MIN_SIZE_TRAIN_SAMPLING.*'any'"),
        (
            {"RESIZE_OR_CROP.ENABLED": True, "RESIZE_OR_CROP.CROP_SIZE": [401, 600]},
            r"CROP_SIZE \[401, 600\], MIN_SIZES \[400, 500, 600\]",
        ),
    ],
)
def test_what_does_not_go_together_is_named(short_cfg, changes, message) -> None:
    for name, value in changes.items():
        node = short_cfg.INPUT
        *sections, key = name.split(".")
        for section in sections:
            node = node[section]
        node[key] = value
    with pytest.raises(ConfigError, match=message):
        build_sizing(short_cfg)


def test_detectron2s_keys_count_with_the_short_side_only() -> None:
    cfg = get_config()
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TRAIN = 600, 1000
    assert changed_but_not_honoured(cfg) == ["INPUT.MAX_SIZE_TRAIN", "INPUT.MIN_SIZE_TEST"]
    cfg.INPUT.RESIZE = "short_side"
    assert changed_but_not_honoured(cfg) == []


def test_stretched_pictures_have_the_size_in_training_and_evaluation(cfg, records) -> None:
    cfg.INPUT.RESIZE, cfg.INPUT.INPUT_SIZE = "stretch", [40, 72]
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = cfg.INPUT.RANDOM_AFFINE.ENABLED = False
    assert build_test_mapper(cfg)(records[3])["image"].shape == (3, 40, 72)
    train = build_train_mapper(cfg, records, seed=0)
    assert train(records[3], np.random.default_rng(0))["image"].shape == (3, 40, 72)
    sample = build_validation_mapper(cfg)(records[0])
    x, y, width, height = records[0]["annotations"][0]["bbox"]  # of a picture of 48x64
    expected = np.array([x, y, x + width, y + height]) * np.tile([72 / 64, 40 / 48], 2)
    np.testing.assert_allclose(sample["instances"].gt_boxes.tensor[0], expected, rtol=1e-6)


@pytest.mark.parametrize("section", ["RANDOM_AFFINE", "RESIZE_OR_CROP"])
def test_what_does_not_go_with_stretching(cfg, section) -> None:
    cfg.INPUT.RESIZE = "stretch"
    cfg.INPUT.RANDOM_AFFINE.ENABLED = cfg.INPUT.RESIZE_OR_CROP.ENABLED = False
    cfg.INPUT[section].ENABLED = True
    with pytest.raises(ConfigError, match=rf"INPUT\.{section} .* INPUT\.RESIZE is \"stretch\""):
        build_sizing(cfg)

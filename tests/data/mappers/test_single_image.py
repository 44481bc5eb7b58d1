"""Mappers of one picture."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolov7.data.augmentation import HorizontalFlip
from yolov7.data.mappers import TestMapper, TrainMapper, build_test_mapper, build_train_mapper
from yolov7.data.samplers import SampleKey
from yolov7.utils.errors import ConfigError, ImageError


def key(iteration=0, position=0, size=None):
    return SampleKey(iteration=iteration, epoch=0, position=position, index=0, size=size)


@pytest.fixture
def plain_cfg(cfg):
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    cfg.INPUT.HSV_SHIFT.ENABLED = False
    cfg.INPUT.RANDOM_FLIP = "none"
    return cfg


def test_a_test_sample_is_resized_but_not_padded(plain_cfg, records):
    sample = build_test_mapper(plain_cfg)(records[3])  # 30x90 into 64x96
    expected = cv2.resize(cv2.imread(records[3]["file_name"]), (96, 32))
    assert torch.equal(sample["image"], torch.from_numpy(expected.transpose(2, 0, 1).copy()))
    assert (sample["height"], sample["width"], sample["image_id"]) == (30, 90, 13)
    assert sample["file_name"] == records[3]["file_name"] == sample["sources"][0]
    assert "instances" not in sample


def test_a_training_sample_is_padded_at_the_right_and_bottom(plain_cfg, records):
    kept = copy.deepcopy(records[0])
    sample = build_train_mapper(plain_cfg, records, seed=0)(records[0], np.random.default_rng(0))
    assert records[0] == kept
    image = sample["image"]
    assert image.dtype == torch.uint8 and image.shape == (3, 64, 96) and image.is_contiguous()
    resized = cv2.resize(cv2.imread(records[0]["file_name"]), (85, 64))
    assert np.array_equal(image[:, :, :85].permute(1, 2, 0).numpy(), resized)
    assert (image[:, :, 85:] == 114).all()
    instances = sample["instances"]
    assert instances.image_size == (64, 96)
    x, y, w, h = records[0]["annotations"][0]["bbox"]
    ratio = np.array([85 / 64, 64 / 48] * 2)
    np.testing.assert_allclose(
        instances.gt_boxes.tensor[0], np.array([x, y, x + w, y + h]) * ratio, rtol=1e-6
    )
    assert instances.gt_classes.dtype == torch.int64
    assert instances.gt_masks.tensor.shape == (2, 64, 96)
    assert (sample["height"], sample["width"]) == (48, 64)


def test_the_key_gives_the_size(plain_cfg, records):
    mapper = build_train_mapper(plain_cfg, records, seed=0)
    sample = mapper(records[0], np.random.default_rng(0), key(size=(32, 40)))
    assert sample["image"].shape == (3, 32, 40)
    assert sample["instances"].image_size == (32, 40)


def test_rgb_is_bgr_reversed_with_the_same_draws(plain_cfg, records):
    plain_cfg.INPUT.HSV_SHIFT.ENABLED = True
    images = []
    for image_format in ("BGR", "RGB"):
        plain_cfg.INPUT.FORMAT = image_format
        mapper = build_train_mapper(plain_cfg, records, seed=0)
        images.append(mapper(records[1], np.random.default_rng(2))["image"])
        mapper = build_test_mapper(plain_cfg)
        images.append(mapper(records[1])["image"])
    assert torch.equal(images[0], images[2].flip(0))
    assert torch.equal(images[1], images[3].flip(0))


@pytest.mark.parametrize("number", [4, 5])
def test_pictures_without_objects_or_with_crowds_alone_are_ordinary(cfg, records, number):
    cfg.INPUT.RANDOM_AFFINE.ENABLED = True
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    sample = build_train_mapper(cfg, records, seed=0)(records[number], np.random.default_rng(0))
    assert len(sample["instances"]) == 0
    assert sample["instances"].gt_masks.tensor.shape == (0, 64, 96)


def test_bad_pictures_name_their_file(plain_cfg, records, tmp_path):
    mapper = build_train_mapper(plain_cfg, records, seed=0)
    missing = {**records[0], "file_name": str(tmp_path / "missing.jpg")}
    damaged = {**records[0], "file_name": str(tmp_path / "damaged.jpg")}
    (tmp_path / "damaged.jpg").write_bytes(b"no picture")
    for bad in (missing, damaged, {**records[0], "height": 99}):
        for make in (lambda r: mapper(r, np.random.default_rng(0)), build_test_mapper(plain_cfg)):
            with pytest.raises(ImageError, match=bad["file_name"]):
                make(bad)


def test_an_unknown_flip_is_an_error_with_a_suggestion(plain_cfg, records):
    plain_cfg.INPUT.RANDOM_FLIP = "horizontally"
    with pytest.raises(ConfigError, match=r"RANDOM_FLIP is 'horizontally'.*'horizontal'"):
        build_train_mapper(plain_cfg, records, seed=0)


def test_a_transform_may_stand_among_the_augmentations(records):
    mapper = TrainMapper(augmentations=[HorizontalFlip(64)], input_size=(48, 64), with_masks=True)
    sample = mapper(records[0], np.random.default_rng(0))
    expected = cv2.imread(records[0]["file_name"])[:, ::-1]
    assert np.array_equal(sample["image"].permute(1, 2, 0).numpy(), expected)


def test_samples_depend_on_the_key_or_on_pytorch_s_seed(cfg, records):
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    cfg.INPUT.RANDOM_AFFINE.ENABLED = True
    mapper = build_train_mapper(cfg, records, seed=3)

    def image(**arguments):
        return mapper(records[0], **arguments)["image"]

    assert torch.equal(image(key=key(position=5)), image(key=key(position=5)))
    assert not torch.equal(image(key=key(position=5)), image(key=key(position=6)))
    torch.manual_seed(0)
    first, second = image(), image()
    torch.manual_seed(0)
    assert torch.equal(image(), first)
    assert not torch.equal(first, second)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(16, 100),
    width=st.integers(16, 100),
)
def test_boxes_stay_inside_and_masks_inside_their_boxes(
    cfg, records, assert_consistent, number, seed, height, width
):
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    affine = cfg.INPUT.RANDOM_AFFINE
    affine.ENABLED, affine.DEGREES, affine.SHEAR, affine.PERSPECTIVE = True, 45.0, 10.0, 0.002
    mapper = build_train_mapper(cfg, records, seed=0)
    sample = mapper(records[number], np.random.default_rng(seed), key(size=(height, width)))
    assert_consistent(sample, (height, width))


def test_the_test_mapper_resizes_any_picture():
    resized = TestMapper(input_size=(64, 64)).resize(np.zeros((10, 40, 3), np.uint8))
    assert resized.shape == (16, 64, 3)

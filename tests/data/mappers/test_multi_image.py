"""Mosaic and MixUp as samples."""

from __future__ import annotations

import copy
import random

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolov7.d2 import BoxMode
from yolov7.data.dataset import SharedRecords
from yolov7.data.mappers import MosaicMapper, TrainMapper, build_train_mapper
from yolov7.data.mappers.mixup import MosaicMixUp
from yolov7.data.mappers.paste_in import PasteIn
from yolov7.data.samplers import SampleKey
from yolov7.utils.errors import ImageError


def key(iteration=0, position=0, size=None):
    return SampleKey(iteration=iteration, epoch=0, position=position, index=0, size=size)


def content(sample):
    """All bytes of a sample that training sees."""
    instances = sample["instances"]
    return (
        sample["image"].numpy().tobytes(),
        instances.gt_boxes.tensor.numpy().tobytes(),
        instances.gt_classes.tolist(),
        instances.gt_masks.tensor.numpy().tobytes(),
        sample["sources"],
    )


def test_a_mosaic_describes_what_is_in_it(cfg, records):
    kept = copy.deepcopy(records)
    mapper = build_train_mapper(cfg, records, seed=0)
    assert isinstance(mapper, MosaicMapper)
    for seed in range(10):
        sample = mapper(records[2], np.random.default_rng(seed))
        assert sample["image"].shape == (3, 64, 96) and sample["image"].dtype == torch.uint8
        assert (sample["height"], sample["width"], sample["image_id"]) == (60, 60, 12)
        assert sample["file_name"] == records[2]["file_name"]
        assert 1 <= len(sample["sources"]) <= 5
        assert set(sample["sources"]) <= {record["file_name"] for record in records}
    assert records == kept


@pytest.mark.parametrize(
    ("when", "is_mosaic"), [(0, True), (59, True), (60, False), (99, False), (None, True)]
)
def test_the_last_phase_begins_with_its_first_iteration(cfg, records, when, is_mosaic):
    """MAX_ITER 100, LAST_PHASE_ITERS 40. Without a key (detectron2's loader): always on."""
    cfg.INPUT.MOSAIC_AND_MIXUP.SCALE = [0.5, 0.6]
    mapper = build_train_mapper(cfg, records, seed=0)
    for seed in range(5):
        made = mapper(
            records[0], np.random.default_rng(seed), None if when is None else key(iteration=when)
        )
        assert (len(made["sources"]) > 1) is is_mosaic


def test_in_the_last_phase_samples_are_those_of_the_single_mapper(cfg, records):
    mapper, single = build_train_mapper(cfg, records, seed=0), TrainMapper(cfg)
    ours = mapper(records[0], np.random.default_rng(4), key(iteration=60))
    assert content(ours) == content(single(records[0], np.random.default_rng(4), key()))


def test_the_probability_of_a_mosaic(cfg, records):
    cfg.MODEL.MASK_ON = False
    cfg.INPUT.MOSAIC_AND_MIXUP.PROBABILITY = 0.25
    cfg.INPUT.MOSAIC_AND_MIXUP.SCALE = [0.5, 0.6]
    mapper = build_train_mapper(cfg, records, seed=0)
    samples = [mapper(records[0], np.random.default_rng(seed)) for seed in range(200)]
    assert 32 < sum(len(sample["sources"]) > 1 for sample in samples) < 68


def test_the_key_decides_everything(cfg, records):
    in_list = build_train_mapper(cfg, records, seed=5)
    shared = build_train_mapper(cfg, SharedRecords(records), seed=5)
    first = content(in_list(records[0], key=key(position=3)))
    in_list(records[1], key=key(position=9))
    assert content(in_list(records[0], key=key(position=3))) == first
    assert content(shared(records[0], key=key(position=3))) == first
    assert content(in_list(records[0], key=key(position=4))) != first
    assert (
        content(build_train_mapper(cfg, records, seed=6)(records[0], key=key(position=3))) != first
    )


def test_no_global_generator_is_touched(cfg, records):
    mapper = build_train_mapper(cfg, records, seed=0)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    for seed in range(5):
        mapper(records[0], np.random.default_rng(seed), key())
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


def test_the_key_gives_the_size(cfg, records):
    mapper = build_train_mapper(cfg, records, seed=0)
    sample = mapper(records[0], np.random.default_rng(0), key(size=(40, 32)))
    assert sample["image"].shape == (3, 40, 32)
    assert sample["instances"].gt_masks.tensor.shape[1:] == (40, 32)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
    low=st.floats(0.1, 2),
    perspective=st.sampled_from([0.0, 0.002]),
)
def test_boxes_stay_inside_and_masks_inside_their_boxes(
    cfg, records, assert_consistent, number, seed, low, perspective
):
    cfg.INPUT.MOSAIC_AND_MIXUP.SCALE = [low, low + 0.1]
    cfg.INPUT.MOSAIC_AND_MIXUP.PERSPECTIVE = perspective
    mapper = build_train_mapper(cfg, records, seed=0)
    sample = mapper(records[number], np.random.default_rng(seed))
    assert_consistent(sample, (64, 96))


YOLOV7_MOSAICS = [
    "NUM_IMAGES_MIXTURE", [[4, 0.5], [9, 0.5]], "WARP_ABOUT", "center", "DEGREES", 0.0,
    "SHEAR", 0.0, "MIXUP_WITH", "mosaic", "MIXUP_PROBABILITY", 0.5, "PASTE_IN_PROBABILITY", 0.7,
]  # fmt: skip


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(number=st.integers(0, 5), seed=st.integers(0, 2**32 - 1), low=st.floats(0.1, 2))
def test_all_of_yolov7_s_steps_give_consistent_samples(
    cfg, records, assert_consistent, number, seed, low
):
    cfg.INPUT.HSV_SHIFT.ENABLED, cfg.INPUT.HSV_GAIN.ENABLED = False, True
    cfg.INPUT.MOSAIC_AND_MIXUP.merge_from_list([*YOLOV7_MOSAICS, "SCALE", [low, low + 0.1]])
    mapper = build_train_mapper(cfg, records, seed=0)
    sample = mapper(records[number], np.random.default_rng(seed))
    assert_consistent(sample, (64, 96))
    assert content(mapper(records[number], np.random.default_rng(seed))) == content(sample)


def test_the_key_decides_all_of_yolov7_s_steps(cfg, records):
    cfg.INPUT.MOSAIC_AND_MIXUP.merge_from_list(YOLOV7_MOSAICS)
    mapper = build_train_mapper(cfg, SharedRecords(records), seed=5)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    forwards = [content(mapper(records[0], key=key(position=place))) for place in range(12)]
    again = build_train_mapper(cfg, records, seed=5)
    backwards = [
        content(again(records[0], key=key(iteration=7, position=place)))
        for place in reversed(range(12))
    ]
    assert forwards == backwards[::-1]
    assert len({sample[0] for sample in forwards}) == 12
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


def test_steps_follow_the_mosaic_in_their_order(cfg, records):
    cfg.INPUT.MOSAIC_AND_MIXUP.merge_from_list(YOLOV7_MOSAICS)
    mapper = build_train_mapper(cfg, records, seed=0)
    assert [type(step) for step in mapper.steps] == [MosaicMixUp, PasteIn]


@pytest.mark.parametrize("degrees", [0.0, 15.0])
def test_masks_and_boxes_lie_on_the_objects(cfg, tmp_path, degrees):
    """A white rectangle on black: after warp and flip, white is where the masks say."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:50, 10:60] = 255
    file = tmp_path / "white.png"
    cv2.imwrite(str(file), image)
    annotation = {
        "bbox": [10, 20, 60, 50], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0,
        "segmentation": [[10, 20, 60, 20, 60, 50, 10, 50]],
    }  # fmt: skip
    record = {
        "file_name": str(file), "height": 60, "width": 80, "image_id": 0,
        "annotations": [annotation],
    }  # fmt: skip
    cfg.INPUT.INPUT_SIZE = [128, 160]
    cfg.INPUT.HSV_SHIFT.ENABLED = False
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLE_MIXUP = False
    cfg.INPUT.MOSAIC_AND_MIXUP.DEGREES = degrees
    cfg.INPUT.MOSAIC_AND_MIXUP.SHEAR = 0.0
    mapper = build_train_mapper(cfg, [record], seed=0)
    seen = 0
    for seed in range(12):
        sample = mapper(record, np.random.default_rng(seed))
        white = sample["image"][0].numpy() > 185  # above the mean of white and border
        covered = sample["instances"].gt_masks.tensor.any(dim=0).numpy()
        assert (white != covered).mean() < 0.02
        rows, columns = np.nonzero(white)
        boxes = sample["instances"].gt_boxes.tensor.numpy()
        if len(boxes):
            hull = [*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)]
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            outside = np.subtract(hull, found) * [1, 1, -1, -1]
            assert (outside < 3).all()
            if degrees == 0:  # else the hull of the turned box, which may reach further
                assert (outside > -3).all()
        seen += covered.any()
    assert seen >= 10


def test_masks_change_neither_picture_nor_boxes(cfg, records):
    cfg.INPUT.MIN_BOX_SIDE = 6.0  # so large that no object loses all its pixels
    with_masks = build_train_mapper(cfg, records, seed=0)
    cfg.MODEL.MASK_ON = False
    without = build_train_mapper(cfg, records, seed=0)
    for seed in range(20):
        first = with_masks(records[0], np.random.default_rng(seed))
        second = without(records[0], np.random.default_rng(seed))
        assert torch.equal(first["image"], second["image"])
        assert torch.equal(first["instances"].gt_boxes.tensor, second["instances"].gt_boxes.tensor)
        assert not second["instances"].has("gt_masks")


def test_a_data_set_without_objects_makes_unmixed_mosaics(cfg, records):
    mapper = build_train_mapper(cfg, records[4:], seed=0)
    for seed in range(5):
        sample = mapper(records[4], np.random.default_rng(seed))
        assert len(sample["instances"]) == 0
        assert len(sample["sources"]) <= 4


def test_a_picture_with_objects_is_not_mixed_when_no_partner_has_any(cfg, records):
    cfg.INPUT.MOSAIC_AND_MIXUP.SCALE = [0.5, 0.6]
    mapper = build_train_mapper(cfg, records[4:], seed=0)
    samples = [mapper(records[3], np.random.default_rng(seed)) for seed in range(5)]
    assert all(len(sample["sources"]) <= 4 for sample in samples)
    assert any(len(sample["instances"]) for sample in samples)


def test_the_mixed_picture_has_objects_and_brings_them(cfg, records):
    cfg.INPUT.MOSAIC_AND_MIXUP.SCALE = [0.5, 0.5]
    cfg.INPUT.MOSAIC_AND_MIXUP.MIXUP_SCALE = [0.99, 0.99]
    mixed = build_train_mapper(cfg, [records[0], records[4], records[5]], seed=0)
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLE_MIXUP = False
    unmixed = build_train_mapper(cfg, [records[0], records[4], records[5]], seed=0)
    more = 0
    for seed in range(10):
        first = mixed(records[0], np.random.default_rng(seed))
        second = unmixed(records[0], np.random.default_rng(seed))
        if len(second["instances"]):
            assert first["sources"] == [*second["sources"], records[0]["file_name"]]
            assert len(first["instances"]) == len(second["instances"]) + 2
            more += 1
    assert more > 5


def test_a_bad_partner_is_an_error_that_names_it(cfg, records, tmp_path):
    cfg.INPUT.MOSAIC_AND_MIXUP.SCALE = [0.5, 0.5]
    bad = {**records[0], "file_name": str(tmp_path / "missing.jpg")}
    mapper = build_train_mapper(cfg, [bad], seed=0)
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        mapper(records[0], np.random.default_rng(0))


def test_without_mosaic_the_single_mapper_is_built(cfg, records):
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    assert isinstance(build_train_mapper(cfg, records, seed=0), TrainMapper)

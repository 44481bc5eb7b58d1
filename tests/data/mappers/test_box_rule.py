"""Which boxes stay, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from yolov7.data.mappers import build_train_mapper
from yolov7.data.mappers.box_rule import ANY_BOX, BoxRule

WHOLE = np.array([[0.0, 0.0, 10.0, 10.0]] * 4)


def kept(rule, cut, whole=WHOLE):
    return rule.keeps(whole[: len(cut)], np.array(cut, dtype=float)).tolist()


def test_by_default_sides_longer_than_a_pixel_stay():
    cut = [[0, 0, 1, 10], [0, 0, 1.01, 10], [0, 9, 10, 10], [0, 0, 10, 10]]
    assert kept(BoxRule(), cut) == [False, True, False, True]
    assert kept(ANY_BOX, [[0, 0, 0.1, 10], [0, 0, 0, 10]]) == [True, False]
    assert kept(BoxRule(min_side=(2, 5)), [[0, 0, 3, 5], [0, 0, 3, 6]]) == [False, True]


def test_boxes_that_are_wholly_outside_go_although_both_sides_are_negative():
    assert kept(ANY_BOX, [[8, 8, 5, 5]]) == [False]


def test_more_than_the_visible_share_must_be_left():
    """Of 100 pixels: 10, 11 and 20."""
    cut = [[0, 0, 2, 5], [0, 0, 2.2, 5], [0, 0, 4, 5]]
    assert kept(BoxRule(min_visible=0.1), cut) == [False, True, True]


def test_longer_ones_than_the_aspect_go():
    whole = np.array([[0.0, 0, 60, 3], [0, 0, 57, 3], [0, 0, 3, 60], [0, 0, 0, 60]])
    assert kept(BoxRule(max_aspect=20.0), whole, whole) == [False, True, False, False]


def test_no_boxes():
    assert BoxRule().keeps(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)


@pytest.mark.parametrize("mosaic", [True, False])
def test_the_config_s_rule_reaches_single_pictures_and_mosaics(cfg, records, mosaic):
    """Sides of whole objects are from 9 to 23: only cut ones are three times as long as wide."""
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = mosaic
    cfg.INPUT.RANDOM_AFFINE.merge_from_list(["ENABLED", True, "SCALE", [2, 3], "TRANSLATE", 0.5])
    cfg.MODEL.MASK_ON = False
    cfg.INPUT.MIN_BOX_SIDE = 3.0
    cfg.INPUT.MIN_BOX_VISIBLE = 0.3
    strict = build_train_mapper(cfg, records, seed=0)
    cfg.INPUT.MIN_BOX_VISIBLE = 0.0
    cfg.INPUT.MAX_BOX_ASPECT = 3.0
    flat = build_train_mapper(cfg, records, seed=0)
    cfg.INPUT.MAX_BOX_ASPECT = float("inf")
    plain = build_train_mapper(cfg, records, seed=0)
    counts = np.zeros(3, int)
    for seed in range(40):
        samples = [
            mapper(records[3], np.random.default_rng(seed)) for mapper in (plain, strict, flat)
        ]
        boxes = [sample["instances"].gt_boxes.tensor.numpy() for sample in samples]
        counts += [len(found) for found in boxes]
        assert {tuple(box) for found in boxes[1:] for box in found} <= {*map(tuple, boxes[0])}
        sides = boxes[2][:, 2:] - boxes[2][:, :2]
        assert (sides.max(axis=1) < 3 * sides.min(axis=1)).all()
    assert counts[0] > counts[1] and counts[0] > counts[2]

"""Criteria make every tensor on the device of what they are given.

Not on the default device, which these tests set to one whose tensors have no numbers: a single
tensor made there without a word about its device could not meet the others.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolov7.modeling.assignment import (
    OTA,
    AnchorRatio,
    BestAnchor,
    CoarseToFine,
    Independent,
    SimOTA,
)
from yolov7.modeling.box_coders import YOLOv4BoxCoder, YOLOv7BoxCoder, YOLOXBoxCoder
from yolov7.modeling.losses import (
    AnchorCriterion,
    AuxiliaryCriterion,
    ClassicCriterion,
    DarknetCriterion,
    DenseCriterion,
    bce,
    ciou,
    iou_squared,
)
from yolov7.modeling.losses.darknet import DarknetBoxes
from yolov7.modeling.losses.regression import Centers, Sizes

WEIGHTS = {"loss_box": 0.05, "loss_objectness": 0.7, "loss_class": 0.3}
CODER = YOLOv7BoxCoder()


def anchor_criterion(assigner, num_levels):
    return AnchorCriterion(
        assigner=assigner,
        box_coder=CODER,
        box_loss=ciou,
        class_loss=bce,
        objectness_loss=bce,
        loss_weights=WEIGHTS,
        level_balance=(4.0, 1.0, 0.25, 0.06)[:num_levels],
        batch_size=2,
    )


def assert_same_anywhere(criterion, recipe, auxiliary=None):
    without = replace(
        recipe.targets,
        boxes=recipe.targets.boxes[:0],
        labels=recipe.targets.labels[:0],
        image_index=recipe.targets.image_index[:0],
    )
    for targets in (recipe.targets, without):
        expected = criterion(recipe.predictions, targets, auxiliary)
        with torch.device("meta"):
            found = criterion(recipe.predictions, targets, auxiliary)
        assert {loss.device.type for loss in found.values()} == {"cpu"}
        for name, loss in expected.items():
            assert found[name].item() == loss.item(), name


def test_the_check_notices_a_tensor_made_elsewhere(yolov7_p5_recipe):
    def careless(predictions, boxes, targets):
        assignment = OTA()(predictions, boxes, targets)
        return replace(assignment, target_index=torch.zeros(len(assignment), dtype=torch.int64))

    with pytest.raises((RuntimeError, NotImplementedError)):
        assert_same_anywhere(anchor_criterion(careless, 3), yolov7_p5_recipe)


@pytest.mark.parametrize("assigner", [OTA(), OTA(max_pairs=50), AnchorRatio(num_cells=5)])
def test_anchor_criterion(yolov7_p5_recipe, assigner):
    assert_same_anywhere(anchor_criterion(assigner, 3), yolov7_p5_recipe)


def test_auxiliary_criterion(yolov7_p6_recipe):
    for guidance in (
        CoarseToFine(assigner=OTA(num_cells=5)),
        Independent(assigner=OTA(), box_coder=CODER),
    ):
        criterion = AuxiliaryCriterion(lead=anchor_criterion(OTA(), 4), guidance=guidance)
        assert_same_anywhere(criterion, yolov7_p6_recipe, yolov7_p6_recipe.auxiliary)


def test_dense_criterion(yolox_recipe):
    criterion = DenseCriterion(
        assigner=SimOTA(),
        box_coder=YOLOXBoxCoder(),
        box_loss=iou_squared,
        class_loss=bce,
        objectness_loss=bce,
        loss_weights={**WEIGHTS, "loss_l1": 1.0},
    )
    assert_same_anywhere(criterion, yolox_recipe)


def test_classic_and_darknet_criterion(yolov7_p5_recipe):
    coder = YOLOv4BoxCoder(scale_xy=[1.2, 1.1, 1.05], strides=[8, 16, 32])
    parts = {
        "assigner": BestAnchor(unused_anchors=[[10, 14]], max_pairs=50),
        "box_coder": coder,
        "class_loss": bce,
        "objectness_loss": bce,
        "level_balance": [1.0, 1.0, 1.0],
    }
    weights = dict.fromkeys(("loss_objectness", "loss_class", "loss_center", "loss_size"), 1.0)
    terms = {"loss_center": Centers(coder, bce), "loss_size": Sizes(coder)}
    classic = ClassicCriterion(**parts, box_terms=terms, loss_weights=weights)
    assert_same_anywhere(classic, yolov7_p5_recipe)
    terms = {"loss_box": DarknetBoxes(coder, weight=0.07, max_delta=5.0)}
    darknet = DarknetCriterion(**parts, box_terms=terms, loss_weights=dict.fromkeys(WEIGHTS, 1.0))
    assert_same_anywhere(darknet, yolov7_p5_recipe)

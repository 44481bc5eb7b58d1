from __future__ import annotations

import math

import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import ImageList, ShapeSpec
from yolov7.modeling import build_head
from yolov7.modeling.heads import YOLOFHead
from yolov7.modeling.heads.yolof_head import joint_logits
from yolov7.utils.errors import ConfigError

SHAPE = {"p5": ShapeSpec(channels=8, stride=32)}
ANCHORS = [[[32, 32], [64, 64], [128, 96]]]
IMAGES = ImageList(torch.zeros(2, 3, 64, 96), [(64, 96)] * 2)


def make_head(**changes) -> YOLOFHead:
    torch.manual_seed(0)
    return YOLOFHead(**{"input_shape": SHAPE, "num_classes": 4, "anchors": ANCHORS} | changes)


def test_the_score_is_the_product_of_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(50, 7, generator=generator, dtype=torch.float64) * 5
    objectness = torch.randn(50, 1, generator=generator, dtype=torch.float64) * 5
    joint = joint_logits(classes, objectness)
    torch.testing.assert_close(joint.sigmoid(), classes.sigmoid() * objectness.sigmoid())
    assert joint_logits(classes.half(), objectness.half()).dtype == torch.float32


def test_large_logits_by_hand() -> None:
    """Both exponentials are 1e8 at most: 40 + 30 - ln(1 + 2e8); gradients stay finite."""
    classes = torch.tensor([40.0, 200.0, -200.0], requires_grad=True)
    objectness = torch.tensor([30.0, 200.0, -200.0], requires_grad=True)
    joint = joint_logits(classes, objectness)
    expected = [70 - math.log(1 + 2e8), 400 - math.log(1 + 2e8), -400]
    assert joint.tolist() == pytest.approx(expected, rel=1e-6)
    joint.sum().backward()
    assert classes.grad.tolist() == objectness.grad.tolist() == [1.0, 1.0, 1.0]


def test_order_is_anchor_row_column() -> None:
    head = make_head().eval()
    with torch.no_grad():
        for predictor in (head.class_predictor, head.box_predictor, head.objectness_predictor):
            predictor.weight.zero_()
        # What a channel says: its anchor and class, or its anchor and number of the box.
        head.class_predictor.bias.copy_(torch.arange(12) - 50.0)
        head.box_predictor.bias.copy_(torch.arange(12))
        head.objectness_predictor.bias.fill_(60.0)
        found = head({"p5": torch.randn(2, 8, 2, 3)}, IMAGES)
    assert found.objectness_logits is None
    assert found.num_predictions == 18
    assert found.level_sizes == ((2, 3),)
    # Prediction 10 is anchor 1, row 1, column 1.
    assert found.box_deltas[1, 10].tolist() == [4, 5, 6, 7]
    assert (found.class_logits[1, 10] + 50 - 60 + math.log(1e8)).tolist() == pytest.approx(
        [4, 5, 6, 7], abs=1e-4
    )
    assert found.centers[10].tolist() == [48.0, 48.0]
    assert found.anchors[10].tolist() == [64.0, 64.0]
    assert found.anchors[-1].tolist() == [128.0, 96.0]


def test_a_fresh_head_says_the_prior() -> None:
    """Class score 0.01, objectness 0.5, boxes that are the anchors."""
    found = make_head().eval()({"p5": torch.zeros(1, 8, 2, 3)}, IMAGES)
    assert found.class_logits.sigmoid().flatten().tolist() == pytest.approx([0.005] * 72, abs=1e-6)
    assert not found.box_deltas.any()


def test_lengths_of_the_branches_come_from_the_config() -> None:
    cfg = get_config()
    cfg.MODEL.HEAD.NAME, cfg.MODEL.YOLO.ANCHORS = "YOLOFHead", ANCHORS
    cfg.MODEL.YOLOF.CLASS_CONVS, cfg.MODEL.YOLOF.BOX_CONVS = 1, 3
    head = build_head(cfg, SHAPE)
    assert (len(head.class_convs), len(head.box_convs)) == (1, 3)
    assert head.class_convs[0].norm.eps == 1e-5
    assert head.class_convs[0].conv.bias is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input_shape": {**SHAPE, "p4": ShapeSpec(channels=8, stride=16)}},
            r"YOLOFHead looks at one map, and the neck gives p5, p4\. Fitting: .*DilatedEncoder",
        ),
        ({"anchors": [*ANCHORS, *ANCHORS]}, r"MODEL\.YOLO\.ANCHORS: expected for each of the str"),
        ({"num_classes": 0}, r"MODEL\.YOLO\.CLASSES: expected at least 1, got 0"),
        ({"prior_probability": 1.0}, r"MODEL\.HEAD\.PRIOR_PROBABILITY: expected between 0 and 1"),
    ],
)
def test_mistakes_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_head(**changes)

import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ImageList, ShapeSpec
from yolov7.modeling.heads import DecoupledAnchorHead, DecoupledHead
from yolov7.modeling.heads.anchors import Anchors
from yolov7.utils.errors import ConfigError

SHAPES = {"p4": ShapeSpec(channels=6, stride=16), "p3": ShapeSpec(channels=4, stride=8)}
ANCHORS = [[[10, 12], [20.5, 8]], [[40, 30], [50, 90]]]


def make_head():
    anchors = Anchors(ANCHORS, strides=[8, 16])
    head = DecoupledAnchorHead(input_shape=SHAPES, num_classes=3, channels=8, anchors=anchors)
    return head.eval()


def make_inputs():
    features = {"p3": torch.randn(2, 4, 4, 6), "p4": torch.randn(2, 6, 2, 3)}
    return features, ImageList(torch.zeros(2, 3, 32, 48), [(32, 48)] * 2)


def test_order_is_level_anchor_row_column():
    head = make_head()
    features, images = make_inputs()
    found = head(features, images)
    assert found.level_sizes == ((4, 6), (2, 3))
    assert found.class_logits.shape == (2, 60, 3)
    # Anchor 1, row 2, column 5 of the finer level: channels of the second anchor.
    index = 24 + 2 * 6 + 5
    stem = head.stems[0](features["p3"])
    classes = head.class_predictors[0](head.class_convs[0](stem))
    assert torch.equal(found.class_logits[1, index], classes[1, 3:6, 2, 5])
    boxes = head.box_convs[0](stem)
    assert torch.equal(found.box_deltas[1, index], head.box_predictors[0](boxes)[1, 4:8, 2, 5])
    objectness = head.objectness_predictors[0](boxes)
    assert torch.equal(found.objectness_logits[1, index], objectness[1, 1, 2, 5])
    assert found.centers[index].tolist() == [44.0, 20.0]
    assert found.anchors[index].tolist() == [20.5, 8.0]
    # Anchor 0, row 1, column 0 of the coarser one.
    assert found.centers[48 + 3].tolist() == [8.0, 24.0]
    assert found.anchors[48 + 3].tolist() == [40.0, 30.0]


def test_one_anchor_predicts_what_no_anchor_does():
    plain = DecoupledHead(input_shape=SHAPES, num_classes=3, channels=8).eval()
    anchors = Anchors([[[8, 8]], [[16, 16]]], strides=[8, 16])
    head = DecoupledAnchorHead(input_shape=SHAPES, num_classes=3, channels=8, anchors=anchors)
    head.load_state_dict(plain.state_dict())
    inputs = make_inputs()
    expected, found = plain(*inputs), head.eval()(*inputs)
    assert torch.equal(found.class_logits, expected.class_logits)
    assert torch.equal(found.box_deltas, expected.box_deltas)
    assert expected.anchors is None


def test_built_from_a_config():
    cfg = get_config()
    cfg.MODEL.YOLO.ANCHORS = ANCHORS
    cfg.MODEL.HEAD.CHANNELS = 16
    cfg.MODEL.HEAD.ACTIVATION = "mish"
    head = DecoupledAnchorHead(cfg, SHAPES)
    assert head.anchors.tolist() == ANCHORS
    assert head.class_predictors[1].weight.shape == (2 * 80, 16, 1, 1)
    assert isinstance(head.stems[0].act, nn.Mish)
    cfg.MODEL.YOLO.ANCHORS = ANCHORS[:1]
    with pytest.raises(ConfigError, match=r"MODEL\.YOLO\.ANCHORS: .*strides \[8, 16\]"):
        DecoupledAnchorHead(cfg, SHAPES)

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolov7.config import get_config
from yolov7.modeling import build_criterion
from yolov7.modeling.assignment import BestAnchor
from yolov7.modeling.box_coders import YOLOv4BoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.losses import DarknetCriterion, bce
from yolov7.modeling.losses.darknet import DarknetBoxes, darknet_ciou_gradient
from yolov7.modeling.losses.regression import Pairs
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError

UNUSED = [[10, 14], [81, 82], [100, 60]]
ANCHORS = [[23.0, 27.0], [37.0, 58.0], [60.0, 40.0]]
# x, y, width, height in shares of 128x96, class.
TRUTHS = [
    [(0.30, 0.35, 0.22, 0.40, 2), (0.31, 0.36, 0.40, 0.38, 0), (0.75, 0.60, 0.45, 0.42, 1)]
    + [(0.10, 0.90, 0.08, 0.15, 3)],
    [(0.52, 0.48, 0.30, 0.55, 3), (0.53, 0.47, 0.28, 0.50, 3), (0.20, 0.20, 0.25, 0.30, 0)],
]


def darknets_input() -> Tensor:
    """``(2, 3, 9, 6, 8)``: image, anchor, channel, row, column."""
    number = torch.arange(2 * 3 * 9 * 6 * 8, dtype=torch.float64)
    wave = (12.9898 * number).sin() * 43758.5453
    values = (4 * (wave - wave.floor()) - 2).reshape(2, 3, 9, 6, 8)
    values[:, :, 2:4] *= 0.5
    values[:, :, 4] -= 1
    return values.float()


def read(maps: Tensor) -> DensePredictions:
    outputs = maps.permute(0, 1, 3, 4, 2).reshape(2, -1, 9)
    centers, strides = cell_centers([(6, 8)], [16], num_anchors=3)
    return DensePredictions(
        class_logits=outputs[..., 5:],
        objectness_logits=outputs[..., 4],
        box_deltas=outputs[..., :4],
        centers=centers,
        strides=strides,
        level_sizes=((6, 8),),
        anchors=torch.tensor(ANCHORS).repeat_interleave(48, dim=0),
    )


def truths() -> Targets:
    rows = torch.tensor([truth for image in TRUTHS for truth in image])
    scale = torch.tensor([128.0, 96.0])
    middle, half = rows[:, :2] * scale, rows[:, 2:4] * scale / 2
    return Targets(
        boxes=torch.cat([middle - half, middle + half], dim=1),
        labels=rows[:, 4].long(),
        image_index=torch.tensor([0] * 4 + [1] * 3),
        image_sizes=torch.tensor([[96, 128]] * 2),
    )


def make_criterion(
    scale: float, iou_threshold: float, max_delta: float, **weights: float
) -> DarknetCriterion:
    coder = YOLOv4BoxCoder(scale_xy=[scale], strides=[16])
    share = iou_threshold < 1
    term = DarknetBoxes(box_coder=coder, weight=0.07, max_delta=max_delta, share=share)
    ones = {"loss_box": 1.0, "loss_objectness": 1.0, "loss_class": 1.0}
    return DarknetCriterion(
        assigner=BestAnchor(
            iou_threshold=iou_threshold, ignore_threshold=0.4, unused_anchors=UNUSED
        ),
        box_coder=coder,
        box_terms={"loss_box": term},
        class_loss=bce,
        objectness_loss=bce,
        loss_weights=ones | weights,
        level_balance=[1.0],
    )


def test_the_input_is_the_references() -> None:
    values = darknets_input()
    assert values.sum().item() == pytest.approx(-249.6668, abs=1e-3)
    expected = [-2, 1.6867616, -1.7711273, 0.2328904]
    assert values.flatten()[:4].tolist() == pytest.approx(expected, abs=2e-7)


@pytest.mark.parametrize(
    ("scale", "iou_threshold", "max_delta", "sums", "squares", "positives"),
    [
        (1.2, 0.213, 5.0, [3.344564, 2.734235, 95.688385, 26.420803], 64.915058, 19),
        (1.05, 1.0, math.inf, [0.562921, 1.248441, 91.252823, 11.375118], 50.802248, 6),
    ],
    ids=["yolov4", "yolov4-tiny"],
)
def test_the_gradients_are_darknets(
    scale, iou_threshold, max_delta, sums, squares, positives
) -> None:
    """Sums over the deltas that darknet's own layer (commit 59596d7, CPU) writes for this input."""
    criterion = make_criterion(scale, iou_threshold, max_delta)
    maps = darknets_input().requires_grad_()
    predictions, targets = read(maps), truths()
    losses, images = criterion.sums(predictions, targets)
    assert images == 2
    sum(losses.values()).backward()
    delta = -maps.grad
    parts = (delta[:, :, :2], delta[:, :, 2:4], delta[:, :, 4], delta[:, :, 5:])
    found = [part.abs().sum().item() for part in parts]
    assert found == pytest.approx(sums, rel=2e-6)
    assert delta.square().sum().item() == pytest.approx(squares, rel=2e-6)
    boxes = criterion.box_coder.decode(predictions.box_deltas, *predictions.places())
    assert len(criterion.assigner(predictions, boxes, targets)) == positives


def test_the_rest_of_the_frame_is_ignored_or_background() -> None:
    """Objectness alone, by hand: BCE of 1 for what answers, of 0 for the rest, none if ignored."""
    criterion = make_criterion(1.2, 0.213, 5.0, loss_box=0.0, loss_class=0.0)
    predictions, targets = read(darknets_input()), truths()
    boxes = criterion.box_coder.decode(predictions.box_deltas, *predictions.places())
    assignment = criterion.assigner(predictions, boxes, targets)
    answers = torch.zeros(2, 144, dtype=torch.bool)
    answers[assignment.image_index, assignment.prediction_index] = True
    scores = predictions.objectness_logits.sigmoid()
    background = ~answers & ~assignment.ignored
    assert assignment.ignored.sum() > 0
    expected = -scores[answers].log().sum() - (1 - scores[background]).log().sum()
    losses, _ = criterion.sums(predictions, targets)
    assert losses["loss_objectness"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert losses["loss_box"].item() == losses["loss_class"].item() == 0


def true_ciou(pred: Tensor, true: Tensor) -> Tensor:
    """CIoU of boxes by centre, width and height, written from the paper; α is a constant."""
    low = torch.maximum(pred[:2] - pred[2:] / 2, true[:2] - true[2:] / 2)
    high = torch.minimum(pred[:2] + pred[2:] / 2, true[:2] + true[2:] / 2)
    common = (high - low).clamp(min=0).prod()
    iou = common / (pred[2:].prod() + true[2:].prod() - common)
    hull_low = torch.minimum(pred[:2] - pred[2:] / 2, true[:2] - true[2:] / 2)
    hull_high = torch.maximum(pred[:2] + pred[2:] / 2, true[:2] + true[2:] / 2)
    distance = (pred[:2] - true[:2]).square().sum() / (hull_high - hull_low).square().sum()
    angle = torch.atan(true[2] / true[3]) - torch.atan(pred[2] / pred[3])
    aspect = 4 / math.pi**2 * angle.square()
    alpha = (aspect / (1 - iou + aspect + 1e-6)).detach()
    return iou - distance - alpha * aspect


def test_where_darknets_vector_is_the_true_derivative() -> None:
    """A box inside its object does not move the hull; darknet's sizes then count twice."""
    true = torch.tensor([0.5, 0.4, 0.4, 0.6], dtype=torch.float64)
    # The same aspect ratio: no third difference.
    pred = torch.tensor([0.55, 0.38, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(true_ciou(pred, true), pred)
    vector = darknet_ciou_gradient(pred.detach()[None], true[None])[0]
    torch.testing.assert_close(vector[:2], slope[:2])
    torch.testing.assert_close(vector[2:], 2 * slope[2:])
    # Another aspect ratio: its part is w² + h² times as large.
    pred = torch.tensor([0.53, 0.38, 0.3, 0.2], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(true_ciou(pred, true), pred)
    box = pred.detach()
    iou = (0.3 * 0.2) / (0.4 * 0.6)
    angle = math.atan(2 / 3) - math.atan(1.5)
    aspect = 4 / math.pi**2 * angle**2
    third = (
        aspect / (1 - iou + aspect + 1e-6) * 8 * angle / math.pi**2 * box.new_tensor([0.2, -0.3])
    )
    expected = 2 * (slope[2:] - third / 0.13) + third
    torch.testing.assert_close(darknet_ciou_gradient(box[None], true[None])[0, 2:], expected)


def test_disjoint_boxes_by_hand() -> None:
    # Hull .7 by .2, diagonal² .53, distance² .25; left of the object, upper and lower borders even.
    pred, true = [[0.2, 0.5, 0.2, 0.2]], [[0.7, 0.5, 0.2, 0.2]]
    pred, true = (torch.tensor(box, dtype=torch.float64) for box in (pred, true))
    vector = darknet_ciou_gradient(pred, true)
    x = (2 * 0.5 * 0.53 + 2 * 0.7 * 0.25) / 0.53**2
    assert vector[0].tolist() == pytest.approx([x, 0, 0.7 * 0.25 / 0.53**2, 0], abs=1e-12)


def pairs(deltas: list[float], num_classes: int = 1) -> Pairs:
    """One pair: a cell of 8 at (12, 20) with an anchor of 8 by 8, in a frame of 64 by 32."""
    return Pairs(
        deltas=torch.tensor([deltas], requires_grad=True),
        places=(torch.tensor([[12.0, 20.0]]), torch.tensor([8.0]), torch.tensor([[8.0, 8.0]])),
        boxes=torch.tensor([[8.0, 16.0, 24.0, 24.0]]),
        frame=torch.tensor([64.0, 32.0]),
        num_classes=torch.tensor([float(num_classes)]),
    )


def test_a_pairs_gradient_is_shared_limited_and_finite() -> None:
    coder = YOLOv4BoxCoder(scale_xy=[1.0], strides=[8])

    def gradient(given: Pairs, **settings) -> Tensor:
        DarknetBoxes(box_coder=coder, weight=0.5, **settings)(given).sum().backward()
        return given.deltas.grad[0]

    whole = gradient(pairs([0.0, 0.0, 0.3, 0.2]))
    assert gradient(pairs([0.0, 0.0, 0.3, 0.2], 2)).tolist() == pytest.approx((whole / 2).tolist())
    alone = gradient(pairs([0.0, 0.0, 0.3, 0.2], 2), share=False)
    assert alone.tolist() == whole.tolist()
    limit = whole.abs().max().item() / 2
    limited = gradient(pairs([0.0, 0.0, 0.3, 0.2]), max_delta=limit)
    assert limited.tolist() == whole.clamp(-limit, limit).tolist()
    huge = pairs([0.0, 0.0, 100.0, 0.0])
    assert DarknetBoxes(box_coder=coder, weight=0.5)(huge).item() == 0
    assert gradient(huge).tolist() == [0.0] * 4


def test_built_from_a_config() -> None:
    cfg = get_config()
    cfg.MODEL.CRITERION.NAME = "DarknetCriterion"
    cfg.MODEL.ASSIGNER.NAME = "BestAnchor"
    cfg.MODEL.CRITERION.BOX_WEIGHT = 0.07
    coder = YOLOv4BoxCoder(scale_xy=[1.0], strides=[8])
    with pytest.raises(ConfigError, match=r"BOX_LOSS: expected ciou, got iou_squared"):
        build_criterion(cfg, box_coder=coder)
    cfg.MODEL.CRITERION.BOX_LOSS = "ciou"
    cfg.MODEL.CRITERION.LABEL_SMOOTHING = 0.1
    criterion = build_criterion(cfg, box_coder=coder)
    assert criterion.box_terms["loss_box"] == DarknetBoxes(coder, 0.07, 5.0, True)
    assert criterion.loss_weights == dict.fromkeys(criterion.loss_weights, 1.0)
    assert criterion.label_smoothing == 0.1
    cfg.MODEL.ASSIGNER.IOU_THRESHOLD = 1.0
    cfg.MODEL.CRITERION.MAX_DELTA = 0.0
    criterion = build_criterion(cfg, box_coder=coder)
    assert criterion.box_terms["loss_box"] == DarknetBoxes(coder, 0.07, math.inf, False)
    cfg.MODEL.CRITERION.MAX_DELTA = -1.0
    with pytest.raises(ConfigError, match=r"MAX_DELTA: expected a number >= 0, got -1"):
        build_criterion(cfg, box_coder=coder)

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from yolov7.config import get_config
from yolov7.modeling import build_criterion
from yolov7.modeling.assignment import Assignment, BestAnchor
from yolov7.modeling.box_coders import YOLOv4BoxCoder, YOLOv7BoxCoder, YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.losses import ClassicCriterion, bce, ciou, sigmoid_l1
from yolov7.modeling.losses.regression import Centers, DecodedBoxes, Sizes
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError

CODER = YOLOv4BoxCoder(scale_xy=[1.0, 1.0], strides=[8, 16])
NAMES = ("loss_box", "loss_center", "loss_size", "loss_objectness", "loss_class")
LN2 = math.log(2)


def make_criterion(center_loss=bce, box_coder=CODER, weights=None, **changes) -> ClassicCriterion:
    parts = {
        "assigner": BestAnchor(iou_threshold=1.0),
        "box_coder": box_coder,
        "box_terms": {
            "loss_box": DecodedBoxes(box_coder, ciou),
            "loss_center": Centers(box_coder, center_loss),
            "loss_size": Sizes(box_coder),
        },
        "class_loss": bce,
        "objectness_loss": bce,
        "loss_weights": dict.fromkeys(NAMES, 1.0) | (weights or {}),
        "level_balance": [2.0, 0.5],
    }
    return ClassicCriterion(**(parts | changes))


def two_levels(images: int = 1, seed: int | None = None) -> DensePredictions:
    """Images of 16x16, cells of 8 and 16, one anchor each, three classes; logits 0 or random."""
    sizes = ((2, 2), (1, 1))
    centers, strides = cell_centers(sizes, (8, 16), dtype=torch.float64)
    outputs = torch.zeros(images, 5, 8, dtype=torch.float64)
    if seed is not None:
        outputs.normal_(generator=torch.Generator().manual_seed(seed))
    outputs.requires_grad_()
    return DensePredictions(
        class_logits=outputs[..., :3],
        objectness_logits=outputs[..., 3],
        box_deltas=outputs[..., 4:],
        centers=centers,
        strides=strides,
        level_sizes=sizes,
        anchors=torch.tensor([[8.0, 8.0]] * 4 + [[16.0, 16.0]], dtype=torch.float64),
    )


def objects(boxes: list[list[float]], labels: list[int], images: list[int] | None = None):
    return Targets(
        boxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        image_index=torch.tensor(images or [0] * len(labels), dtype=torch.int64),
        image_sizes=torch.tensor([[16, 16]] * (1 + max(images or [0]))),
    )


def fixed(prediction_index: list[int], target_index: list[int], ignored: list[int] = ()):
    """An assigner of one image that always gives these pairs."""

    def assigner(predictions: DensePredictions, boxes: Tensor, targets: Targets) -> Assignment:
        count = len(prediction_index)
        mask = torch.zeros(1, 5, dtype=torch.bool)
        mask[0, list(ignored)] = True
        return Assignment(
            torch.zeros(count, dtype=torch.int64),
            torch.tensor(prediction_index, dtype=torch.int64),
            torch.tensor(target_index, dtype=torch.int64),
            torch.zeros(count, dtype=torch.float64),
            mask,
        )

    return assigner


def values(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: loss.item() for name, loss in losses.items()}


# In the first cell's middle and of its anchor's size; shifted by ¼ and ½ cell and twice as high.
TWO = objects([[0, 0, 8, 8], [2, 0, 10, 16]], [0, 1])


@pytest.mark.parametrize(
    ("center_loss", "first", "second"),
    # BCE of logits 0 is ln 2 whatever the target; |½ - ¾| and |½ - 1| of the second one.
    [(bce, 2 * LN2, 2 * LN2), (sigmoid_l1, 0.0, 0.75)],
    ids=["v4", "v7"],
)
def test_two_pairs_by_hand(center_loss, first, second) -> None:
    criterion = make_criterion(center_loss, assigner=fixed([0, 0], [0, 1], ignored=[2]))
    losses = values(criterion(two_levels(), TWO))
    assert tuple(losses) == NAMES
    # 2 - share of the frame: 1.75 and 1.5. The encoding moves a target of 1 by a millionth.
    assert losses["loss_center"] == pytest.approx(1.75 * first + 1.5 * second, rel=1e-5)
    assert losses["loss_size"] == pytest.approx(1.5 * LN2)
    # One prediction is ignored: 3 count on the first level, 1 on the other.
    assert losses["loss_objectness"] == pytest.approx((2 * 3 + 0.5) * LN2)
    # The prediction counts once, for both classes.
    assert losses["loss_class"] == pytest.approx(3 * LN2)
    # IoU 48 / (64 + 128 - 48), centres (2, 4) apart in a hull of 10 by 16, aspects 45° and 26.6°.
    iou, distance = 1 / 3, 20 / 356
    aspect = 4 / math.pi**2 * (math.pi / 4 - math.atan(0.5)) ** 2
    expected = 1 - iou + distance + aspect**2 / (1 - iou + aspect)
    assert losses["loss_box"] == pytest.approx(expected, rel=1e-6)


def test_the_classes_of_a_prediction_by_hand() -> None:
    """Logits ln 3 (σ = ¾): targets of the two objects' classes 1 - ε/2, of the third ε/2."""
    predictions = two_levels()
    with torch.no_grad():
        predictions.class_logits[:] = math.log(3)
    for smoothing in (0.0, 0.2):
        criterion = make_criterion(assigner=fixed([0, 0, 3], [0, 1, 1]), label_smoothing=smoothing)
        yes, no = math.log(4 / 3), math.log(4)

        def loss(target: float, yes: float = yes, no: float = no) -> float:
            return target * yes + (1 - target) * no

        high, low = 1 - smoothing / 2, smoothing / 2
        expected = (2 * loss(high) + loss(low)) + (loss(high) + 2 * loss(low))
        found = criterion(predictions, TWO)["loss_class"].item()
        assert found == pytest.approx(expected)


def test_sums_of_images_are_the_batch_and_are_divided_by_images() -> None:
    predictions = two_levels(images=2, seed=0)
    targets = objects(
        [[0, 0, 8, 8], [2, 0, 10, 16], [9, 9, 14, 15]], labels=[0, 1, 2], images=[0, 0, 1]
    )
    criterion = make_criterion(weights={"loss_box": 3.0})
    sums, images = criterion.sums(predictions, targets)
    assert images == 2
    total = dict.fromkeys(NAMES, 0.0)
    for image in range(2):
        own = targets.image_index == image
        alone = replace(
            predictions,
            class_logits=predictions.class_logits[image : image + 1],
            objectness_logits=predictions.objectness_logits[image : image + 1],
            box_deltas=predictions.box_deltas[image : image + 1],
        )
        of_image = objects(targets.boxes[own].tolist(), targets.labels[own].tolist())
        for name, value in criterion(alone, of_image).items():
            total[name] += value.item()
    assert values(sums) == pytest.approx(total)
    losses = criterion(predictions, targets)
    assert values(losses) == pytest.approx({name: value / 2 for name, value in total.items()})
    lighter = make_criterion(weights={"loss_box": 1.5})(predictions, targets)
    assert lighter["loss_box"].item() == pytest.approx(losses["loss_box"].item() / 2)


@pytest.mark.parametrize("box_coder", [CODER, YOLOv7BoxCoder()], ids=["exp", "sigmoid"])
@pytest.mark.parametrize("center_loss", [bce, sigmoid_l1])
def test_gradients_are_the_numeric_ones(box_coder, center_loss) -> None:
    predictions = two_levels(images=2, seed=1)
    outputs = torch.cat(
        [
            predictions.class_logits,
            predictions.objectness_logits[..., None],
            predictions.box_deltas,
        ],
        dim=-1,
    )
    targets = objects(
        [[0, 0, 8, 8], [2, 0, 10, 16], [9, 9, 14, 15]], labels=[0, 1, 2], images=[0, 0, 1]
    )
    criterion = make_criterion(center_loss, box_coder)

    def loss(outputs: Tensor) -> Tensor:
        given = replace(
            predictions,
            class_logits=outputs[..., :3],
            objectness_logits=outputs[..., 3],
            box_deltas=outputs[..., 4:],
        )
        losses = criterion(given, targets)
        # α of CIoU is a constant for the gradient, so a numeric one differs there.
        return sum(loss for name, loss in losses.items() if name != "loss_box")

    assert torch.autograd.gradcheck(loss, outputs.detach().requires_grad_())


def test_without_objects_all_keys_are_there_and_hang_on_the_graph() -> None:
    predictions = two_levels(seed=2)
    losses = make_criterion(weights={"loss_size": 0.0})(predictions, objects([], []))
    assert tuple(losses) == NAMES
    assert all(loss.requires_grad for loss in losses.values())
    assert [name for name, loss in losses.items() if loss.item() != 0] == ["loss_objectness"]


def test_a_weight_of_0_leaves_an_infinite_loss_out() -> None:
    predictions = two_levels()
    with torch.no_grad():
        predictions.box_deltas[..., 2:] = torch.inf
    criterion = make_criterion(
        weights={"loss_size": 0.0, "loss_box": 0.0}, assigner=fixed([0], [0])
    )
    losses = criterion(predictions, TWO)
    assert losses["loss_size"].item() == losses["loss_box"].item() == 0
    assert losses["loss_center"].isfinite()


def test_mistakes() -> None:
    predictions, targets = two_levels(), objects([], [])
    with pytest.raises(ConfigError, match="ClassicCriterion has no losses for an auxiliary head"):
        make_criterion()(predictions, targets, predictions)
    with pytest.raises(ConfigError, match="LEVEL_BALANCE has 1 numbers"):
        make_criterion(level_balance=[1.0])(predictions, targets)
    with pytest.raises(ValueError, match="objectness_logits"):
        make_criterion()(replace(predictions, objectness_logits=None), targets)
    with pytest.raises(ValueError, match="loss_weights"):
        make_criterion(loss_weights={"loss_box": 1.0})


def test_built_from_a_config() -> None:
    cfg = get_config()
    cfg.MODEL.ASSIGNER.NAME = "BestAnchor"
    node = cfg.MODEL.CRITERION
    node.NAME, node.BOX_LOSS, node.BOX_WEIGHT = "ClassicCriterion", "ciou", 1.1
    node.CENTER_LOSS, node.CENTER_WEIGHT, node.SIZE_WEIGHT = "sigmoid_l1", 0.5, 0.0
    node.LABEL_SMOOTHING = 0.1
    criterion = build_criterion(cfg, box_coder=CODER)
    weights = (1.1, 0.5, 0.0, 1.0, 1.0)
    assert criterion.loss_weights == dict(zip(NAMES, weights, strict=True))
    assert criterion.box_terms["loss_center"] == Centers(CODER, sigmoid_l1)
    assert criterion.box_terms["loss_box"].box_loss is ciou
    assert (criterion.label_smoothing, criterion.level_balance) == (0.1, (4.0, 1.0, 0.4))
    with pytest.raises(ConfigError, match=r"YOLOXBoxCoder .*Fitting: YOLOv4BoxCoder, YOLOv7Box"):
        build_criterion(cfg, box_coder=YOLOXBoxCoder())
    for key, value, expected in (
        ("CENTER_LOSS", "ciou", "a loss of logits"),
        ("CENTER_LOSS", "bcee", "bce"),
        ("CENTER_WEIGHT", -1.0, "a number >= 0"),
        ("SIZE_WEIGHT", -1.0, "a number >= 0"),
        ("LEVEL_BALANCE", [], "a number >= 0"),
        ("LABEL_SMOOTHING", 1.0, "a number in"),
    ):
        wrong = cfg.clone()
        wrong.MODEL.CRITERION[key] = value
        with pytest.raises(ConfigError, match=rf"MODEL\.CRITERION\.{key}: .*{expected}"):
            build_criterion(wrong, box_coder=CODER)

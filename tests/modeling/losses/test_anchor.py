from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from yolov7.config import get_config
from yolov7.d2 import EventStorage
from yolov7.modeling import build_criterion
from yolov7.modeling.assignment import OTA, AnchorRatio, Assignment
from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.losses import AnchorCriterion, bce, ciou, diou, focal, iou
from yolov7.modeling.losses.anchor import LOSS_NAMES, scaled_weights
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError

CODER = YOLOv7BoxCoder()
WEIGHTS = {"loss_box": 0.05, "loss_objectness": 0.7, "loss_class": 0.3}
ONES = dict.fromkeys(LOSS_NAMES, 1.0)
LN2 = math.log(2)


def make_criterion(**changes) -> AnchorCriterion:
    parts = {
        "assigner": OTA(),
        "box_coder": CODER,
        "box_loss": ciou,
        "class_loss": bce,
        "objectness_loss": bce,
        "loss_weights": WEIGHTS,
        "level_balance": (4.0, 1.0, 0.4),
        "batch_size": 4,
    }
    return AnchorCriterion(**(parts | changes))


def two_levels() -> DensePredictions:
    """One image of 16x16 with cells of 8 and 16, one anchor each, all logits 0, three classes."""
    sizes = ((2, 2), (1, 1))
    centers, strides = cell_centers(sizes, (8, 16), dtype=torch.float64)
    return DensePredictions(
        class_logits=torch.zeros(1, 5, 3, dtype=torch.float64),
        objectness_logits=torch.zeros(1, 5, dtype=torch.float64),
        box_deltas=torch.zeros(1, 5, 4, dtype=torch.float64),
        centers=centers,
        strides=strides,
        level_sizes=sizes,
        anchors=torch.tensor([[8.0, 8.0]] * 4 + [[16.0, 16.0]], dtype=torch.float64),
    )


def fixed(prediction_index: list[int], target_index: list[int]):
    """An assigner of one image that always gives these pairs."""

    def assigner(predictions: DensePredictions, boxes: Tensor, targets: Targets) -> Assignment:
        count = len(prediction_index)
        return Assignment(
            torch.zeros(count, dtype=torch.int64),
            torch.tensor(prediction_index, dtype=torch.int64),
            torch.tensor(target_index, dtype=torch.int64),
            torch.zeros(count, dtype=torch.float64),
        )

    return assigner


def objects(boxes: list[list[float]], labels: list[int]) -> Targets:
    return Targets(
        boxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        image_index=torch.zeros(len(labels), dtype=torch.int64),
        image_sizes=torch.tensor([[16, 16]]),
    )


def seen_objectness(criterion: AnchorCriterion, predictions, targets) -> Tensor:
    """The objectness targets that a criterion makes."""
    seen = []

    def remember(logits: Tensor, wanted: Tensor) -> Tensor:
        seen.append(wanted)
        return bce(logits, wanted)

    criterion.objectness_loss = remember
    criterion(predictions, targets)
    return seen[0]


def test_three_pairs_by_hand() -> None:
    """Two pairs on the first level (overlaps 1 and ½), one on the second (overlap ¼)."""
    targets = objects([[0, 0, 8, 8], [8, 0, 16, 16], [0, 0, 8, 8]], [0, 1, 2])
    criterion = make_criterion(
        assigner=fixed([0, 1, 4], [0, 1, 2]),
        box_loss=iou,
        loss_weights=ONES,
        level_balance=(4.0, 0.5),
        batch_size=10,
    )
    losses = {name: loss.item() for name, loss in criterion(two_levels(), targets).items()}
    # Means by level: (0 + ½) / 2 and 1 − ¼.
    assert losses["loss_box"] == pytest.approx(10 * (0.25 + 0.75))
    # All logits are 0, so each cross entropy is ln 2, whatever its target.
    assert losses["loss_objectness"] == pytest.approx(10 * (4 + 0.5) * LN2)
    assert losses["loss_class"] == pytest.approx(10 * 2 * LN2)
    wanted = seen_objectness(criterion, two_levels(), targets)
    torch.testing.assert_close(wanted, torch.tensor([[1, 0.5, 0, 0, 0.25]]).double())
    criterion.iou_share = 0.2
    wanted = seen_objectness(criterion, two_levels(), targets)
    torch.testing.assert_close(wanted, torch.tensor([[1, 0.9, 0, 0, 0.85]]).double())


def test_of_several_objects_the_largest_overlap_is_the_objectness() -> None:
    targets = objects([[0, 0, 8, 8], [0, 0, 8, 16]], [0, 1])
    for order in ([0, 1], [1, 0]):
        criterion = make_criterion(
            assigner=fixed([0, 0], order), box_loss=iou, level_balance=(1.0, 1.0)
        )
        assert seen_objectness(criterion, two_levels(), targets)[0].tolist() == [1, 0, 0, 0, 0]


def test_an_overlap_below_zero_is_none() -> None:
    targets = objects([[200, 200, 208, 208]], [0])
    criterion = make_criterion(
        assigner=fixed([0], [0]), box_loss=diou, level_balance=(1.0, 1.0), loss_weights=ONES
    )
    assert seen_objectness(criterion, two_levels(), targets).sum().item() == 0
    assert criterion(two_levels(), targets)["loss_box"].item() > 4 * 1.5


def test_label_smoothing_takes_from_one_and_gives_to_the_others() -> None:
    seen = []

    def remember(logits: Tensor, wanted: Tensor) -> Tensor:
        seen.append(wanted)
        return bce(logits, wanted)

    criterion = make_criterion(
        assigner=fixed([0], [0]),
        class_loss=remember,
        label_smoothing=0.1,
        level_balance=(1.0, 1.0),
    )
    criterion(two_levels(), objects([[0, 0, 8, 8]], [1]))
    torch.testing.assert_close(seen[0], torch.tensor([[0.05, 0.95, 0.05]]).double())


def test_without_objects_all_keys_hang_on_the_graph(yolov7_p5_recipe) -> None:
    recipe = yolov7_p5_recipe
    nothing = replace(
        recipe.targets,
        boxes=recipe.targets.boxes[:0],
        labels=recipe.targets.labels[:0],
        image_index=recipe.targets.image_index[:0],
    )
    for assigner in (OTA(), AnchorRatio()):
        losses = make_criterion(assigner=assigner)(recipe.predictions, nothing)
        assert tuple(losses) == LOSS_NAMES
        for name in ("loss_box", "loss_class"):
            assert losses[name].item() == 0
            (gradient,) = torch.autograd.grad(losses[name], recipe.maps[0], retain_graph=True)
            assert not gradient.any()


def test_a_term_of_weight_zero_is_a_zero_on_the_graph(yolov7_p5_recipe) -> None:
    recipe = yolov7_p5_recipe
    criterion = make_criterion(loss_weights=dict.fromkeys(LOSS_NAMES, 0.0))
    total = sum(criterion(recipe.predictions, recipe.targets).values())
    assert total.item() == 0
    for gradient in torch.autograd.grad(total, recipe.maps):
        assert not gradient.any()


def test_sums_and_counts_of_a_batch_are_those_of_its_images(assignment_cases) -> None:
    case = assignment_cases.random_case(
        0,
        objects=[4, 0, 7],
        size=(96, 160),
        num_classes=5,
        anchors=assignment_cases.ANCHORS,
        box_coder=CODER,
        dtype=torch.float64,
    )
    for assigner in (OTA(), AnchorRatio()):
        criterion = make_criterion(assigner=assigner)
        sums, counts = criterion.pair_sums(*case, criterion.assign(*case)[0])
        parts = []
        for image in range(3):
            single, targets, _ = assignment_cases.image_of(case, image)
            parts.append(criterion.pair_sums(single, targets, criterion.assign(single, targets)[0]))
        assert counts.tolist() == sum(count for _, count in parts).tolist()
        assert counts[-1].item() == 3
        assert counts[0].item() > 3
        for name in LOSS_NAMES:
            total = sum(sums[name] for sums, _ in parts)
            torch.testing.assert_close(sums[name], total, rtol=1e-12, atol=0)


def test_sums_are_the_losses_times_the_images(yolov7_p5_recipe) -> None:
    recipe, criterion = yolov7_p5_recipe, make_criterion()
    losses = criterion(recipe.predictions, recipe.targets)
    sums, images = criterion.sums(recipe.predictions, recipe.targets)
    assert images == 2
    for name in LOSS_NAMES:
        torch.testing.assert_close(sums[name], 2 * losses[name])


def test_one_class_has_no_class_loss_and_its_logit_decides_nothing(assignment_cases) -> None:
    predictions, targets = assignment_cases.random_case(
        0,
        objects=[6, 9],
        size=(96, 96),
        num_classes=1,
        anchors=assignment_cases.ANCHORS,
        box_coder=CODER,
        dtype=torch.float64,
    )
    predictions.class_logits.requires_grad_()
    other = replace(predictions, class_logits=-3 * predictions.class_logits)
    criterion = make_criterion()
    losses, others = criterion(predictions, targets), criterion(other, targets)
    assert losses["loss_class"].item() == 0
    assert losses["loss_class"].requires_grad
    assert losses["loss_box"].item() == others["loss_box"].item() > 0
    assert losses["loss_objectness"].item() == others["loss_objectness"].item()


def test_of_one_class_the_objectness_decides_who_answers() -> None:
    """Two cells predict the same box, which overlaps the object by 5/11: k is 1."""
    predictions = replace(two_levels(), class_logits=torch.zeros(1, 5, 1, dtype=torch.float64))
    targets = objects([[3, 0, 11, 8]], [0])
    same = torch.tensor([0.0, 0.0, 8.0, 8.0], dtype=torch.float64).expand(2, 4)
    predictions.box_deltas[0, :2] = CODER.encode(same, *predictions.places(torch.tensor([0, 1])))
    predictions.objectness_logits[0, :2] = torch.tensor([-1.0, 1.0])
    # Were it read, the first would have √(σ(9)·σ(-1)) = 0.52 and the second 0.01.
    predictions.class_logits[0, :2, 0] = torch.tensor([9.0, -9.0])
    assignment, _ = make_criterion().assign(predictions, targets)
    assert assignment.prediction_index.tolist() == [1]
    several = replace(predictions, class_logits=predictions.class_logits.expand(1, 5, 2))
    assignment, _ = make_criterion().assign(several, targets)
    assert assignment.prediction_index.tolist() == [0]


def test_wide_images_one_class_and_an_image_without_objects_by_hand() -> None:
    """Two images of 16x32 with two cells of 16: the first has an object in its right half."""
    centers, strides = cell_centers(((1, 2),), (16,), dtype=torch.float64)
    predictions = DensePredictions(
        class_logits=torch.tensor([[[9.0], [-9.0]], [[5.0], [5.0]]]).double(),
        objectness_logits=torch.tensor([[0.0, 1.0], [0.0, 0.0]]).double(),
        box_deltas=torch.zeros(2, 2, 4, dtype=torch.float64),
        centers=centers,
        strides=strides,
        level_sizes=((1, 2),),
        anchors=torch.full((2, 2), 16.0, dtype=torch.float64),
    )
    targets = replace(
        objects([[16, 0, 32, 8]], [0]), image_sizes=torch.tensor([[16, 32], [16, 32]])
    )
    criterion = make_criterion(box_loss=iou, loss_weights=ONES, level_balance=(4.0,), batch_size=2)
    losses = criterion(predictions, targets)
    # The predicted box [16, 0, 32, 16] is twice the object: overlap ½.
    assert losses["loss_box"].item() == pytest.approx(2 * 0.5)
    # BCE of logit 1 for target ½ is ln(1 + e) - ½, of logit 0 ln 2.
    expected = (math.log1p(math.e) - 0.5 + 3 * LN2) / 4
    assert losses["loss_objectness"].item() == pytest.approx(2 * 4 * expected)
    assert losses["loss_class"].item() == 0


def test_diagnostics_are_logged(yolov7_p5_recipe) -> None:
    recipe = yolov7_p5_recipe
    with EventStorage(0) as storage:
        make_criterion()(recipe.predictions, recipe.targets)
        assert storage.latest()["num_foreground"][0] == 10
        assert storage.latest()["num_foreground_per_object"][0] == pytest.approx(10 / 6)


def test_half_precision_is_raised_and_float64_stays(yolov7_p5_recipe) -> None:
    # An assigner that predictions do not sway: rounding them may move OTA's few pairs. In float64
    # some centres are no longer exactly between two cells.
    recipe, criterion = yolov7_p5_recipe, make_criterion(assigner=AnchorRatio())
    expected = sum(criterion(recipe.predictions, recipe.targets).values()).item()
    for dtype, raised in [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)]:
        lowered = replace(
            recipe.predictions,
            class_logits=recipe.predictions.class_logits.to(dtype),
            objectness_logits=recipe.predictions.objectness_logits.to(dtype),
            box_deltas=recipe.predictions.box_deltas.to(dtype),
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = criterion(lowered, recipe.targets)
        assert {loss.dtype for loss in losses.values()} == {raised}
        assert sum(losses.values()).item() == pytest.approx(expected, rel=0.03)


def test_wrong_use_is_named(yolov7_p5_recipe) -> None:
    recipe = yolov7_p5_recipe
    with pytest.raises(ValueError, match="loss_weights"):
        make_criterion(loss_weights={"loss_bbox": 1.0})
    bare = replace(recipe.predictions, objectness_logits=None)
    with pytest.raises(ValueError, match="objectness"):
        make_criterion(assigner=AnchorRatio())(bare, recipe.targets)
    with pytest.raises(ConfigError, match="AuxiliaryCriterion"):
        make_criterion()(recipe.predictions, recipe.targets, recipe.predictions)
    with pytest.raises(ConfigError, match=r"LEVEL_BALANCE has 2.*3 levels"):
        make_criterion(level_balance=(1.0, 1.0))(recipe.predictions, recipe.targets)


@pytest.mark.parametrize(
    ("levels", "classes", "side", "expected"),
    [(3, 80, 640, (0.05, 0.7, 0.3)), (4, 80, 1280, (0.0375, 2.1, 0.225))],
)
def test_the_authors_weights(levels: int, classes: int, side: int, expected: tuple) -> None:
    weights = scaled_weights(
        box=0.05,
        objectness=0.7,
        classes=0.3,
        num_levels=levels,
        num_classes=classes,
        image_size=(side, side),
    )
    assert tuple(weights) == LOSS_NAMES
    assert tuple(weights.values()) == pytest.approx(expected)


def test_the_config_reaches_every_part() -> None:
    cfg = get_config()
    cfg.MODEL.YOLO.CLASSES = 20
    cfg.MODEL.ASSIGNER.NAME = "OTA"
    cfg.INPUT.INPUT_SIZE = [320, 640]
    cfg.SOLVER.IMS_PER_BATCH = 24
    node = cfg.MODEL.CRITERION
    node.NAME = "AnchorCriterion"
    node.BOX_LOSS, node.CLASS_LOSS, node.OBJECTNESS_LOSS = "ciou", "bce", "focal"
    node.FOCAL_ALPHA, node.FOCAL_GAMMA = 0.5, 1.5
    node.BOX_WEIGHT, node.OBJECTNESS_WEIGHT, node.CLASS_WEIGHT = 0.05, 0.7, 0.3
    node.LEVEL_BALANCE = [4.0, 1.0, 0.25, 0.06]
    node.OBJECTNESS_IOU_SHARE, node.LABEL_SMOOTHING = 0.9, 0.1
    criterion = build_criterion(cfg, box_coder=CODER)
    assert isinstance(criterion, AnchorCriterion)
    assert isinstance(criterion.assigner, OTA)
    assert criterion.box_coder is CODER
    assert (criterion.box_loss, criterion.class_loss) == (ciou, bce)
    assert criterion.objectness_loss.func is focal
    assert criterion.objectness_loss.keywords == {"alpha": 0.5, "gamma": 1.5}
    assert criterion.level_balance == (4.0, 1.0, 0.25, 0.06)
    assert (criterion.batch_size, criterion.iou_share) == (24, 0.9)
    assert criterion.label_smoothing == 0.1
    weights = [0.05 * 0.75, 0.7 * 0.75 / 2, 0.3 * 0.75 / 4]
    assert list(criterion.loss_weights.values()) == pytest.approx(weights)


def test_ignored_places_have_no_objectness() -> None:
    def assigner(predictions: DensePredictions, boxes: Tensor, targets: Targets) -> Assignment:
        ignored = torch.tensor([[False, True, True, False, False]])
        return replace(fixed([0], [0])(predictions, boxes, targets), ignored=ignored)

    targets = objects([[0, 0, 8, 8]], [0])
    criterion = make_criterion(
        assigner=assigner, loss_weights=ONES, level_balance=(1.0, 1.0), batch_size=1
    )
    # Means over all places of a level: half of the first one's cost nothing.
    found = criterion(two_levels(), targets)["loss_objectness"].item()
    assert found == pytest.approx((0.5 + 1) * LN2)

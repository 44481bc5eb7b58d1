from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from yolov7.config import get_config
from yolov7.d2 import EventStorage
from yolov7.modeling import build_criterion
from yolov7.modeling.assignment import HungarianMatcher
from yolov7.modeling.assignment.class_costs import FocalCost
from yolov7.modeling.losses import (
    FocalClassLoss,
    SetCriterion,
    SoftmaxClassLoss,
    ciou,
    giou,
    normalization,
    set_criterion,
)
from yolov7.modeling.losses.set_criterion import LOSS_NAMES, MASK_LOSS_NAMES
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.query_scores import SigmoidScores, SoftmaxScores
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError, DatasetError

ONES = dict.fromkeys((*LOSS_NAMES, *MASK_LOSS_NAMES), 1.0)

# Losses of the authors' programs, float64, the final layer first, then layers 0 to 4.
DETR = {
    "loss_class": [3.891788, 3.621405, 3.786788, 3.497242, 3.531039, 3.224552],
    "loss_l1": [0.155419, 0.180435, 0.122932, 0.151791, 0.170957, 0.166582],
    "loss_box": [0.409243, 0.450244, 0.424597, 0.366141, 0.479727, 0.457365],
}
ANCHOR_DETR = {
    "loss_class": [37.732240, 38.141517, 37.565671, 38.059106, 37.576363, 38.024473],
    "loss_l1": [0.138298, 0.132985, 0.112005, 0.162071, 0.127878, 0.097200],
    "loss_box": [0.343804, 0.384401, 0.379772, 0.471300, 0.351255, 0.327046],
}


def softmax_criterion(**changes) -> SetCriterion:
    parts = {
        "assigner": HungarianMatcher(),
        "class_loss": SoftmaxClassLoss(),
        "scores": SoftmaxScores(),
        "box_loss": giou,
        "loss_weights": ONES,
    }
    return SetCriterion(**(parts | changes))


def sigmoid_criterion(**changes) -> SetCriterion:
    parts = {
        "assigner": HungarianMatcher(class_cost=FocalCost(), class_weight=2.0),
        "class_loss": FocalClassLoss(),
        "scores": SigmoidScores(),
    }
    return softmax_criterion(**(parts | changes))


def without_objects(targets: Targets) -> Targets:
    nothing = slice(0)
    return replace(
        targets,
        boxes=targets.boxes[nothing],
        labels=targets.labels[nothing],
        image_index=targets.image_index[nothing],
        masks=None if targets.masks is None else targets.masks[nothing],
    )


def to(predictions: QueryPredictions, dtype: torch.dtype) -> QueryPredictions:
    masks = predictions.mask_logits
    return QueryPredictions(
        predictions.class_logits.to(dtype),
        predictions.boxes_norm.to(dtype),
        None if masks is None else masks.to(dtype),
    )


@pytest.mark.parametrize(
    ("kind", "expected", "weight", "total", "cardinality"),
    [("softmax", DETR, 1.0, 31.468031, 53.5), ("sigmoid", ANCHOR_DETR, 2.0, 462.566079, None)],
)
def test_the_authors_losses(query_cases, kind, expected, weight, total, cardinality) -> None:
    """DETR 29901c5 and Anchor DETR 0b4358a on made-up predictions of six layers."""
    criterion = {"softmax": softmax_criterion, "sigmoid": sigmoid_criterion}[kind]()
    predictions = getattr(query_cases, f"{kind}_predictions")()
    targets = query_cases.two_images()
    with EventStorage(0) as storage:
        losses = criterion(predictions, targets)
        logged = {name: value for name, (value, _) in storage.latest().items()}
    for name, values in expected.items():
        suffixes = ["", *(f"_{layer}" for layer in range(5))]
        found = [losses[name + suffix].item() for suffix in suffixes]
        assert found == pytest.approx(values, abs=5.1e-7)
    assert len(losses) == 18
    assert logged.pop("class_error") == 100
    assert logged.get("cardinality_error") == cardinality
    criterion.loss_weights.update(loss_class=weight, loss_l1=5.0, loss_box=2.0)
    assert sum(criterion(predictions, targets).values()).item() == pytest.approx(total, abs=5.1e-7)
    single = sum(criterion(to(predictions, torch.float32), targets).values())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(total, rel=1e-6)


def test_the_authors_mask_losses(query_cases) -> None:
    logits, masks = query_cases.masks()
    predictions = replace(query_cases.softmax_predictions(), mask_logits=logits)
    losses = softmax_criterion()(predictions, replace(query_cases.two_images(), masks=masks))
    assert losses["loss_mask"].item() == pytest.approx(0.374487, abs=5.1e-7)
    assert losses["loss_dice"].item() == pytest.approx(0.731660, abs=5.1e-7)
    assert len(losses) == 20
    with pytest.raises(ValueError, match="targets have no masks"):
        softmax_criterion()(predictions, query_cases.two_images())


@pytest.mark.parametrize("make", [softmax_criterion, sigmoid_criterion])
def test_without_objects_every_loss_hangs_on_the_graph(query_cases, make) -> None:
    logits, masks = query_cases.masks()
    targets = without_objects(replace(query_cases.two_images(), masks=masks))
    leaves = [
        tensor.requires_grad_()
        for tensor in (
            query_cases.softmax_predictions().class_logits,
            query_cases.boxes_norm(100),
            logits,
        )
    ]
    losses = make()(QueryPredictions(*leaves), targets)
    assert len(losses) == 20
    for name, loss in losses.items():
        assert loss.requires_grad
        assert "class" in name or loss.item() == 0
    gradients = torch.autograd.grad(sum(losses.values()), leaves)
    assert gradients[0].any()
    assert not gradients[1].any()
    assert not gradients[2].any()


def test_the_softmax_loss_without_objects_by_hand() -> None:
    """Every query is to say "no object": the plain mean, whatever the weight of it."""
    logits = torch.randn(1, 3, 7, 5, dtype=torch.float64)
    targets = Targets(
        boxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.int64),
        image_index=torch.zeros(0, dtype=torch.int64),
        image_sizes=torch.full((3, 2), 64),
    )
    losses = softmax_criterion()(QueryPredictions(logits, logits[..., :4].sigmoid()), targets)
    expected = -logits.log_softmax(dim=-1)[..., 4].mean()
    torch.testing.assert_close(losses["loss_class"], expected)


def test_one_object_by_hand() -> None:
    """Two queries in an image of 100x200; the second answers for the object."""
    predictions = QueryPredictions(
        class_logits=torch.tensor([[[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]]], dtype=torch.float64),
        boxes_norm=torch.tensor(
            [[[[0.9, 0.9, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5]]]], dtype=torch.float64
        ),
    )
    targets = Targets(
        boxes=torch.tensor([[50.0, 25.0, 150.0, 50.0]], dtype=torch.float64),
        labels=torch.tensor([0]),
        image_index=torch.tensor([0]),
        image_sizes=torch.tensor([[100, 200]]),
    )
    no_object, found = math.log(3), math.log(math.exp(2) + 2) - 2
    with EventStorage(0) as storage:
        losses = softmax_criterion()(predictions, targets)
        assert storage.latest()["class_error"][0] == 0
        # The first query's three logits are equal, so that the first class counts as its best.
        assert storage.latest()["cardinality_error"][0] == 1
    expected = (0.1 * no_object + found) / 1.1
    assert losses["loss_class"].item() == pytest.approx(expected, rel=1e-12)
    # The object in [0, 1]: (.5, .375, .5, .25). It is the upper half of the predicted box.
    assert losses["loss_l1"].item() == pytest.approx(0.125 + 0.25, rel=1e-12)
    assert losses["loss_box"].item() == pytest.approx(0.5, rel=1e-12)
    assert tuple(losses) == LOSS_NAMES

    focal_loss = sigmoid_criterion()(predictions, targets)["loss_class"].item()
    p = 1 / (1 + math.exp(-2))
    negatives = 5 * 0.75 * 0.25 * math.log(2)  # logits of 0, the object's excluded
    assert focal_loss == pytest.approx(negatives + 0.25 * (1 - p) ** 2 * -math.log(p), rel=1e-12)


def test_box_losses_see_pixels() -> None:
    """CIoU looks at the shape of boxes, which normalised boxes of an oblong image do not have."""
    predictions = QueryPredictions(
        class_logits=torch.zeros(1, 1, 1, 2),
        boxes_norm=torch.tensor([[[[0.5, 0.5, 0.4, 0.2]]]], dtype=torch.float64),
    )
    targets = Targets(
        boxes=torch.tensor([[40.0, 30.0, 160.0, 60.0]], dtype=torch.float64),
        labels=torch.tensor([0]),
        image_index=torch.tensor([0]),
        image_sizes=torch.tensor([[100, 200]]),
    )
    losses = softmax_criterion(box_loss=ciou)(predictions, targets)
    pixels = torch.tensor([[60.0, 40.0, 140.0, 60.0]], dtype=torch.float64)
    torch.testing.assert_close(losses["loss_box"], ciou(pixels, targets.boxes)[0])


def part_of(predictions: QueryPredictions, targets: Targets, images: list[int]):
    """Some images of a batch."""
    own = torch.isin(targets.image_index, torch.tensor(images))
    return (
        replace(
            predictions,
            class_logits=predictions.class_logits[:, images],
            boxes_norm=predictions.boxes_norm[:, images],
        ),
        replace(
            targets,
            boxes=targets.boxes[own],
            labels=targets.labels[own],
            image_index=torch.searchsorted(torch.tensor(images), targets.image_index[own]),
            image_sizes=targets.image_sizes[images],
        ),
    )


@pytest.mark.parametrize("make", [softmax_criterion, sigmoid_criterion])
@pytest.mark.parametrize("objects", [5, 3, 0])
def test_ranks_add_up_to_the_whole_batch(query_cases, monkeypatch, make, objects) -> None:
    """The average over two ranks is the loss of both images together."""
    predictions, targets = query_cases.softmax_predictions(), query_cases.two_images()
    if objects < 5:
        targets = replace(
            targets,
            boxes=targets.boxes[:objects],
            labels=targets.labels[:objects],
            image_index=targets.image_index[:objects],
        )
    criterion = make()
    whole = criterion(predictions, targets)
    monkeypatch.setattr(normalization, "get_world_size", lambda: 2)
    monkeypatch.setattr(set_criterion, "get_world_size", lambda: 2)

    def all_reduce(counts: torch.Tensor) -> None:
        counts.copy_(torch.tensor([objects, 200.0]))

    monkeypatch.setattr(normalization.distributed, "all_reduce", all_reduce)
    ranks = [criterion(*part_of(predictions, targets, [image])) for image in range(2)]
    for name, loss in whole.items():
        mean = (ranks[0][name] + ranks[1][name]) / 2
        torch.testing.assert_close(mean, loss, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [softmax_criterion, sigmoid_criterion])
def test_sums_add_up_over_batches(query_cases, make) -> None:
    predictions, targets = query_cases.softmax_predictions(), query_cases.two_images()
    criterion = make(loss_weights=ONES | {"loss_l1": 5.0})
    whole = criterion(predictions, targets)
    parts = [criterion.sums(*part_of(predictions, targets, [image])) for image in range(2)]
    assert set(parts[0][0]) == set(parts[0][1]) == set(whole)
    for name, loss in whole.items():
        total = sum(sums[name] for sums, _ in parts) / sum(counts[name] for _, counts in parts)
        torch.testing.assert_close(total, loss, rtol=1e-12, atol=0)


def test_half_precision_is_raised(query_cases) -> None:
    half = to(query_cases.softmax_predictions(), torch.bfloat16)
    targets = query_cases.two_images()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = softmax_criterion()(half, targets)
    expected = softmax_criterion()(to(half, torch.float32), targets)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert torch.equal(loss, expected[name])


def test_broken_predictions_give_a_loss_that_is_not_finite(query_cases) -> None:
    """So that the trainer records the step and follows its policy."""
    predictions, targets = query_cases.softmax_predictions(), query_cases.two_images()
    predictions.boxes_norm[2, 0, 7] = math.nan
    losses = softmax_criterion()(predictions, targets)
    assert losses["loss_l1_2"].isnan()
    assert losses["loss_l1"].isfinite()


def test_errors(query_cases) -> None:
    predictions, targets = query_cases.softmax_predictions(), query_cases.two_images()
    with pytest.raises(ConfigError, match="AUXILIARY_HEAD"):
        softmax_criterion()(predictions, targets, predictions)
    with pytest.raises(ValueError, match="loss_weights"):
        softmax_criterion(loss_weights={"loss_class": 1.0})
    with pytest.raises(ConfigError, match=r"NO_OBJECT_WEIGHT.*0"):
        SoftmaxClassLoss(no_object_weight=0)
    few = QueryPredictions(predictions.class_logits[:, :, :2], predictions.boxes_norm[:, :, :2])
    with pytest.raises(DatasetError, match="3 objects"):
        softmax_criterion()(few, targets)


def test_config(query_cases) -> None:
    cfg = get_config()
    cfg.MODEL.ASSIGNER.NAME, cfg.MODEL.CRITERION.NAME = "HungarianMatcher", "SetCriterion"
    node = cfg.MODEL.CRITERION
    node.CLASS_LOSS, node.BOX_LOSS, node.NO_OBJECT_WEIGHT = "softmax", "giou", 0.3
    node.CLASS_WEIGHT, node.L1_WEIGHT, node.BOX_WEIGHT = 1.5, 5.0, 2.0
    node.MASK_WEIGHT, node.DICE_WEIGHT = 3.0, 4.0
    node.FOCAL_ALPHA, node.FOCAL_GAMMA = 0.4, 1.0
    criterion = build_criterion(cfg, of_queries=True)
    assert isinstance(criterion.assigner, HungarianMatcher)
    assert criterion.class_loss.no_object_weight == 0.3
    assert criterion.scores.num_logits(80) == 81
    assert criterion.box_loss is giou
    assert criterion.mask_loss.keywords == {"alpha": 0.4, "gamma": 1.0}
    assert criterion.loss_weights == {
        "loss_class": 1.5, "loss_l1": 5.0, "loss_box": 2.0, "loss_mask": 3.0, "loss_dice": 4.0,
    }  # fmt: skip
    node.CLASS_LOSS = "focal"
    criterion = build_criterion(cfg, of_queries=True)
    assert (criterion.class_loss.alpha, criterion.class_loss.gamma) == (0.4, 1.0)
    assert criterion.scores.num_logits(80) == 80
    node.CLASS_LOSS = "sigmoid"
    with pytest.raises(ConfigError, match=r"CLASS_LOSS.*'sigmoid'"):
        build_criterion(cfg, of_queries=True)
    node.CLASS_LOSS, node.BOX_LOSS = "focal", "gio"
    with pytest.raises(ConfigError, match=r"BOX_LOSS.*giou"):
        build_criterion(cfg, of_queries=True)


@pytest.mark.parametrize("layers", [1, 3])
def test_softmax_weights_are_those_of_torch(layers) -> None:
    """On one rank it is torch's weighted mean, also where all weights together are below 1."""
    logits = torch.randn(layers, 1, 4, 3, dtype=torch.float64)
    index = (torch.arange(layers)[:, None], torch.tensor([0]), torch.full((layers, 1), 2))
    loss = SoftmaxClassLoss(no_object_weight=0.1)
    for matched, labels in ((index, torch.tensor([1])), (None, None)):
        wanted = torch.full((layers, 4), 2)
        if matched is not None:
            wanted[:, 2] = 1
            sums = loss(logits, matched, labels)
        else:
            none = torch.zeros(layers, 0, dtype=torch.int64)
            sums = loss(logits, (index[0], none[0], none), none[0])
        count = loss.count(0 if matched is None else 1, 4)
        weights = torch.tensor([1.0, 1.0, 0.1], dtype=torch.float64)
        for layer in range(layers):
            expected = functional.cross_entropy(logits[layer, 0], wanted[layer], weights)
            torch.testing.assert_close(sums[layer] / count, expected)

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from yolov7.config import get_config
from yolov7.d2 import EventStorage
from yolov7.modeling import build_criterion
from yolov7.modeling.assignment import Assignment, SimOTA
from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.losses import DenseCriterion, bce, focal, giou, iou_squared, normalization
from yolov7.modeling.losses.dense import LOSS_NAMES
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError

WEIGHTS = {"loss_box": 5.0, "loss_objectness": 1.0, "loss_class": 1.0, "loss_l1": 0.0}


def make_criterion(**changes) -> DenseCriterion:
    parts = {
        "assigner": SimOTA(),
        "box_coder": YOLOXBoxCoder(),
        "box_loss": iou_squared,
        "class_loss": bce,
        "objectness_loss": bce,
        "loss_weights": WEIGHTS,
    }
    return DenseCriterion(**(parts | changes))


def without_objects(targets: Targets) -> Targets:
    return replace(
        targets,
        boxes=targets.boxes[:0],
        labels=targets.labels[:0],
        image_index=targets.image_index[:0],
    )


@pytest.mark.parametrize(
    ("l1_weight", "total", "l1", "gradients"),
    [
        (0.0, 37.4306068, 0.0, [19.124008, 7.701781, 2.521322]),
        (1.0, 39.2954521, 1.8648455, [20.167393, 9.70178, 3.318128]),
    ],
)
def test_the_authors_losses_and_gradients(yolox_recipe, l1_weight, total, l1, gradients) -> None:
    """Numbers of the authors' head on this recipe (YOLOX commit 6ddff48, float32, CPU)."""
    criterion = make_criterion()
    criterion.loss_weights["loss_l1"] = l1_weight
    with EventStorage(0) as storage:
        losses = criterion(yolox_recipe.predictions, yolox_recipe.targets)
        assert storage.latest()["num_foreground"][0] == 14
        assert storage.latest()["num_foreground_per_object"][0] == 2.0
    assert tuple(losses) == LOSS_NAMES
    found = {name: loss.item() for name, loss in losses.items()}
    assert found["loss_box"] == pytest.approx(4.0856133, rel=5e-7)
    assert found["loss_objectness"] == pytest.approx(27.377903, rel=5e-7)
    assert found["loss_class"] == pytest.approx(5.9670911, rel=5e-7)
    assert found["loss_l1"] == pytest.approx(l1, rel=5e-7)
    loss = sum(losses.values())
    assert loss.item() == pytest.approx(total, rel=5e-7)
    sums = [level.abs().sum().item() for level in torch.autograd.grad(loss, yolox_recipe.maps)]
    assert sums == pytest.approx(gradients, rel=5e-7)


def test_without_any_object(yolox_recipe) -> None:
    criterion = make_criterion(loss_weights=WEIGHTS | {"loss_l1": 1.0})
    losses = criterion(yolox_recipe.predictions, without_objects(yolox_recipe.targets))
    assert tuple(losses) == LOSS_NAMES
    assert losses["loss_objectness"].item() == pytest.approx(338.9897, rel=5e-7)
    for name in ("loss_box", "loss_class", "loss_l1"):
        assert losses[name].item() == 0
        assert losses[name].requires_grad
    (gradient,) = torch.autograd.grad(losses["loss_box"], yolox_recipe.maps[0])
    assert not gradient.any()


def test_a_term_of_weight_zero_is_a_zero_on_the_graph(yolox_recipe) -> None:
    criterion = make_criterion(loss_weights=dict.fromkeys(LOSS_NAMES, 0.0))
    losses = criterion(yolox_recipe.predictions, yolox_recipe.targets)
    total = sum(losses.values())
    assert total.item() == 0
    for gradient in torch.autograd.grad(total, yolox_recipe.maps):
        assert not gradient.any()
    # 0 times an overflowing loss would be NaN.
    broken = replace(yolox_recipe.predictions, box_deltas=torch.full((3, 1344, 4), float("inf")))
    assert criterion(broken, yolox_recipe.targets)["loss_l1"].item() == 0


def test_one_pair_by_hand() -> None:
    """One cell of stride 8, one object that is its box exactly, half the boxes' overlap given."""
    centers, strides = cell_centers([(1, 2)], [8], dtype=torch.float64)
    predictions = DensePredictions(
        class_logits=torch.zeros(1, 2, 3, dtype=torch.float64),
        objectness_logits=torch.zeros(1, 2, dtype=torch.float64),
        box_deltas=torch.tensor([[[0.5, 0.5, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]]]).double(),
        centers=centers,
        strides=strides,
        level_sizes=((1, 2),),
    )
    targets = Targets(
        boxes=torch.tensor([[0.0, 0.0, 8.0, 16.0]]),
        labels=torch.tensor([1]),
        image_index=torch.tensor([0]),
        image_sizes=torch.tensor([[8, 16]]),
    )

    def assigner(predictions: DensePredictions, boxes: Tensor, targets: Targets) -> Assignment:
        zero = torch.zeros(1, dtype=torch.int64)
        assert boxes[0, 0].tolist() == [0, 0, 8, 8]
        return Assignment(zero, zero, zero, torch.tensor([0.5], dtype=torch.float64))

    criterion = make_criterion(assigner=assigner, loss_weights=WEIGHTS | {"loss_l1": 2.0})
    losses = {name: loss.item() for name, loss in criterion(predictions, targets).items()}
    ln2 = torch.tensor(2.0, dtype=torch.float64).log().item()
    # IoU ½: 5 · (1 − ¼). All logits are 0, so each cross entropy is ln 2, whatever its target.
    # The object's centre is half a cell below and its height ln 2 more: 2 · (½ + ln 2).
    assert losses["loss_box"] == pytest.approx(3.75)
    assert losses["loss_objectness"] == pytest.approx(2 * ln2)
    assert losses["loss_class"] == pytest.approx(3 * ln2)
    assert losses["loss_l1"] == pytest.approx(1 + 2 * ln2, rel=1e-7)


def test_class_targets_are_soft_and_objectness_targets_hard(yolox_recipe) -> None:
    seen = []

    def remember(logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return bce(logits, targets)

    criterion = make_criterion(class_loss=remember, objectness_loss=remember)
    criterion(yolox_recipe.predictions, yolox_recipe.targets)
    objectness, classes = seen
    assert objectness.unique().tolist() == [0.0, 1.0]
    assert objectness.sum().item() == 14
    assert bool(((classes > 0).sum(dim=1) == 1).all())
    assert 0 < classes.max().item() < 1


def test_a_batch_is_its_images(bm_sim_ota) -> None:
    """Sums over images, brought to the batch's normaliser, are the batch's losses."""
    predictions, targets = bm_sim_ota.random_case(
        0, objects=[4, 0, 7], size=(96, 96), num_classes=5, dtype=torch.float64
    )
    criterion = make_criterion(loss_weights=WEIGHTS | {"loss_l1": 1.0})
    together, parts, counts = criterion(predictions, targets), [], []
    for image in range(3):
        part = slice(image, image + 1)
        own = targets.image_index == image
        single = replace(
            targets,
            boxes=targets.boxes[own],
            labels=targets.labels[own],
            image_index=torch.zeros(int(own.sum()), dtype=torch.int64),
            image_sizes=targets.image_sizes[part],
        )
        pictures = replace(
            predictions,
            class_logits=predictions.class_logits[part],
            objectness_logits=predictions.objectness_logits[part],
            box_deltas=predictions.box_deltas[part],
        )
        with EventStorage(0) as storage:
            parts.append(criterion(pictures, single))
            counts.append(storage.latest()["num_foreground"][0])
    assert counts[1] == 0
    for name, loss in together.items():
        total = sum(max(count, 1) * part[name] for count, part in zip(counts, parts, strict=True))
        torch.testing.assert_close(loss, total / sum(counts), rtol=1e-12, atol=0)


def test_sums_add_up_over_images_to_the_authors_losses(yolox_recipe) -> None:
    """Image by image, whose counts differ and of which one is empty: same numbers as at once."""
    criterion, totals, count = make_criterion(), {}, 0
    predictions, targets = yolox_recipe.predictions, yolox_recipe.targets
    for image in range(3):
        mine = targets.image_index == image
        sums, pairs = criterion.sums(
            replace(
                predictions,
                class_logits=predictions.class_logits[image : image + 1],
                objectness_logits=predictions.objectness_logits[image : image + 1],
                box_deltas=predictions.box_deltas[image : image + 1],
            ),
            replace(
                targets,
                boxes=targets.boxes[mine],
                labels=targets.labels[mine],
                image_index=targets.image_index[mine] - image,
                image_sizes=targets.image_sizes[:1],
            ),
        )
        count += pairs
        totals = {name: totals.get(name, 0.0) + float(value) for name, value in sums.items()}
    assert count == 14
    assert totals["loss_box"] / count == pytest.approx(4.0856133, rel=1e-6)
    assert totals["loss_objectness"] / count == pytest.approx(27.377903, rel=1e-6)
    assert totals["loss_class"] / count == pytest.approx(5.9670911, rel=1e-6)


def test_half_precision_is_raised_and_float64_stays(yolox_recipe) -> None:
    for dtype, expected in [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)]:
        lowered = replace(
            yolox_recipe.predictions,
            class_logits=yolox_recipe.predictions.class_logits.to(dtype),
            objectness_logits=yolox_recipe.predictions.objectness_logits.to(dtype),
            box_deltas=yolox_recipe.predictions.box_deltas.to(dtype),
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = make_criterion()(lowered, yolox_recipe.targets)
        assert {loss.dtype for loss in losses.values()} == {expected}
        assert sum(losses.values()).item() == pytest.approx(37.43, rel=0.02)


def test_wrong_use_is_named(yolox_recipe) -> None:
    with pytest.raises(ValueError, match="loss_weights"):
        make_criterion(loss_weights={"loss_bbox": 1.0})
    criterion = make_criterion()
    bare = replace(yolox_recipe.predictions, objectness_logits=None)
    with pytest.raises(ValueError, match="objectness"):
        criterion(bare, yolox_recipe.targets)
    with pytest.raises(ConfigError, match=r"AUXILIARY_HEAD\.CHANNELS"):
        criterion(yolox_recipe.predictions, yolox_recipe.targets, yolox_recipe.predictions)


def test_the_config_reaches_every_part() -> None:
    cfg = get_config()
    coder = YOLOXBoxCoder()
    criterion = build_criterion(cfg, box_coder=coder)
    assert criterion.loss_weights == WEIGHTS
    assert (criterion.box_loss, criterion.class_loss) == (iou_squared, bce)
    assert isinstance(criterion.assigner, SimOTA)
    assert criterion.box_coder is coder
    cfg.MODEL.CRITERION.BOX_LOSS = "giou"
    cfg.MODEL.CRITERION.OBJECTNESS_LOSS = "focal"
    cfg.MODEL.CRITERION.BOX_WEIGHT = 7.5
    cfg.MODEL.CRITERION.OBJECTNESS_WEIGHT = 2.0
    cfg.MODEL.CRITERION.CLASS_WEIGHT = 0.5
    criterion = build_criterion(cfg, box_coder=coder)
    assert criterion.box_loss is giou
    assert criterion.objectness_loss.func is focal
    assert criterion.objectness_loss.keywords == {"alpha": 0.25, "gamma": 2.0}
    assert list(criterion.loss_weights.values()) == [7.5, 2.0, 0.5, 0.0]
    cfg.MODEL.CRITERION.CLASS_LOSS = "bec"
    with pytest.raises(ConfigError, match=r"MODEL.CRITERION.CLASS_LOSS.*'bec'.*'bce'"):
        build_criterion(cfg, box_coder=coder)


def test_the_normalizer_counts_all_ranks(monkeypatch) -> None:
    monkeypatch.setattr(normalization, "get_world_size", lambda: 2)
    monkeypatch.setattr(normalization.distributed, "all_reduce", lambda count: count.add_(4))
    like = torch.zeros(1, dtype=torch.float64)
    assert normalization.rank_normalizer(6, like=like).item() == 5.0
    several = normalization.rank_normalizer(torch.tensor([6.0, 0.0, 1.0]), like=like)
    assert several.tolist() == [5.0, 2.0, 2.5]
    monkeypatch.setattr(normalization.distributed, "all_reduce", lambda count: None)
    assert normalization.rank_normalizer(0, like=like).item() == 0.5


def test_ignored_places_have_no_objectness(yolox_recipe) -> None:
    predictions, targets = yolox_recipe.predictions, yolox_recipe.targets
    ignored = torch.zeros_like(predictions.objectness_logits, dtype=torch.bool)
    ignored[1, 5:9] = True

    def assigner(*arguments) -> Assignment:
        return replace(Assignment.empty("cpu", torch.float32), ignored=ignored)

    plain = make_criterion(assigner=lambda *_: Assignment.empty("cpu", torch.float32))
    difference = (
        plain(predictions, targets)["loss_objectness"]
        - make_criterion(assigner=assigner)(predictions, targets)["loss_objectness"]
    )
    logits = predictions.objectness_logits[1, 5:9]
    # Background costs -ln(1 - p); nothing divides it, as there are no pairs.
    expected = -(1 - logits.sigmoid()).log().sum()
    assert difference.item() == pytest.approx(expected.item(), rel=1e-3)

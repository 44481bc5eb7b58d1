"""YOLOv7's losses against numbers of the authors' code, recorded by running it as a black box.

Official repository at commit a207844, CPU, float32. Inputs are filled by a formula (conftest.py):
2 images, 8 classes, 3 anchors a level; three levels at 256x256 ("P5"), four at 512x512 ("P6").
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from yolov7.modeling.assignment import OTA, AnchorRatio, CoarseToFine
from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.losses import AnchorCriterion, AuxiliaryCriterion, bce, ciou, focal
from yolov7.modeling.losses.anchor import scaled_weights
from yolov7.modeling.predictions import DensePredictions

FOCAL = partial(focal, alpha=0.25, gamma=1.5)
BALANCE = {3: (4.0, 1.0, 0.4), 4: (4.0, 1.0, 0.25, 0.06)}


def criterion(recipe: SimpleNamespace, assigner, loss=bce, smoothing: float = 0.0):
    levels = len(recipe.predictions.level_sizes)
    return AnchorCriterion(
        assigner=assigner,
        box_coder=YOLOv7BoxCoder(),
        box_loss=ciou,
        class_loss=loss,
        objectness_loss=loss,
        loss_weights=scaled_weights(
            box=0.05,
            objectness=0.7,
            classes=0.3,
            num_levels=levels,
            num_classes=8,
            image_size=(recipe.side, recipe.side),
        ),
        level_balance=BALANCE[levels],
        batch_size=2,
        label_smoothing=smoothing,
    )


def auxiliary_criterion(recipe: SimpleNamespace, loss=bce, smoothing: float = 0.0):
    return AuxiliaryCriterion(
        lead=criterion(recipe, OTA(top_k=20), loss, smoothing),
        guidance=CoarseToFine(assigner=OTA(top_k=20, num_cells=5)),
        auxiliary_weight=0.25,
    )


def without_objects(recipe: SimpleNamespace):
    targets = recipe.targets
    return type(targets)(
        targets.boxes[:0], targets.labels[:0], targets.image_index[:0], targets.image_sizes
    )


def assert_losses(losses: dict, total: float, box: float, objectness: float, classes: float):
    """`total` is of two images; the parts are recorded before that factor."""
    found = {
        part: sum(loss.item() for name, loss in losses.items() if name.endswith(part)) / 2
        for part in ("box", "objectness", "class")
    }
    # Half a unit of the last printed digit.
    assert found["box"] == pytest.approx(box, rel=0, abs=5.1e-8)
    assert found["objectness"] == pytest.approx(objectness, rel=0, abs=5.1e-8)
    assert found["class"] == pytest.approx(classes, rel=0, abs=5.1e-8)
    assert sum(losses.values()).item() == pytest.approx(total, rel=0, abs=1.1e-7)


def per_level(predictions: DensePredictions, prediction_index: torch.Tensor) -> list[int]:
    levels = predictions.level_index()[prediction_index]
    return torch.bincount(levels, minlength=len(predictions.level_sizes)).tolist()


@pytest.mark.parametrize(
    ("make", "numbers"),
    [
        (
            lambda r: criterion(r, AnchorRatio()),
            (0.5291015, 0.1342418, 0.0528466, 0.0774623),
        ),
        (lambda r: criterion(r, OTA()), (0.3473004, 0.0674812, 0.0511106, 0.0550583)),
        (
            lambda r: criterion(r, OTA(), smoothing=0.1),
            (0.3465531, 0.0674812, 0.0511106, 0.0546847),
        ),
        (
            lambda r: criterion(r, OTA(), FOCAL),
            (0.1868773, 0.0674812, 0.0024867, 0.0234707),
        ),
    ],
    ids=["plain", "ota", "ota, label smoothing", "ota, focal"],
)
def test_p5(yolov7_p5_recipe, make, numbers) -> None:
    recipe = yolov7_p5_recipe
    losses = make(recipe)(recipe.predictions, recipe.targets)
    assert_losses(losses, *numbers)


@pytest.mark.parametrize(
    ("make", "numbers"),
    [
        (
            lambda r: auxiliary_criterion(r),
            (0.7635866, 0.1079756, 0.1862091, 0.0876086),
        ),
        (
            lambda r: auxiliary_criterion(r, smoothing=0.1),
            (0.7636360, 0.1079756, 0.1862091, 0.0876333),
        ),
        (
            lambda r: auxiliary_criterion(r, FOCAL),
            (0.2994833, 0.1079756, 0.0089638, 0.0328022),
        ),
    ],
    ids=["ota", "label smoothing", "focal"],
)
def test_p6_with_an_auxiliary_head(yolov7_p6_recipe, make, numbers) -> None:
    recipe = yolov7_p6_recipe
    losses = make(recipe)(recipe.predictions, recipe.targets, recipe.auxiliary)
    assert_losses(losses, *numbers)


def test_p6_plain(yolov7_p6_recipe) -> None:
    recipe = yolov7_p6_recipe
    losses = criterion(recipe, AnchorRatio())(recipe.predictions, recipe.targets)
    assert_losses(losses, 0.7060561, 0.1292388, 0.1504434, 0.0733458)


def test_without_objects(yolov7_p5_recipe, yolov7_p6_recipe) -> None:
    for recipe, total, objectness in [
        (yolov7_p5_recipe, 0.1003869, 0.0501934),
        (yolov7_p6_recipe, 0.2954190, 0.1477095),
    ]:
        losses = criterion(recipe, AnchorRatio())(recipe.predictions, without_objects(recipe))
        assert_losses(losses, total, 0.0, objectness, 0.0)


def test_positives_per_level(yolov7_p5_recipe, yolov7_p6_recipe) -> None:
    expected = [
        (yolov7_p5_recipe, AnchorRatio(), [35, 43, 25]),
        (yolov7_p5_recipe, OTA(), [7, 3, 0]),
        (yolov7_p6_recipe, AnchorRatio(), [35, 47, 32, 21]),
        (yolov7_p6_recipe, OTA(top_k=20), [3, 11, 4, 2]),
        (yolov7_p6_recipe, OTA(top_k=20, num_cells=5), [7, 12, 6, 0]),
    ]
    for recipe, assigner, counts in expected:
        assignment, _ = criterion(recipe, assigner).assign(recipe.predictions, recipe.targets)
        assert per_level(recipe.predictions, assignment.prediction_index) == counts


def test_gradients_p5(yolov7_p5_recipe) -> None:
    recipe = yolov7_p5_recipe
    losses = criterion(recipe, OTA())(recipe.predictions, recipe.targets)
    gradients = torch.autograd.grad(sum(losses.values()), recipe.maps)
    sums = [gradient.abs().sum().item() for gradient in gradients]
    assert sums == pytest.approx([0.146211, 0.088265, 0.006808], rel=0, abs=5.1e-7)


def test_gradients_p6_with_an_auxiliary_head(yolov7_p6_recipe) -> None:
    recipe = yolov7_p6_recipe
    losses = auxiliary_criterion(recipe)(recipe.predictions, recipe.targets, recipe.auxiliary)
    gradients = torch.autograd.grad(sum(losses.values()), recipe.maps)
    sums = [gradient.abs().sum().item() for gradient in gradients]
    lead, auxiliary = sums[:4], sums[4:]
    assert lead == pytest.approx([0.273269, 0.115008, 0.079988, 0.061642], rel=0, abs=5.1e-7)
    assert auxiliary == pytest.approx([0.061425, 0.022793, 0.013488, 0.000772], rel=0, abs=5.1e-7)

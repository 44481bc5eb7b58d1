"""YOLOF's matches and losses against numbers of the authors' code, run as a black box.

github.com/chensnathan/YOLOF, commit a44b7af, CPU, float32: 8 classes, 5 square anchors on one map
of stride 32, 2 images of 192x256 (`yolof_recipe` in conftest.py).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolov7.modeling.assignment import UniformMatcher
from yolov7.modeling.box_coders import YOLOFBoxCoder
from yolov7.modeling.losses import YOLOFCriterion, focal, giou

CODER = YOLOFBoxCoder()


def make_criterion(**arguments) -> YOLOFCriterion:
    return YOLOFCriterion(
        assigner=UniformMatcher(**arguments),
        box_coder=CODER,
        box_loss=giou,
        class_loss=focal,
        loss_weights={"loss_box": 1.0, "loss_class": 1.0},
    )


def assign(recipe, **arguments):
    predictions = recipe.predictions
    boxes = CODER.decode(predictions.box_deltas.detach(), *predictions.places())
    return UniformMatcher(**arguments)(predictions, boxes, recipe.targets)


def test_the_inputs_are_the_recorded_ones(yolof_recipe) -> None:
    sums = [maps.double().sum().item() for maps in yolof_recipe.maps]
    assert sums == pytest.approx([-11496.1966, 27.8659, 39.1037], abs=5e-5)


def test_losses_and_gradients(yolof_recipe) -> None:
    # Up to one unit of the last place in float32, which the order of the sum decides.
    losses = make_criterion()(yolof_recipe.predictions, yolof_recipe.targets)
    assert losses["loss_class"].item() == pytest.approx(0.97694606, abs=7e-8)
    assert losses["loss_box"].item() == pytest.approx(0.88868093, abs=7e-8)
    gradients = torch.autograd.grad(sum(losses.values()), yolof_recipe.maps)
    sums = [gradient.abs().sum().item() for gradient in gradients]
    assert sums == pytest.approx([0.413474, 1.282576, 0.192243], abs=6e-7)


def test_without_objects(yolof_recipe) -> None:
    targets = yolof_recipe.targets
    none = replace(
        targets,
        boxes=targets.boxes[:0],
        labels=targets.labels[:0],
        image_index=targets.image_index[:0],
    )
    losses = make_criterion()(yolof_recipe.predictions, none)
    assert losses["loss_class"].item() == pytest.approx(1.38814998, abs=1.2e-7)
    assert losses["loss_box"].item() == 0
    gradients = torch.autograd.grad(sum(losses.values()), yolof_recipe.maps)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_pairs_of_the_second_image_in_their_order(yolof_recipe) -> None:
    pairs = assign(yolof_recipe, min_anchor_iou=0.0)
    second = pairs.image_index == 1
    ours = pairs.prediction_index[second]
    # The authors count anchors of a cell first, we cells of an anchor.
    theirs = ours % 48 * 5 + ours // 48
    assert theirs.tolist() == [
        212, 52, 142, 142, 218, 212, 182, 141, 177, 177, 147, 182, 52, 181, 137, 181,
    ]  # fmt: skip
    assert pairs.target_index[second].tolist() == [3, 4] * 8


@pytest.mark.parametrize(
    ("image", "pairs", "low", "distinct", "foreground", "ignored"),
    [(0, 24, 10, 20, 13, 7), (1, 16, 4, 10, 8, 2)],
)
def test_how_many_are_taught_what(
    yolof_recipe, image, pairs, low, distinct, foreground, ignored
) -> None:
    every, counting = assign(yolof_recipe, min_anchor_iou=0.0), assign(yolof_recipe)
    listed = every.prediction_index[every.image_index == image]
    kept = counting.prediction_index[counting.image_index == image]
    assert (len(listed), len(listed) - len(kept)) == (pairs, low)
    assert len(listed.unique()) == distinct
    taught = torch.zeros(240, dtype=torch.bool)
    taught[kept] = True
    assert int((taught & ~counting.ignored[image]).sum()) == foreground
    assert int(counting.ignored[image].sum()) == ignored

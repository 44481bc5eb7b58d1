from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions, certain_if_single


def make(num_anchors: int = 1, dtype: torch.dtype = torch.float32) -> DensePredictions:
    sizes = ((2, 3), (1, 2))
    centers, strides = cell_centers(sizes, (8, 16), num_anchors=num_anchors)
    count = 8 * num_anchors
    return DensePredictions(
        class_logits=torch.zeros(2, count, 5, dtype=dtype),
        objectness_logits=torch.zeros(2, count, dtype=dtype),
        box_deltas=torch.zeros(2, count, 4, dtype=dtype),
        centers=centers,
        strides=strides,
        level_sizes=sizes,
    )


def test_counts() -> None:
    predictions = make(num_anchors=3)
    assert predictions.num_images == 2
    assert predictions.num_predictions == 24
    assert predictions.num_classes == 5
    assert predictions.num_cells == 8
    assert predictions.num_anchors == 3
    assert predictions.frame().tolist() == [24.0, 16.0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("objectness_logits", (2, 8, 1)),
        ("box_deltas", (2, 8, 5)),
        ("centers", (7, 2)),
        ("strides", (8, 1)),
        ("anchors", (8, 4)),
    ],
)
def test_shapes_that_do_not_belong_together_are_named(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=name):
        replace(make(), **{name: torch.zeros(shape)})


def test_levels_must_account_for_all_predictions() -> None:
    with pytest.raises(ValueError, match="9 cells"):
        replace(make(), level_sizes=((3, 3),))


def test_half_precision_is_raised_and_float64_stays() -> None:
    raised = make(dtype=torch.bfloat16).at_least_float32()
    assert raised.class_logits.dtype == raised.box_deltas.dtype == torch.float32
    assert raised.objectness_logits.dtype == torch.float32
    assert make(dtype=torch.float64).at_least_float32().box_deltas.dtype == torch.float64
    assert replace(make(), objectness_logits=None).at_least_float32().objectness_logits is None


def test_one_class_is_certain_and_several_stay() -> None:
    single = replace(make(), class_logits=torch.full((2, 8, 1), -3.0))
    assert torch.equal(certain_if_single(single).class_logits.sigmoid(), torch.ones(2, 8, 1))
    assert single.class_logits.max() == -3
    several = make()
    assert certain_if_single(several) is several

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolov7.modeling.query_predictions import QueryPredictions


def make(dtype: torch.dtype = torch.float32) -> QueryPredictions:
    """3 layers, 2 images, 5 queries, 4 classes; every layer holds its own number."""
    layers = torch.arange(3, dtype=dtype).view(3, 1, 1, 1)
    return QueryPredictions(
        class_logits=layers.expand(3, 2, 5, 4),
        boxes_norm=layers.expand(3, 2, 5, 4) / 4,
        mask_logits=torch.zeros(2, 5, 6, 7, dtype=dtype),
    )


def test_counts() -> None:
    predictions = make()
    assert predictions.num_layers == 3
    assert predictions.num_images == 2
    assert predictions.num_queries == 5


def test_the_final_layer_is_the_last_one_and_keeps_the_masks() -> None:
    final = make().final
    assert final.num_layers == 1
    assert final.class_logits.unique().tolist() == [2.0]
    assert final.boxes_norm.unique().tolist() == [0.5]
    assert final.mask_logits.shape == (2, 5, 6, 7)
    assert final.final.class_logits.shape == (1, 2, 5, 4)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("class_logits", (2, 5, 4)),
        ("class_logits", (0, 2, 5, 4)),
        ("class_logits", (3, 2, 5, 0)),
        ("boxes_norm", (2, 5, 4)),
        ("boxes_norm", (2, 2, 5, 4)),
        ("boxes_norm", (3, 2, 5, 5)),
        ("mask_logits", (5, 2, 6, 7)),
        ("mask_logits", (2, 5, 6)),
    ],
)
def test_shapes_that_do_not_belong_together_are_named(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=name):
        replace(make(), **{name: torch.zeros(shape)})


def test_half_precision_is_raised_and_float64_stays() -> None:
    raised = make(torch.bfloat16).at_least_float32()
    assert raised.class_logits.dtype == raised.boxes_norm.dtype == torch.float32
    assert raised.mask_logits.dtype == torch.float32
    assert make(torch.float64).at_least_float32().boxes_norm.dtype == torch.float64
    assert replace(make(), mask_logits=None).at_least_float32().mask_logits is None


def test_a_batch_without_images_is_ordinary() -> None:
    nothing = QueryPredictions(torch.zeros(6, 0, 100, 92), torch.zeros(6, 0, 100, 4))
    assert nothing.num_images == 0

from __future__ import annotations

import pytest
import torch

from yolov7.modeling.assignment.center_window import center_windows, in_window
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions


def grids(
    sizes: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    num_anchors: int = 1,
    dtype: torch.dtype = torch.float32,
) -> DensePredictions:
    centers, per_cell = cell_centers(sizes, strides, num_anchors=num_anchors, dtype=dtype)
    count = len(per_cell)
    return DensePredictions(
        class_logits=torch.zeros(1, count, 1),
        objectness_logits=torch.zeros(1, count),
        box_deltas=torch.zeros(1, count, 4),
        centers=centers,
        strides=per_cell,
        level_sizes=sizes,
    )


def found(points: list[list[float]], predictions: DensePredictions, radius: float) -> list:
    points = torch.tensor(points, dtype=predictions.centers.dtype)
    index, inside = center_windows(points, predictions, radius=radius)
    return [row[mask].tolist() for row, mask in zip(index, inside, strict=True)]


def test_windows_by_hand() -> None:
    predictions = grids(((4, 4),), (8,))
    # Cell centres at 4, 12, 20, 28; the window is ±12 without its border.
    assert found([[12.0, 4.0]], predictions, 1.5) == [[0, 1, 2, 4, 5, 6]]
    assert found([[16.0, 16.0]], predictions, 1.5) == [[5, 6, 9, 10]]
    assert found([[39.9, 28.0]], predictions, 1.5) == [[11, 15]]
    assert found([[40.0, 28.0]], predictions, 1.5) == [[]]
    assert found([[-1e30, float("nan")], [1e30, 0.0]], predictions, 1.5) == [[], []]


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.3, 1.5, 2.5])
@pytest.mark.parametrize("strides", [(8, 16, 32), (7, 12)])
@pytest.mark.parametrize("num_anchors", [1, 3])
def test_equals_the_comparison_of_all_pairs(
    radius: float, strides: tuple[int, ...], num_anchors: int
) -> None:
    sizes = tuple((-(-90 // stride), -(-70 // stride)) for stride in strides)
    predictions = grids(sizes, strides, num_anchors)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(300, 2, generator=generator) * 130 - 30
    # Points on whole and half pixels lie on the windows' borders often.
    points[:200] = (points[:200] * 2).round() / 2
    everything = torch.arange(predictions.num_predictions).expand(300, -1)
    expected = in_window(points[:, None], predictions, everything, radius=radius)
    assert found(points.tolist(), predictions, radius) == [
        torch.nonzero(row).squeeze(1).tolist() for row in expected
    ]


def test_no_points_and_levels_without_cells() -> None:
    predictions = grids(((0, 4), (2, 2)), (8, 16))
    index, inside = center_windows(torch.zeros(0, 2), predictions, radius=1.5)
    assert index.shape == inside.shape
    assert index.shape[0] == 0
    assert found([[16.0, 16.0]], predictions, 1.5) == [[0, 1, 2, 3]]

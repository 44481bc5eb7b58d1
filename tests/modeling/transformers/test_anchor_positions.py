import math

import pytest
import torch

from yolov7.modeling.transformers.anchor_points import GridPoints, LearnedPoints
from yolov7.modeling.transformers.anchor_positions import (
    PlanePositions,
    RowColumnPositions,
    cell_places,
)
from yolov7.modeling.transformers.row_column import AlongAxes, axis_means


def test_places_are_the_middles_of_cells_counted_without_padding():
    padding = torch.zeros(2, 3, 4, dtype=torch.bool)
    padding[1, 2:], padding[1, :, 2:] = True, True
    x, y = cell_places(padding)
    assert x.tolist() == [[0.125, 0.375, 0.625, 0.875], [0.25, 0.75, 0.75, 0.75]]
    sixth = 1 / 6
    assert y[0].tolist() == pytest.approx([sixth, 3 * sixth, 5 * sixth])
    assert y[1].tolist() == [0.25, 0.75, 0.75]


def test_points_of_a_grid_run_down_the_columns():
    points = GridPoints(5)()
    assert points.tolist() == [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]]
    assert len(GridPoints(300)()) == 289
    assert not GridPoints(300).state_dict()


def test_points_of_a_grid_are_not_rounded_by_a_cast():
    assert torch.equal(GridPoints(300).bfloat16()(), GridPoints(300)())


def test_learned_points_start_anywhere_in_the_image():
    torch.manual_seed(0)
    points = LearnedPoints(4000)()
    assert points.requires_grad and points.shape == (4000, 2)
    assert 0.0 <= points.min() < 0.01 and 0.99 < points.max() < 1.0
    assert points.mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.02)


@pytest.mark.parametrize("kind", [PlanePositions, RowColumnPositions])
def test_a_point_in_the_middle_of_a_cell_has_the_codes_of_the_cell(kind):
    """So a query is told its place as the cells are told theirs."""
    torch.manual_seed(0)
    positions = kind(8)
    padding = torch.zeros(1, 2, 5, dtype=torch.bool)
    cells = positions.of_cells(padding)
    # Second row, fourth column.
    points = positions.of_points(torch.tensor([[0.7, 0.75], [0.1, 0.1]]), 2)
    if kind is PlanePositions:
        assert torch.allclose(points[0], cells[0, 1 * 5 + 3], atol=1e-6)
        codes = [points]
    else:
        assert torch.allclose(points.x[0], cells.x[0, 3], atol=1e-6)
        assert torch.allclose(points.y[0], cells.y[0, 1], atol=1e-6)
        codes = list(points)
    for code in codes:
        assert code.shape == (4, 8)
        assert torch.equal(code[:2], code[2:]) and not torch.allclose(code[0], code[1])


def test_codes_of_points_tell_y_before_x():
    """With perceptrons that change nothing: two waves for y, then two for x, sine and cosine."""
    plane = PlanePositions(4).plane
    plane.mlp = torch.nn.Identity()
    plane.mlp.layers = [torch.nn.Linear(1, 1)]
    x, y = torch.tensor([0.25]), torch.tensor([0.5])
    expected = [math.sin(math.pi), math.cos(math.pi), math.sin(math.pi / 2), math.cos(math.pi / 2)]
    assert plane(x, y)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_keys_are_mean_cells_with_their_places():
    """A map of two rows and three columns, one channel."""
    cells = torch.tensor([[1.0, 2.0, 3.0, 5.0, 6.0, 10.0]])[..., None]
    codes = AlongAxes(torch.tensor([[[0.1], [0.2], [0.3]]]), torch.tensor([[[10.0], [20.0]]]))
    keys = axis_means(cells, codes)
    assert keys.x.flatten().tolist() == pytest.approx([3.1, 4.2, 6.8])
    assert keys.y.flatten().tolist() == pytest.approx([12.0, 27.0])

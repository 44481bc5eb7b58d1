from __future__ import annotations

import pytest
import torch

from yolov7.modeling.locations import cell_centers


def test_two_levels_by_hand() -> None:
    centers, strides = cell_centers([(2, 3), (1, 2)], [8, 16])
    assert centers.tolist() == [
        [4.0, 4.0],
        [12.0, 4.0],
        [20.0, 4.0],
        [4.0, 12.0],
        [12.0, 12.0],
        [20.0, 12.0],
        [8.0, 8.0],
        [24.0, 8.0],
    ]
    assert strides.tolist() == [8.0] * 6 + [16.0] * 2


def test_anchors_come_between_level_and_row() -> None:
    single, _ = cell_centers([(2, 2), (1, 1)], [8, 16])
    twice, strides = cell_centers([(2, 2), (1, 1)], [8, 16], num_anchors=2, dtype=torch.float64)
    expected = torch.cat([single[:4], single[:4], single[4:], single[4:]])
    assert twice.equal(expected.double())
    assert strides.tolist() == [8.0] * 8 + [16.0] * 2


def test_no_levels_give_no_cells() -> None:
    centers, strides = cell_centers([], [])
    assert centers.shape == (0, 2)
    assert strides.shape == (0,)


def test_as_many_strides_as_levels() -> None:
    with pytest.raises(ValueError, match="2 level sizes but 1 strides"):
        cell_centers([(2, 3), (1, 2)], [8])

"""Numbers are those of the authors' DETR, commit 29901c5."""

import math

import pytest
import torch

from yolov7.layers import LearnedPositionEncoding, SinePositionEncoding
from yolov7.utils.errors import ConfigError


def test_sines_of_two_images_of_different_size():
    """Maps of 3 x 4, of which the second image fills 2 x 3."""
    padding = torch.ones(2, 3, 4, dtype=torch.bool)
    padding[0] = False
    padding[1, :2, :3] = False
    codes = SinePositionEncoding(256)(padding)
    assert codes.shape == (2, 3, 4, 256)
    assert codes.dtype == torch.float32
    assert codes.sum().item() == pytest.approx(2956.5025, abs=1e-3)
    assert codes.abs().mean().item() == pytest.approx(0.549099, abs=1e-6)
    # In the order of a map (channel, row, column).
    assert codes[0].movedim(-1, 0).flatten()[:3].tolist() == pytest.approx([0.866026] * 3, abs=1e-6)
    # Row 1 of 2 is pi, column 1 of 3 is 2 pi / 3.
    corner = codes[1, 0, 0]
    assert corner[:4].tolist() == pytest.approx([1.34e-6, -1, 0.408752, -0.912645], abs=1e-6)
    assert corner[128:132].tolist() == pytest.approx(
        [0.866026, -0.499999, 0.970651, -0.240494], abs=1e-6
    )


def test_sines_of_a_whole_image():
    codes = SinePositionEncoding(256)(torch.zeros(1, 25, 34, dtype=torch.bool))
    assert codes.double().sum().item() == pytest.approx(107521.7416, abs=0.01)
    assert codes.abs().mean().item() == pytest.approx(0.551805, abs=1e-6)
    assert codes[0, 0, :3, 0].tolist() == pytest.approx([0.248690] * 3, abs=1e-6)


def test_cells_behind_the_image_repeat_its_end_and_empty_rows_are_finite():
    padding = torch.ones(1, 2, 3, dtype=torch.bool)
    padding[0, 0, :2] = False
    codes = SinePositionEncoding(8)(padding)[0]
    # Columns are at pi, 2 pi and again 2 pi; the second row has none of them: 0.
    columns = [math.pi, 2 * math.pi, 2 * math.pi, 0.0, 0.0, 0.0]
    found = codes[..., 4:6].reshape(6, 2).tolist()
    assert found == [pytest.approx([math.sin(x), math.cos(x)], abs=1e-5) for x in columns]
    # The second frequency of 4 channels an axis is 10000 ** (2 / 4) = 100 times as low.
    assert codes[0, 1, 6].item() == pytest.approx(math.sin(2 * math.pi / 100), abs=1e-6)


def test_learned_vectors_are_columns_first():
    encoding = LearnedPositionEncoding(4)
    with torch.no_grad():
        encoding.columns.weight.copy_(torch.arange(50.0)[:, None].expand(50, 2))
        encoding.rows.weight.copy_(100 + torch.arange(50.0)[:, None].expand(50, 2))
    codes = encoding(torch.zeros(3, 2, 5, dtype=torch.bool))
    assert codes.shape == (3, 2, 5, 4)
    assert codes[2, 1, 4].tolist() == [4.0, 4.0, 101.0, 101.0]


def test_learned_vectors_start_between_0_and_1():
    weight = LearnedPositionEncoding(256).rows.weight
    assert 0.0 <= weight.min() < 0.01 and 0.99 < weight.max() <= 1.0


def test_maps_beyond_the_learned_vectors():
    encoding = LearnedPositionEncoding(4)
    assert encoding(torch.zeros(1, 50, 50, dtype=torch.bool)).shape == (1, 50, 50, 4)
    with pytest.raises(ConfigError, match="reach to maps of 50 x 50 cells, got 1 x 51"):
        encoding(torch.zeros(1, 1, 51, dtype=torch.bool))


def test_sines_want_pairs_for_each_axis():
    with pytest.raises(ConfigError, match="a multiple of 4 channels, got 6"):
        SinePositionEncoding(6)

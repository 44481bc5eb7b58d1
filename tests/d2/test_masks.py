"""Bitmap and polygon masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolov7.d2.embedded.bit_masks import BitMasks
from yolov7.d2.embedded.polygon_masks import PolygonMasks, polygons_to_bitmask

SQUARE = [1.0, 2, 5, 2, 5, 6, 1, 6]
TRIANGLE = [0.0, 0, 8, 0, 0, 6]


def test_a_square_fills_its_pixels():
    mask = polygons_to_bitmask([np.array(SQUARE)], 8, 7)
    expected = np.zeros((8, 7), dtype=bool)
    expected[2:6, 1:5] = True
    assert (mask == expected).all()
    assert not polygons_to_bitmask([], 8, 7).any()


def test_boxes_of_bitmaps_end_behind_the_last_pixel():
    masks = torch.zeros(3, 6, 9)
    masks[0, 1:4, 2:7] = 1
    masks[2, 5, 8] = 0.5
    bits = BitMasks(masks)
    assert bits.tensor.dtype == torch.bool
    assert bits.image_size == (6, 9)
    assert bits.get_bounding_boxes().tensor.tolist() == [[2, 1, 7, 4], [0] * 4, [8, 5, 9, 6]]
    assert bits.nonempty().tolist() == [True, False, True]


def test_no_bitmaps():
    bits = BitMasks.from_polygon_masks([], 4, 5)
    assert bits.tensor.shape == (0, 4, 5)
    assert bits.get_bounding_boxes().tensor.shape == (0, 4)
    assert bits.nonempty().shape == (0,)
    assert bits.crop_and_resize(torch.zeros(0, 4), 7).shape == (0, 7, 7)
    assert BitMasks(torch.zeros(2, 0, 5)).get_bounding_boxes().tensor.tolist() == [[0] * 4] * 2


def test_boxes_of_a_batch_are_those_of_its_masks():
    bits = BitMasks(torch.rand(7, 9, 11, generator=torch.Generator().manual_seed(0)) > 0.95)
    singles = [bits[index].get_bounding_boxes().tensor for index in range(len(bits))]
    assert torch.equal(torch.cat(singles), bits.get_bounding_boxes().tensor)


@pytest.mark.parametrize(
    ("item", "rows"),
    [
        (1, [1]),
        (-1, [2]),
        (slice(0, 2), [0, 1]),
        ([2, 0], [2, 0]),
        (torch.tensor([2, 1]), [2, 1]),
        (torch.tensor([True, False, True]), [0, 2]),
    ],
)
def test_indexing(item, rows):
    polygons = PolygonMasks([[SQUARE], [TRIANGLE], [SQUARE, TRIANGLE]])
    bits = BitMasks.from_polygon_masks(polygons, 8, 9)
    assert torch.equal(bits[item].tensor, bits.tensor[rows])
    chosen = polygons[item].polygons
    assert [len(parts) for parts in chosen] == [len(polygons.polygons[row]) for row in rows]


def test_polygons_report_boxes_areas_and_emptiness():
    polygons = PolygonMasks([[SQUARE, TRIANGLE], [], [TRIANGLE]])
    boxes = polygons.get_bounding_boxes().tensor.tolist()
    assert boxes[0] == [0, 0, 8, 6]
    assert boxes[2] == [0, 0, 8, 6]
    assert polygons.nonempty().tolist() == [True, False, True]
    assert polygons.area().tolist() == [16 + 24, 0, 24]
    assert polygons.to("cpu") is polygons
    assert polygons.device.type == "cpu"
    assert polygons.polygons[0][0].dtype == np.float64


@pytest.mark.parametrize("bad", [(), [()], [[[1.0, 2, 3, 4]]], [[[0.0] * 7]]])
def test_what_is_no_polygon(bad):
    with pytest.raises(ValueError):
        PolygonMasks(bad)


def test_polygons_do_not_share_memory_with_what_they_were_given():
    array = np.array(SQUARE)
    polygons = PolygonMasks([[array]])
    array[:] = 0
    assert polygons.polygons[0][0].tolist() == SQUARE


def test_crop_and_resize_samples_the_box():
    polygons = PolygonMasks([[SQUARE], [SQUARE]])
    bits = BitMasks.from_polygon_masks(polygons, 8, 9)
    boxes = torch.tensor([[1.0, 2, 5, 6], [3, 2, 7, 6]])  # the square; its right half and beyond
    half = torch.zeros(4, 4, dtype=torch.bool)
    half[:, :2] = True
    for masks in (polygons, bits):
        crops = masks.crop_and_resize(boxes, 4)
        assert crops.dtype == torch.bool
        assert crops[0].all()
        assert torch.equal(crops[1], half)
        with pytest.raises(AssertionError):
            masks.crop_and_resize(boxes[:1], 4)


def test_cat():
    bits = BitMasks(torch.eye(3)[None])
    assert BitMasks.cat([bits, bits]).tensor.shape == (2, 3, 3)
    polygons = PolygonMasks([[SQUARE]])
    assert len(PolygonMasks.cat([polygons, PolygonMasks([]), polygons])) == 2
    for kind in (BitMasks, PolygonMasks):
        with pytest.raises(AssertionError):
            kind.cat([])

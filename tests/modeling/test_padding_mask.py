import torch
import torch.nn.functional as F

from yolov7.d2 import ImageList
from yolov7.modeling.padding_mask import padding_mask, resized


def batch_mask() -> torch.Tensor:
    """The specification's batch: two images in 96 x 128, the second 60 x 90."""
    return padding_mask(ImageList(torch.zeros(2, 3, 96, 128), [(96, 128), (60, 90)]))


def test_pixels_right_and_below_the_image_are_padding():
    mask = padding_mask(ImageList(torch.zeros(2, 3, 2, 3), [(1, 2), (2, 3)]))
    assert mask.tolist() == [
        [[False, False, True], [True, True, True]],
        [[False, False, False], [False, False, False]],
    ]


def test_cells_of_stride_32_are_those_of_the_authors_program():
    mask = resized(batch_mask(), (3, 4))
    assert not mask[0].any()
    assert mask[1].int().tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1]]


def test_sizes_that_do_not_divide_read_the_pixel_that_nearest_interpolation_reads():
    mask = torch.rand(2, 101, 67, generator=torch.Generator().manual_seed(0)) < 0.5
    for size in [(4, 3), (7, 5), (26, 17), (101, 67), (51, 34)]:
        expected = F.interpolate(mask[:, None].float(), size=size)[:, 0].bool()
        assert torch.equal(resized(mask, size), expected)


def test_an_image_smaller_than_a_cell_keeps_its_first_one():
    mask = padding_mask(ImageList(torch.zeros(1, 3, 64, 64), [(1, 1)]))
    assert resized(mask, (2, 2)).tolist() == [[[False, True], [True, True]]]

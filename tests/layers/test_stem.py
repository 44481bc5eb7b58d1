import torch

from yolov7.layers import ConvStem, FocusStem, space_to_depth


def test_order_of_the_four_pixels():
    # one block: a b / c d in two channels
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]]])
    found = space_to_depth(x)
    assert found.shape == (1, 8, 1, 1)
    # a, then c below it, then b beside it, then d; each for both channels
    assert found.flatten().tolist() == [1.0, 10.0, 3.0, 30.0, 2.0, 20.0, 4.0, 40.0]


def test_blocks_keep_their_places():
    x = torch.arange(32.0).view(1, 1, 4, 8)
    found = space_to_depth(x)
    assert found.shape == (1, 4, 2, 4)
    assert found[0, :, 1, 2].tolist() == [20.0, 28.0, 21.0, 29.0]


def test_stem_halves_the_image():
    assert FocusStem(3, 8)(torch.zeros(2, 3, 32, 64)).shape == (2, 8, 16, 32)


def test_stem_of_convolutions_halves_the_image_in_the_middle_one():
    stem = ConvStem(3, 8)
    assert stem(torch.zeros(2, 3, 32, 64)).shape == (2, 8, 16, 32)
    convs = [unit.conv for unit in stem.convs]
    assert [conv.out_channels for conv in convs] == [4, 8, 8]
    assert [conv.stride[0] for conv in convs] == [1, 2, 1]

import pytest
import torch

from yolov7.modeling.heads.anchors import Anchors


def test_every_prediction_gets_the_size_of_its_anchor():
    anchors = Anchors([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], strides=[8, 16])
    assert anchors.num_anchors == 2
    sizes = anchors.of_predictions([(1, 2), (1, 1)], dtype=torch.float64)
    # Level, anchor, then the cells of the level.
    assert sizes.tolist() == [[1, 2], [1, 2], [3, 4], [3, 4], [5, 6], [7, 8]]
    assert sizes.dtype == torch.float64


def test_sizes_are_not_saved_and_a_cast_does_not_round_them():
    anchors = Anchors([[[100.3, 2049.0]]], strides=[32]).half().to("meta").to_empty(device="cpu")
    assert not anchors.state_dict()
    assert anchors.sizes.flatten().tolist() == pytest.approx([100.3, 2049.0], rel=1e-7)

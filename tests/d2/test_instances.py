"""Instances, image lists and post-processing."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from yolov7.d2.embedded.boxes import Boxes
from yolov7.d2.embedded.detector_postprocess import detector_postprocess
from yolov7.d2.embedded.image_list import ImageList
from yolov7.d2.embedded.instances import Instances


@pytest.fixture
def table():
    return Instances(
        (10, 20), boxes=Boxes(torch.arange(12.0).view(3, 4)), labels=torch.tensor([5, 6, 7])
    )


def test_fields_are_attributes(table):
    table.scores = torch.ones(3)
    table._note = "private"
    assert table.has("scores")
    assert not table.has("_note")
    assert list(table.get_fields()) == ["boxes", "labels", "scores"]
    assert table.image_size == (10, 20)
    assert table.get("labels") is table.labels
    table.remove("scores")
    with pytest.raises(AttributeError, match=r"no field 'scores'; there are \['boxes', 'labels'\]"):
        _ = table.scores


def test_all_fields_have_one_length(table):
    with pytest.raises(AssertionError, match="'scores' has length 2, the other fields have 3"):
        table.scores = torch.ones(2)
    single = Instances((1, 1), a=torch.ones(2))
    with pytest.raises(AssertionError):
        single.a = torch.ones(3)  # also where it would replace the only one
    single.remove("a")
    single.a = torch.ones(3)
    assert len(single) == 3


def test_without_fields_there_is_no_length():
    empty = Instances((1, 1))
    with pytest.raises(NotImplementedError):
        len(empty)
    with pytest.raises(NotImplementedError):
        bool(empty)
    assert "num_instances=0" in repr(empty)


def test_it_is_not_iterable_and_ints_must_be_python_ints(table):
    with pytest.raises(NotImplementedError):
        iter(table)
    with pytest.raises(TypeError):
        Instances((1, 1), a=table.labels, b=table.labels)[np.int64(1)]
    with pytest.raises(IndexError):
        table[3]


def test_selecting_rows(table):
    assert table[-1].labels.tolist() == [7]
    assert table[1].boxes.tensor.tolist() == [[4, 5, 6, 7]]
    assert table[1:].labels.tolist() == [6, 7]
    assert table[torch.tensor([True, False, True])].labels.tolist() == [5, 7]
    nothing = table[torch.zeros(3, dtype=torch.bool)]
    assert len(nothing) == 0
    assert nothing.image_size == (10, 20)


def test_cat(table):
    assert Instances.cat([table]) is table
    joined = Instances.cat([table, table[:0], table[0]])
    assert joined.labels.tolist() == [5, 6, 7, 5]
    assert len(joined.boxes) == 4
    lists = Instances.cat([Instances((1, 1), a=[1, 2]), Instances((1, 1), a=[3])])
    assert lists.a == [1, 2, 3]
    with pytest.raises(AssertionError, match="sizes differ"):
        Instances.cat([table, Instances((10, 21), labels=torch.ones(1))])
    with pytest.raises(ValueError, match="type tuple"):
        Instances.cat([Instances((1, 1), a=(1,))] * 2)
    with pytest.raises(AssertionError):
        Instances.cat([])


def test_to_moves_only_what_can_move():
    moved = Instances((1, 1), a=torch.ones(1), b=["x"]).to(torch.float64)
    assert moved.a.dtype == torch.float64
    assert moved.b == ["x"]


def test_copies_and_pickles(table):
    for other in (copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert other.labels.tolist() == [5, 6, 7]
        assert other.image_size == (10, 20)


@pytest.mark.parametrize(
    ("sizes", "divisor", "constraints", "padded"),
    [
        ([(5, 7), (8, 3)], 0, None, (8, 7)),
        ([(5, 7), (8, 3)], 1, None, (8, 7)),
        ([(5, 7), (8, 3)], 4, None, (8, 8)),
        ([(5, 7)], 4, {}, (8, 8)),
        ([(5, 7)], 4, {"size_divisibility": 0}, (5, 7)),
        ([(5, 7), (8, 3)], 0, {"square_size": 16}, (16, 16)),
        ([(5, 7), (8, 3)], 0, {"square_size": 10, "size_divisibility": 4}, (12, 12)),
        ([(5, 7)], 4, {"square_size": 0}, (8, 8)),
        ([(5, 7)], 0, {"square_size": 4}, (4, 4)),
    ],
)
def test_padding_grid(sizes, divisor, constraints, padded):
    images = [torch.full((3, *size), index + 1.0) for index, size in enumerate(sizes)]
    batch = ImageList.from_tensors(images, divisor, 9.0, constraints)
    assert batch.tensor.shape == (len(sizes), 3, *padded)
    assert batch.image_sizes == sizes
    for index, (height, width) in enumerate(sizes):
        assert (batch.tensor[index, :, :height, :width] == index + 1).all()
        assert (batch.tensor[index, :, height:] == 9).all()
        assert (batch.tensor[index, :, :, width:] == 9).all()


def test_images_come_back_as_views_and_keep_their_dtype():
    batch = ImageList.from_tensors([torch.ones(2, 3, dtype=torch.uint8)], 4, 7)
    assert batch.tensor.dtype == torch.uint8
    assert batch[0].shape == (2, 3)
    batch[0].zero_()
    assert batch.tensor.sum() == 7 * (16 - 6)
    assert batch.to(torch.float32).tensor.dtype == torch.float32
    assert len(batch) == 1


def test_a_square_smaller_than_an_image_of_several_is_an_error():
    images = [torch.zeros(1, 5, 5), torch.zeros(1, 4, 4)]
    with pytest.raises(RuntimeError):
        ImageList.from_tensors(images, padding_constraints={"square_size": 4})


def test_images_must_agree_in_channels():
    with pytest.raises(AssertionError):
        ImageList.from_tensors([torch.zeros(3, 2, 2), torch.zeros(1, 2, 2)])


def test_postprocess_scales_and_clips_in_place_and_drops_empty_boxes():
    boxes = torch.tensor([[2.0, 2, 10, 5], [3, 3, 3, 9], [-9, -9, 60, 40]])
    found = Instances((20, 40), pred_boxes=Boxes(boxes), scores=torch.tensor([0.1, 0.2, 0.3]))
    result = detector_postprocess(found, 40, 20)  # twice as high, half as wide
    assert result.image_size == (40, 20)
    assert result.pred_boxes.tensor.tolist() == [[1, 4, 5, 10], [0, 0, 20, 40]]
    assert result.scores.tolist() == pytest.approx([0.1, 0.3])
    assert boxes[0].tolist() == [1, 4, 5, 10]
    assert found.image_size == (20, 40)


def test_postprocess_pastes_masks_into_boxes():
    masks = torch.zeros(1, 1, 4, 4)
    masks[0, 0, :, 2:] = 1  # the right half
    found = Instances((10, 10), pred_boxes=Boxes([[2.0, 2, 6, 8]]), pred_masks=masks)
    pasted = detector_postprocess(found, 10, 10).pred_masks
    expected = torch.zeros(1, 10, 10, dtype=torch.bool)
    expected[0, 2:8, 4:6] = True
    assert torch.equal(pasted, expected)


def test_postprocess_of_nothing():
    found = Instances((4, 4), pred_boxes=Boxes([]), pred_masks=torch.zeros(0, 1, 7, 7))
    result = detector_postprocess(found, 8, 6)
    assert len(result) == 0
    assert result.pred_masks.shape == (0, 8, 6)
    with pytest.raises(AssertionError, match="no boxes"):
        detector_postprocess(Instances((4, 4), scores=torch.zeros(1)), 4, 4)

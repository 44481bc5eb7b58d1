"""Columns of a data set, and what happens with files that are not as they should be."""

from __future__ import annotations

import json
import logging
import math

import pytest

from yolov7.evaluation.ground_truth import GroundTruth, read_coco_json
from yolov7.utils.errors import DatasetError

SQUARE = [[0, 0, 10, 0, 10, 10, 0, 10]]


def coco(annotations=(), images=(1, 2), categories=(1, 5)):
    return {
        "images": [{"id": i, "height": 20, "width": 30} for i in images],
        "categories": [{"id": c, "name": str(c)} for c in categories],
        "annotations": list(annotations),
    }


def one(identity=1, **changes):
    row = {"id": identity, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 8],
           "area": 7, "iscrowd": 0, "segmentation": SQUARE}  # fmt: skip
    row.update(changes)
    return {key: value for key, value in row.items() if value is not None}


def columns(content, *, with_masks=False):
    ids = [c["id"] for c in content["categories"]]
    return GroundTruth.from_coco(
        content, category_ids=ids, with_masks=with_masks, source="truth.json"
    )


def test_columns_follow_the_sorted_ids():
    rows = [one(3, image_id=7, category_id=5, iscrowd=1), one(9, image_id=2)]
    truth = columns(coco(rows, images=(7, 2, 4), categories=(5, 1)))
    assert truth.image_ids == [2, 4, 7] and truth.category_ids == [1, 5]
    assert truth.image_index.tolist() == [2, 0] and truth.category_index.tolist() == [1, 0]
    assert truth.boxes_xywh.tolist() == [[0, 0, 10, 8]] * 2 and truth.areas.tolist() == [7, 7]
    assert truth.is_crowd.tolist() == [True, False]
    assert truth.count_objects().tolist() == [1, 0]


def test_no_annotations():
    truth = columns(coco(), with_masks=True)
    assert truth.boxes_xywh.shape == (0, 4) and truth.segmentations == []
    assert truth.of_images([2]).image_ids == [2]


def test_ids_of_any_kind():
    truth = columns(coco(images=("b", -3, 2**60, "a")))
    assert truth.image_ids == [-3, 2**60, "a", "b"]


def test_of_images_keeps_their_annotations_only():
    rows = [one(1), one(2, image_id=2, area=3), one(3)]
    part = columns(coco(rows), with_masks=True).of_images({2, 99})
    assert part.image_ids == [2] and part.image_index.tolist() == [0]
    assert part.areas.tolist() == [3] and len(part.segmentations) == 1


def test_absent_area_is_that_of_the_mask_or_else_of_the_box(caplog):
    with caplog.at_level(logging.WARNING):
        truth = columns(coco([one(1, area=None), one(2, area=None, segmentation=None)]))
    assert truth.areas.tolist() == [100, 80]
    assert "2 annotations have no 'area'" in caplog.text


def test_absent_iscrowd_is_zero():
    assert columns(coco([one(iscrowd=None)])).is_crowd.tolist() == [False]


def test_annotation_id_zero_is_an_object_like_others(caplog):
    with caplog.at_level(logging.WARNING):
        assert len(columns(coco([one(0), one(1)])).areas) == 2
    assert "id 0" in caplog.text


def test_annotations_that_take_no_part_are_counted(caplog):
    with caplog.at_level(logging.WARNING):
        truth = columns(coco([one(1), one(2, image_id=99), one(3, category_id=77)]))
    assert len(truth.areas) == 1
    assert "2 annotations belong to categories" in caplog.text


@pytest.mark.parametrize(
    "content, message",
    [
        (coco(images=(1, 1)), "image ids occur more than once"),
        (coco([one(4), one(4)]), "annotation ids occur more than once, for example 4"),
        (coco([one(bbox=[1, 2, 3])]), "annotation 1: bbox must be 4 numbers"),
        (coco([one(bbox=[1, 2, 3, math.nan])]), "annotation 1"),
        ({**coco(), "images": [{"file_name": "a.jpg"}]}, "a.jpg has no 'id'"),
    ],
)
def test_wrong_content_names_the_file_and_the_place(content, message):
    with pytest.raises(DatasetError, match=message) as error:
        columns(content)
    assert "truth.json" in str(error.value)


def test_masks_that_are_needed_and_absent():
    with pytest.raises(DatasetError, match="1 annotations have no 'segmentation', for example 2"):
        columns(coco([one(1), one(2, segmentation=None)]), with_masks=True)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"images": [', "line 1, column 13: not valid JSON"),
        ("[]", "got a list"),
        (json.dumps({"images": []}), "'categories'"),
        (None, "Cannot read annotation file"),
    ],
)
def test_files_that_are_no_annotations(text, message, tmp_path):
    path = tmp_path / "truth.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        read_coco_json(path)
    assert str(path) in str(error.value)

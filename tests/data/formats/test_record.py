"""Records of any origin are checked, and bad boxes cleaned for training."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolov7.d2 import BoxMode
from yolov7.data.formats.record import (
    clean_for_training,
    has_objects,
    validate_records,
    xyxy,
)
from yolov7.utils.errors import DatasetError


def annotation(bbox, mode=BoxMode.XYWH_ABS, **more):
    return {"bbox": bbox, "bbox_mode": mode, "category_id": 0, "iscrowd": 0, **more}


def record(*annotations, **changes):
    return {
        "file_name": "a.jpg",
        "height": 100,
        "width": 200,
        "image_id": 1,
        "annotations": list(annotations),
        **changes,
    }


def clean(*annotations):
    (result,) = clean_for_training([record(*annotations)], dataset_name="some")
    return [xyxy(a) for a in result["annotations"]]


def test_good_records_pass():
    records = [record(annotation([1, 2, 3, 4])), record(image_id=2)]
    validate_records(records, dataset_name="some", num_classes=1)
    validate_records([], dataset_name="some")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"file_name": "a.jpg"}, "lacks height, width, image_id, annotations"),
        (record(height=0), "height and width must be positive"),
        (record(width=1.5), "height and width must be positive"),
        (record({"bbox": [1, 2, 3, 4]}), "annotation number 0: lacks 'bbox_mode'"),
        (record(annotation([1, 2, 3], id=8)), "annotation id 8: bbox must be 4 numbers"),
        (record(annotation([1, np.nan, 3, 4], id=8)), "annotation id 8: bbox must be finite"),
        (record(annotation([1, 2, np.inf, 4], id=8)), "annotation id 8: bbox must be finite"),
        (record(annotation([1, 2, 3, 4], BoxMode.XYWHA_ABS)), "bbox_mode must be XYWH_ABS"),
        (record(annotation([1, 2, 3, 4], category_id=3)), "category_id 3 is outside the 3"),
        (record(annotation([1, 2, 3, 4], category_id=-1)), "class index from 0, got -1"),
    ],
)
def test_wrong_records_name_data_set_image_and_annotation(bad, message):
    with pytest.raises(DatasetError, match=message) as error:
        validate_records([bad], dataset_name="some", num_classes=3)
    assert "'some'" in str(error.value)


def test_image_ids_must_be_unique():
    with pytest.raises(DatasetError, match=r"image 1 \(a.jpg\): the image id occurs twice"):
        validate_records([record(), record()], dataset_name="some")


def test_bad_boxes_are_dropped_or_clipped_with_one_counted_warning(caplog):
    boxes = clean(
        annotation([10, 10, 20, 20]),
        annotation([10, 10, 0, 20]),  # without area
        annotation([30, 10, -5, 20]),  # negative width
        annotation([200, 10, 5, 5]),  # touches the border from outside
        annotation([-50, -50, 20, 20]),  # outside
        annotation([-5, 90, 20, 20]),  # reaches over two borders
        annotation([190, 50, 230, 70], BoxMode.XYXY_ABS),
    )
    assert boxes == [[10, 10, 30, 30], [0, 90, 15, 100], [190, 50, 200, 70]]
    assert len(caplog.records) == 1
    assert "of 7 boxes, dropped 2 without area and 2 outside their image, clipped 2" in caplog.text


def test_rounding_over_the_border_is_clipped_without_mention(caplog):
    assert clean(annotation([150, 0, 50.02, 100])) == [[150, 0, 200, 100]]
    assert not caplog.records


def test_clipping_keeps_the_other_fields_and_the_arguments():
    bad = record(annotation([-5, 0, 10, 10], id=4, segmentation=[[0] * 6], iscrowd=1))
    before = copy.deepcopy(bad)
    (result,) = clean_for_training([bad], dataset_name="some")
    assert bad == before
    kept = result["annotations"][0]
    assert {k: kept[k] for k in ("id", "segmentation", "iscrowd")} == {
        "id": 4,
        "segmentation": [[0] * 6],
        "iscrowd": 1,
    }


def test_images_without_objects_and_good_ones_stay_as_they_are():
    records = [record(), record(annotation([0, 0, 200, 100]), image_id=2)]
    result = clean_for_training(records, dataset_name="some")
    assert all(a is b for a, b in zip(result, records, strict=True))
    assert clean_for_training([], dataset_name="some") == []


number = st.floats(-300, 300)


@given(st.lists(st.lists(st.tuples(number, number, number, number), max_size=4), max_size=4))
def test_cleaning_many_records_equals_cleaning_one_at_a_time_and_is_final(images):
    records = [
        record(*(annotation(list(box)) for box in boxes), image_id=i)
        for i, boxes in enumerate(images)
    ]
    together = clean_for_training(records, dataset_name="some")
    assert together == [clean_for_training([r], dataset_name="some")[0] for r in records]
    assert clean_for_training(together, dataset_name="some") == together
    for x0, y0, x1, y1 in (xyxy(a) for r in together for a in r["annotations"]):
        assert 0 <= x0 < x1 <= 200 and 0 <= y0 < y1 <= 100


def test_crowds_are_no_objects_to_learn():
    assert not has_objects(record())
    assert not has_objects(record(annotation([0, 0, 1, 1], iscrowd=1)))
    assert has_objects(record(annotation([0, 0, 1, 1])))

"""Catalogs, and COCO files in and out."""

from __future__ import annotations

import json
import logging

import numpy as np
import pycocotools.mask as coco_mask
import pytest

from yolov7.d2.embedded.box_mode import BoxMode
from yolov7.d2.embedded.catalog import DatasetCatalog, Metadata, MetadataCatalog
from yolov7.d2.embedded.coco_export import convert_to_coco_dict
from yolov7.d2.embedded.coco_load import load_coco_json, register_coco_instances

POLYGON = [1.0, 1.0, 6.0, 1.0, 6.0, 5.0]


@pytest.fixture
def name():
    name = "seam_test"
    yield name
    for catalog in (DatasetCatalog, MetadataCatalog):
        if name in catalog:
            catalog.remove(name)


@pytest.fixture
def coco(tmp_path):
    """A function that writes the small file below, after a change, and returns its path."""
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 8, "width": 9} for i in (9, 4)],
        "categories": [{"id": 7, "name": "seven"}, {"id": 3, "name": "three"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 7, "bbox": [1, 1, 5, 4], "iscrowd": 0,
             "segmentation": [POLYGON, [1, 2, 3, 4]], "extra": "kept"},
            {"id": 2, "image_id": 9, "category_id": 3, "bbox": [0, 0, 2, 2], "iscrowd": 1,
             "segmentation": {"size": [8, 9], "counts": [10, 5, 57]}},
        ],
    }  # fmt: skip

    def write(change=lambda content: None):
        changed = json.loads(json.dumps(content))
        change(changed)
        path = tmp_path / "seam.json"
        path.write_text(json.dumps(changed))
        return str(path)

    return write


def test_datasets_are_loaded_at_each_call(name):
    calls = []
    DatasetCatalog.register(name, lambda: calls.append(1) or [{"n": len(calls)}])
    assert calls == []
    assert [DatasetCatalog.get(name), DatasetCatalog.get(name)] == [[{"n": 1}], [{"n": 2}]]
    assert name in DatasetCatalog.list()
    with pytest.raises(AssertionError, match="already"):
        DatasetCatalog.register(name, list)
    with pytest.raises(AssertionError, match="function"):
        DatasetCatalog.register("other", [])
    DatasetCatalog.remove(name)
    with pytest.raises(KeyError, match=f"no dataset '{name}'"):
        DatasetCatalog.get(name)


def test_an_unknown_dataset_is_answered_with_a_suggestion(name):
    DatasetCatalog.register(name, list)
    with pytest.raises(KeyError, match="Did you mean 'seam_test'"):
        DatasetCatalog.get("seam_tset")


def test_metadata_can_be_set_again_only_to_equal_values(name):
    metadata = MetadataCatalog.get(name)
    assert MetadataCatalog.get(name) is metadata
    assert metadata.name == name
    assert metadata.set(thing_classes=["a"], x=1) is metadata
    metadata.thing_classes = ["a"]
    with pytest.raises(AssertionError, match="is \\['a'\\] already"):
        metadata.thing_classes = ["b"]
    with pytest.raises(AttributeError, match="has no 'y'; known: name, thing_classes, x"):
        _ = metadata.y
    assert metadata.get("y", 5) == 5
    assert metadata.as_dict() == {"name": name, "thing_classes": ["a"], "x": 1}
    metadata.as_dict()["x"] = 2
    assert metadata.x == 1
    assert name in MetadataCatalog.list()


def test_old_names_of_metadata_lead_to_the_new_ones(name, caplog):
    metadata = Metadata()
    metadata.class_names = ["a"]
    assert metadata.thing_classes == metadata.class_names == ["a"]
    assert "is called 'thing_classes' now" in caplog.text


def test_records_in_order_of_image_ids_with_contiguous_categories(coco, name):
    path = coco()
    register_coco_instances(name, {"note": 1}, path, "root")
    metadata = MetadataCatalog.get(name)
    assert metadata.evaluator_type == "coco"
    assert metadata.get("thing_classes") is None  # known only when the dataset is loaded
    empty, full = DatasetCatalog.get(name)
    assert metadata.thing_classes == ["three", "seven"]
    assert metadata.thing_dataset_id_to_contiguous_id == {3: 0, 7: 1}
    size = {"height": 8, "width": 9}
    assert empty == {"file_name": "root/4.jpg", "image_id": 4, **size, "annotations": []}
    first, crowd = full["annotations"]
    assert first == {
        "bbox": [1, 1, 5, 4],
        "bbox_mode": BoxMode.XYWH_ABS,
        "iscrowd": 0,
        "category_id": 1,
        "segmentation": [POLYGON],
    }
    assert crowd["iscrowd"] == 1
    assert isinstance(crowd["segmentation"]["counts"], bytes)
    assert coco_mask.area(crowd["segmentation"]) == 5


def test_without_a_name_ids_stay_and_more_keys_are_kept(coco):
    annotations = load_coco_json(coco(), "root", None, ["extra"])[1]["annotations"]
    assert [item["category_id"] for item in annotations] == [7, 3]
    assert annotations[0]["extra"] == "kept"


def test_instances_without_a_valid_polygon_are_dropped_but_not_those_without_any(coco, caplog):
    path = coco(lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4], [0] * 7]))
    with caplog.at_level(logging.WARNING):
        assert len(load_coco_json(path, "")[1]["annotations"]) == 1
    assert "dropped 1 objects" in caplog.text
    path = coco(lambda c: c["annotations"][0].update(segmentation=[]))
    assert "segmentation" not in load_coco_json(path, "")[1]["annotations"][0]


def test_keypoints_become_coordinates(coco):
    path = coco(lambda c: c["annotations"][0].update(keypoints=[1, 2, 2, 3, 4, 0]))
    keypoints = load_coco_json(path, "")[1]["annotations"][0]["keypoints"]
    assert keypoints == [1.5, 2.5, 2, 3.5, 4.5, 0]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda c: c["annotations"][1].update(id=1), AssertionError),
        (lambda c: c["annotations"][1].update(ignore=1), AssertionError),
        (lambda c: c["annotations"][1].update(bbox=[]), ValueError),
        (lambda c: c["annotations"][1].update(category_id=5), KeyError),
        (lambda c: c.update(categories=[]), ValueError),
    ],
)
def test_files_that_are_wrong(coco, name, change, error):
    with pytest.raises(error):
        load_coco_json(coco(change), "", name)


def test_repeated_ids_of_the_known_minival_files_are_let_pass(coco, tmp_path):
    path = tmp_path / "minival.json"
    with open(coco(lambda c: c["annotations"][1].update(id=1))) as file:
        path.write_text(file.read())
    assert len(load_coco_json(str(path), "")) == 2


def test_files_without_annotations_and_strays(coco, caplog):
    path = coco(lambda c: c.pop("annotations"))
    assert [record["annotations"] for record in load_coco_json(path, "")] == [[], []]
    path = coco(lambda c: c["annotations"][0].update(image_id=77))
    assert [len(record["annotations"]) for record in load_coco_json(path, "")] == [0, 1]
    assert "1 annotations belong to no image" in caplog.text


def test_export_is_the_inverse(coco, name, tmp_path):
    register_coco_instances(name, {}, coco(), "")
    before = DatasetCatalog.get(name)
    exported = convert_to_coco_dict(name)
    assert exported["categories"] == [{"id": 3, "name": "three"}, {"id": 7, "name": "seven"}]
    assert [item["category_id"] for item in exported["annotations"]] == [7, 3]
    assert [item["area"] for item in exported["annotations"]] == [10, 5]
    path = tmp_path / "again.json"
    path.write_text(json.dumps(exported))
    again = load_coco_json(str(path), "", name)
    again[1]["annotations"][1]["segmentation"]["counts"] = again[1]["annotations"][1][
        "segmentation"
    ]["counts"].encode()
    assert again == before


def test_export_of_boxes_alone_leaves_records_alone(name):
    item = {
        "bbox": np.array([15.0, 15.0, 18.0, 19.0]),
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": 0,
        "keypoints": [1.5, 2.5, 2],
    }
    record = {"file_name": "f", "height": 30, "width": 40, "annotations": [item]}
    DatasetCatalog.register(name, lambda: [record])
    MetadataCatalog.get(name).thing_classes = ["a"]
    (annotation,) = convert_to_coco_dict(name)["annotations"]
    assert annotation == {
        "id": 1,
        "image_id": 0,
        "category_id": 0,
        "bbox": [15, 15, 3, 4],
        "area": 12,
        "iscrowd": 0,
        "keypoints": [1, 2, 2],
        "num_keypoints": 1,
    }
    assert item["keypoints"] == [1.5, 2.5, 2]
    record["annotations"] = []
    assert "annotations" not in convert_to_coco_dict(name)

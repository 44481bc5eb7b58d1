"""Data sets by name: built in, from a config, and everything that can be wrong with them."""

from __future__ import annotations

import json
import uuid

import pytest

from yolov7.config import get_config
from yolov7.d2 import BoxMode, DatasetCatalog, MetadataCatalog, register_coco_instances
from yolov7.data.builtin_datasets import BUILTIN_DATASETS, COCO_CATEGORY_IDS, COCO_CLASSES
from yolov7.data.catalog import (
    check_class_count,
    get_metadata,
    load_records,
    register_builtin_datasets,
    register_from_config,
)
from yolov7.data.formats import DatasetFormat, get_format, register_format
from yolov7.utils.errors import ConfigError, DatasetError


@pytest.fixture
def coco(tmp_path):
    """Write a COCO file of images with the given boxes; return its path."""

    def write(boxes_of_images, *, names=("cat", "dog"), file="a.json"):
        annotations = [
            {"image_id": i, "category_id": 1, "bbox": box, "iscrowd": len(box) == 5}
            for i, boxes in enumerate(boxes_of_images)
            for box in boxes
        ]
        for number, annotation in enumerate(annotations):
            annotation.update(id=number, bbox=annotation["bbox"][:4])
            annotation["iscrowd"] = int(annotation["iscrowd"])
        content = {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "height": 50, "width": 60}
                for i in range(len(boxes_of_images))
            ],
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
        }
        (tmp_path / file).write_text(json.dumps(content))
        return str(tmp_path / file)

    return write


@pytest.fixture
def name():
    """A data set name that no other test uses; forgotten afterwards."""
    name = f"test_{uuid.uuid4()}"
    yield name
    if name in DatasetCatalog.list():
        DatasetCatalog.remove(name)


def config(*entries, class_names=()):
    cfg = get_config()
    cfg.DATASETS.REGISTER = list(entries)
    cfg.DATASETS.CLASS_NAMES = list(class_names)
    return cfg


def entry(name, path, **changes):
    folder = path.rsplit("/", 1)[0]
    return {"NAME": name, "FORMAT": "coco", "ANNOTATIONS": path, "IMAGES": folder, **changes}


BOX = [1, 2, 10, 10]
CROWD = [1, 2, 10, 10, "crowd"]


def test_builtin_names_are_registered_on_import_with_their_classes():
    assert set(BUILTIN_DATASETS) <= set(DatasetCatalog.list())
    assert get_metadata("digits_val").thing_classes == list("0123456789")
    assert get_metadata("bccd_train").thing_classes == ["RBC", "WBC", "Platelets"]
    coco = get_metadata("coco_2017_val")
    assert len(coco.thing_classes) == 80 and coco.evaluator_type == "coco"


def test_coco_categories_are_the_published_ones():
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == len(COCO_CATEGORY_IDS) == 80
    ids = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))
    known = {
        "person": 1,
        "fire hydrant": 11,
        "stop sign": 13,
        "backpack": 27,
        "umbrella": 28,
        "handbag": 31,
        "wine glass": 46,
        "dining table": 67,
        "toilet": 70,
        "tv": 72,
        "book": 84,
        "toothbrush": 90,
    }
    assert {key: ids[key] for key in known} == known


def test_names_that_are_taken_are_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    before = MetadataCatalog.get("bccd_val").json_file
    register_builtin_datasets()
    assert MetadataCatalog.get("bccd_val").json_file == before
    DatasetCatalog.remove("bccd_val")
    metadata = MetadataCatalog.pop("bccd_val")
    try:
        register_builtin_datasets()
        expected = f"{tmp_path}/bccd/annotations/val.json"
        assert MetadataCatalog.get("bccd_val").json_file == expected
    finally:
        DatasetCatalog.remove("bccd_val")
        MetadataCatalog.pop("bccd_val")
        register_builtin_datasets(metadata.json_file.removesuffix("/bccd/annotations/val.json"))


@pytest.mark.parametrize("training", [True, False])
def test_missing_builtin_data_set_says_how_to_get_it(training, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=r"python datasets/digits\.py") as error:
        load_records(["digits_val"], training=training)
    assert "digits/annotations/val.json" in str(error.value)


def test_unknown_name_suggests_and_lists():
    with pytest.raises(DatasetError, match=r"'digits_trian'.*Did you mean 'digits_train'"):
        load_records(["digits_trian"], training=True)
    with pytest.raises(DatasetError, match=r"DATASETS\.TEST"):
        load_records([], training=False)


def test_own_data_set_needs_no_python(coco, name, tmp_path):
    register_from_config(config(entry(name, coco([[BOX], [BOX, BOX]]))))
    records = load_records([name], training=True)
    assert [len(r["annotations"]) for r in records] == [1, 2]
    assert records[1]["file_name"] == f"{tmp_path}/1.jpg"
    metadata = MetadataCatalog.get(name)
    assert metadata.evaluator_type == "coco"
    assert metadata.json_file == f"{tmp_path}/a.json"
    assert metadata.image_root == str(tmp_path)
    assert metadata.thing_classes == ["cat", "dog"]


def test_registering_again_is_idempotent_but_a_name_has_one_meaning(coco, name):
    path = coco([[BOX]])
    register_from_config(config(entry(name, path)))
    register_from_config(config(entry(name, path)))
    with pytest.raises(ConfigError, match=f"'{name}' is taken by another data set"):
        register_from_config(config(entry(name, coco([[BOX]], file="b.json"))))
    with pytest.raises(ConfigError, match="'digits_train' is taken"):
        register_from_config(config(entry("digits_train", path)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FORMAT": "cocoo"}, "unknown FORMAT 'cocoo'.*Did you mean 'coco'"),
        ({"ANOTATIONS": "b.json"}, "unknown key 'ANOTATIONS'.*Did you mean 'ANNOTATIONS'"),
    ],
)
def test_wrong_entries(coco, name, changes, message):
    with pytest.raises(ConfigError, match=message):
        register_from_config(config(entry(name, coco([[BOX]]), **changes)))


def test_incomplete_entries(name):
    with pytest.raises(ConfigError, match="also needs IMAGES"):
        register_from_config(config({"NAME": name, "FORMAT": "coco", "ANNOTATIONS": "a.json"}))
    with pytest.raises(ConfigError, match="expected entries like"):
        register_from_config(config({"NAME": name}))
    with pytest.raises(ConfigError, match="expected entries like"):
        register_from_config(config("a.json"))


def test_entry_with_missing_files(name, tmp_path):
    register_from_config(config(entry(name, f"{tmp_path}/none.json")))
    with pytest.raises(DatasetError, match=f"'{name}': its annotation file .*none.json"):
        load_records([name], training=True)


def test_class_names_of_the_config_order_the_classes_and_are_known_at_once(coco, name):
    register_from_config(config(entry(name, coco([[BOX]])), class_names=["dog", "cat"]))
    assert MetadataCatalog.get(name).thing_classes == ["dog", "cat"]
    (record,) = load_records([name], training=True, class_names=["dog", "cat"])
    assert record["annotations"][0]["category_id"] == 1


def test_metadata_reads_the_data_set_only_if_it_must(coco, name):
    register_from_config(config(entry(name, coco([[BOX]]))))
    assert MetadataCatalog.get(name).get("thing_classes") is None
    assert get_metadata(name).thing_classes == ["cat", "dog"]


def test_class_count_names_both_numbers_and_the_key(coco, name):
    register_from_config(config(entry(name, coco([[BOX]]))))
    check_class_count(name, 2)
    with pytest.raises(ConfigError, match=r"MODEL\.YOLO\.CLASSES is 80.* has 2 classes .cat, dog"):
        check_class_count(name, 80)


def test_data_sets_with_different_classes_are_refused(coco):
    names = [f"test_{uuid.uuid4()}" for _ in range(3)]
    register_from_config(
        config(
            entry(names[0], coco([[BOX]], file="a.json")),
            entry(names[1], coco([[BOX]], file="b.json")),
            entry(names[2], coco([[BOX]], file="c.json", names=("cat", "cow"))),
        )
    )
    assert len(load_records(names[:2], training=True)) == 2
    with pytest.raises(DatasetError, match=rf"'{names[2]}' has the classes \['cat', 'cow'\]"):
        load_records(names, training=True)
    with pytest.raises(DatasetError, match=r"DATASETS\.CLASS_NAMES has \['cow', 'cat'\]"):
        load_records(names[2:], training=True, class_names=["cow", "cat"])


def test_images_without_objects_are_kept_or_left_out(coco, name, caplog):
    caplog.set_level("INFO")
    register_from_config(config(entry(name, coco([[BOX], [], [CROWD], [[0, 0, 0, 5]]]))))
    assert len(load_records([name], training=True)) == 4
    # Left out: no annotation, crowds only, and a box without area only.
    (kept,) = load_records([name], training=True, filter_empty=True)
    assert kept["image_id"] == 0
    assert "Left out 3 of 4 images" in caplog.text


def test_bad_boxes_are_cleaned_for_training_only(coco, name):
    register_from_config(config(entry(name, coco([[BOX, [0, 0, 0, 5], [55, 0, 10, 10]]]))))
    boxes = [a["bbox"] for a in load_records([name], training=True)[0]["annotations"]]
    assert boxes == [BOX, [55, 0, 60, 10]]
    assert len(load_records([name], training=False)[0]["annotations"]) == 3


def test_empty_data_sets(coco, name):
    register_from_config(config(entry(name, coco([]))))
    with pytest.raises(DatasetError, match=f"'{name}' .*has no images"):
        load_records([name], training=False)


def test_nothing_to_learn(coco, name):
    register_from_config(config(entry(name, coco([[], [CROWD]]))))
    with pytest.raises(DatasetError, match=r"No image .*FILTER_EMPTY_ANNOTATIONS"):
        load_records([name], training=True, filter_empty=True)


def test_data_sets_registered_in_python_are_checked_too(name):
    record = {"file_name": "a.jpg", "height": 9, "width": 9, "image_id": 0, "annotations": []}
    bad = {"bbox": [0, 0, 1, float("nan")], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0}
    DatasetCatalog.register(name, lambda: [{**record, "annotations": [bad]}])
    with pytest.raises(DatasetError, match=f"'{name}', image 0 .*annotation number 0.*finite"):
        load_records([name], training=True)


def test_data_sets_registered_in_python_need_class_names(name):
    DatasetCatalog.register(name, list)
    with pytest.raises(DatasetError, match=rf"'{name}' .*no class names.*thing_classes"):
        check_class_count(name, 2)
    MetadataCatalog.get(name).set(thing_classes=["a", "b"])
    check_class_count(name, 2)


def test_register_coco_instances_works_and_its_errors_name_the_data_set(coco, name, tmp_path):
    path = coco([[BOX], []])
    register_coco_instances(name, {}, path, str(tmp_path))
    assert [len(r["annotations"]) for r in load_records([name], training=True)] == [1, 0]
    (tmp_path / "a.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match=rf"'{name}' .*a\.json.*JSONDecodeError"):
        load_records([name], training=True)


def test_a_format_is_added_by_registering_it(name):
    def load(folder, *, dataset_name, class_names):
        return [
            {
                "file_name": f"{folder}/0.jpg",
                "height": 5,
                "width": 5,
                "image_id": 0,
                "annotations": [],
                "dataset_name": dataset_name,
            }
        ]

    added = DatasetFormat(
        name=f"folder_{name}",
        keys=("FOLDER",),
        load=load,
        metadata=lambda folder: {"evaluator_type": "none"},
    )
    register_format(added)
    with pytest.raises(ValueError, match="registered already"):
        register_format(added)
    assert get_format(added.name.upper()) is added
    register_from_config(config({"NAME": name, "FORMAT": added.name, "FOLDER": "pictures"}))
    (record,) = load_records([name], training=False)
    assert record["file_name"] == "pictures/0.jpg"

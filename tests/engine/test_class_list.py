"""Where the names of classes come from."""

from __future__ import annotations

import json
import logging

import pytest

from yolov7.config import get_config
from yolov7.d2 import DatasetCatalog, MetadataCatalog
from yolov7.data import register_from_config
from yolov7.engine.class_list import ClassList, class_list_of_dataset, find_class_list
from yolov7.utils.errors import ConfigError

NAME = "class_list_test"


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("yolov7"), "propagate", True)
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 5, "width": 6}],
        "categories": [{"id": 7, "name": "seven"}, {"id": 3, "name": "three"}],
        "annotations": [],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    cfg = get_config()
    cfg.DATASETS.REGISTER = [
        {
            "NAME": NAME,
            "FORMAT": "coco",
            "ANNOTATIONS": str(tmp_path / "a.json"),
            "IMAGES": str(tmp_path),
        }
    ]
    cfg.DATASETS.TEST = (NAME,)
    cfg.MODEL.YOLO.CLASSES = 2
    yield cfg
    if NAME in DatasetCatalog.list():
        DatasetCatalog.remove(NAME)
    if NAME in MetadataCatalog.list():
        MetadataCatalog.remove(NAME)


def test_a_data_set_gives_names_and_ids_in_the_order_of_the_indices(cfg):
    register_from_config(cfg)
    classes = class_list_of_dataset(NAME)
    assert classes == ClassList(("three", "seven"), (3, 7)) and len(classes) == 2
    assert ClassList.from_state_dict(classes.state_dict()) == classes


def test_own_order_of_names_orders_the_ids_too(cfg):
    cfg.DATASETS.CLASS_NAMES = ["seven", "three"]
    register_from_config(cfg)
    assert class_list_of_dataset(NAME) == ClassList(("seven", "three"), (7, 3))


def test_builtin_data_sets_need_no_files():
    assert class_list_of_dataset("bccd_val").names == ("RBC", "WBC", "Platelets")
    coco = class_list_of_dataset("coco_2017_val")
    assert len(coco) == 80 and (coco.names[79], coco.category_ids[79]) == ("toothbrush", 90)


def test_the_checkpoint_comes_first_then_the_data_set(cfg, caplog):
    register_from_config(cfg)
    checkpoint = {"classes": {"names": ["x", "y"], "category_ids": [11, 12]}}
    with caplog.at_level(logging.INFO):
        assert find_class_list(cfg, checkpoint) == ClassList(("x", "y"), (11, 12))
        assert find_class_list(cfg, {}) == ClassList(("three", "seven"), (3, 7))
    assert "from the checkpoint" in caplog.text and f"from the data set {NAME}" in caplog.text


def test_without_the_data_set_the_configs_names_and_a_word_about_ids(cfg, caplog, tmp_path):
    (tmp_path / "a.json").unlink()
    cfg.DATASETS.CLASS_NAMES = ["three", "seven"]
    register_from_config(cfg)
    with caplog.at_level(logging.WARNING):
        assert find_class_list(cfg, {}) == ClassList(("three", "seven"), (0, 1))
    assert "category_id is the class index" in caplog.text


def test_without_the_images_that_tell_their_sizes(cfg, tmp_path):
    (tmp_path / "data.yaml").write_text("val: list.txt\nnames: [three, seven]\n")
    (tmp_path / "list.txt").write_text("gone.jpg\n")
    name = f"{NAME}_yolo"
    cfg.DATASETS.REGISTER = [
        {"NAME": name, "FORMAT": "yolo", "DATA": str(tmp_path / "data.yaml"), "SPLIT": "val"}
    ]
    cfg.DATASETS.TEST, cfg.DATASETS.CLASS_NAMES = (name,), ["three", "seven"]
    register_from_config(cfg)
    try:
        assert find_class_list(cfg, {}) == ClassList(("three", "seven"), (0, 1))
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_names_that_are_written_nowhere(cfg, tmp_path):
    (tmp_path / "a.json").unlink()
    register_from_config(cfg)
    with pytest.raises(ConfigError, match=r"a\.json.*DATASETS.CLASS_NAMES"):
        find_class_list(cfg, {})
    cfg.DATASETS.TEST = ()
    with pytest.raises(ConfigError, match=r"DATASETS.TEST is empty"):
        find_class_list(cfg, {})


def test_another_number_of_classes_than_the_models(cfg):
    cfg.MODEL.YOLO.CLASSES = 5
    with pytest.raises(ConfigError, match=r"MODEL\.YOLO\.CLASSES is 5, but the checkpoint has 1"):
        find_class_list(cfg, {"classes": {"names": ["x"], "category_ids": [1]}})


def test_names_and_ids_belong_together():
    with pytest.raises(ValueError, match="2 names for 1"):
        ClassList(("a", "b"), (1,))

"""YOLO's data.yaml and label files: right ones, odd ones, and wrong ones with a useful error."""

from __future__ import annotations

import uuid

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from yolov7.config import get_config
from yolov7.d2 import BoxMode, DatasetCatalog, MetadataCatalog
from yolov7.data.catalog import load_records, register_from_config
from yolov7.data.formats import load_yolo
from yolov7.utils.errors import ConfigError, DatasetError, ImageError

BOX = "1 0.5 0.5 0.5 0.25"


@pytest.fixture
def write(tmp_path):
    """Write files below a folder: images by size (height, width), texts, data.yaml by content."""

    def write(**files):
        for name, content in files["files"].items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, tuple):
                data = cv2.imencode(path.suffix, np.zeros((*content, 3), np.uint8))[1]
                path.write_bytes(data.tobytes())
            elif isinstance(content, dict):
                path.write_text(yaml.safe_dump(content))
            else:
                path.write_text(content)

    return lambda files: write(files=files)


@pytest.fixture
def load(tmp_path):
    def load(split="train", data="data.yaml", **options):
        options.setdefault("dataset_name", f"test_{uuid.uuid4()}")
        return load_yolo(tmp_path / data, split, **options)

    return load


def simple(labels=BOX, names=("cat", "dog"), **description):
    return {
        "data.yaml": {"train": "images/train", "names": list(names), **description},
        "images/train/a.png": (40, 80),
        "labels/train/a.txt": labels,
    }


def test_records_by_hand(load, write, tmp_path):
    polygon = "0 0 0 0.5 0 0.25 0.5"
    write(simple(f"{BOX}\n\n  {polygon}  \r\n"))
    (record,) = load(dataset_name="yolo_by_hand")
    assert record == {
        "file_name": f"{tmp_path}/images/train/a.png",
        "height": 40,
        "width": 80,
        "image_id": "images/train/a.png",
        "dataset_name": "yolo_by_hand",
        "annotations": [
            {
                "bbox": [20, 15, 40, 10],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": 1,
                "iscrowd": 0,
            },
            {
                "bbox": [0, 0, 40, 20],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": 0,
                "iscrowd": 0,
                "segmentation": [[0, 0, 40, 0, 20, 20]],
            },
        ],
    }
    metadata = MetadataCatalog.get("yolo_by_hand")
    assert metadata.thing_classes == ["cat", "dog"]
    assert metadata.thing_dataset_id_to_contiguous_id == {0: 0, 1: 1}


@pytest.mark.parametrize(
    "names",
    [["cat", "dog"], {0: "cat", 1: "dog"}, {1: "dog", 0: "cat"}],
)
def test_names_as_list_or_mapping_and_reordered(load, write, names):
    write(simple())
    write({"data.yaml": {"train": "images/train", "names": names, "nc": 2}})
    (record,) = load()
    assert record["annotations"][0]["category_id"] == 1
    name = f"test_{uuid.uuid4()}"
    (record,) = load(class_names=["dog", "cat"], dataset_name=name)
    assert record["annotations"][0]["category_id"] == 0
    assert MetadataCatalog.get(name).thing_classes == ["dog", "cat"]
    assert MetadataCatalog.get(name).thing_dataset_id_to_contiguous_id == {1: 0, 0: 1}


def test_names_may_come_from_the_config(load, write):
    write(simple())
    write({"data.yaml": {"train": "images/train", "nc": 2}})
    with pytest.raises(DatasetError, match=r"'names' must list .*CLASS_NAMES"):
        load()
    (record,) = load(class_names=["x", "y"])
    assert record["annotations"][0]["category_id"] == 1


def test_numbers_are_names_too(load, write):
    write(simple(names=(3, 7)))
    load(dataset_name="yolo_numbers")
    assert MetadataCatalog.get("yolo_numbers").thing_classes == ["3", "7"]


def test_folders_lists_and_both(load, write, tmp_path):
    odd = "b #1 = é, c.d.png"
    write(
        simple(
            train=["images/train", "lists/more.txt"],
            val="images",
            test="lists/full.txt",
        )
    )
    write(
        {
            "images/train/deep/z.jpg": (5, 6),
            f"images/val/{odd}": (7, 8),
            f"labels/val/{odd[:-4]}.txt": BOX,
            "images/val/notes.txt": "",
            "images/val/._a.jpg": "",
            "lists/more.txt": f"\ufeff./images/val/{odd}\n\n",
            "lists/full.txt": f"{tmp_path}/images/train/a.png\n",
        }
    )
    names = [r["image_id"] for r in load("train")]
    assert names == ["images/train/a.png", "images/train/deep/z.jpg", f"images/val/{odd}"]
    assert [len(r["annotations"]) for r in load("train")] == [1, 0, 1]
    assert [r["image_id"] for r in load("val")] == names
    assert [r["image_id"] for r in load("test")] == ["images/train/a.png"]


def test_path_is_relative_to_the_yaml_and_root_replaces_it(load, write, tmp_path):
    write({f"set/{name}": content for name, content in simple().items()})
    write({"here/data.yaml": {"path": "../set", "train": "images/train", "names": ["a", "b"]}})
    write({"foreign.yaml": {"path": "/no/such", "train": "images/train", "names": ["a", "b"]}})
    (record,) = load(data="here/data.yaml")
    assert record["file_name"] == f"{tmp_path}/set/images/train/a.png"
    with pytest.raises(DatasetError, match=r"foreign\.yaml: .* /no/such does not exist.*ROOT"):
        load(data="foreign.yaml")
    (record,) = load(data="foreign.yaml", root=tmp_path / "set")
    assert len(record["annotations"]) == 1
    with pytest.raises(DatasetError, match=r"none does not exist\. Correct ROOT"):
        load(data="foreign.yaml", root=tmp_path / "none")


def test_the_folders_of_roboflow_exports(load, write, tmp_path):
    write(
        {
            "data.yaml": {"train": "../train/images", "names": ["a", "b"]},
            "train/images/a.png": (40, 80),
            "train/labels/a.txt": BOX,
        }
    )
    (record,) = load()
    assert record["file_name"] == f"{tmp_path}/train/images/a.png"
    assert len(record["annotations"]) == 1


def test_labels_beside_images_and_below_the_last_images_folder(load, write, tmp_path):
    root = tmp_path / "images" / "set"
    files = {
        "data.yaml": {"train": ["flat", "images/images"], "names": ["a", "b"]},
        "flat/a.png": (40, 80),
        "flat/a.txt": BOX,
        "images/images/b.png": (40, 80),
        "images/labels/b.txt": f"{BOX}\n{BOX}",
    }
    write({f"images/set/{name}": content for name, content in files.items()})
    records = load(data=root / "data.yaml")
    assert [len(r["annotations"]) for r in records] == [1, 2]


def test_images_without_label_file_have_no_objects_and_are_counted(load, write, caplog):
    caplog.set_level("INFO")
    write({**simple(), "images/train/b.png": (3, 4), "images/train/c.png": (3, 4)})
    write({"labels/train/c.txt": "\n"})
    assert [len(r["annotations"]) for r in load()] == [1, 0, 0]
    assert "1 of 3 images have no label file" in caplog.text


def test_no_label_file_at_all_is_a_mistake(load, write):
    write({**simple(), "images/val/b.png": (3, 4)})
    write({"data.yaml": {"train": "images/val", "names": ["a"]}})
    with pytest.raises(DatasetError, match=r"none of the 1 images .*labels/val/b\.txt"):
        load()


def test_sizes_are_those_of_the_upright_image(load, write, tmp_path):
    write(simple())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40)).save(tmp_path / "images/train/b.jpg", exif=exif)
    assert [(r["height"], r["width"]) for r in load()] == [(40, 80), (80, 40)]


def test_more_than_a_thousand_objects(load, write):
    write(simple("\n".join(f"0 {i / 2000} 0.5 0 1" for i in range(1500))))
    (record,) = load()
    assert len(record["annotations"]) == 1500
    assert record["annotations"][1000]["bbox"] == [40, 0, 0, 40]


def test_rounding_over_the_border_passes(load, write):
    write(simple("0.0 0.9 0.5 0.2000004 1.0000001"))
    (record,) = load()
    assert record["annotations"][0]["bbox"] == pytest.approx([64, 0, 16, 40], abs=1e-4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dog 0.5 0.5 0.1 0.1", "expected a class number followed by numbers, got 'dog"),
        ("1.5 0.5 0.5 0.1 0.1", "expected a class number"),
        ("nan 0.5 0.5 0.1 0.1", "expected a class number"),
        ("1 0.5 0.5 0.1 x", "expected a class number"),
        ("1,0.5,0.5,0.1,0.1", "expected a class number"),
        ("1", "1 numbers; expected 5"),
        ("1 0.5 0.5 0.1", "4 numbers; expected 5"),
        ("1 0.5 0.5 0.1 0.1 0.9", "6 numbers.*confidence"),
        ("1 0.5 0.5 0.1 0.1 0.1 0.1 0.1", "8 numbers; expected 5"),
        ("2 0.5 0.5 0.1 0.1", "class 2, but .* the classes 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "class -1, but"),
        ("1 320 240 10 10", "320 is outside .0, 1.*not pixels"),
        ("1 0.5 0.5 0.1 1.1", "1.1 is outside"),
        ("1 -0.1 0.5 0.1 0.1", "-0.1 is outside"),
        ("1 0.5 nan 0.1 0.1", "nan is outside"),
        ("1 0.5 inf 0.1 0.1", "inf is outside"),
        ("1 0.5 0.5 0.1 -0.0001", "width or height below 0"),
        ("1 0.1 0.1 0.2 0.2 0.3 1.5", "1.5 is outside"),
    ],
)
def test_wrong_lines_name_file_and_line(load, write, line, message):
    write(simple(f"{BOX}\n\n{line}\n"))
    with pytest.raises(DatasetError, match=rf"labels/train/a\.txt, line 3: .*{message}"):
        load()


def test_label_files_that_are_no_text(load, write, tmp_path):
    write(simple())
    (tmp_path / "labels/train/a.txt").write_bytes(b"\x89PNG\xff")
    with pytest.raises(DatasetError, match=r"a\.txt: expected a label file in UTF-8"):
        load()


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("names: [a", "(?s)not valid YAML.*line 1"),
        ("train: images\nnames: {0: a, 0: b}", "(?s)not valid YAML.*'0' is given twice"),
        ("- a\n", "expected a data.yaml with .* got a list"),
        ("", "got a NoneType"),
        ({"names": ["a", "b"]}, "there is no split 'train'"),
        ({"train": "images/none", "names": ["a", "b"]}, "'train' is images/none, but there is"),
        ({"train": {"a": 1}, "names": ["a", "b"]}, "'train' must be a folder"),
        ({"train": "labels", "names": ["a", "b"]}, r"labels holds no image"),
        ({"train": ["images", "images"], "names": ["a", "b"]}, "a.png twice"),
        ({"train": "images", "names": ["a", "b"], "nc": 3}, "'nc' is 3, but 'names' has 2"),
        ({"train": "images", "names": ["a", "a"]}, "'a' is given twice"),
        ({"train": "images", "names": {1: "a", 2: "b"}}, "must number the classes 0, 1, 2"),
        ({"train": "images", "names": "a b"}, "'names' must list the classes"),
        ({"train": "images", "names": []}, "'names' must list the classes"),
        ({"train": "images", "names": [True, "b"]}, "class name True is no text.*quotes"),
        ({"train": "images", "names": [["a"]]}, "is no text"),
        ({"train": "images", "names": ["a"], "path": 3}, "'path' must be a folder"),
        ({"train": "images", "names": ["a"], "kpt_shape": [17, 3]}, "key points"),
        ({"train": "list.txt", "names": ["a", "b"]}, r"list\.txt, line 2 .*leads out"),
        ({"train": "out.txt", "names": ["a", "b"]}, r"out\.txt, line 1 .*leads out"),
        ({"train": "odd.txt", "names": ["a", "b"]}, r"odd\.txt, line 1: 'a\.xml' has no suffix"),
    ],
)
def test_wrong_descriptions(load, write, tmp_path, description, message):
    write({**simple(), "data.yaml": description, "list.txt": "images/train/a.png\n../b.png"})
    write({"out.txt": "/etc/passwd.png", "odd.txt": "a.xml"})
    with pytest.raises(DatasetError, match=message) as error:
        load()
    assert str(tmp_path) in str(error.value)


def test_other_splits_are_suggested(load, write):
    write({**simple(), "data.yaml": {"train": "images", "val": "images", "names": ["a", "b"]}})
    with pytest.raises(DatasetError, match=r"no split 'vla'.*Did you mean 'val'.*train, val"):
        load("vla")
    with pytest.raises(DatasetError, match="no split 'names'"):
        load("names")


def test_missing_data_file_and_missing_image(load, write):
    with pytest.raises(DatasetError, match=r"data\.yaml: No such file"):
        load()
    write({**simple(train="list.txt"), "list.txt": "images/none.jpg"})
    with pytest.raises(ImageError, match=r"images/none\.jpg"):
        load()


def test_a_link_to_a_folder_above_ends(load, write, tmp_path):
    write(simple())
    (tmp_path / "images/train/loop").symlink_to(tmp_path / "images")
    assert [r["image_id"] for r in load()] == ["images/train/a.png"]


def config(**entry):
    cfg = get_config()
    cfg.DATASETS.REGISTER = [{"FORMAT": "yolo", **entry}]
    return cfg


def test_registration(write, tmp_path):
    write(simple())
    name = f"test_{uuid.uuid4()}"
    data = str(tmp_path / "data.yaml")
    register_from_config(config(NAME=name, DATA=data, SPLIT="train"))
    (record,) = load_records([name], training=True)
    assert len(record["annotations"]) == 1
    assert MetadataCatalog.get(name).evaluator_type == "coco"
    DatasetCatalog.remove(name)
    with pytest.raises(ConfigError, match="format yolo also needs SPLIT"):
        register_from_config(config(NAME=name, DATA=data))
    name = f"test_{uuid.uuid4()}"
    register_from_config(config(NAME=name, DATA=f"{data}.none", SPLIT="train"))
    with pytest.raises(DatasetError, match=rf"'{name}': its data file .*none does not exist"):
        load_records([name], training=True)
    DatasetCatalog.remove(name)


def test_a_split_outside_of_the_root(load, write, tmp_path):
    write({f"elsewhere/{name}": content for name, content in simple().items()})
    write({"here/data.yaml": {"train": f"{tmp_path}/elsewhere/images", "names": ["a", "b"]}})
    (record,) = load(data="here/data.yaml")
    assert record["image_id"] == f"{tmp_path}/elsewhere/images/train/a.png"
    assert len(record["annotations"]) == 1

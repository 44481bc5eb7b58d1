"""Pascal VOC's xml files: right ones, odd ones, and wrong ones with a useful error."""

from __future__ import annotations

import uuid

import cv2
import numpy as np
import pytest

from yolov7.config import get_config
from yolov7.d2 import BoxMode, DatasetCatalog, MetadataCatalog
from yolov7.data.builtin_datasets import BUILTIN_DATASETS
from yolov7.data.catalog import load_records, register_builtin_datasets, register_from_config
from yolov7.data.formats import load_voc
from yolov7.utils.errors import ConfigError, DatasetError, ImageError


def xml_object(name="cat", box=(2, 3, 11, 21), rest="<difficult>0</difficult>"):
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
    return f"<object>\n<name>{name}</name>\n{rest}<bndbox>{inner}</bndbox></object>\n"


def xml(*objects, size=(60, 40), filename="a.jpg"):
    width, height = size
    return (
        f"<annotation>\n<filename>{filename}</filename>\n"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        f"{''.join(objects)}</annotation>\n"
    )


@pytest.fixture
def root(tmp_path):
    """An empty folder in the layout of VOC."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def write(root):
    def write(name, text, image=".jpg", size=(40, 60)):
        (root / "Annotations" / f"{name}.xml").parent.mkdir(parents=True, exist_ok=True)
        (root / "Annotations" / f"{name}.xml").write_text(text)
        if image:
            file = root / "JPEGImages" / f"{name}{image}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(cv2.imencode(image, np.zeros((*size, 3), np.uint8))[1].tobytes())

    return write


@pytest.fixture
def load(root):
    def load(names=None, **options):
        if names is not None:
            (root / "list.txt").write_text("\n".join(names) + "\n")
            options["list_file"] = root / "list.txt"
        options.setdefault("dataset_name", f"test_{uuid.uuid4()}")
        return load_voc(root / "Annotations", root / "JPEGImages", **options)

    return load


def boxes(record):
    return [a["bbox"] for a in record["annotations"]]


def test_records_by_hand(load, write, root):
    write("b", xml(xml_object("dog", (1, 1, 60, 40)), xml_object("cat", (2.5, 3, 11.5, 21), "")))
    write("a", xml(xml_object("cat", rest="<difficult>1</difficult>")))
    write("empty", xml())
    records = load(["b", "a", "empty"], dataset_name="voc_by_hand")
    assert records[0] == {
        "file_name": f"{root}/JPEGImages/b.jpg",
        "height": 40,
        "width": 60,
        "image_id": "b",
        "dataset_name": "voc_by_hand",
        "annotations": [
            {
                # The whole image: pixels 1 to 60 and 1 to 40, both included.
                "bbox": [0, 0, 60, 40],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 1,
                "iscrowd": 0,
                "difficult": 0,
            },
            {
                "bbox": [1.5, 2, 11.5, 21],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 0,
                "iscrowd": 0,
                "difficult": 0,
            },
        ],
    }
    assert [r["image_id"] for r in records] == ["b", "a", "empty"]
    assert records[1]["annotations"][0]["difficult"] == 1
    assert records[2]["annotations"] == []
    metadata = MetadataCatalog.get("voc_by_hand")
    assert metadata.thing_classes == ["cat", "dog"]
    assert metadata.thing_dataset_id_to_contiguous_id == {0: 0, 1: 1}


def test_coordinates_that_are_edges_already(load, write, caplog):
    write("a", xml(xml_object(box=(0, 0, 60, 40))))
    assert boxes(load()[0]) == [[-1, -1, 60, 40]]
    assert "1 of 1 boxes begin at pixel 0" in caplog.text and "COORDINATES: edges" in caplog.text
    caplog.clear()
    assert boxes(load(coordinates="edges")[0]) == [[0, 0, 60, 40]]
    write("a", xml(xml_object(box=(-1, -1, 60, 40))))
    assert boxes(load(coordinates="edges")[0]) == [[-1, -1, 60, 40]]
    assert not caplog.records
    with pytest.raises(ConfigError, match="pixels or edges, got 'corners'"):
        load(coordinates="corners")


def test_without_a_list_all_files_count_in_alphabetical_order(load, write, root):
    for name in ("b", "c", "a"):
        write(name, xml(xml_object()))
    (root / "Annotations" / "._a.xml").write_bytes(b"\0")
    (root / "Annotations" / "notes.txt").write_text("")
    assert [r["image_id"] for r in load()] == ["a", "b", "c"]


def test_class_names_may_be_more_and_in_any_order(load, write, caplog):
    caplog.set_level("INFO")
    write("a", xml(xml_object("cat"), xml_object("dog")))
    (record,) = load(class_names=["emu", "dog", "cat"], dataset_name="voc_order")
    assert [a["category_id"] for a in record["annotations"]] == [2, 1]
    assert MetadataCatalog.get("voc_order").thing_classes == ["emu", "dog", "cat"]
    assert not caplog.records
    load()
    assert "found the classes cat, dog" in caplog.text


def test_unknown_class_names_file_and_line_and_suggests(load, write):
    write("a", xml(xml_object("dog"), xml_object("ca t")))
    with pytest.raises(DatasetError, match=r"a\.xml, line 7 .object 2.*'ca t'.*mean 'cat'"):
        load(class_names=["cat", "dog"])


def test_a_size_of_zero_or_none_is_read_from_the_image(load, write, caplog):
    write("a", xml(xml_object(), size=(0, 0)), size=(33, 44))
    corners = "<ymin>1</ymin><xmin>1</xmin><xmax>5</xmax><ymax>6</ymax>"
    other = f"<object><name>x</name><bndbox>{corners}</bndbox></object>"
    write("b", f"<annotation>{other}</annotation>", size=(7, 8))
    write("c", xml(xml_object()))
    records = load()
    assert [(r["height"], r["width"]) for r in records] == [(33, 44), (7, 8), (40, 60)]
    assert boxes(records[1]) == [[0, 0, 5, 6]]
    assert "2 of 3 xml files give no size" in caplog.text


def test_a_size_of_zero_without_image(load, write):
    write("a", xml(xml_object(), size=(0, 0)), image=None)
    with pytest.raises(ImageError, match=r"JPEGImages/a\.jpg"):
        load()


@pytest.mark.parametrize(
    ("name", "image", "stated", "expected"),
    [
        ("a", ".jpg", "elsewhere.jpg", "a.jpg"),
        ("a", ".png", "C:\\pictures\\a.jpg", "a.png"),
        ("a.b=c #1 é", ".png", "", "a.b=c #1 é.png"),
        ("sub/a", ".png", "a.png", "sub/a.png"),
    ],
)
def test_the_image_is_found_by_the_name_of_the_xml_file(
    load, write, root, name, image, stated, expected
):
    write(name, xml(xml_object(), filename=stated), image)
    (record,) = load([name])
    assert record["file_name"] == f"{root}/JPEGImages/{expected}"
    assert record["image_id"] == name


def test_the_stated_name_decides_between_two_and_where_the_other_rule_finds_none(
    load, write, root, caplog
):
    write("a", xml(filename="a.png"), ".jpg")
    write("a", xml(xml_object(), filename="a.png"), ".png")
    write("x", xml(filename="/home/me/other.bmp"), None)
    write("y", xml(filename="../../secret.jpg"), None)
    (root / "JPEGImages" / "other.bmp").write_bytes(b"")
    (root.parent / "secret.jpg").write_bytes(b"")
    names = [r["file_name"] for r in load()]
    assert names == [f"{root}/JPEGImages/{file}" for file in ("a.png", "other.bmp", "y.jpg")]
    assert "1 of 3 images are not in the image folder" in caplog.text


def test_more_than_a_thousand_objects(load, write):
    write("a", xml(*(xml_object(box=(i, 1, i + 1, 2)) for i in range(1, 1501))))
    (record,) = load()
    assert boxes(record) == [[i - 1, 0, i + 1, 2] for i in range(1, 1501)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: not valid XML .no element found"),
        (xml(xml_object())[:-14], "line 7, column 1: not valid XML .no element found"),
        ("<annotation>\n<object>\n</annotation>", "line 3, column 3: .*mismatched tag"),
        ("<html></html>", "expected <annotation> at the top, got <html>"),
        ("<?xml version='1.0' encoding='no-such'?><annotation/>", "encoding"),
        (xml(xml_object(), xml_object(""), "\n"), r"line 7 .object 2.: the object has no <name>"),
        (xml("<object><name>cat</name></object>"), r"line 4 .*no <bndbox>"),
        (xml(xml_object().replace("<ymax>21</ymax>", "")), "line 4 .*no <ymax>"),
        (xml(xml_object(box=(1, 2, "", 4))), "<xmax> is ''; expected a number"),
        (xml(xml_object(box=(1, "two", 3, 4))), "<ymin> is 'two'; expected a number"),
        (xml(xml_object(box=("nan", 2, 3, 4))), "<xmin> is 'nan'; expected a number"),
        (xml(xml_object(box=(1, 2, 3, "inf"))), "<ymax> is 'inf'; expected a number"),
        (xml(xml_object(rest="<difficult>7</difficult>")), "<difficult> is '7'; expected 0 or 1"),
        (xml(size=("wide", 4)), "<width> of the image is 'wide'"),
        (xml(size=(-3, 4)), "<width> of the image is '-3'"),
        (xml(size=(3, 4.5)), "<height> of the image is '4.5'"),
    ],
)
def test_wrong_files_are_named(load, write, text, message):
    write("a", text)
    with pytest.raises(DatasetError, match=message) as error:
        load()
    assert "Annotations/a.xml" in str(error.value)


def test_entities_that_grow_without_end_are_refused(load, write):
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "{"x" * 100}">{entities}]><annotation>&e11;</annotation>'
    write("a", bomb)
    with pytest.raises(DatasetError, match=r"a\.xml.*not valid XML"):
        load()


def test_parts_of_an_object_are_not_objects(load, write):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    write("a", xml(xml_object(rest=part)))
    (record,) = load(class_names=["cat"])
    assert boxes(record) == [[1, 2, 11, 21]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "", "b"], r"list\.txt, line 3: there is no .*Annotations/b\.xml"),
        (["a  1"], r"list\.txt, line 1: there is no .*a  1\.xml.*without its suffix"),
        (["a", "a"], r"list\.txt, line 2: 'a' is listed twice"),
        (["../a"], r"list\.txt, line 1 .*leads out"),
        (["/etc/a"], r"list\.txt, line 1 .*leads out"),
    ],
)
def test_wrong_lists(load, write, names, message):
    write("a", xml(xml_object()))
    with pytest.raises(DatasetError, match=message):
        load(names)


def test_missing_folders_and_files(load, write, root):
    with pytest.raises(DatasetError, match=r"Annotations holds no \.xml file"):
        load()
    write("a", xml())
    with pytest.raises(DatasetError, match=r"no file of data set .* has an object"):
        load()
    (root / "train.txt").write_text("a")
    with pytest.raises(DatasetError, match=r"trian\.txt does not exist.*mean 'train'"):
        load(list_file=root / "trian.txt")
    with pytest.raises(DatasetError, match=r"Image folder .*none does not exist"):
        load_voc(root / "Annotations", root / "none", dataset_name="none")


def config(**entry):
    cfg = get_config()
    cfg.DATASETS.REGISTER = [{"FORMAT": "voc", **entry}]
    return cfg


def test_registration_by_root_and_by_folders(write, root):
    write("a", xml(xml_object()))
    write("b", xml(xml_object(box=(0, 1, 2, 3))))
    (root / "ImageSets/Main/train.txt").write_text("a\r\n")
    names = [f"test_{uuid.uuid4()}" for _ in range(3)]
    register_from_config(config(NAME=names[0], ROOT=str(root), SPLIT="train"))
    register_from_config(config(NAME=names[1], ROOT=str(root), COORDINATES="edges"))
    register_from_config(
        config(
            NAME=names[2],
            ANNOTATIONS=str(root / "Annotations"),
            IMAGES=str(root / "JPEGImages"),
            SPLIT=str(root / "ImageSets/Main/train.txt"),
        )
    )
    ids = [[r["image_id"] for r in load_records([name], training=True)] for name in names]
    assert ids == [["a"], ["a", "b"], ["a"]]
    assert boxes(load_records([names[1]], training=False)[1]) == [[0, 1, 2, 3]]
    metadata = MetadataCatalog.get(names[0])
    assert metadata.evaluator_type == "voc" and metadata.thing_classes == ["cat"]
    assert (metadata.dirname, metadata.split, metadata.year) == (str(root), "train", 2012)
    for name in names:
        DatasetCatalog.remove(name)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "'x': format voc needs ROOT .* or the two folders ANNOTATIONS and IMAGES"),
        ({"ANNOTATIONS": "a"}, "format voc needs ROOT"),
        ({"ANNOTATIONS": "a", "IMAGES": "b", "SPLIT": "train"}, "SPLIT 'train' names a list"),
        ({"ROOT": "a", "COORDINATES": "pixel"}, "COORDINATES must be pixels or edges"),
        ({"ROOT": "a", "SPLTI": "b"}, "unknown key 'SPLTI'.*Did you mean 'SPLIT'"),
    ],
)
def test_wrong_entries(entry, message):
    with pytest.raises(ConfigError, match=message):
        register_from_config(config(NAME="x", **entry))


def test_the_built_in_names_are_detectron2s():
    names = {name for name in BUILTIN_DATASETS if name.startswith("voc_")}
    assert names == {
        *(f"voc_2007_{split}" for split in ("train", "val", "trainval", "test")),
        *(f"voc_2012_{split}" for split in ("train", "val", "trainval")),
    }
    metadata = MetadataCatalog.get("voc_2007_test")
    assert (metadata.year, metadata.split) == (2007, "test")
    assert metadata.dirname.endswith("VOC2007")
    assert len(metadata.thing_classes) == 20 and metadata.thing_classes[14] == "person"


def test_a_built_in_data_set_is_read_from_its_place(tmp_path):
    name = "voc_2012_val"
    before = MetadataCatalog.get(name).dirname.removesuffix("VOC2012")
    with pytest.raises(DatasetError, match=r"VOC2012 does not exist.*host\.robots\.ox\.ac\.uk"):
        load_records([name], training=True)
    root = tmp_path / "VOC2012"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    (root / "Annotations/2008_000001.xml").write_text(xml(xml_object("tvmonitor")))
    (root / "ImageSets/Main/val.txt").write_text("2008_000001\n")
    DatasetCatalog.remove(name)
    MetadataCatalog.pop(name)
    register_builtin_datasets(str(tmp_path))
    try:
        (record,) = load_records([name], training=False)
        assert record["annotations"][0]["category_id"] == 19
        assert record["file_name"] == f"{root}/JPEGImages/2008_000001.jpg"
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name)
        register_builtin_datasets(before or None)

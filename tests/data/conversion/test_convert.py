"""Conversions worked by hand: what is written, what is counted as lost, and what is refused."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from pycocotools import mask as coco_mask

from yolov7.d2 import BoxMode, DatasetCatalog, MetadataCatalog
from yolov7.data.conversion import (
    CocoWriter,
    VocWriter,
    YoloWriter,
    convert_dataset,
    copy_image,
    link_image,
    read_split,
)
from yolov7.utils.errors import DatasetError, ImageError, UserError

CLASSES = {3: "cat", 7: "dog #1", 9: "emu"}
IMAGES = {"a.png": (40, 80), "sub/b = é.png": (50, 100)}
SQUARE = [0, 0, 40, 0, 40, 20, 0, 20]
TRIANGLE = [10, 10, 30, 10, 20, 20.5]
OBJECTS = [
    {"image": 0, "class": 7, "bbox": [0, 0, 40, 20], "segmentation": [SQUARE]},
    {"image": 0, "class": 3, "bbox": [20.5, 10, 4, 5], "difficult": 1},
    {"image": 0, "class": 3, "bbox": [1, 1, 9, 9], "iscrowd": 1},
    {"image": 1, "class": 7, "bbox": [90, 10, 20, 10]},
    {"image": 1, "class": 3, "bbox": [10, 10, 20, 11], "segmentation": [TRIANGLE]},
    {"image": 1, "class": 3, "bbox": [10, 10, 9, 9], "segmentation": [SQUARE, TRIANGLE]},
    {"image": 1, "class": 3, "bbox": [200, 10, 9, 9]},
]


@pytest.fixture
def split(workshop):
    return read_split("train", workshop.coco(IMAGES, OBJECTS, classes=CLASSES))


def test_to_yolo(split, tmp_path, workshop):
    report = convert_dataset([split], tmp_path / "out", writer=YoloWriter(), place_image=link_image)
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text()) == {
        "train": "images/train",
        "names": {0: "cat", 1: "dog #1", 2: "emu"},
    }
    labels = tmp_path / "out/labels/train"
    assert (labels / "a.txt").read_text() == "1 0.25 0.25 0.5 0.5\n0 0.28125 0.3125 0.05 0.125\n"
    assert (labels / "sub/b = é.txt").read_text().splitlines() == [
        "1 0.95 0.3 0.1 0.2",  # clipped at x = 100
        "0 0.2 0.31 0.2 0.22",
        "0 0.145 0.29 0.09 0.18",
    ]
    link = tmp_path / "out/images/train/sub/b = é.png"
    assert os.readlink(link) == str(tmp_path / "source/sub/b = é.png")
    assert report.images == {"train": 2} and report.objects == {"train": 5}
    assert dict(report.lost) == {
        "crowd regions": 1,
        "difficult marks": 1,
        "masks": 3,
        "annotation ids": 5,
        "category ids": 3,
        "image ids that are numbers": 2,
        "boxes clipped to their image": 1,
        "boxes outside their image, or of negative size": 1,
    }
    assert report.unused_classes == ["emu"]
    assert report.largest_shift < 1e-7
    records = workshop.read(report.entries["train"])
    assert [r["image_id"] for r in records] == ["images/train/a.png", "images/train/sub/b = é.png"]
    assert records[0]["annotations"][0]["bbox"] == [0, 0, 40, 20]


def test_to_yolo_with_masks(split, tmp_path, workshop):
    writer = YoloWriter(masks=True)
    report = convert_dataset([split], tmp_path / "out", writer=writer, place_image=link_image)
    labels = tmp_path / "out/labels/train"
    assert (labels / "a.txt").read_text().splitlines()[0] == "1 0 0 0.5 0 0.5 0.5 0 0.5"
    assert report.lost["masks"] == 1  # that of two polygons
    assert report.lost["boxes replaced by their polygon's hull"] == 1
    assert report.largest_shift == pytest.approx(0.5)
    records = workshop.read(report.entries["train"])
    assert records[0]["annotations"][0]["segmentation"] == [SQUARE]
    assert records[1]["annotations"][1]["segmentation"] == [pytest.approx(TRIANGLE)]


def test_to_voc(split, tmp_path, workshop):
    report = convert_dataset([split], tmp_path / "out", writer=VocWriter(), place_image=copy_image)
    assert (tmp_path / "out/ImageSets/Main/train.txt").read_text() == "a\nsub/b = é\n"
    xml = (tmp_path / "out/Annotations/a.xml").read_text()
    tight = "".join(xml.split())
    assert "<width>80</width><height>40</height><depth>3</depth>" in tight
    assert (
        "<name>dog#1</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
        "<xmax>40</xmax><ymax>20</ymax></bndbox>"
    ) in tight
    assert (
        "<name>cat</name><difficult>1</difficult><bndbox><xmin>21.5</xmin><ymin>11</ymin>"
        "<xmax>24.5</xmax><ymax>15</ymax></bndbox>"
    ) in tight
    image = tmp_path / "out/JPEGImages/sub/b = é.png"
    assert not image.is_symlink()
    assert image.read_bytes() == (tmp_path / "source/sub/b = é.png").read_bytes()
    assert report.objects == {"train": 6}
    assert dict(report.lost) == {
        "crowd regions": 1,
        "masks": 3,
        "annotation ids": 6,
        "category ids": 3,
        "image ids that are numbers": 2,
        "names of classes without an object": 1,
    }
    assert dict(report.notes) == {
        "boxes with fractions of pixels, which some programs do not read": 1,
        "images that are not .jpg, which detectron2 does not find": 2,
    }
    assert report.largest_shift == 0
    records = workshop.read(report.entries["train"], report.class_names)
    assert [a["bbox"] for a in records[1]["annotations"]] == [
        [90, 10, 110, 20], [10, 10, 30, 21], [10, 10, 19, 19], [200, 10, 209, 19]
    ]  # fmt: skip
    assert [a["difficult"] for a in records[0]["annotations"]] == [0, 1]


def test_to_voc_in_whole_pixels(split, tmp_path, workshop):
    writer = VocWriter(whole_pixels=True)
    report = convert_dataset([split], tmp_path / "out", writer=writer, place_image=link_image)
    assert report.lost["boxes rounded to whole pixels"] == 1 and report.largest_shift == 0.5
    records = workshop.read(report.entries["train"], report.class_names)
    boxes = [a["bbox"] for a in records[0]["annotations"]]
    assert boxes == [[0, 0, 40, 20], [21, 10, 24, 15]]  # 21.5 and 24.5, to the even neighbour


def test_whole_pixels_leave_small_objects_a_pixel(workshop, tmp_path):
    boxes = [[0.6, 10.6, 0.6, 0.7], [5, 5, 0, 3]]  # the second one has no width to begin with
    objects = [{"image": 0, "class": 1, "bbox": box} for box in boxes]
    split = read_split("t", workshop.coco({"a.png": (20, 20)}, objects, classes={1: "x"}))
    writer = VocWriter(whole_pixels=True)
    report = convert_dataset([split], tmp_path / "v", writer=writer, place_image=link_image)
    (record,) = workshop.read(report.entries["t"])
    assert [a["bbox"] for a in record["annotations"]] == [[1, 11, 2, 12], [5, 5, 5, 8]]


def test_to_coco_keeps_everything(split, tmp_path, workshop):
    report = convert_dataset([split], tmp_path / "out", writer=CocoWriter(), place_image=link_image)
    assert not report.lost and not report.notes and report.largest_shift == 0
    records = workshop.read(report.entries["train"])
    for record, original in zip(records, split.records, strict=True):
        assert os.path.realpath(record["file_name"]) == original["file_name"]
        for key in ("height", "width", "image_id", "annotations"):
            assert record[key] == original[key]
    content = json.loads((tmp_path / "out/annotations/train.json").read_text())
    assert content["categories"] == [{"id": i, "name": name} for i, name in CLASSES.items()]
    assert [a["area"] for a in content["annotations"][:2]] == [800, 20]


def test_run_lengths_are_kept_in_coco_and_counted_elsewhere(workshop, tmp_path):
    mask = {"size": [4, 5], "counts": [5, 2, 13]}
    objects = [{"image": 0, "class": 0, "bbox": [1, 1, 1, 2], "segmentation": mask}]
    split = read_split("a", workshop.coco({"a.png": (4, 5)}, objects, classes={0: "x"}))
    report = convert_dataset([split], tmp_path / "c", writer=CocoWriter(), place_image=link_image)
    (record,) = workshop.read(report.entries["a"])
    decoded = coco_mask.decode(record["annotations"][0]["segmentation"])
    assert decoded.shape == (4, 5) and decoded[1:3, 1].all() and decoded.sum() == 2
    writer = YoloWriter(masks=True)
    report = convert_dataset([split], tmp_path / "y", writer=writer, place_image=link_image)
    assert report.lost["masks"] == 1


def test_sources_without_ids_are_numbered_from_1(split, tmp_path, workshop):
    voc = convert_dataset([split], tmp_path / "voc", writer=VocWriter(), place_image=link_image)
    name = workshop.register(voc.entries["train"], voc.class_names)
    coco = convert_dataset(
        [read_split("train", name)], tmp_path / "c", writer=CocoWriter(), place_image=link_image
    )
    content = json.loads((tmp_path / "c/annotations/train.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 2]
    assert [a["id"] for a in content["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [category["id"] for category in content["categories"]] == [1, 2, 3]
    assert [a.get("difficult", 0) for a in content["annotations"]] == [0, 1, 0, 0, 0, 0]
    assert not coco.lost


def test_ids_of_a_data_set_that_was_registered_in_python_are_kept(workshop, tmp_path):
    workshop.image("a.png", (4, 5))
    box = {"bbox": [1, 1, 2, 2], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 1, "iscrowd": 0}
    record = {"file_name": str(tmp_path / "a.png"), "height": 4, "width": 5, "image_id": 8}
    name = f"test_{tmp_path.name}"
    DatasetCatalog.register(name, lambda: [{**record, "annotations": [box]}])
    workshop.names.append(name)
    MetadataCatalog.get(name).set(
        thing_classes=["x", "y"], thing_dataset_id_to_contiguous_id={3: 0, 9: 1}
    )
    convert_dataset([read_split("t", name)], tmp_path / "c", writer=CocoWriter(),
                    place_image=link_image)  # fmt: skip
    content = json.loads((tmp_path / "c/annotations/t.json").read_text())
    assert content["categories"] == [{"id": 3, "name": "x"}, {"id": 9, "name": "y"}]
    assert (content["images"][0]["id"], content["annotations"][0]["category_id"]) == (8, 9)


def test_several_splits_with_equal_file_names(workshop, tmp_path):
    box = [{"image": 0, "class": 1, "bbox": [0, 0, 2, 2]}]
    splits = [
        read_split(
            name, workshop.coco({"0.png": (8, side)}, box, classes={1: "x"}, folder=name)
        )
        for name, side in (("train", 9), ("val", 10))
    ]  # fmt: skip
    for number, writer in enumerate((VocWriter(), YoloWriter(), CocoWriter())):
        output = tmp_path / f"out{number}"
        report = convert_dataset(splits, output, writer=writer, place_image=link_image)
        widths = [workshop.read(report.entries[name])[0]["width"] for name in ("train", "val")]
        assert widths == [9, 10]
    assert (tmp_path / "out0/ImageSets/Main/val.txt").read_text() == "val/0\n"


def test_an_image_of_two_splits_is_written_once_in_voc(workshop, tmp_path):
    box = [{"image": 0, "class": 1, "bbox": [0, 0, 2, 2]}]
    images = {"0.png": (8, 9)}
    splits = [read_split(name, workshop.coco(images, box, classes={1: "x"})) for name in ("a", "b")]
    report = convert_dataset(splits, tmp_path / "o", writer=VocWriter(), place_image=copy_image)
    assert os.listdir(tmp_path / "o/Annotations") == ["0.xml"]
    assert [len(workshop.read(report.entries[name])) for name in ("a", "b")] == [1, 1]
    other = read_split("c", workshop.coco(images, [], classes={1: "x"}))
    with pytest.raises(DatasetError, match=r"'c': the image .* has other objects"):
        convert_dataset([splits[0], other], tmp_path / "p", writer=VocWriter(),
                        place_image=link_image)  # fmt: skip


def refuse(splits, tmp_path, writer, match, error=DatasetError):
    with pytest.raises(error, match=match):
        convert_dataset(splits, tmp_path / "out", writer=writer, place_image=link_image)
    assert not [name for name in os.listdir(tmp_path) if "out" in name]


@pytest.mark.parametrize("writer", [VocWriter(), YoloWriter()])
def test_what_cannot_be_said_is_refused(workshop, tmp_path, writer):
    def split(images, classes, name="train"):
        return read_split(name, workshop.coco(images, [], classes=classes))

    one = {1: "x"}
    refuse([split({"a.png": (4, 4), "a.jpg": (4, 4)}, one)], tmp_path, writer, "a.png' and 'a.jpg'")
    refuse([split({"a.png": (4, 4)}, {1: "x", 2: "x"})], tmp_path, writer, "Two classes .* 'x'")
    refuse([split({"a.png": (4, 4)}, {1: "x\ny"})], tmp_path, writer, r"name 'x\\ny' has control")
    refuse([split({"a.png": (4, 4)}, {1: " x"})], tmp_path, writer, "name ' x' has control")
    refuse([split({"a .png": (4, 4)}, one)], tmp_path, writer, "name 'a ' has control")
    refuse(
        [split({".a.png": (4, 4)}, one)], tmp_path, writer, r"image '\.a\.png' would not be found"
    )
    refuse([split({"a.ppm": (4, 4)}, one)], tmp_path, writer, r"'a\.ppm' would not be found")


@pytest.mark.parametrize("writer", [VocWriter(), YoloWriter(), CocoWriter()])
def test_splits_that_do_not_go_together(workshop, tmp_path, writer):
    images = {"a.png": (4, 4)}
    first = read_split("train", workshop.coco(images, [], classes={1: "x"}))
    other = read_split("val", workshop.coco(images, [], classes={1: "y"}))
    ids = read_split("val", workshop.coco(images, [], classes={2: "x"}))
    refuse([first, other], tmp_path, writer, r"'val' has the classes \['y'\]")
    refuse([first, ids], tmp_path, writer, r"'val' has the category ids \[2\]")
    refuse([first, first], tmp_path, writer, "split 'train' is given twice")
    refuse([], tmp_path, writer, "no split")


@pytest.mark.parametrize("writer", [VocWriter(), YoloWriter(), CocoWriter()])
def test_a_missing_image_leaves_nothing_behind(workshop, tmp_path, writer):
    name = workshop.coco({"a.png": (4, 4)}, [], classes={1: "x"}, write_images=False)
    (tmp_path / "source").mkdir()
    refuse([read_split("train", name)], tmp_path, writer, r"a\.png", ImageError)


def test_labels_in_parts_of_an_image_need_its_true_size(workshop, tmp_path):
    name = workshop.coco({"a.png": (4, 5)}, [], classes={1: "x"}, write_images=False)
    workshop.image("source/a.png", (5, 4))
    split = read_split("train", name)
    refuse([split], tmp_path, YoloWriter(), r"a\.png is 4x5 .* declare 5x4")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a\n"])
def test_names_of_splits_are_names_of_files(name):
    with pytest.raises(DatasetError, match="must be usable as a file's name"):
        read_split(name, "bccd_train")


def test_an_output_that_exists_is_left_alone(split, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(UserError, match="out exists already"):
        convert_dataset([split], tmp_path / "out", writer=CocoWriter(), place_image=link_image)
    assert os.listdir(tmp_path / "out") == ["mine"]


def test_the_report_in_words_and_for_json(split, tmp_path):
    report = convert_dataset([split], tmp_path / "out", writer=VocWriter(), place_image=link_image)
    text = "\n".join(report.lines())
    assert "train: 2 images, 6 objects" in text
    assert "lost: 1 crowd regions" in text and "note: 2 images that are not .jpg" in text
    usage = text[text.index("  DATASETS:") :]
    assert yaml.safe_load(usage)["DATASETS"] == {
        "REGISTER": [
            {"NAME": "my_train", "FORMAT": "voc", "ROOT": str(tmp_path / "out"), "SPLIT": "train"}
        ],
        "CLASS_NAMES": ["cat", "dog #1", "emu"],
    }
    assert json.loads(json.dumps(report.state_dict()))["lost"]["masks"] == 3


def test_records_of_any_box_mode(workshop, tmp_path):
    # What was read from VOC is in corners: COCO needs corner and size.
    name = workshop.coco({"a.png": (9, 9)}, [{"image": 0, "class": 1, "bbox": [1, 2, 3, 4]}],
                         classes={1: "x"})  # fmt: skip
    voc = convert_dataset([read_split("t", name)], tmp_path / "v", writer=VocWriter(),
                          place_image=link_image)  # fmt: skip
    (record,) = workshop.read(voc.entries["t"])
    assert record["annotations"][0]["bbox_mode"] == BoxMode.XYXY_ABS
    read = read_split("t", workshop.register(voc.entries["t"]))
    convert_dataset([read], tmp_path / "c", writer=CocoWriter(), place_image=link_image)
    content = json.loads((tmp_path / "c/annotations/t.json").read_text())
    assert content["annotations"][0]["bbox"] == [1, 2, 3, 4]


def test_splits_of_yolo_are_no_other_entries(workshop, tmp_path):
    split = read_split("names", workshop.coco({"a.png": (4, 4)}, [], classes={1: "x"}))
    refuse([split], tmp_path, YoloWriter(), "another use for 'names'")


@pytest.mark.parametrize(
    ("box", "line"),
    [
        ([5, 1, 0, 2], "0 0.5 0.5 0 0.5"),  # without width, but there
        ([10, 1, 0, 2], "0 1 0.5 0 0.5"),
        ([11, 1, 0, 2], None),
        ([10, 1, 5, 2], None),
        ([-5, 1, 5, 2], None),
        ([-5, 1, 6, 2], "0 0.05 0.5 0.1 0.5"),
        ([5, 1, -2, 2], None),
        ([5, 5, 2, 2], None),
    ],
)
def test_what_of_a_box_is_in_its_image(workshop, tmp_path, box, line):
    objects = [{"image": 0, "class": 1, "bbox": box}]
    split = read_split("t", workshop.coco({"a.png": (4, 10)}, objects, classes={1: "x"}))
    report = convert_dataset([split], tmp_path / "y", writer=YoloWriter(), place_image=link_image)
    written = (tmp_path / "y/labels/t/a.txt").read_text()
    assert written == ("" if line is None else f"{line}\n")
    lost = report.lost["boxes outside their image, or of negative size"]
    assert lost == (line is None)


def test_an_image_under_two_ids_of_coco(workshop, tmp_path):
    images = [{"id": i, "file_name": "a.png", "height": 4, "width": 5} for i in (1, 2)]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    workshop.image("source/a.png", (4, 5))
    name = workshop.register(
        {"FORMAT": "coco", "ANNOTATIONS": f"{tmp_path}/a.json", "IMAGES": f"{tmp_path}/source"}
    )
    split = read_split("t", name)
    report = convert_dataset([split], tmp_path / "c", writer=CocoWriter(), place_image=link_image)
    assert [r["image_id"] for r in workshop.read(report.entries["t"])] == [1, 2]
    refuse([split], tmp_path, VocWriter(), "'a.png' and 'a.png'")

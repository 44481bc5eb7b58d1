"""Reading COCO files: right ones as detectron2 does, wrong ones with a useful error."""

from __future__ import annotations

import copy
import json
import uuid

import pytest
from pycocotools import mask as coco_mask

from yolov7.d2 import BoxMode, MetadataCatalog, load_coco_json
from yolov7.data.formats import load_coco
from yolov7.utils.errors import DatasetError

GOOD = {
    "images": [
        {"id": 20, "file_name": "sub/b.jpg", "height": 40, "width": 60},
        {"id": 3, "file_name": "a.jpg", "height": 30, "width": 50},
        {"id": 100, "file_name": "empty.jpg", "height": 8, "width": 8},
    ],
    # Ids with gaps, not in order, one of them zero.
    "categories": [{"id": 11, "name": "cat"}, {"id": 0, "name": "dog"}, {"id": 7, "name": "emu"}],
    "annotations": [
        {"id": 5, "image_id": 20, "category_id": 7, "bbox": [1, 2.5, 10, 20], "iscrowd": 0},
        {
            "id": 1,
            "image_id": 3,
            "category_id": 11,
            "bbox": [0, 0, 9, 9],
            "segmentation": [[0, 0, 9, 0, 9, 9], [1, 1, 2]],
        },
        {
            "id": 2,
            "image_id": 3,
            "category_id": 0,
            "iscrowd": 1,
            "bbox": [5, 5, 2, 2],
            "segmentation": {"size": [30, 50], "counts": [155, 2, 28, 2, 1313]},
        },
    ],
}


@pytest.fixture
def load(tmp_path):
    def load(content, **options):
        path = tmp_path / "annotations.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        options.setdefault("dataset_name", f"test_{uuid.uuid4()}")
        return load_coco(path, tmp_path, **options)

    return load


def broken(section, place, **changes):
    """GOOD with some values of one object changed; None removes a key."""
    content = copy.deepcopy(GOOD)
    row = content[section][place]
    row.update(changes)
    for key in [key for key, value in row.items() if value is None]:
        del row[key]
    return content


def test_records_by_hand(load, tmp_path):
    records = load(GOOD, dataset_name="hand_worked")
    assert [r["image_id"] for r in records] == [3, 20, 100]
    assert records[1] == {
        "file_name": f"{tmp_path}/sub/b.jpg",
        "height": 40,
        "width": 60,
        "image_id": 20,
        "dataset_name": "hand_worked",
        "annotations": [
            {
                "id": 5,
                "bbox": [1, 2.5, 10, 20],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": 1,
                "iscrowd": 0,
            }
        ],
    }
    assert records[2]["annotations"] == []
    polygon, crowd = records[0]["annotations"]
    assert polygon["category_id"] == 2 and crowd["category_id"] == 0
    assert polygon["segmentation"] == [[0, 0, 9, 0, 9, 9]]
    assert crowd["iscrowd"] == 1
    mask = coco_mask.decode(crowd["segmentation"])
    assert mask.shape == (30, 50) and mask[5:7, 5:7].all() and mask.sum() == 4


def test_gapped_and_zero_ids_are_mapped_in_their_order(load):
    load(GOOD, dataset_name="gapped")
    metadata = MetadataCatalog.get("gapped")
    assert metadata.thing_classes == ["dog", "emu", "cat"]
    assert metadata.thing_dataset_id_to_contiguous_id == {0: 0, 7: 1, 11: 2}


def test_equal_to_load_coco_json_of_the_seam(load, tmp_path):
    name = f"test_{uuid.uuid4()}"
    ours = load(GOOD, dataset_name=name)
    # Setting the metadata a second time must not clash.
    theirs = load_coco_json(
        str(tmp_path / "annotations.json"), str(tmp_path), name, extra_annotation_keys=["id"]
    )
    for record in ours:
        assert record.pop("dataset_name") == name
    for annotation in (a for record in theirs for a in record["annotations"]):
        annotation.setdefault("iscrowd", 0)
    assert ours == theirs


def test_class_names_order_the_classes(load):
    records = load(GOOD, dataset_name="reordered", class_names=["cat", "dog", "emu"])
    assert MetadataCatalog.get("reordered").thing_classes == ["cat", "dog", "emu"]
    assert [a["category_id"] for a in records[0]["annotations"]] == [0, 1]


def test_class_names_that_are_others(load):
    with pytest.raises(DatasetError, match=r"CLASS_NAMES is \['cat', 'dog'\]"):
        load(GOOD, class_names=["cat", "dog"])


def test_name_with_other_classes_already(load):
    MetadataCatalog.get("taken").set(thing_classes=["a", "b"])
    with pytest.raises(DatasetError, match="'taken' is known to have thing_classes"):
        load(GOOD, dataset_name="taken")


def test_malformed_json_names_file_and_line(load):
    text = json.dumps(GOOD, indent=1)
    cut = text[: text.index('"annotations"')]
    with pytest.raises(DatasetError, match=rf"annotations\.json, line {cut.count(chr(10)) + 1}, "):
        load(cut)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1"),
        ([], "a list .of results"),
        ({"images": [], "annotations": []}, "'categories' is missing"),
        ({**GOOD, "images": {"a": 1}}, "'images' must be a list"),
        ({**GOOD, "categories": []}, "'categories' is empty"),
        (broken("images", 1, id=20), "image id 20 occurs twice"),
        (broken("images", 1, id=[1]), "image id .* must be"),
        (broken("images", 1, width=None), "image 3 has no 'width'"),
        (broken("images", 1, width=0), "image 3 declares width 0"),
        (broken("images", 1, height="30"), "image 3 declares height '30'"),
        (broken("images", 1, file_name="../secret.jpg"), "leads out of the image folder"),
        (broken("images", 1, file_name="a/../../b.jpg"), "leads out of the image folder"),
        (broken("images", 1, file_name="/etc/passwd"), "leads out of the image folder"),
        (broken("images", 1, file_name="C:\\b.jpg"), "leads out of the image folder"),
        (broken("images", 1, file_name="..\\b.jpg"), "leads out of the image folder"),
        (broken("images", 1, file_name=""), "image 3 has file_name ''"),
        (broken("categories", 1, id=11), "category id 11 occurs twice"),
        (broken("categories", 1, id="x"), "category id 'x'"),
        (broken("categories", 1, name=None), "category 0 has no 'name'"),
        (broken("annotations", 0, id=1), "annotation 1: the id occurs twice"),
        (broken("annotations", 0, id=None), "'annotation' has no 'id'"),
        (broken("annotations", 0, image_id=4), "annotation 5 belongs to image 4"),
        (broken("annotations", 0, category_id=1), r"annotation 5 has category_id 1.*\[0, 7, 11\]"),
        (broken("annotations", 0, bbox=None), "annotation 5 has no 'bbox'"),
        (broken("annotations", 0, bbox=[]), "annotation 5 .image 20.*4 numbers"),
        (broken("annotations", 0, bbox=[1, 2, 3, "4"]), "annotation 5 .image 20.*4 numbers"),
        (broken("annotations", 0, bbox=[1, 2, float("nan"), 4]), "annotation 5 .*finite"),
        (broken("annotations", 0, bbox=[1, 2, float("inf"), 4]), "annotation 5 .*finite"),
        (broken("annotations", 0, iscrowd=2), "annotation 5: iscrowd must be 0 or 1"),
        (broken("annotations", 0, ignore=1), "annotation 5 has 'ignore'"),
        (broken("annotations", 0, segmentation="abc"), "annotation 5: segmentation must be"),
        (broken("annotations", 0, segmentation=[[0, 0, 1, 1, float("nan"), 2]]), "finite"),
        (broken("annotations", 2, segmentation={"size": [9, 9], "counts": []}), "size .9, 9."),
    ],
)
def test_wrong_files(load, content, message):
    with pytest.raises(DatasetError, match=message) as error:
        load(content)
    assert "annotations.json" in str(error.value)


def test_missing_file_and_missing_folder(load, tmp_path):
    with pytest.raises(DatasetError, match=r"none\.json: No such file"):
        load_coco(tmp_path / "none.json", tmp_path, dataset_name="none")
    load(GOOD)
    with pytest.raises(DatasetError, match=r"pictures .*does not exist"):
        load_coco(tmp_path / "annotations.json", tmp_path / "pictures", dataset_name="none")


def test_binary_file_is_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(DatasetError, match=r"a\.json.*not"):
        load_coco(tmp_path / "a.json", tmp_path, dataset_name="binary")


def test_object_with_bad_polygons_only_is_dropped_with_a_count(load, caplog):
    records = load(broken("annotations", 0, segmentation=[[0, 0, 1, 1], [1, 2, 3, 4, 5, 6, 7]]))
    assert records[1]["annotations"] == []
    assert "dropped 3 polygons" in caplog.text and "and 1 objects" in caplog.text


def test_empty_segmentation_is_none(load):
    records = load(broken("annotations", 0, segmentation=[]))
    assert "segmentation" not in records[1]["annotations"][0]


def test_file_names_with_colons_and_dots_are_ordinary(load, tmp_path):
    records = load(broken("images", 1, file_name="12:30:11 a..b.jpg"))
    assert records[0]["file_name"] == f"{tmp_path}/12:30:11 a..b.jpg"


def test_ids_of_both_kinds_can_be_sorted(load):
    content = broken("images", 1, id="left")
    content["annotations"] = content["annotations"][:1]
    assert [r["image_id"] for r in load(content)] == [20, 100, "left"]


def test_no_images_is_no_error_here(load):
    assert load({**GOOD, "images": [], "annotations": []}) == []

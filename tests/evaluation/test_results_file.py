"""Results files: what is written is read again, and mistakes are named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as mask_tools

from yolov7.evaluation import ResultsFile, load_evaluated_dataset, write_results
from yolov7.utils.errors import DatasetError

COCO = {
    "images": [{"id": i, "file_name": f"{i}.jpg", "height": 30, "width": 40} for i in (3, 1, 20)],
    "categories": [{"id": 7, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [],
}
ROW = {"image_id": 3, "category_id": 7, "bbox": [1.5, 2, 3, 4.25], "score": 0.1 + 0.2}


@pytest.fixture
def dataset(register):
    return load_evaluated_dataset(register(COCO), with_masks=False)


def read_results(path, dataset):
    return ResultsFile.read(path).detections(dataset)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_read_by_image_in_the_files_order(dataset, tmp_path):
    rows = [ROW, {**ROW, "image_id": 20, "category_id": 2}, {**ROW, "score": 0.9}]
    images = read_results(write(tmp_path / "r.json", rows), dataset)
    assert [image.image_id for image in images] == [1, 3, 20], "every image, named or not"
    assert [image.classes.tolist() for image in images] == [[], [1, 1], [0]]
    assert images[1].scores.tolist() == [0.1 + 0.2, 0.9]
    assert images[0].boxes_xywh.shape == (0, 4)
    write_results(tmp_path / "again.json", images, category_ids=dataset.category_ids)
    assert json.loads((tmp_path / "again.json").read_text()) == [rows[0], rows[2], rows[1]]


def test_masks_without_boxes(dataset, tmp_path):
    mask = np.zeros((30, 40), np.uint8, order="F")
    mask[10:16, 5:9] = 1
    rle = mask_tools.encode(mask)
    row = {k: v for k, v in ROW.items() if k != "bbox"}
    row["segmentation"] = {"size": [30, 40], "counts": rle["counts"].decode()}
    assert ResultsFile.read(write(tmp_path / "r.json", [row])).has_masks
    image = read_results(tmp_path / "r.json", dataset)[1]
    assert image.boxes_xywh.tolist() == [[5, 10, 4, 6]]
    assert image.masks == [row["segmentation"]]


def test_an_empty_list_is_a_model_that_found_nothing(dataset, tmp_path):
    images = read_results(write(tmp_path / "r.json", []), dataset)
    assert [len(image.scores) for image in images] == [0, 0, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([ROW, {"image_id": 3, "category_id": 7}], r"entry 1 .*score, bbox missing"),
        ([{**ROW, "image_id": 4}], r"entry 0 .*no image with the id 4.*3 images.*like 1"),
        ([{**ROW, "image_id": "3"}], r"no image with the id '3'"),
        ([{**ROW, "image_id": [3]}], r"no image with the id \[3\]"),
        ([{**ROW, "category_id": 1}], r"unknown category_id 1; the data set has 2, 7"),
        ([{**ROW, "score": "high"}], r"score must be a finite number, got 'high'"),
        ('[{"image_id": 3, "category_id": 7, "bbox": [0, 0, 1, 1], "score": NaN}]', "finite"),
        ([{**ROW, "bbox": [1, 2, 3]}], r"bbox must be 4 numbers"),
        ([{**ROW, "segmentation": [[1, 1, 2, 2, 3, 3]]}], "run lengths"),
        (
            [{**ROW, "segmentation": {"size": [40, 30], "counts": "0"}}],
            r"size of its image, \[30, 40\] \(height, width\), got \[40, 30\]",
        ),
        ([ROW, 5], r"entry 1 .*expected an object, got 5"),
        (COCO, r"expected results.*\(an annotation file\)"),
        ({"images": []}, r"output of demo\.py"),
        ("[{", r"r\.json, line 1, column 3: not valid JSON"),
        ("7", "got a int"),
    ],
)
def test_mistakes_name_file_and_entry(dataset, tmp_path, content, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read_results(write(tmp_path / "r.json", content), dataset)
    assert "r.json" in str(caught.value)


def test_missing_file(dataset, tmp_path):
    with pytest.raises(DatasetError, match=r"Cannot read the results file .*none\.json"):
        read_results(tmp_path / "none.json", dataset)

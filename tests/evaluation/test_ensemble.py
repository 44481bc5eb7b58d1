"""Joining results of several models; the numbers beside `ensemble-boxes` are recorded ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yolov7.d2 import MetadataCatalog
from yolov7.evaluation import ensemble, load_evaluated_dataset
from yolov7.evaluation.results_file import ResultsFile
from yolov7.utils.errors import DatasetError, UserError

REFERENCE = Path(__file__).parents[1] / "reference" / "ensemble_boxes.json"
CASES = json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]
WIDTH, HEIGHT = 1000, 500
CATEGORIES = (3, 7, 12)


@pytest.fixture
def dataset(tmp_path):
    coco = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in (1, 2)
        ],
        "annotations": [],
        "categories": [{"id": category, "name": f"c{category}"} for category in CATEGORIES],
    }
    path = tmp_path / "val.json"
    path.write_text(json.dumps(coco))
    MetadataCatalog.get(str(path)).set(json_file=str(path), evaluator_type="coco")
    return load_evaluated_dataset(str(path), with_masks=False)


def rows_of(model, image_id=1):
    for (x0, y0, x1, y1), score, label in zip(
        model["boxes"], model["scores"], model["labels"], strict=True
    ):
        box = [x0 * WIDTH, y0 * HEIGHT, (x1 - x0) * WIDTH, (y1 - y0) * HEIGHT]
        yield {
            "image_id": image_id, "category_id": CATEGORIES[label], "bbox": box, "score": score,
        }  # fmt: skip


def files_of(*lists):
    return [ResultsFile(Path(f"{number}.json"), list(rows)) for number, rows in enumerate(lists)]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize(("kind", "recorded"), [("wbf", "wbf"), ("nms", "nms")])
def test_equals_the_package(case, kind, recorded, dataset):
    files = files_of(*(rows_of(model) for model in case["models"]))
    weights = case["weights"] if kind == "wbf" else ()
    first, second = ensemble(
        files, dataset, kind=kind, weights=weights or (), iou_threshold=case["threshold"]
    )
    expected = case["results"][recorded]
    assert first.image_id == 1 and len(second.scores) == 0
    assert first.classes.tolist() == expected["labels"]
    assert first.scores.tolist() == pytest.approx(expected["scores"], abs=2e-6)
    for (x, y, w, h), (x0, y0, x1, y1) in zip(
        first.boxes_xywh.tolist(), expected["boxes"], strict=True
    ):
        corners = [x / WIDTH, y / HEIGHT, (x + w) / WIDTH, (y + h) / HEIGHT]
        assert corners == pytest.approx([x0, y0, x1, y1], abs=2e-6)


def row(box, score, image_id=1, **more):
    return {"image_id": image_id, "category_id": 3, "bbox": box, "score": score, **more}


def test_weights_limits_and_images_by_hand(dataset):
    """IoU of the two boxes: 90 / 110."""
    files = files_of(
        [row([0, 0, 10, 10], 0.9), row([90, 0, 10, 10], 0.2, image_id=2)],
        [row([1, 0, 10, 10], 0.8), row([50, 50, 10, 10], 0.5)],
    )
    first, second = ensemble(files, dataset, kind="nms", weights=[1, 4])
    assert first.scores.tolist() == pytest.approx([0.8, 0.5])
    assert first.boxes_xywh.tolist() == [[1, 0, 10, 10], [50, 50, 10, 10]]
    assert second.scores.tolist() == pytest.approx([0.05])
    first, _ = ensemble(files, dataset, kind="soft", score_threshold=0.3)
    assert first.scores.tolist() == pytest.approx([0.9, 0.5])
    first, second = ensemble(files, dataset, max_detections=1)
    assert first.scores.tolist() == pytest.approx([0.85])
    assert first.boxes_xywh[0].tolist() == pytest.approx([0.8 / 1.7, 0, 10, 10])
    assert second.scores.tolist() == pytest.approx([0.1])
    # Above their IoU they are two objects, each seen by one of two models.
    first, _ = ensemble(files, dataset, iou_threshold=0.9)
    assert first.scores.tolist() == pytest.approx([0.45, 0.4, 0.25])


def test_masks_stay_with_their_detections(dataset):
    masks = [{"size": [HEIGHT, WIDTH], "counts": text} for text in ("a", "b", "c")]
    boxes = [[0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 10, 10]]
    rows = [
        row(box, score, segmentation=mask)
        for box, score, mask in zip(boxes, (0.3, 0.8, 0.9), masks, strict=True)
    ]
    first, second = ensemble(files_of(rows[:1], rows[1:]), dataset, kind="nms")
    assert [mask["counts"] for mask in first.masks] == ["c", "b"]
    assert second.masks == []
    with pytest.raises(UserError, match=r"0\.json has masks.*--kind nms or soft.*--boxes-only"):
        ensemble(files_of(rows[:1], rows[1:]), dataset)
    plain = [row(boxes[0], 0.5)]
    with pytest.raises(UserError, match=r"1\.json has masks and 0\.json has none"):
        ensemble(files_of(plain, rows), dataset, kind="nms")
    (bare,) = [file.without_masks() for file in files_of(rows)]
    assert not bare.has_masks
    assert ensemble([bare], dataset)[0].masks is None
    assert ensemble(files_of([], rows), dataset, kind="nms")[0].scores.tolist() == [0.9, 0.8]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": [1.0]}, r"--weights: expected one for each of the 2 files, got 1"),
        ({"weights": [1.0, 0.0]}, r"--weights: expected numbers above 0, got \[1.0, 0.0\]"),
        ({"weights": [1.0, float("nan")]}, r"--weights: expected numbers above 0"),
        ({"iou_threshold": 1.0}, r"--iou-threshold: expected at least 0 and below 1, got 1.0"),
        ({"max_detections": 0}, r"--max-detections: expected at least 1, got 0"),
    ],
)
def test_wrong_numbers(changes, message, dataset):
    with pytest.raises(UserError, match=message):
        ensemble(files_of([], []), dataset, **changes)


def test_files_that_do_not_fit(dataset):
    good = [row([0, 0, 9, 9], 0.5)]
    for bad, message in [
        (row([0, 0, 9, 9], 0.5, image_id=77), r"1\.json, entry 0 .*no image with the id 77"),
        (row([0, 0, 9, 9], 0.5) | {"category_id": 4}, r"1\.json, entry 0 .*category_id 4.*3, 7"),
    ]:
        with pytest.raises(DatasetError, match=message):
            ensemble(files_of(good, [bad]), dataset)
    with pytest.raises(UserError, match=r"1\.json has scores below 0"):
        ensemble(files_of(good, [row([0, 0, 9, 9], -1.5)]), dataset)
    with pytest.raises(UserError, match=r"1\.json has boxes with negative sides"):
        ensemble(files_of(good, [row([8, 8, 4, -4], 0.5)]), dataset)

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "compute_anchors.py"
# On each of eight pictures of 320; the runs ask for half that resolution.
SIZES = [[20, 20], [120, 60]]


@pytest.fixture
def coco_json(tmp_path):
    annotations = [
        {
            "id": 2 * i + j + 1,
            "image_id": i + 1,
            "category_id": 1,
            "bbox": [5, 5, *size],
            "iscrowd": 0,
        }
        for i in range(8)
        for j, size in enumerate(SIZES)
    ]
    images = [{"id": i + 1, "file_name": f"{i}.png", "height": 320, "width": 320} for i in range(8)]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "box"}],
    }
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    return path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


def test_a_data_set_without_a_config(monkeypatch, capsys, coco_json):
    code, out, _ = run(
        monkeypatch, capsys, "--format", "coco", "--annotations", coco_json, "--image-root",
        coco_json.parent, "--num", 2, "--levels", 1, "--size", 160, "--generations", 5, "--json",
    )  # fmt: skip
    assert code == 0
    report = json.loads(out)
    assert report["anchors"] == [[[10, 10], [60, 30]]]
    assert report["boxes"] == 16
    assert report["after"] == {"mean_best_iou": 1.0, "recall": 1.0, "fitness": pytest.approx(1.0)}
    assert report["before"]["mean_best_iou"] < 0.9


def test_a_config_is_rewritten_and_drawn(monkeypatch, capsys, coco_json, tmp_path):
    config = tmp_path / "mine.yaml"
    entry = f"{{NAME: mine_train, FORMAT: coco, ANNOTATIONS: {coco_json}, IMAGES: {tmp_path}}}"
    config.write_text(
        f"# mine\nVERSION: 2\nDATASETS:\n  REGISTER: [{entry}]\n  TRAIN: [mine_train]\n"
        "MODEL:\n  YOLO: {CLASSES: 1, ANCHORS: [[[99, 99]], [[98, 98]]]}  # old\n"
        "INPUT: {INPUT_SIZE: [160, 160]}\n"
    )
    picture = tmp_path / "anchors.png"
    code, out, err = run(
        monkeypatch, capsys, "--config-file", config, "--write", "--picture", picture
    )
    assert code == 0, err
    assert "MODEL:\n  YOLO:\n    ANCHORS:\n      - [[10, 10]]\n      - [[60, 30]]\n" in out
    text = config.read_text()
    assert "YOLO: {CLASSES: 1, ANCHORS: [[[10, 10]], [[60, 30]]]}  # old\n" in text
    assert text.startswith("# mine\n")
    assert np.ptp(cv2.imread(str(picture))) > 0


def test_anchors_that_strides_cannot_share(monkeypatch, capsys, coco_json):
    code, _, err = run(
        monkeypatch, capsys, "--format", "coco", "--annotations", coco_json, "--image-root",
        coco_json.parent, "--num", 2,
    )  # fmt: skip
    assert code == 1
    assert err == "error: --num 2 anchors cannot be shared by --levels 3.\n"


def test_a_config_of_the_frameworks_own_is_not_rewritten(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(monkeypatch, capsys, "--config-file", "coco/yolov7_tiny", "--write")
    assert code == 1
    assert err.startswith("error: --write changes a file of yours")


def test_a_ratio_that_no_box_keeps(monkeypatch, capsys, coco_json):
    code, _, err = run(
        monkeypatch, capsys, "--format", "coco", "--annotations", coco_json, "--image-root",
        coco_json.parent, "--ratio", "-2",
    )  # fmt: skip
    assert code == 1
    assert "--ratio must be above 1" in err

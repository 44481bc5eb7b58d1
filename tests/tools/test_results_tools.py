"""`tools/evaluate_results.py` and `tools/visualize_results.py` on files made for the occasion."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_tools

from yolov7.utils.errors import ConfigError, DatasetError, UserError

TOOLS = Path(__file__).parents[2] / "tools"
BOX, OTHER = [10, 10, 20, 20], [50, 30, 12, 20]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_script", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool; returns what it printed."""

    def _run(name: str, *arguments: object) -> str:
        # A process of its own has no handlers yet, unlike that of the tests before.
        monkeypatch.setattr(logging.getLogger("yolov7"), "handlers", [])
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        load(name).main()
        return capsys.readouterr().out

    return _run


@pytest.fixture
def files(tmp_path):
    """Three images: the first is right, the second has two errors, the third one."""
    images = []
    for number in range(3):
        picture = np.full((80, 100, 3), 60 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
        images.append({"id": number + 1, "file_name": f"{number}.png", "height": 80, "width": 100})
    annotations = [
        {"id": i + 1, "image_id": i + 1, "category_id": 5, "bbox": BOX, "area": 400, "iscrowd": 0}
        for i in range(3)
    ]
    coco = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}],
    }
    rows = [
        {"image_id": 1, "category_id": 5, "bbox": BOX, "score": 0.9},
        {"image_id": 2, "category_id": 9, "bbox": OTHER, "score": 0.8},
        {"image_id": 3, "category_id": 5, "bbox": BOX, "score": 0.7},
        {"image_id": 3, "category_id": 5, "bbox": OTHER, "score": 0.6},
        {"image_id": 3, "category_id": 5, "bbox": OTHER, "score": 0.1},
    ]
    (tmp_path / "val.json").write_text(json.dumps(coco))
    (tmp_path / "results.json").write_text(json.dumps(rows))
    name = f"results_{tmp_path.parent.name}_{tmp_path.name}"
    (tmp_path / "config.yaml").write_text(f"""\
VERSION: 2
DATASETS:
  TEST: [{name}]
  REGISTER:
    - {{NAME: {name}, FORMAT: coco, ANNOTATIONS: {tmp_path}/val.json, IMAGES: {tmp_path}}}
    - {{NAME: {name}_2, FORMAT: coco, ANNOTATIONS: {tmp_path}/val.json, IMAGES: {tmp_path}}}
""")
    return tmp_path


@pytest.mark.parametrize("source", ["annotations", "config"])
def test_numbers_as_json(files, run, source):
    """Of three cats two are found, with the scores .9 and .7, before all wrong ones."""
    named = {
        "annotations": ["--annotations", files / "val.json"],
        "config": ["--config-file", files / "config.yaml"],
    }[source]
    numbers = json.loads(run("evaluate_results", files / "results.json", *named, "--json"))
    assert numbers["bbox"]["AP"] == pytest.approx(100 * 67 / 101)
    assert numbers["bbox"]["AR100"] == pytest.approx(100 * 2 / 3)
    assert numbers["bbox"]["AP-dog"] is None and numbers["bbox"]["APl"] is None


def test_report_and_pictures(files, run):
    out = run(
        "evaluate_results", files / "results.json", "--annotations", files / "val.json",
        "--output", files / "out", "--score-threshold", 0.65,
    )  # fmt: skip
    assert out.count("Average Precision") == 6 and out.count("Average Recall") == 6
    assert "cat" in out and "Best mean F1" in out
    written = {path.name for path in (files / "out").iterdir()}
    assert written == {
        "pr_curve.png", "f1_curve.png", "confusion_matrix.png", "diagnostics.json",
    }  # fmt: skip
    numbers = json.loads((files / "out" / "diagnostics.json").read_text())
    assert numbers["confusion_matrix"]["counts"] == [[2, 0, 1], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("order", "threshold", "expected"),
    [
        ("worst", 0.3, ["00000_1 0 1 1", "00001_2 1 0 1"]),
        ("dataset", 0.3, ["00000_0 1 0 0", "00001_1 0 1 1"]),
        ("worst", 0.0, ["00000_1 0 1 1", "00001_2 1 0 2"]),
        ("worst", 0.95, ["00000_0 0 1 0", "00001_1 0 1 0"]),
    ],
)
def test_pictures_in_order(files, run, order, threshold, expected):
    out = run(
        "visualize_results", files / "results.json", "--config-file", files / "config.yaml",
        "--output", files / "drawn", "--num", 2, "--order", order, "--score-threshold", threshold,
    )  # fmt: skip
    lines = [line.replace(",", "").split() for line in out.splitlines()[:-1]]
    shown = [f"{line[0].removesuffix('.png')} {line[1]} {line[3]} {line[5]}" for line in lines]
    assert shown == expected and "2 of 3 pictures" in out
    names = sorted(path.name for path in (files / "drawn").iterdir())
    assert names == [f"{entry.split()[0]}.png" for entry in expected]
    picture = cv2.imread(str(files / "drawn" / names[0]))
    # Both sides enlarged four times to reach 320 pixels, with four pixels between them.
    assert picture.shape[1] == 2 * 400 + 4 and picture.shape[0] > 320


def test_masks_are_evaluated_and_drawn(files, run):
    coco = json.loads((files / "val.json").read_text())
    for annotation in coco["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    (files / "val.json").write_text(json.dumps(coco))
    rows = json.loads((files / "results.json").read_text())
    for row in rows:
        x, y, w, h = row["bbox"]
        rle = mask_tools.frPyObjects([[x, y, x + w, y, x + w, y + h, x, y + h]], 80, 100)[0]
        row["segmentation"] = {"size": [80, 100], "counts": rle["counts"].decode()}
    (files / "results.json").write_text(json.dumps(rows))
    named = ["--annotations", files / "val.json", "--images", files]
    numbers = json.loads(run("evaluate_results", files / "results.json", *named, "--json"))
    assert list(numbers) == ["bbox", "segm"]
    assert numbers["segm"]["AP"] == pytest.approx(100 * 67 / 101)
    numbers = run("evaluate_results", files / "results.json", *named, "--json", "--tasks", "bbox")
    assert list(json.loads(numbers)) == ["bbox"]
    run(
        "visualize_results", files / "results.json", *named, "--output", files / "drawn",
        "--num", 1, "--order", "dataset",
    )  # fmt: skip
    picture = cv2.imread(str(files / "drawn" / "00000_0.png"))
    # The middle of the box, on both sides, is tinted green (0, 158, 115) on black.
    strip = picture.shape[0] - 320
    for left in (0, 404):
        blue, green, red = picture[strip + 100, left + 60].tolist()
        assert green > blue > red == 0 and green == round(0.45 * 158)


@pytest.mark.parametrize(
    ("tool", "arguments", "error", "message"),
    [
        ("evaluate_results", [], UserError, "Which data set .*--annotations FILE"),
        ("evaluate_results", ["--dataset", "none_such"], DatasetError, "Unknown data set"),
        ("evaluate_results", ["--images", "x", "--dataset", "y"], UserError, "--images goes with"),
        (
            "evaluate_results",
            ["--annotations", "val.json", "--dataset", "y"],
            UserError,
            "goes without",
        ),
        (
            "evaluate_results",
            ["--annotations", "val.json", "--tasks", "segm"],
            UserError,
            "no masks",
        ),
        (
            "evaluate_results",
            ["--annotations", "val.json", "--tasks", "segm", "--output", "o"],
            UserError,
            "Add bbox to --tasks",
        ),
        (
            "evaluate_results",
            ["--annotations", "val.json", "--iou-threshold", "0"],
            ConfigError,
            "above 0 and at most 1, got 0",
        ),
        (
            "visualize_results",
            ["--annotations", "val.json", "--images", ".", "--output", "o"]
            + ["--iou-threshold", "50"],
            ConfigError,
            "above 0 and at most 1, got 50",
        ),
        ("evaluate_results", ["--annotations", "none.json"], DatasetError, r"none\.json"),
        (
            "visualize_results",
            ["--annotations", "val.json", "--output", "o"],
            UserError,
            "--images",
        ),
        (
            "visualize_results",
            ["--annotations", "val.json", "--output", "o", "--num", "0"],
            UserError,
            "--num",
        ),
    ],
)
def test_wrong_arguments(files, run, monkeypatch, tool, arguments, error, message):
    monkeypatch.chdir(files)
    with pytest.raises(error, match=message):
        run(tool, "results.json", *arguments)


def test_a_config_of_several_data_sets_needs_a_choice(files, run):
    config = files / "config.yaml"
    name = f"results_{files.parent.name}_{files.name}"
    config.write_text(config.read_text().replace(f"[{name}]", f"[{name}, {name}_2]"))
    with pytest.raises(ConfigError, match=rf"{name}, {name}_2.*--dataset"):
        run("evaluate_results", files / "results.json", "--config-file", config)
    named = ["--config-file", config, "--dataset", f"{name}_2"]
    assert "bbox" in json.loads(run("evaluate_results", files / "results.json", *named, "--json"))


def test_entries_of_another_data_set_are_named(files, run):
    rows = json.loads((files / "results.json").read_text())
    rows[3]["image_id"] = 77
    (files / "results.json").write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match=r"results\.json, entry 3 .*no image with the id 77"):
        run("evaluate_results", files / "results.json", "--annotations", files / "val.json")


@pytest.mark.parametrize("tool", ["evaluate_results", "visualize_results"])
def test_help_teaches(run, tool, capsys):
    with pytest.raises(SystemExit) as end:
        run(tool, "--help")
    assert end.value.code == 0 and "examples:" in capsys.readouterr().out

"""`tools/convert_dataset.py`: its command line."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolov7.d2 import DatasetCatalog, MetadataCatalog

SCRIPT = Path(__file__).parents[2] / "tools" / "convert_dataset.py"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the script in this process; its exit code, what it printed and its errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["convert_dataset.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        printed = capsys.readouterr()
        return end.value.code, printed.out, printed.err

    return run


@pytest.fixture
def entry(tmp_path):
    """An entry of DATASETS.REGISTER for one image with two objects."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 80, 3), np.uint8))
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n0 0.25 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: .\nval: .\nnames: [cat, dog]\n")
    return f"{{FORMAT: yolo, DATA: {tmp_path}/data.yaml, SPLIT: train}}"


def test_two_splits_to_coco(run, entry, tmp_path):
    output = tmp_path / "out"
    val = entry.replace("SPLIT: train", "SPLIT: val")
    code, out, err = run(
        "--to", "coco", "--output", output, "--json", f"train={entry}", f"val={val}"
    )
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["images"] == report["images"] | {"train": 1, "val": 1}
    assert report["objects"] == {"train": 2, "val": 2} and report["lost"] == {}
    content = json.loads((output / "annotations/val.json").read_text())
    assert [a["bbox"] for a in content["annotations"]] == [[20, 10, 40, 20], [0, 10, 40, 20]]
    assert (output / "images/train/a.png").is_symlink()


def test_class_names_of_the_command_line_order_the_classes(run, entry, tmp_path):
    output = tmp_path / "out"
    code, out, _ = run(
        *("--to", "yolo", "--output", output, "--images", "copy"),
        *("--class-names", "dog", "cat", "--", f"train={entry}"),
    )
    assert code == 0 and "train: 1 images, 2 objects" in out and "Nothing was lost." in out
    lines = (output / "labels/train/a.txt").read_text().splitlines()
    assert [line[0] for line in lines] == ["0", "1"]
    assert (output / "images/train/a.png").is_file()
    assert not (output / "images/train/a.png").is_symlink()


def test_an_entry_as_it_stands_in_a_config_may_have_its_name(run, entry, tmp_path):
    named = entry.replace("{", "{NAME: my_train, ")
    code, out, err = run("--to", "voc", "--output", tmp_path / "out", f"train={named}")
    assert (code, err) == (0, "") and "train: 1 images, 2 objects" in out


def test_class_names_that_a_data_set_does_not_follow_are_an_error(run, tmp_path):
    name = "convert_tool_python"
    record = {"file_name": "a.png", "height": 4, "width": 4, "image_id": 1, "annotations": []}
    DatasetCatalog.register(name, lambda: [record])
    MetadataCatalog.get(name).set(thing_classes=["cat", "dog"])
    arguments = ["--to", "coco", "--output", tmp_path / "out", f"train={name}"]
    code, _, err = run(*arguments, "--class-names", "dog", "cat")
    assert code == 1 and f"'{name}' has the classes ['cat', 'dog']" in err


def test_a_data_set_of_a_config(run, entry, tmp_path):
    named = entry.replace("{", "{NAME: convert_tool_test, ")
    (tmp_path / "c.yaml").write_text(f"VERSION: 2\nDATASETS: {{REGISTER: [{named}]}}\n")
    code, out, _ = run(
        *("--to", "voc", "--output", tmp_path / "out", "--config-file", tmp_path / "c.yaml"),
        "train=convert_tool_test",
    )
    assert code == 0 and "note: 1 images that are not .jpg" in out
    assert (tmp_path / "out/ImageSets/Main/train.txt").read_text() == "a\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "voc", "train"], "Expected SPLIT=SOURCE"),
        (["--to", "voc", "train=no_such_set"], "Unknown data set 'no_such_set'"),
        (["--to", "voc", "train={FORMAT: voc"], "not valid YAML"),
        (["--to", "voc", "train={FORMAT: vox}"], "unknown FORMAT 'vox'. Did you mean 'voc'"),
        (["--to", "voc", "train={ROOT: a}"], "expected entries like"),
        (["--to", "voc", "--masks", "train=digits_val"], "--masks is for --to yolo"),
        (["--to", "coco", "--whole-pixels", "train=digits_val"], "--whole-pixels is for --to voc"),
    ],
)
def test_mistakes_end_without_a_stack_trace(run, tmp_path, arguments, message):
    code, _, err = run("--output", tmp_path / "out", *arguments)
    assert code == 1 and message in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()

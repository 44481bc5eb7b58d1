"""`tools/ensemble_results.py` on files made for the occasion."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from pathlib import Path

import pytest

from yolov7.utils.errors import DatasetError, UserError

SCRIPT = Path(__file__).parents[2] / "tools" / "ensemble_results.py"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the tool in a folder with `val.json`, `a.json` and `b.json`; returns what it printed."""
    coco = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": 80, "width": 100} for i in (1, 2, 3)
        ],
        "annotations": [],
        "categories": [{"id": 5, "name": "cat"}],
    }
    (tmp_path / "val.json").write_text(json.dumps(coco))
    for name, left, score, images in (("a", 10, 0.9, (1, 2)), ("b", 12, 0.3, (1,))):
        rows = [
            {"image_id": i, "category_id": 5, "bbox": [left, 10, 20, 20], "score": score}
            for i in images
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    monkeypatch.chdir(tmp_path)

    def _run(*arguments: str) -> str:
        monkeypatch.setattr(logging.getLogger("yolov7"), "handlers", [])
        monkeypatch.setattr(sys, "argv", ["ensemble_results.py", *arguments])
        spec = importlib.util.spec_from_file_location("ensemble_results_script", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.main()
        return capsys.readouterr().out

    return _run


NAMED = ("--annotations", "val.json", "--output", "out/both.json")


def test_two_files(run):
    out = run("a.json", "b.json", *NAMED)
    assert "a.json: 2 detections in 2 of 3 images" in out
    assert "out/both.json: 2 detections" in out
    first, second = json.loads(Path("out/both.json").read_text())
    # (10 · .9 + 12 · .3) / 1.2 and (.9 + .3) / 2; the other is seen by one of two.
    assert (first["image_id"], first["category_id"]) == (1, 5)
    assert first["bbox"] == pytest.approx([10.5, 10, 20, 20])
    assert first["score"] == pytest.approx(0.6)
    assert second == {
        "image_id": 2,
        "category_id": 5,
        "bbox": pytest.approx([10, 10, 20, 20]),
        "score": pytest.approx(0.45),
    }
    run("a.json", "b.json", *NAMED, "--kind", "nms", "--weights", "1", "9")
    assert [entry["score"] for entry in json.loads(Path("out/both.json").read_text())] == [
        pytest.approx(0.3),
        pytest.approx(0.1),
    ]


def test_an_error_leaves_the_last_output_whole(run):
    run("a.json", "b.json", *NAMED)
    before = Path("out/both.json").read_bytes()
    rows = json.loads(Path("b.json").read_text())
    rows[0]["image_id"] = 9
    Path("b.json").write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match=r"b\.json, entry 0 .*no image with the id 9"):
        run("a.json", "b.json", *NAMED)
    assert Path("out/both.json").read_bytes() == before
    assert list(Path("out").iterdir()) == [Path("out/both.json")]


def test_wrong_arguments(run):
    with pytest.raises(UserError, match=r"Which data set .*--annotations FILE"):
        run("a.json", "b.json", "--output", "o.json")
    with pytest.raises(UserError, match=r"a\.json is given twice.*--weights"):
        run("a.json", "a.json", *NAMED)
    with pytest.raises(SystemExit) as end:
        run("a.json", *NAMED, "--kind", "wbff")
    assert end.value.code == 2


def test_help_teaches(run, capsys):
    with pytest.raises(SystemExit) as end:
        run("--help")
    out = capsys.readouterr().out
    assert end.value.code == 0 and "examples:" in out and "weighted boxes fusion" in out

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A tiny model and a data set of two pictures."""
    folder = tmp_path_factory.mktemp("benchmark")
    for number in (1, 2):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((64, 64, 3), 90 * number, np.uint8))
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "height": 64, "width": 64} for n in (1, 2)
        ],
        "annotations": [
            {
                "id": n, "image_id": n, "category_id": 1, "bbox": [8, 8, 24, 24], "area": 576,
                "iscrowd": 0,
            }
            for n in (1, 2)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(content))
    file = folder / "config.yaml"
    file.write_text(f"""\
_BASE_: {ROOT}/configs/_base_/models/yolox.yaml
VERSION: 2
DATASETS:
  TRAIN: [{folder.name}]
  REGISTER:
    - {{NAME: {folder.name}, FORMAT: coco, ANNOTATIONS: {folder}/labels.json, IMAGES: {folder}}}
DATALOADER: {{NUM_WORKERS: 0}}
INPUT: {{INPUT_SIZE: [64, 64]}}
MODEL: {{DEVICE: cpu, YOLO: {{CLASSES: 1, WIDTH_MUL: 0.125, DEPTH_MUL: 0.33}}}}
SOLVER: {{IMS_PER_BATCH: 2, MAX_ITER: 100}}
""")
    return file


@pytest.fixture
def run(monkeypatch, capsys, config):
    """Run the script in this process; its exit code, what it printed and its errors."""

    def run(*arguments):
        words = ["benchmark.py", "--config-file", config, "--rounds", 1, "--iterations", 2]
        monkeypatch.setattr(sys, "argv", [str(word) for word in (*words, *arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / "tools" / "benchmark.py"), run_name="__main__")
        printed = capsys.readouterr()
        return end.value.code, printed.out, printed.err

    return run


def test_training_in_words(run):
    code, out, _ = run("--task", "train")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith("2 picture(s) of 64 x 64, 0 worker(s), cpu")
    assert [line.split()[0] for line in lines[3:6]] == ["step", "loader", "both"]
    assert "oader-bound" in lines[6]


def test_the_step_alone_needs_no_data(run):
    code, out, _ = run(
        "--task", "train", "--synthetic", "--json", "--batch-size", 1, "DATASETS.TRAIN", "('none',)"
    )
    assert code == 0
    result = json.loads(out)
    assert list(result["timing"]) == ["step"]
    row = result["timing"]["step"]
    assert row["images_per_second"] == pytest.approx(1 / row["median_s"])
    assert (result["batch_size"], result["input_size"]) == (1, [64, 64])
    assert result["machine"]["cores"] >= 1


def test_inference(run):
    code, out, _ = run("--task", "inference", "--json", "--variants", "eager", "bf16")
    assert code == 0
    result = json.loads(out)
    assert list(result["timing"]) == ["eager", "bf16"]
    assert result["batch_size"] == 1
    assert result["timing"]["eager"]["ratio"] == 1.0
    assert result["timing"]["bf16"]["detections"] >= 0


def test_loader(run):
    code, out, _ = run("--task", "loader", "--json")
    assert code == 0
    result = json.loads(out)
    row = result["timing"]["loader"]
    assert row["images_per_second"] == pytest.approx(2 / row["median_s"])
    assert result["cpu_s_per_sample"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "inference", "--variants", "eagre"], "there is no 'eagre'. Did you mean 'eage"),
        (["--task", "loader", "SOLVER.MAX_ITER", "2"], "SOLVER.MAX_ITER is 2, but 3 batches are"),
        (["--task", "train", "SOLVER.MAX_ITER", "2"], "SOLVER.MAX_ITER is 2: too few"),
        (
            ["--task", "train", "--synthetic", "SOLVER.ACCUMULATION_STEPS", "3"],
            "SOLVER.ACCUMULATION_STEPS must divide",
        ),
    ],
)
def test_mistakes_end_without_a_stack_trace(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


def test_numbers_below_one_are_refused(run):
    code, _, err = run("--task", "loader", "--batch-size", 0)
    assert code == 2
    assert "expected 1 or more, got 0" in err

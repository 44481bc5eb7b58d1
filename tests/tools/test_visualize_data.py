"""`tools/visualize_data.py` shows what training sees."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from yolov7.config import load_config
from yolov7.data.loader import build_train_loader
from yolov7.utils.errors import ConfigError, UserError
from yolov7.visualization import Visualizer

SCRIPT = Path(__file__).parents[2] / "tools" / "visualize_data.py"
NAMES = ["disc", "bar"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("visualize_data_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with a data set of five pictures; the last phase begins at iteration 6 of 10."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(5):
        picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "height": 64, "width": 64})
        for category in range(2):
            x, y = (int(value) for value in rng.integers(0, 30, 2))
            outline = [x, y, x + 20, y, x + 20, y + 30, x, y + 30]
            annotations.append(
                {
                    "id": len(annotations), "image_id": number, "category_id": category,
                    "bbox": [x, y, 20, 30], "area": 600, "iscrowd": 0, "segmentation": [outline],
                }
            )  # fmt: skip
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content))
    name = f"visualize_{folder.name}"
    (folder / "config.yaml").write_text(f"""\
VERSION: 2
DATASETS:
  TRAIN: [{name}]
  REGISTER:
    - {{NAME: {name}, FORMAT: coco, ANNOTATIONS: {folder}/labels.json, IMAGES: {folder}}}
MODEL: {{MASK_ON: True, DEVICE: cpu, YOLO: {{CLASSES: 2}}}}
INPUT:
  INPUT_SIZE: [96, 128]
  MOSAIC_AND_MIXUP: {{ENABLED: True}}
SOLVER: {{IMS_PER_BATCH: 2, MAX_ITER: 10, LAST_PHASE_ITERS: 4}}
SEED: 5
""")
    return folder / "config.yaml"


def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["visualize_data.py", *map(str, arguments)])
    tool.main()


@pytest.mark.parametrize("iteration", [0, 3, 8])
def test_pictures_are_the_samples_of_the_iteration(tool, config, iteration, tmp_path, monkeypatch):
    run(
        tool, monkeypatch, "--config-file", config, "--output", tmp_path / "out", "--num", 3,
        "--iteration", iteration,
    )  # fmt: skip
    names = [f"{iteration:07d}_000", f"{iteration:07d}_001", f"{iteration + 1:07d}_000"]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == [*(f"{name}.png" for name in names), "grid.png"]
    cfg = load_config(config, ["DATALOADER.NUM_WORKERS", "0"])
    whole_run = [sample for batch in build_train_loader(cfg, seed=5) for sample in batch]
    visualizer = Visualizer(NAMES, min_side=320)
    for offset, name in enumerate(names):
        expected = visualizer.draw_sample(whole_run[2 * iteration + offset], "BGR")
        shown = cv2.imread(str(tmp_path / "out" / f"{name}.png"))
        assert shown.shape == (384, 512, 3)
        np.testing.assert_array_equal(shown, expected)


def test_the_last_phase_shows_single_pictures(tool, config, tmp_path, monkeypatch, capsys):
    def sources(iteration: int) -> list[str]:
        run(
            tool, monkeypatch, "--config-file", config, "--output", tmp_path, "--num", 2,
            "--iteration", iteration,
        )  # fmt: skip
        lines = capsys.readouterr().out.splitlines()
        return [line.split(" from ")[1] for line in lines if " from " in line]

    assert all(source.count("png") == 1 for source in sources(6))
    assert any(source.count("png") > 1 for source in sources(5))


def test_the_end_of_training_ends_the_pictures(tool, config, tmp_path, monkeypatch, capsys):
    run(
        tool, monkeypatch, "--config-file", config, "--output", tmp_path, "--num", 9,
        "--iteration", 8,
    )  # fmt: skip
    assert "4 pictures" in capsys.readouterr().out


def test_annotations_are_drawn_from_the_disk(tool, config, tmp_path, monkeypatch):
    run(
        tool, monkeypatch, "--config-file", config, "--output", tmp_path, "--num", 3,
        "--source", "annotations",
    )  # fmt: skip
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"0000000.png", "0000002.png", "0000004.png", "grid.png", "labels.png"}
    assert cv2.imread(str(tmp_path / "0000004.png")).shape == (320, 320, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--iteration", 10], ConfigError, r"--iteration is 10.*0 to 9.*MAX_ITER"),
        (["--num", 0], UserError, "--num"),
        (["DATASETS.TRAIN", "[]"], ConfigError, r"DATASETS\.TRAIN"),
    ],
)
def test_wrong_arguments(tool, config, tmp_path, monkeypatch, arguments, error, message):
    with pytest.raises(error, match=message):
        run(tool, monkeypatch, "--config-file", config, "--output", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_help_teaches(tool, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(tool, monkeypatch, "--help")
    text = capsys.readouterr().out
    assert "last phase" in text and "examples:" in text

"""Configs are found by path and by name, and a file of one's own goes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolov7.config import load_config
from yolov7.config.find import config_names, find_config
from yolov7.utils.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["digits/yolox_nano", "digits/yolox_nano.yaml", "configs/digits/yolox_nano.yaml"]
)
def test_the_frameworks_own_configs_are_found_from_anywhere(elsewhere: Path, name: str) -> None:
    assert find_config(name) == CONFIGS / "digits" / "yolox_nano.yaml"
    assert load_config(name).OUTPUT_DIR == "output/digits_yolox_nano"


def test_a_file_of_ones_own_goes_first(elsewhere: Path) -> None:
    in_folder = write(elsewhere / "configs/digits/yolox_nano.yaml", "SEED: 1\n")
    assert find_config("digits/yolox_nano").resolve() == in_folder
    nearer = write(elsewhere / "digits/yolox_nano.yaml", "SEED: 2\n")
    assert find_config("digits/yolox_nano").resolve() == nearer
    assert load_config("digits/yolox_nano").SEED == 2


def test_a_base_is_looked_for_beside_its_file_and_then_by_name(elsewhere: Path) -> None:
    mine = write(
        elsewhere / "deep" / "mine.yaml", "_BASE_: [digits/yolox_nano, near.yaml]\nSEED: 7\n"
    )
    write(elsewhere / "deep" / "near.yaml", "SOLVER: {MAX_ITER: 3}\n")
    write(elsewhere / "near.yaml", "SOLVER: {MAX_ITER: 4}\n")
    cfg = load_config(mine)
    assert (cfg.MODEL.YOLO.CLASSES, cfg.SOLVER.MAX_ITER, cfg.SEED) == (10, 3, 7)


def test_an_absolute_path_is_itself(elsewhere: Path) -> None:
    file = write(elsewhere / "x" / "a.yaml", "SEED: 3\n")
    assert find_config(file) == file
    assert find_config(elsewhere / "none.yaml") == elsewhere / "none.yaml"


def test_an_unknown_name_is_answered_with_the_known_ones(elsewhere: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist\. Did you mean 'digits/yolox_nano'\?"):
        load_config("digits/yolox_nan")
    with pytest.raises(ConfigError, match=r"Known by name: .*coco/yolox_s.*digits/yolox_nano"):
        load_config("zzz")


def test_a_folder_is_no_config(elsewhere: Path) -> None:
    (elsewhere / "digits").mkdir()
    for name in ("", ".", "digits", str(elsewhere)):
        with pytest.raises(ConfigError, match=r"expected a \.yaml file"):
            load_config(name)


def test_names_are_those_of_the_folder() -> None:
    files = [file.relative_to(CONFIGS) for file in CONFIGS.rglob("*.yaml")]
    expected = {str(file.parent / file.stem) for file in files if file.parts[0] != "_base_"}
    assert set(config_names()) == expected
    assert {"digits/yolox_nano", "coco/detr/detr_256_6_6_regnetx_0.4g"} <= expected

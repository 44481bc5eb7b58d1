"""The one door: inheritance, overrides, and what every mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from yolov7.config import changed_but_not_honoured, get_config, load_config
from yolov7.utils.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path):
    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_bases_come_first_in_their_order_and_the_file_itself_last(write) -> None:
    write("bases/a.yaml", "VERSION: 2\nMODEL: {YOLO: {CLASSES: 3, CONF_THRESHOLD: 0.1}}\nSEED: 1\n")
    write("bases/b.yaml", "VERSION: 2\nMODEL: {YOLO: {CLASSES: 5}}\nSEED: 2\n")
    path = write("c.yaml", "_BASE_: [bases/a.yaml, bases/b.yaml]\nSEED: 3\n")
    cfg = load_config(path, ["SOLVER.BASE_LR", "0.5"])
    assert (cfg.MODEL.YOLO.CLASSES, cfg.MODEL.YOLO.CONF_THRESHOLD, cfg.SEED) == (5, 0.1, 3)
    assert cfg.SOLVER.BASE_LR == 0.5


def test_values_take_the_type_of_the_default(write) -> None:
    path = write("a.yaml", 'SOLVER: {BASE_LR: 1, STEPS: [5, 6]}\nDATASETS:\n  TRAIN: ("x",)\n')
    cfg = load_config(path, ["SOLVER.WEIGHT_DECAY", "1e-3", "INPUT.INPUT_SIZE", "(32, 64)"])
    assert type(cfg.SOLVER.BASE_LR) is float
    assert cfg.SOLVER.STEPS == (5, 6)
    assert cfg.DATASETS.TRAIN == ("x",)
    assert cfg.SOLVER.WEIGHT_DECAY == 1e-3
    assert cfg.INPUT.INPUT_SIZE == [32, 64]


def test_own_data_sets_need_no_python(write) -> None:
    entry = "{NAME: mine, FORMAT: coco, ANNOTATIONS: a.json, IMAGES: pictures}"
    cfg = load_config(write("a.yaml", f"DATASETS: {{REGISTER: [{entry}]}}\n"))
    assert cfg.DATASETS.REGISTER[0]["NAME"] == "mine"


def test_the_dump_of_a_config_loads_again_to_the_same(write) -> None:
    cfg = load_config(None, ["MODEL.YOLO.CLASSES", "7", "SOLVER.STEPS", "(1, 2)"])
    again = load_config(write("dump.yaml", cfg.dump()))
    assert yaml.safe_load(again.dump()) == yaml.safe_load(cfg.dump())


def test_the_starting_config_stays_as_it_was(write) -> None:
    base = get_config()
    base.SEED = 9
    base.freeze()
    assert load_config(write("a.yaml", "VERSION: 2\n"), ["SEED", "5"], cfg=base).SEED == 5
    assert base.SEED == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "MODEL: {YOLO: {CLASES: 3}}",
            "unknown key MODEL.YOLO.CLASES. Did you mean MODEL.YOLO.CLASSES?",
        ),
        ("NMS_THRESHOLD: 0.5", "Did you mean MODEL.YOLO.NMS_THRESHOLD?"),
        ("MODEL: {YOLO: {CLASSES: three}}", "MODEL.YOLO.CLASSES must be of type int"),
        ("MODEL: {YOLO: {CLASSES: 3.5}}", "got 3.5 of type float"),
        ("MODEL: {YOLO: 3}", "MODEL.YOLO is a section"),
        ("SEED: 1\nSEED: 2", "'SEED' is given twice"),
        ("_BASE_: nowhere.yaml", "does not exist"),
        ("_BASE_: 3", "_BASE_ must be a path"),
        ("_BASE_: a.yaml", "its own base"),
        ("VERSION: 1", "VERSION must be 2"),
        ("- 1\n- 2", "expected keys and values"),
        ("MODEL: {", "not valid YAML"),
        ("SEED: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_every_mistake_names_the_file_and_what_was_expected(write, text: str, said: str) -> None:
    path = write("a.yaml", text + "\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert said in str(caught.value)
    assert "a.yaml" in str(caught.value)


def test_a_mistake_in_a_base_names_the_base(write) -> None:
    write("base.yaml", "SEEED: 1\n")
    with pytest.raises(ConfigError, match=r"base\.yaml: unknown key SEEED\. Did you mean SEED\?"):
        load_config(write("a.yaml", "_BASE_: base.yaml\n"))


def test_a_missing_config_suggests_its_neighbour(write) -> None:
    write("yolox_nano.yaml", "VERSION: 2\n")
    with pytest.raises(ConfigError, match=r"Did you mean 'yolox_nano\.yaml'"):
        load_config(write("x.yaml", "").parent / "yolox_nan.yaml")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["SEED"], "pairs KEY VALUE"),
        (["SEED", "x"], "command line: SEED must be of type int"),
        (["SOLVER.BASE_LRR", "1.0"], "command line: unknown key SOLVER.BASE_LRR"),
    ],
)
def test_mistakes_on_the_command_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    assert said in str(caught.value)


def test_detectron2_keys_that_nothing_reads_are_named() -> None:
    assert changed_but_not_honoured(get_config()) == []
    cfg = load_config(None, ["INPUT.MIN_SIZE_TEST", "500", "SOLVER.BASE_LR", "0.3"])
    assert changed_but_not_honoured(cfg) == ["INPUT.MIN_SIZE_TEST"]

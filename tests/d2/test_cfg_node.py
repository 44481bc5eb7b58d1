"""Configs: defaults, merging with bases, types, versions."""

from __future__ import annotations

import logging

import pytest
import yaml

from yolov7.d2.embedded.cfg_node import CfgNode
from yolov7.d2.embedded.default_config import get_cfg
from yolov7.utils.errors import ConfigError


def leaves(cfg: CfgNode, prefix: str = "") -> dict:
    found = {}
    for key, value in cfg.items():
        name = f"{prefix}{key}"
        found.update(leaves(value, f"{name}.") if isinstance(value, CfgNode) else {name: value})
    return found


def write(path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_defaults_are_the_192_of_version_2():
    found = leaves(get_cfg())
    assert len(found) == 192
    assert found["VERSION"] == 2
    assert found["MODEL.PIXEL_MEAN"] == [103.53, 116.28, 123.675]
    assert found["SOLVER.STEPS"] == (30000,)
    assert found["SEED"] == -1
    assert found["TEST.AUG.MIN_SIZES"][-1] == 1200


def test_each_call_gives_an_independent_config():
    first = get_cfg()
    first.MODEL.PIXEL_MEAN.append(0.0)
    first.MODEL.NEW = 1
    assert len(get_cfg().MODEL.PIXEL_MEAN) == 3
    assert "NEW" not in get_cfg().MODEL


def test_a_file_overrides_its_bases_and_later_bases_the_earlier_ones(tmp_path):
    write(tmp_path / "a.yaml", "VERSION: 2\nSOLVER: {BASE_LR: 0.1, MAX_ITER: 5, GAMMA: 0.3}\n")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "b.yaml", "_BASE_: ../a.yaml\nSOLVER: {MAX_ITER: 6}\n")
    write(tmp_path / "c.yaml", "SOLVER: {BASE_LR: 0.2}\n")
    last = write(tmp_path / "d.yaml", "_BASE_: [sub/b.yaml, c.yaml]\nSOLVER: {GAMMA: 0.4}\n")
    cfg = get_cfg()
    cfg.merge_from_file(last)
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, cfg.SOLVER.GAMMA) == (0.2, 6, 0.4)
    assert type(cfg.SOLVER) is CfgNode


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("SOLVER: {BASE_LR: 1}", ValueError),
        ("SOLVER: {MAX_ITER: 1.5}", ValueError),
        ("SOLVER: {NO_SUCH_KEY: 1}", KeyError),
        ("OUTPUT_DIR: [a]", ValueError),
    ],
)
def test_unknown_keys_and_other_types_are_errors(tmp_path, line, error):
    with pytest.raises(error):
        get_cfg().merge_from_file(write(tmp_path / "a.yaml", f"VERSION: 2\n{line}\n"))


def test_lists_and_tuples_replace_each_other_and_strings_are_parsed(tmp_path):
    cfg = get_cfg()
    cfg.merge_from_file(write(tmp_path / "a.yaml", "VERSION: 2\nDATASETS: {TRAIN: [x, y]}\n"))
    assert cfg.DATASETS.TRAIN == ("x", "y")
    cfg.merge_from_list(["DATASETS.TEST", "('a',)", "INPUT.MIN_SIZE_TRAIN", "640,"])
    assert cfg.DATASETS.TEST == ("a",)
    assert cfg.INPUT.MIN_SIZE_TRAIN == (640,)


def test_frozen_configs_refuse_changes_and_computed_keys_are_written_once():
    cfg = get_cfg()
    cfg.freeze()
    with pytest.raises(AttributeError):
        cfg.SEED = 1
    cfg.COMPUTED_SIZE = 4
    cfg.COMPUTED_SIZE = 4
    with pytest.raises(KeyError):
        cfg.COMPUTED_SIZE = 5
    assert not cfg.clone().defrost()


def test_dump_reads_back_equal():
    cfg = get_cfg()
    again = get_cfg()
    again.merge_from_other_cfg(CfgNode(yaml.safe_load(cfg.dump())))
    assert yaml.safe_load(again.dump()) == yaml.safe_load(cfg.dump())


def test_a_file_without_version_warns_and_is_read_as_version_2(tmp_path, caplog):
    cfg = get_cfg()
    with caplog.at_level(logging.WARNING):
        cfg.merge_from_file(write(tmp_path / "a.yaml", "SEED: 3\n"))
    assert cfg.SEED == 3
    assert "Add 'VERSION: 2'" in caplog.text


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("VERSION: 1\nSEED: 3\n", "got 1"),
        ("VERSION: 3\n", "got 3"),
        ("MODEL: {WEIGHT: x}\n", "MODEL.WEIGHT"),
        ("TEST: {AUG_ON: True}\n", "TEST.AUG_ON"),
    ],
)
def test_other_versions_are_refused_with_file_and_remedy(tmp_path, text, got):
    path = write(tmp_path / "old.yaml", text)
    cfg = get_cfg()
    with pytest.raises(ConfigError, match=r"expected VERSION: 2.*only detectron2|Only") as caught:
        cfg.merge_from_file(path)
    assert path in str(caught.value)
    assert got in str(caught.value)
    assert cfg == get_cfg()


def test_a_config_of_another_version_cannot_be_merged_into(tmp_path):
    cfg = get_cfg()
    cfg.VERSION = 1
    with pytest.raises(ConfigError, match=r"get_cfg\(\)"):
        cfg.merge_from_file(write(tmp_path / "a.yaml", "VERSION: 2\n"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.yaml' does not exist"):
        get_cfg().merge_from_file(str(tmp_path / "nothing.yaml"))


def test_yaml_that_builds_objects_is_refused_unless_asked_for(tmp_path):
    path = write(tmp_path / "a.yaml", "VERSION: 2\nDATASETS: {TRAIN: !!python/tuple [a]}\n")
    with pytest.raises(yaml.constructor.ConstructorError):
        get_cfg().merge_from_file(path)
    cfg = get_cfg()
    cfg.merge_from_file(path, allow_unsafe=True)
    assert cfg.DATASETS.TRAIN == ("a",)

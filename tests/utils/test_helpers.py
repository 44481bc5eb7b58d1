"""Suggestions, seeding, logging, the environment report and how commands end."""

from __future__ import annotations

import logging
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.utils.cli import run_command
from yolov7.utils.environment import collect_environment
from yolov7.utils.errors import ConfigError, UserError
from yolov7.utils.logging import setup_logger
from yolov7.utils.names import closest, look_up, suggest
from yolov7.utils.seeding import seed_all


def test_suggestions_ignore_case_and_list_what_exists() -> None:
    assert closest("csppafpn", ["FPN", "CSPPAFPN"]) == "CSPPAFPN"
    assert closest("zzz", ["FPN"]) is None
    assert suggest("PAFN", ["PAFPN", "BiFPN"]) == " Did you mean 'PAFPN'? There are: BiFPN, PAFPN."
    assert suggest("x", []) == ""
    assert "There are" not in suggest("x", map(str, range(100)))


def test_one_seed_for_all_generators() -> None:
    def draws() -> tuple:
        return random.random(), np.random.rand(), torch.rand(()).item()

    seed_all(2**32 + 5)
    first = draws()
    seed_all(2**32 + 5)
    assert draws() == first
    with pytest.raises(ValueError, match="negative"):
        seed_all(-1)


def test_the_log_goes_to_one_file_a_rank_and_is_not_doubled(tmp_path: Path) -> None:
    for _ in range(2):
        logger = setup_logger(tmp_path, name="yolov7_test_log")
    logger.info("hello")
    setup_logger(tmp_path, rank=1, name="yolov7_test_log").info("from one")
    assert (tmp_path / "log.txt").read_text().count("hello") == 1
    assert "from one" in (tmp_path / "log.txt.rank1").read_text()
    logging.getLogger("yolov7_test_log").handlers.clear()


def test_a_log_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="OUTPUT_DIR"):
        setup_logger(tmp_path / "file", name="yolov7_test_log")


def test_the_environment_report_names_machine_and_versions() -> None:
    report = collect_environment()
    assert re.search(
        rf"^torch +{re.escape(torch.__version__.split('+')[0])}$", report, re.MULTILINE
    )
    assert "gpu" in report


def test_a_user_error_ends_a_command_without_a_stack_trace(capsys, monkeypatch) -> None:
    def fail() -> None:
        raise ConfigError("what, where, remedy")

    monkeypatch.setattr("sys.argv", ["x"])
    with pytest.raises(SystemExit) as caught:
        run_command(fail)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: what, where, remedy\n"
    monkeypatch.setattr("sys.argv", ["x", "--debug"])
    with pytest.raises(ConfigError):
        run_command(fail)


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (3, 3)])
def test_a_command_ends_with_its_mains_code(returned, code) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: returned)
    assert caught.value.code == code


def test_names_are_looked_up_in_a_table() -> None:
    assert look_up({"conv": 3}, "conv", "MODEL.KIND") == 3
    with pytest.raises(ConfigError, match=r"MODEL\.KIND: there is no 'cnov'\. Did you mean 'conv'"):
        look_up({"conv": 3}, "cnov", "MODEL.KIND")

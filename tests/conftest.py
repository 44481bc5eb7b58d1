"""Which tests run: the short ones always, the others when asked for or when the machine can."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")
    parser.addoption("--end-to-end", action="store_true", help="also run tests marked end_to_end")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unmet = {
        "slow": None if config.getoption("--slow") else "slow: run with --slow",
        "end_to_end": None if config.getoption("--end-to-end") else "run with --end-to-end",
        "gpu": None if torch.cuda.is_available() else "needs a CUDA device",
        "detectron2": None if importlib.util.find_spec("detectron2") else "needs detectron2",
    }
    for item in items:
        for marker, reason in unmet.items():
            if reason is not None and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))

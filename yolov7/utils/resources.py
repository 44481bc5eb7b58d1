"""Where the framework's own files that are no modules lie: configs and scripts."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_root() -> Path:
    """Return the folder with `configs/`, `tools/`, `train_net.py` …

    In a checkout that is the repository; in an installed wheel the same files lie in
    `yolov7/resources` (`setup.py` puts them there).
    """
    installed = _PACKAGE / "resources"
    return installed if installed.is_dir() else _PACKAGE.parent

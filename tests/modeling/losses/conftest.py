"""What tests of criteria share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def run_two_ranks(assignment_cases, tmp_path) -> Callable[[str], None]:
    """Runs a script as two processes, both of which must succeed.

    Its arguments are the folder of the made-up cases, a file for the ranks to meet at, the rank.
    """

    def run(code: str) -> None:
        script = tmp_path / "rank.py"
        script.write_text(code, encoding="utf-8")
        folder = Path(assignment_cases.__file__).parent
        ranks = [
            subprocess.Popen([sys.executable, script, folder, tmp_path / "meeting", str(rank)])
            for rank in range(2)
        ]
        assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]

    return run

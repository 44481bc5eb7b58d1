"""How every command line of the project ends when the user made a mistake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from yolov7.utils.errors import UserError


def add_debug_argument(parser: argparse.ArgumentParser) -> None:
    """Give a script the flag `--debug`, which `run_command` looks for."""
    parser.add_argument("--debug", action="store_true", help="show the stack trace of an error")


def command_line(tool: str) -> str:
    """How a tool is called by whoever runs this process, for advice in messages.

    Args:
        tool: name of a script in `tools/` without its ending, as `compute_anchors`.

    Returns:
        `yolov7 compute-anchors` under the console command, else `python tools/compute_anchors.py`.
    """
    if sys.argv[0].startswith("yolov7 "):
        return f"yolov7 {tool.replace('_', '-')}"
    return f"python tools/{tool}.py"


def run_command(main: Callable[[], int | None]) -> None:
    """Run a script's `main` and exit with its code.

    A `UserError` is printed without a stack trace and ends the process with exit code 1; with
    `--debug` on the command line the stack trace is shown instead.
    """
    try:
        code = main()
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        sys.stderr.write(f"error: {error}\n")
        code = 1
    sys.exit(code or 0)

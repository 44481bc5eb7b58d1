"""What each name of the seam does on the same inputs, as plain data.

Run in one branch (`YOLOV7_D2`), it prints a json object {case: result}; the parity test runs it in
both and compares. Results hold numbers, strings and lists; an exception is recorded as the name of
its type, for the words differ.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import config_cases
import data_cases
import structure_cases
import torch
import training_cases

from yolov7 import d2


def main() -> None:
    torch.set_num_threads(1)
    results = {"branch": d2.BRANCH, "names": sorted(d2.__all__)}
    start = os.getcwd()
    for module in (config_cases, structure_cases, data_cases, training_cases):
        for name, case in vars(module).items():
            if not name.startswith("case_"):
                continue
            with tempfile.TemporaryDirectory() as folder:
                # Relative paths keep the results free of the folder's random name.
                os.chdir(folder)
                with contextlib.redirect_stdout(io.StringIO()):
                    results[name] = case(Path("."))
                os.chdir(start)
    json.dump(results, sys.stdout, default=repr)


if __name__ == "__main__":
    main()

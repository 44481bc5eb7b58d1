#!/usr/bin/env python
"""Measure every backbone under every neck under every head, as tables in Markdown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from yolov7.analysis import RECIPES, matrix_backbones, matrix_tables, measure_matrix
from yolov7.utils.atomic import atomic_write
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.environment import describe_machine, machine_in_a_line
from yolov7.utils.errors import UserError
from yolov7.utils.names import look_up

BEGIN, END = "<!-- written by tools/model_matrix.py -->", "<!-- end of what it writes -->"
EPILOG = f"""\
A cell reads: parameters in millions / GFLOPs / milliseconds on the CPU; without --repeats there are
no milliseconds, and the same code prints the same tables anywhere. All numbers are of the deployed
model at 80 classes and one image of INPUT.INPUT_SIZE. Parts are timed by themselves, a backbone
once for all necks, and added up. --write replaces what lies between the lines
  {BEGIN}
  {END}
of a file.

examples:
  python tools/model_matrix.py --backbones resnet50 CSPDarknet53 --heads AnchorHead
  python tools/model_matrix.py --repeats 3 --write docs/models.md
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", metavar="NAME", help="rows (default: all)")
    parser.add_argument("--heads", nargs="+", metavar="NAME", help="tables (default: all)")
    parser.add_argument(
        "--repeats", type=int, default=0, metavar="N", help="time N runs of each part (default 0)"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into a file")
    add_debug_argument(parser)
    return parser.parse_args()


def replace_tables(text: str, tables: str, name: object) -> str:
    """Put tables in the place of what lies between the two marks.

    Raises:
        UserError: the text does not have each mark once.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f"{name}: expected the lines '{BEGIN}' and '{END}', once each")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def read_with_marks(path: Path) -> str:
    """The text of a file in which there is a place for tables.

    Raises:
        UserError: it cannot be read, or does not have each mark once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"--write: cannot read {path}: {error.strerror or error}") from error
    replace_tables(text, "", path)
    return text


def main() -> None:
    arguments = parse_arguments()
    # A mistake is told before the measurements.
    text = read_with_marks(arguments.write) if arguments.write else ""
    known = matrix_backbones()
    backbones, heads = arguments.backbones or list(known), arguments.heads or list(RECIPES)
    for table, names, key in ((known, backbones, "--backbones"), (RECIPES, heads, "--heads")):
        for name in names:
            look_up(table, name, key)
    matrix = measure_matrix(
        backbones,
        heads,
        repeats=arguments.repeats,
        report=lambda part: print(part, file=sys.stderr),
    )
    tables = matrix_tables(matrix)
    if arguments.repeats:
        tables += f"\n\nCPU: {machine_in_a_line(describe_machine())}; medians of "
        tables += f"{arguments.repeats}, float32."
    if arguments.write:
        with atomic_write(arguments.write, "w") as file:
            file.write(replace_tables(text, tables, arguments.write))
    else:
        print(tables)


if __name__ == "__main__":
    run_command(main)

"""The console command `yolov7`: the scripts of the repository as verbs."""

from __future__ import annotations

import argparse
import ast
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from yolov7 import __version__
from yolov7.utils.names import suggest
from yolov7.utils.resources import resource_root

VERBS: dict[str, tuple[str, ...]] = {
    "train": ("train_net.py",),
    "eval": ("train_net.py", "--eval-only"),
    "demo": ("demo.py",),
    "digits": ("datasets/digits.py",),
    "visualize-data": ("tools/visualize_data.py",),
    "evaluate-results": ("tools/evaluate_results.py",),
    "ensemble-results": ("tools/ensemble_results.py",),
    "visualize-results": ("tools/visualize_results.py",),
    "compute-anchors": ("tools/compute_anchors.py",),
    "analyze": ("tools/analyze_model.py",),
    "model-matrix": ("tools/model_matrix.py",),
    "benchmark": ("tools/benchmark.py",),
    "convert-dataset": ("tools/convert_dataset.py",),
    "convert-weights": ("tools/convert_weights.py",),
    "plain-train": ("tools/plain_train.py",),
}
"""Script of each verb, relative to `resource_root()`, and the flags that the verb stands for."""

_EPILOG = """\
`yolov7 VERB --help` explains a verb. Configs are named by path or, wherever you are, by their place
below configs/: `--config-file digits/yolox_nano`. A file of your own goes before one of that name.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb as `python SCRIPT` would: same arguments, same output, same exit code.

    Args:
        arguments: verb and its arguments; the process's own by default.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    verb, *rest = arguments or ["--help"]
    if verb not in VERBS:
        parser = _parser()
        if verb.startswith("-"):
            parser.parse_args([verb])
        parser.error(f"there is no verb '{verb}'.{suggest(verb, VERBS)}")
    script, *flags = VERBS[verb]
    sys.argv = [f"yolov7 {verb}", *flags, *rest]
    _run(resource_root() / script)


def _run(script: Path) -> None:
    """Execute a file as the main module, in which processes that it starts look for functions.

    Unlike `runpy.run_path` it leaves `sys.argv[0]`, which `--help` shows.
    """
    module = types.ModuleType("__main__")
    module.__file__ = str(script)
    previous = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        exec(compile(script.read_bytes(), str(script), "exec"), vars(module))
    finally:
        sys.modules["__main__"] = previous


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {_summary(*script)}" for verb, script in VERBS.items()]
    parser = argparse.ArgumentParser(
        prog="yolov7",
        usage="yolov7 VERB [ARGUMENTS …]",
        description="\n".join(["verbs:", *lines]),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"yolov7 {__version__}")
    return parser


def _summary(script: str, *flags: str) -> str:
    """First line of a script's docstring, without running the script."""
    source = Path(resource_root() / script).read_text(encoding="utf-8")
    line = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return f"{line} ({script}{''.join(f' {flag}' for flag in flags)})"

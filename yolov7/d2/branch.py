"""Which implementation stands behind the seam: decided once, when `yolov7.d2` is imported."""

from __future__ import annotations

import importlib
import importlib.util
import os

from yolov7.utils.errors import UserError

VARIABLE = "YOLOV7_D2"
CHOICES = ("auto", "detectron2", "embedded")


def choose_branch() -> str:
    """Return "detectron2" or "embedded".

    Raises:
        UserError: the variable has another value, or asks for a detectron2 that is not installed.
        Exception: whatever a detectron2 that is installed raises when imported. It is never
            replaced silently: half of a program's parts might come from it.
    """
    choice = os.environ.get(VARIABLE) or "auto"
    if choice not in CHOICES:
        raise UserError(f"{VARIABLE}={choice}: expected one of {', '.join(CHOICES)}.")
    if choice == "embedded":
        return "embedded"
    if importlib.util.find_spec("detectron2") is None:
        if choice == "auto":
            return "embedded"
        raise UserError(
            f"{VARIABLE}=detectron2, but detectron2 is not installed. Install it "
            f"(https://github.com/facebookresearch/detectron2), or set {VARIABLE}=embedded."
        )
    try:
        importlib.import_module("detectron2.modeling")
    except Exception as error:
        error.add_note(
            f"detectron2 is installed but cannot be imported. Mend or remove it, or set "
            f"{VARIABLE}=embedded to do without."
        )
        raise
    return "detectron2"

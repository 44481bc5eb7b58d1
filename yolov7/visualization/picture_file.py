"""Pictures as files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from yolov7.utils.atomic import atomic_write
from yolov7.utils.errors import UserError


def write_picture(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Write a BGR picture (H, W, 3) uint8 in the format that the file's suffix names.

    Raises:
        UserError: the file cannot be written, or OpenCV does not know the format or cannot hold a
            picture of this size in it.
    """
    suffix = Path(path).suffix.lower()
    try:
        done, data = cv2.imencode(suffix, picture)
    except cv2.error as error:
        raise UserError(f"OpenCV cannot write {path}: {error.err}.") from error
    if not done:
        raise UserError(
            f"OpenCV cannot write a picture of {picture.shape[1]} x {picture.shape[0]} pixels as "
            f"'{suffix}': {path}."
        )
    with atomic_write(path) as file:
        file.write(data.tobytes())

"""Parts that all mappers share: the dice of a sample, and the dict that is handed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch

from yolov7.data.samplers import SampleKey, sample_rng

_MAX_SEED = 2**62


def generator_for(
    rng: np.random.Generator | None, key: SampleKey | None, seed: int
) -> np.random.Generator:
    """The generator of a sample: the given one, else the key's, else a new one.

    Without a key (detectron2's loader) it is seeded from PyTorch's global generator, which every
    worker has seeded differently; that one moves on by one draw.
    """
    if rng is not None:
        return rng
    if key is not None:
        return sample_rng(seed, key)
    return np.random.default_rng(int(torch.randint(_MAX_SEED, ())))


def image_to_tensor(image: np.ndarray) -> torch.Tensor:
    """(H, W, C) uint8 array to a contiguous (C, H, W) uint8 tensor that shares nothing with it."""
    planes = np.empty((image.shape[2], *image.shape[:2]), dtype=np.uint8)
    # Several times faster than a transposed copy by NumPy.
    cv2.split(image, list(planes))
    return torch.from_numpy(planes)


def describe(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a sample that say what it was made from.

    Args:
        record: of the (first) picture, with `height` and `width` of the file's picture.
    """
    return {
        "file_name": record["file_name"],
        "image_id": record.get("image_id"),
        "height": record["height"],
        "width": record["width"],
        "sources": [record["file_name"]],
    }

"""Colour jitter in 8-bit hue, saturation and value: by offsets (YOLOX) or factors (YOLOv7)."""

from __future__ import annotations

import cv2
import numpy as np
from fvcore.transforms.transform import NoOpTransform

from yolov7.d2 import Transform
from yolov7.data.augmentation.sample_input import Policy
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

# INPUT.FORMAT -> (to HSV, from HSV)
_CONVERSIONS = {
    "BGR": (cv2.COLOR_BGR2HSV, cv2.COLOR_HSV2BGR),
    "RGB": (cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB),
}


def hsv_tables(hue: int, saturation: int, value: int) -> np.ndarray:
    """Look-up tables of (h + hue) mod 180, and s + saturation, v + value clipped to [0, 255].

    Returns:
        (1, 256, 3) uint8, as `cv2.LUT` takes it for a three-channel picture.
    """
    levels = np.arange(256, dtype=np.int64)
    tables = np.empty((1, 256, 3), dtype=np.uint8)
    tables[0, :, 0] = (levels + hue) % 180
    tables[0, :, 1] = np.clip(levels + saturation, 0, 255)
    tables[0, :, 2] = np.clip(levels + value, 0, 255)
    return tables


def hsv_gain_tables(hue: float, saturation: float, value: float) -> np.ndarray:
    """Look-up tables of (h * hue) mod 180, and s * saturation, v * value, at most 255; truncated.

    Args:
        hue, saturation, value: factors, not negative.

    Returns:
        (1, 256, 3) uint8, as `cv2.LUT` takes it for a three-channel picture.
    """
    levels = np.arange(256, dtype=np.float64)
    tables = np.empty((1, 256, 3), dtype=np.uint8)
    tables[0, :, 0] = levels * hue % 180
    tables[0, :, 1] = np.minimum(levels * saturation, 255)
    tables[0, :, 2] = np.minimum(levels * value, 255)
    return tables


class HSVTransform(Transform):
    """Map the 8-bit hue, saturation and value of a picture, each by a look-up table.

    Args:
        tables: (1, 256, 3) uint8.
        image_format: "BGR" or "RGB".
    """

    def __init__(self, *, tables: np.ndarray, image_format: str) -> None:
        super().__init__()
        self.tables = tables
        self.image_format = image_format

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 to a new array of the same shape."""
        to_hsv, from_hsv = _CONVERSIONS[self.image_format]
        hsv = cv2.cvtColor(np.ascontiguousarray(img), to_hsv)
        cv2.LUT(hsv, self.tables, dst=hsv)
        return cv2.cvtColor(hsv, from_hsv, dst=hsv)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Points stay where they are."""
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Segmentations stay as they are."""
        return segmentation

    def inverse(self) -> Transform:
        """No geometry to undo."""
        return NoOpTransform()


class HSVShiftTransform(HSVTransform):
    """Add offsets to the 8-bit hue (modulo 180), saturation and value (clipped) of a picture.

    Args:
        hue, saturation, value: whole offsets in OpenCV's 8-bit units (hue: 2 degrees).
        image_format: "BGR" or "RGB".
    """

    def __init__(self, *, hue: int, saturation: int, value: int, image_format: str) -> None:
        super().__init__(tables=hsv_tables(hue, saturation, value), image_format=image_format)
        self.hue, self.saturation, self.value = hue, saturation, value


class RandomHSVShift(Policy):
    """Each offset uniform in (-x, x), truncated to a whole number, used with `probability`.

    Args:
        hue, saturation, value: largest offsets in 8-bit units (YOLOX: 5, 30, 30).
        probability: of each of the three offsets on its own.
        image_format: "BGR" or "RGB"; others have no hue and are refused.
    """

    # With a single argument, detectron2's `Augmentation` would hand over the picture.
    input_args = ("rng",)

    def __init__(
        self,
        *,
        hue: float = 5,
        saturation: float = 30,
        value: float = 30,
        probability: float = 0.5,
        image_format: str = "BGR",
    ) -> None:
        super().__init__()
        _check_format("HSV_SHIFT", image_format)
        self.limits = np.array([hue, saturation, value], dtype=np.float64)
        self.probability = probability
        self.image_format = image_format

    def get_transform(self, rng: np.random.Generator) -> Transform:
        """Draw the three offsets."""
        offsets = rng.uniform(-1.0, 1.0, 3) * self.limits
        used = rng.random(3) < self.probability
        hue, saturation, value = (int(offset) for offset in offsets * used)
        if hue == saturation == value == 0:
            return NoOpTransform()
        return HSVShiftTransform(
            hue=hue, saturation=saturation, value=value, image_format=self.image_format
        )


class RandomHSVGain(Policy):
    """Factors 1 + U(-1, 1) * x for hue, saturation and value, all three always (YOLOv7).

    Args:
        hue, saturation, value: largest relative changes, at most 1 (YOLOv7: 0.015, 0.7, 0.4).
        image_format: "BGR" or "RGB"; others have no hue and are refused.
    """

    input_args = ("rng",)

    def __init__(
        self,
        *,
        hue: float = 0.015,
        saturation: float = 0.7,
        value: float = 0.4,
        image_format: str = "BGR",
    ) -> None:
        super().__init__()
        _check_format("HSV_GAIN", image_format)
        if not all(0 <= limit <= 1 for limit in (hue, saturation, value)):
            raise ConfigError(
                "INPUT.HSV_GAIN: HUE, SATURATION and VALUE are relative changes and must be from 0 "
                f"to 1, got {hue}, {saturation} and {value}."
            )
        self.limits = np.array([hue, saturation, value], dtype=np.float64)
        self.image_format = image_format

    def get_transform(self, rng: np.random.Generator) -> HSVTransform:
        """Draw the three factors."""
        factors = 1 + rng.uniform(-1.0, 1.0, 3) * self.limits
        return HSVTransform(
            tables=hsv_gain_tables(*factors.tolist()), image_format=self.image_format
        )


def _check_format(section: str, image_format: str) -> None:
    if image_format not in _CONVERSIONS:
        raise ConfigError(
            f"INPUT.{section} needs a colour picture, but INPUT.FORMAT is '{image_format}'."
            f"{suggest(image_format, _CONVERSIONS)}"
        )

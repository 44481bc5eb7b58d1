"""Reading image files: one function decides what every odd kind of file means."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from yolov7.utils.errors import ImageError

_FORMATS = ("BGR", "RGB")

#: Suffixes, in lower case, by which a file in a folder is taken for an image.
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_SIZE_IN_HEAD = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # the EXIF tag
_SIDEWAYS = (5, 6, 7, 8)  # its values that exchange width and height


def read_image(file_name: str | Path, format: str = "BGR") -> np.ndarray:
    """Read an image file as 8-bit colour, upright.

    The EXIF orientation is applied; grey images are repeated over the three channels; of images
    with alpha the colours are taken as they are stored, without blending; 16-bit images become
    value // 256 (colour TIFF: rounded instead); palettes and CMYK are converted to colours; of
    animations and files of several pages the first picture is taken. What kind of file it is, its
    content says, not its suffix. Decoding is always at full size: JPEG at a reduced size is faster,
    but gives other pixels.

    A file that is cut off is an error: no pixel is made up, as `cv2.imread` does, which fills the
    rest of a JPEG with grey where `cv2.imdecode` refuses. (A JPEG that lacks nothing but its end
    marker has all its pixels; small ones are read, others refused.)

    Args:
        file_name: path of any kind of image that OpenCV reads.
        format: order of the channels, "BGR" or "RGB".

    Returns:
        (H, W, 3) uint8, contiguous and writable.

    Raises:
        ImageError: the file is missing, empty, cut off, not an image, or declares more pixels than
            OpenCV allows (2³⁰); it names the file.
    """
    if format not in _FORMATS:
        raise ValueError(f"format must be one of {_FORMATS}, got {format!r}")
    try:
        # OpenCV's own file reading fails on non-ASCII paths of some systems.
        data = np.fromfile(file_name, dtype=np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise ImageError(
            f"Cannot read image {file_name}: {getattr(error, 'strerror', None) or error}. "
            "Check that the image folder is complete and readable."
        ) from error
    if data.size == 0:
        raise ImageError(f"Image {file_name} is an empty file (0 bytes). Fetch it again.")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "MAX_IMAGE" in error.err:
            raise ImageError(
                f"Image {file_name} ({data.size} bytes) declares more than 2^30 pixels, or a side "
                "of more than 2^20: it is damaged, or made to fill the memory. If it is neither, "
                "raise the environment variable OPENCV_IO_MAX_IMAGE_PIXELS (_WIDTH, _HEIGHT)."
            ) from error
        raise ImageError(f"Cannot decode image {file_name}: {error.err}.") from error
    if image is None:
        raise ImageError(
            f"Cannot decode image {file_name} ({data.size} bytes): it is damaged, cut off or of "
            "a kind that OpenCV does not read. Fetch it again or convert it to JPEG or PNG."
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if format == "RGB" else image


def read_record_image(record: Mapping[str, Any], format: str = "BGR") -> np.ndarray:
    """Read the image of a record and check that it has the declared size.

    Args:
        record: a record with `file_name` and, when known, `height` and `width`.
        format: order of the channels, "BGR" or "RGB".

    Returns:
        (height, width, 3) uint8.

    Raises:
        ImageError: as `read_image`, or the image's real size (upright) is not the declared one;
            boxes would then lie in the wrong places.
    """
    image = read_image(record["file_name"], format)
    height, width = image.shape[:2]
    declared = (record.get("height", height), record.get("width", width))
    if declared != (height, width):
        turned = declared == (width, height)
        remedy = (
            "If its EXIF orientation turns it, the boxes must be those of the upright image."
            if turned
            else "Boxes refer to the declared size: correct it, or restore the original image."
        )
        raise ImageError(
            f"Image {record['file_name']} is {width}x{height} (width x height), but its "
            f"annotations declare {declared[1]}x{declared[0]}. {remedy}"
        )
    return image


def read_image_size(file_name: str | Path) -> tuple[int, int]:
    """Find out an image's size as `read_image` gives it, mostly from the head of the file alone.

    The EXIF orientation counts: sides are exchanged when it turns the image by 90°. Kinds of files
    other than JPEG, PNG, WebP, BMP and TIFF are decoded.

    Args:
        file_name: path of any kind of image that `read_image` reads.

    Returns:
        (height, width) in pixels.

    Raises:
        ImageError: the file is missing, empty or not an image. Whether the rest of it is whole is
            not looked at.
    """
    try:
        with warnings.catch_warnings():
            # Nothing is decoded, and what is too large to read is the reader's to say.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file_name)
        with image:
            (width, height), kind = image.size, image.format
            if kind == "TIFF":
                turned = image.tag_v2.get(_ORIENTATION, 1) in _SIDEWAYS
            else:
                # Not `getexif`, which decodes a PNG and believes XMP; OpenCV does not.
                exif = Image.Exif()
                exif.load(image.info.get("exif"))
                turned = exif.get(_ORIENTATION, 1) in _SIDEWAYS
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        kind = None
    if kind not in _SIZE_IN_HEAD or (kind == "TIFF" and turned):
        # Missing, damaged, unknown to Pillow, or a matter of its version: decoding has the say.
        height, width = read_image(file_name).shape[:2]
        return height, width
    return (width, height) if turned else (height, width)

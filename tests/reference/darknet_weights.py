"""Darknet's `.weights` files by rule: the convolutions of its networks, and their numbers.

Nothing here knows this project's names or layers; see README.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from deterministic import uniform

Conv = tuple[int, int, int, bool]
"""Channels before and after, side of the kernel, whether batch normalisation follows."""

HEADER = struct.pack("<iiiQ", 0, 2, 5, 32032000)
"""Version 0.2.5 and the number of pictures seen, as 64 bits."""


def yolov4(classes: int = 80) -> list[Conv]:
    """The 110 convolutions of YOLOv4 in the order of the network's file."""
    return list(_yolov4(3 * (5 + classes)))


def yolov3_spp(classes: int = 80) -> list[Conv]:
    """The 76 convolutions of YOLOv3-SPP in the order of the network's file."""
    convs, before = [(3, 32, 3)], 32
    for width, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        convs.append((before, width, 3))
        convs += blocks * [(width, before, 1), (before, width, 3)]
        before = width
    for width in (512, 256, 128):
        if width < 512:
            convs.append((2 * width, width, 1))
        joined = 1024 if width == 512 else 3 * width
        convs += [(joined, width, 1), (width, 2 * width, 3)]
        convs += [(2 * width, width, 1)] + [(4 * width, width, 1)] * (width == 512)
        convs += [(width, 2 * width, 3), (2 * width, width, 1), (width, 2 * width, 3)]
        convs.append((2 * width, 3 * (5 + classes), 1))
    return [(*conv, conv[1] != 3 * (5 + classes)) for conv in convs]


def yolov4_tiny(classes: int = 80) -> list[Conv]:
    """The 21 convolutions of YOLOv4-tiny in the order of the network's file."""
    convs = [(3, 32, 3), (32, 64, 3)]
    for width in (64, 128, 256):
        half = width // 2
        convs += [(width, width, 3), (half, half, 3), (half, half, 3), (width, width, 1)]
    convs += [(512, 512, 3), (512, 256, 1), (256, 512, 3)]
    outputs = 3 * (5 + classes)
    return [
        *((*conv, True) for conv in convs),
        (512, outputs, 1, False),
        (256, 128, 1, True),
        (384, 256, 3, True),
        (256, outputs, 1, False),
    ]


def _yolov4(outputs: int) -> Iterator[Conv]:
    yield 3, 32, 3, True
    before = 32
    for width, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        branch = width if width == 64 else width // 2
        yield before, width, 3, True
        yield width, branch, 1, True
        yield width, branch, 1, True
        for _ in range(blocks):
            yield branch, before, 1, True
            yield before, branch, 3, True
        yield branch, branch, 1, True
        yield 2 * branch, width, 1, True
        before = width

    def in_turn(before: int, width: int, count: int) -> Iterator[Conv]:
        for number in range(count):
            if number % 2:
                yield width, 2 * width, 3, True
            else:
                yield (before if number == 0 else 2 * width), width, 1, True

    yield from in_turn(1024, 512, 3)
    yield from in_turn(2048, 512, 3)
    for width in (256, 128):
        yield 2 * width, width, 1, True
        yield 2 * width, width, 1, True
        yield from in_turn(2 * width, width, 5)
    for width in (128, 256, 512):
        if width > 128:
            yield width // 2, width, 3, True
            yield from in_turn(2 * width, width, 5)
        yield width, 2 * width, 3, True
        yield 2 * width, outputs, 1, False


def numbers_of(number: int, conv: Conv, gain: float) -> np.ndarray:
    """What a file holds of its convolution `number`: float32, flat.

    With normalisation bias, scale, running mean and running variance come before the weights,
    without it only the bias does.
    """
    before, after, side, with_norm = conv

    def stream(name: str, low: float, high: float, count: int = after) -> np.ndarray:
        return low + (high - low) * uniform(f"{number}.{name}", count)

    parts = [stream("bias", -0.1, 0.1)]
    if with_norm:
        parts += [stream("scale", 0.5, 1.5), stream("mean", -0.1, 0.1), stream("var", 0.5, 1.5)]
    fan_in = before * side**2
    bound = gain * math.sqrt(3.0 / fan_in)
    parts.append(stream("weights", -bound, bound, after * fan_in))
    return np.concatenate(parts).astype("<f4")


def write_weights(path: Path, convs: list[Conv], gain: float, header: bytes = HEADER) -> None:
    """Write a file of these convolutions."""
    with open(path, "wb") as file:
        file.write(header)
        for number, conv in enumerate(convs):
            file.write(numbers_of(number, conv, gain).tobytes())


def picture(height: int, width: int) -> np.ndarray:
    """The picture (3, height, width), RGB in 0-255 as whole numbers: uint8."""
    c, y, x = np.ogrid[:3, :height, :width]
    waves = np.sin(0.05 * x + 0.07 * y + c) + np.sin(0.9 * x - 0.7 * y + 2 * c)
    noise = uniform("picture", 3 * height * width).reshape(3, height, width)
    return np.floor(127.5 + 50 * waves + 55 * (noise - 0.5)).astype(np.uint8)

"""Drawing of random affine and perspective matrices, and their use on single pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yolov7.data.augmentation.resize import fitted_size
from yolov7.data.augmentation.sample_input import Policy
from yolov7.data.augmentation.warp import WarpTransform, box_corners, scaling, translation

# Depth (third coordinate) that the perspective keeps between the picture and the horizon.
_MIN_DEPTH = 0.25


@dataclass(frozen=True)
class AffineParameters:
    """One drawn map; the default is the identity.

    Attributes:
        angle, shear_x, shear_y: degrees.
        scale: factor.
        translate_x, translate_y: fractions of the canvas' width and height.
        perspective_x, perspective_y: change of depth per pixel.
    """

    angle: float = 0.0
    scale: float = 1.0
    shear_x: float = 0.0
    shear_y: float = 0.0
    translate_x: float = 0.0
    translate_y: float = 0.0
    perspective_x: float = 0.0
    perspective_y: float = 0.0

    def linear(self) -> np.ndarray:
        """(3, 3) rotation, scale and shear about the origin, in YOLOX's order.

        With rotation rows R0 = k (cos a, sin a) and R1 = k (-sin a, cos a), the rows are
        R0 + tan(shear_y) R1 and R1 + tan(shear_x) R0.
        """
        angle = np.deg2rad(self.angle)
        row0 = self.scale * np.array([np.cos(angle), np.sin(angle)])
        row1 = self.scale * np.array([-np.sin(angle), np.cos(angle)])
        matrix = np.eye(3)
        matrix[0, :2] = row0 + np.tan(np.deg2rad(self.shear_y)) * row1
        matrix[1, :2] = row1 + np.tan(np.deg2rad(self.shear_x)) * row0
        return matrix

    def perspective(self, corners: np.ndarray) -> np.ndarray:
        """(3, 3) perspective about the origin.

        Where the drawn tilt would bring the horizon into the picture, whose (4, 2) corners are
        given, it is reduced until every corner keeps a depth of at least 0.25: behind the horizon
        boxes would turn inside out.
        """
        tilt = np.array([self.perspective_x, self.perspective_y])
        nearest = float((corners @ tilt).min())
        if nearest < _MIN_DEPTH - 1.0:
            tilt = tilt * ((_MIN_DEPTH - 1.0) / nearest)
        matrix = np.eye(3)
        matrix[2, :2] = tilt
        return matrix


class AffineDistribution:
    """Uniform distributions of the parameters of a random affine map.

    Args:
        degrees: rotation is drawn from (-degrees, degrees).
        translate: shifts from (-translate, translate), as fractions of the canvas' sides.
        scale: (lowest, highest) factor.
        shear: both shears from (-shear, shear) degrees.
        perspective: both changes of depth per pixel from (-perspective, perspective).
    """

    def __init__(
        self,
        *,
        degrees: float = 0.0,
        translate: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float = 0.0,
        perspective: float = 0.0,
    ) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = (float(scale[0]), float(scale[1]))
        self.shear = shear
        self.perspective = perspective

    def draw(self, rng: np.random.Generator) -> AffineParameters:
        """Draw all parameters, always in this order and always all of them."""
        lows, highs = np.array(
            [
                (-self.degrees, self.degrees),
                self.scale,
                (-self.shear, self.shear),
                (-self.shear, self.shear),
                (-self.translate, self.translate),
                (-self.translate, self.translate),
                (-self.perspective, self.perspective),
                (-self.perspective, self.perspective),
            ]
        ).T
        return AffineParameters(*rng.uniform(lows, highs).tolist())


def matrix_about_origin(
    parameters: AffineParameters, *, source_size: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """YOLOX's map of a mosaic canvas to the picture: about (0, 0), **not** about a centre.

    The shift is the drawn one alone, so at scale 1 the top left part of the source is seen.

    Args:
        source_size, size: (height, width) of the source and of the result.

    Returns:
        (3, 3) matrix.
    """
    height, width = source_size
    shift = translation(parameters.translate_x * size[1], parameters.translate_y * size[0])
    tilt = parameters.perspective(box_corners((0, 0, width, height)))
    return shift @ parameters.linear() @ tilt


def matrix_about_center(
    parameters: AffineParameters, *, source_size: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """Map that fits a picture into the middle of `size` and turns it about its own centre.

    Args:
        source_size, size: (height, width) of the picture and of the result.

    Returns:
        (3, 3) matrix.
    """
    return _centered(parameters, source_size, fitted_size(*source_size, size), size)


def matrix_between_centers(
    parameters: AffineParameters, *, source_size: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """YOLOv7's map of a mosaic canvas to the picture: about the centres of both, without fitting.

    At scale 1, the middle part of the source is seen, of its own size.

    Args:
        source_size, size: (height, width) of the source and of the result.

    Returns:
        (3, 3) matrix.
    """
    return _centered(parameters, source_size, source_size, size)


def _centered(
    parameters: AffineParameters,
    source_size: tuple[int, int],
    resized: tuple[int, int],
    size: tuple[int, int],
) -> np.ndarray:
    """Resize the source, then warp it about its centre, which goes to that of `size`."""
    (height, width), (resized_height, resized_width) = source_size, resized
    resize = scaling(resized_width / width, resized_height / height) @ translation(
        -width / 2, -height / 2
    )
    half_height, half_width = resized_height / 2, resized_width / 2
    tilt = parameters.perspective(box_corners((-half_width, -half_height, half_width, half_height)))
    shift = translation(
        (0.5 + parameters.translate_x) * size[1], (0.5 + parameters.translate_y) * size[0]
    )
    return shift @ parameters.linear() @ tilt @ resize


class RandomAffine(Policy):
    """Fit a single picture into the wanted size and turn, scale, shear, shift it: one warp in all.

    Args:
        distribution: of the map's parameters.
        fill: value of the canvas where the picture is not.
    """

    def __init__(self, *, distribution: AffineDistribution, fill: float = 114.0) -> None:
        super().__init__()
        self.distribution = distribution
        self.fill = fill

    def get_transform(
        self, image: np.ndarray, rng: np.random.Generator, size: tuple[int, int]
    ) -> WarpTransform:
        """Draw a map of an (H, W, C) picture to `size` (height, width)."""
        source_size = image.shape[:2]
        matrix = matrix_about_center(
            self.distribution.draw(rng), source_size=source_size, size=size
        )
        return WarpTransform(matrix=matrix, source_size=source_size, size=size, fill=self.fill)

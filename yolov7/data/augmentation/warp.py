"""A picture drawn onto a canvas through a matrix: the one warp behind affine, Mosaic and MixUp.

Matrices are (3, 3) and act on continuous coordinates (x, y, 1), in which pixel (row, column) covers
[column, column + 1) x [row, row + 1), the frame of boxes and polygons. OpenCV counts from pixel
centres; the half pixel between the two is taken care of here and nowhere else.
"""

from __future__ import annotations

import cv2
import numpy as np

from yolov7.d2 import Transform
from yolov7.data.augmentation.resize import to_cv2


def translation(x: float, y: float) -> np.ndarray:
    """(3, 3) matrix of a shift by (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def scaling(x: float, y: float) -> np.ndarray:
    """(3, 3) matrix of a scaling about the origin."""
    return np.diag([x, y, 1.0])


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) points through a (3, 3) matrix, divided by the third coordinate."""
    mapped = np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return mapped[:, :2] / mapped[:, 2:]


def box_corners(box: tuple[float, float, float, float]) -> np.ndarray:
    """(4, 2) corners of an xyxy box, in order around it."""
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def jacobian(matrix: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(2, 2) derivative of the map at a point (2,)."""
    mapped = matrix[:, :2] @ point + matrix[:, 2]
    return (matrix[:2, :2] - np.outer(mapped[:2] / mapped[2], matrix[2, :2])) / mapped[2]


def local_scale(matrix: np.ndarray, point: np.ndarray) -> float:
    """Factor by which lengths grow near a point (2,), on average over the directions."""
    (a, b), (c, d) = jacobian(matrix, point).tolist()
    return abs(a * d - b * c) ** 0.5


def paint(canvas: np.ndarray, image: np.ndarray, matrix: np.ndarray) -> None:
    """Draw a picture through a matrix onto a canvas, bilinearly; other pixels stay as they are.

    Shrinking by more than two would skip source pixels. The picture is therefore halved (each
    pixel the mean of four) until the rest of the way is between one half and one, which costs less
    than it saves and comes closer to the ideal than resizing and then warping on a double-size
    canvas does (`benchmarks/bm_mosaic.py` measures both). Only the region that the picture reaches
    is visited. The drawn region reaches over the picture's edge by half a source pixel (one whole
    if pixels fall onto pixels), so that neighbours leave no gap between them.

    Args:
        canvas: (H, W[, C]), changed in place.
        image: (h, w[, C]) of the canvas' dtype.
        matrix: (3, 3) from picture to canvas; the horizon must not cross the picture.
    """
    height, width = image.shape[:2]
    scale = local_scale(matrix, np.array([width / 2, height / 2]))
    while scale <= 0.5 and min(height, width) > 1:
        half_height, half_width = (height + 1) // 2, (width + 1) // 2
        image = cv2.resize(image, (half_width, half_height), interpolation=cv2.INTER_LINEAR)
        matrix = matrix @ scaling(width / half_width, height / half_height)
        height, width, scale = half_height, half_width, 2 * scale
    # OpenCV draws where the source index lies in [0, width): half a pixel to the right of the
    # picture. One more row and column before the first make that symmetric.
    image = cv2.copyMakeBorder(image, 1, 0, 1, 0, cv2.BORDER_REPLICATE)
    matrix = matrix @ translation(-1, -1)
    _warp(canvas, image, matrix, cv2.INTER_LINEAR)


def paint_nearest(canvas: np.ndarray, image: np.ndarray, matrix: np.ndarray) -> None:
    """Like `paint`, but each canvas pixel takes the nearest picture pixel (segmentations)."""
    _warp(canvas, image, matrix, cv2.INTER_NEAREST)


def _warp(canvas: np.ndarray, image: np.ndarray, matrix: np.ndarray, interpolation: int) -> None:
    height, width = image.shape[:2]
    corners = map_points(matrix, box_corners((0, 0, width, height)))
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, canvas.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, canvas.shape[1::-1]).astype(int)
    if (high <= low).any():
        return
    region = canvas[low[1] : high[1], low[0] : high[0]]
    by_centers = translation(-low[0] - 0.5, -low[1] - 0.5) @ matrix @ translation(0.5, 0.5)
    size = (region.shape[1], region.shape[0])
    options = {"dst": region, "flags": interpolation, "borderMode": cv2.BORDER_TRANSPARENT}
    if np.any(by_centers[2, :2]):
        cv2.warpPerspective(image, by_centers, size, **options)
    else:
        cv2.warpAffine(image, by_centers[:2] / by_centers[2, 2], size, **options)


class WarpTransform(Transform):
    """Affine or perspective map of a picture, or of a part of it, onto a canvas.

    Args:
        matrix: (3, 3) from the picture to the canvas, continuous coordinates, invertible.
        source_size: (height, width) of the picture.
        size: (height, width) of the canvas.
        fill: value of the canvas where the picture is not (segmentations: 0).
        crop: xyxy part of the picture that is drawn; None for all of it. Coordinates are mapped
            wherever they are: whoever holds boxes clips them to `crop` first.
    """

    def __init__(
        self,
        *,
        matrix: np.ndarray,
        source_size: tuple[int, int],
        size: tuple[int, int],
        fill: float = 114.0,
        crop: tuple[float, float, float, float] | None = None,
    ) -> None:
        super().__init__()
        self.matrix = matrix
        self.source_size = source_size
        self.size = size
        self.fill = fill
        self.crop = crop

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(h, w[, C]) to a new canvas (H, W[, C])."""
        canvas = np.full((*self.size, *img.shape[2:]), self.fill, dtype=img.dtype)
        self.paint(canvas, img)
        return canvas

    def paint(self, canvas: np.ndarray, image: np.ndarray) -> None:
        """Draw an (h, w[, C]) picture onto an (H, W[, C]) canvas, which is changed in place."""
        if self.is_visible():
            paint(canvas, *self._visible_part(image))

    def is_visible(self) -> bool:
        """Whether any of the picture can be on the canvas; True for some that just miss it."""
        x0, y0, x1, y1 = self._whole_pixels()
        if x0 >= x1 or y0 >= y1:
            return False
        corners = map_points(self.matrix, box_corners((x0, y0, x1, y1)))
        height, width = self.size
        return bool(
            (corners.max(axis=0) > 0).all() and (corners.min(axis=0) < (width, height)).all()
        )

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(h, w) of integers or bool to (H, W), by nearest pixel, 0 outside the picture."""
        plain = to_cv2(segmentation)
        canvas = np.zeros((*self.size, *plain.shape[2:]), dtype=plain.dtype)
        if self.is_visible():
            paint_nearest(canvas, *self._visible_part(plain))
        return canvas.astype(segmentation.dtype, copy=False)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """(N, 2) points (x, y)."""
        return map_points(self.matrix, coords)

    def edge_lengths(self) -> tuple[float, float]:
        """Lengths that horizontal and vertical unit edges have after the map (picture's middle)."""
        height, width = self.source_size
        lengths = np.linalg.norm(jacobian(self.matrix, np.array([width / 2, height / 2])), axis=0)
        return float(lengths[0]), float(lengths[1])

    def inverse(self) -> WarpTransform:
        """The map back from the canvas to the picture."""
        return WarpTransform(
            matrix=np.linalg.inv(self.matrix),
            source_size=self.size,
            size=self.source_size,
            fill=self.fill,
        )

    def _whole_pixels(self) -> tuple[int, int, int, int]:
        """xyxy pixels nearest to `crop`."""
        height, width = self.source_size
        x0, y0, x1, y1 = self.crop or (0, 0, width, height)
        return round(x0), round(y0), round(x1), round(y1)

    def _visible_part(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What of the picture is drawn, and the matrix for that."""
        x0, y0, x1, y1 = self._whole_pixels()
        return image[y0:y1, x0:x1], self.matrix @ translation(x0, y0)

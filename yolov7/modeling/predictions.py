"""What heads say: the one form in which dense heads, criteria and postprocessors meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from yolov7.ops.box_ops import at_least_float32


@dataclass(frozen=True, eq=False)
class DensePredictions:
    """Predictions of a dense head for a batch: one box and its scores per cell and anchor.

    Letters: B images, P predictions of an image, K classes. The predictions of an image are
    ordered by **level** (ascending stride), then **anchor**, then **row**, then **column**; every
    tensor here follows this order. All values are raw outputs: logits before the sigmoid, box
    deltas before a box coder decodes them.

    Attributes:
        class_logits: ``(B, P, K)``.
        objectness_logits: ``(B, P)``, or None for heads that have no objectness.
        box_deltas: ``(B, P, 4)``, read by a box coder (:mod:`yolov7.modeling.box_coders`).
        centers: ``(P, 2)``, the cells' centres ``((column + ½)·stride, (row + ½)·stride)`` in
            pixels ``(x, y)`` of the padded input.
        strides: ``(P,)``, pixels per cell.
        level_sizes: ``(rows, columns)`` of the grid of every level.
        anchors: ``(P, 2)``, width and height in pixels, or None for anchor-free heads.

    Raises:
        ValueError: when the shapes do not belong together.
    """

    class_logits: Tensor
    objectness_logits: Tensor | None
    box_deltas: Tensor
    centers: Tensor
    strides: Tensor
    level_sizes: tuple[tuple[int, int], ...]
    anchors: Tensor | None = None

    def __post_init__(self) -> None:
        batch, count = self.class_logits.shape[:2]
        expected = {
            "objectness_logits": (batch, count),
            "box_deltas": (batch, count, 4),
            "centers": (count, 2),
            "strides": (count,),
            "anchors": (count, 2),
        }
        for name, shape in expected.items():
            tensor = getattr(self, name)
            if tensor is not None and tuple(tensor.shape) != shape:
                raise ValueError(
                    f"DensePredictions.{name} has shape {tuple(tensor.shape)}, expected {shape}: "
                    f"class_logits {tuple(self.class_logits.shape)} say {batch} images of "
                    f"{count} predictions"
                )
        cells = self.num_cells
        if count != cells * (count // max(cells, 1)):
            raise ValueError(
                f"{count} predictions are not a whole number of anchors on each of the {cells} "
                f"cells of the levels {self.level_sizes}"
            )

    @property
    def num_images(self) -> int:
        """B, the images of the batch."""
        return self.class_logits.shape[0]

    @property
    def num_predictions(self) -> int:
        """P, the predictions of one image."""
        return self.class_logits.shape[1]

    @property
    def num_classes(self) -> int:
        """K, the classes."""
        return self.class_logits.shape[2]

    @property
    def num_cells(self) -> int:
        """Cells of all levels together (P is this times the anchors of a cell)."""
        return sum(rows * columns for rows, columns in self.level_sizes)

    @property
    def num_anchors(self) -> int:
        """A, the predictions of one cell."""
        return self.num_predictions // self.num_cells

    @property
    def level_counts(self) -> list[int]:
        """Predictions of one image on each level; they add up to P."""
        return [rows * columns * self.num_anchors for rows, columns in self.level_sizes]

    def frame(self) -> Tensor:
        """``(2,)`` width and height of the padded input in pixels; P must not be 0."""
        rows, columns = self.level_sizes[0]
        return self.strides[0] * self.strides.new_tensor([columns, rows])

    def level_index(self) -> Tensor:
        """``(P,)`` int64: the level of each prediction, 0 for the finest."""
        device = self.centers.device
        return torch.cat(
            [
                torch.full((count,), level, dtype=torch.int64, device=device)
                for level, count in enumerate(self.level_counts)
            ]
        )

    def places(self, index: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Where predictions lie: what box coders take beside the regressions.

        Args:
            index: ``(...)`` int64 in ``[0, P)``, or None for all.

        Returns:
            centers ``(..., 2)``, strides ``(...)`` and anchors ``(..., 2)`` or None.
        """
        if index is None:
            return self.centers, self.strides, self.anchors
        anchors = None if self.anchors is None else self.anchors[index]
        return self.centers[index], self.strides[index], anchors

    def at_least_float32(self) -> DensePredictions:
        """The same predictions with half-precision tensors raised to float32; float64 stays."""
        objectness = self.objectness_logits
        return replace(
            self,
            class_logits=at_least_float32(self.class_logits),
            objectness_logits=None if objectness is None else at_least_float32(objectness),
            box_deltas=at_least_float32(self.box_deltas),
            centers=at_least_float32(self.centers),
            strides=at_least_float32(self.strides),
            anchors=None if self.anchors is None else at_least_float32(self.anchors),
        )


def certain_if_single(predictions: DensePredictions) -> DensePredictions:
    """The same predictions with class score 1 when there is only one class.

    For criteria that do not train that class's logit (YOLOv7's): it must not decide anything then,
    neither in an assigner nor in a score.
    """
    if predictions.num_classes != 1:
        return predictions
    certain = torch.full_like(predictions.class_logits, torch.inf)
    return replace(predictions, class_logits=certain)

"""Test-time augmentation: one set of detections from several views of the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from yolov7.d2 import CfgNode, ImageList
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.padding import TopLeftPadding
from yolov7.modeling.postprocessing.dense import Candidates, DensePostprocessor
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

FLIPS: dict[str, tuple[int, ...]] = {"none": (), "horizontal": (3,), "vertical": (2,)}
"""The dimensions of ``(B, C, H, W)`` that each flip turns round."""


@dataclass(frozen=True)
class View:
    """A frame flipped, then resized.

    Attributes:
        scale: of both sides, which are truncated to whole pixels.
        flip: one of `FLIPS`.
    """

    scale: float = 1.0
    flip: str = "none"

    def size(self, frame: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the view of a frame of (height, width), at least 1."""
        height, width = (max(int(side * self.scale), 1) for side in frame)
        return height, width

    def apply(self, batch: Tensor) -> Tensor:
        """The view ``(B, C, h, w)`` of frames ``(B, C, H, W)``."""
        frame = (batch.shape[2], batch.shape[3])
        flipped = batch.flip(FLIPS[self.flip]) if FLIPS[self.flip] else batch
        if self.size(frame) == frame:
            return flipped
        return interpolate(flipped, size=self.size(frame), mode="bilinear", align_corners=False)

    def undo(self, boxes: Tensor, frame: tuple[int, int]) -> Tensor:
        """Boxes ``(N, 4)`` xyxy of the view as boxes of the frame, by the exact ratio of sizes."""
        size = self.size(frame)
        ratio = boxes.new_tensor([frame[1] / size[1], frame[0] / size[0]])
        x0, y0, x1, y1 = (boxes * ratio.repeat(2)).unbind(dim=1)
        if self.flip == "horizontal":
            x0, x1 = frame[1] - x1, frame[1] - x0
        elif self.flip == "vertical":
            y0, y1 = frame[0] - y1, frame[0] - y0
        return torch.stack([x0, y0, x1, y1], dim=1)


class AugmentedDetector(nn.Module):
    """A detector that looks at several views of each batch; called like the detector in eval mode.

    Views are made of the normalised, padded batch and padded to the detector's stride. What the
    detector finds in them is moved back into the batch, joined, and suppressed as one; fusion
    (`MODEL.NMS_TYPE` "wbf") also counts how many views agree. With the single view `View()` the
    result is the detector's own, bit for bit.
    """

    def __init__(self, *, detector: nn.Module, views: Sequence[View]) -> None:
        """
        Args:
            detector: a `Detector` with a `DensePostprocessor`.
            views: at least one.

        Raises:
            ConfigError: the model is another one.
        """
        super().__init__()
        if not isinstance(detector, Detector) or not isinstance(
            detector.postprocessor, DensePostprocessor
        ):
            raise ConfigError(
                f"TEST.AUG.ENABLED: a {type(detector).__name__} cannot be run on several views; "
                "that takes a Detector with a DensePostprocessor, such as YOLOX and YOLOV7. Set "
                "TEST.AUG.ENABLED False"
            )
        self.detector = detector
        self.views = tuple(views)
        self.training = detector.training

    def forward(self, batched_inputs: Sequence[dict[str, Any]]) -> list[dict]:
        """Detections of a list of samples, as `Detector` gives them.

        Raises:
            RuntimeError: in training mode.
        """
        detector = self.detector
        if detector.training:
            raise RuntimeError("AugmentedDetector is for inference: call eval() first")
        images, offsets = detector.preprocess(batched_inputs)
        views = [self._candidates(images, view) for view in self.views]
        results = detector.postprocessor.finish(
            [Candidates.of_views(of_image) for of_image in zip(*views, strict=True)],
            images,
            detector.original_sizes(batched_inputs, images),
            offsets,
        )
        return [{"instances": instances} for instances in results]

    def _candidates(self, images: ImageList, view: View) -> list[Candidates]:
        """What a view shows, in pixels of the batch."""
        detector = self.detector
        if view == View():
            return detector.postprocessor.candidates(detector.predict(images))
        frame = (images.tensor.shape[2], images.tensor.shape[3])
        predictions = detector.predict(self._padded(view.apply(images.tensor)))
        return [
            Candidates(view.undo(found.boxes, frame), found.scores, found.classes)
            for found in detector.postprocessor.candidates(predictions)
        ]

    def _padded(self, batch: Tensor) -> ImageList:
        size = (batch.shape[2], batch.shape[3])
        sides = TopLeftPadding(self.detector.size_divisibility)([size]).batch_size
        frames = self.detector.padded_pixel.expand(*batch.shape[:2], *sides).clone(
            memory_format=torch.contiguous_format
        )
        frames[:, :, : size[0], : size[1]] = batch
        return ImageList(frames, [size] * len(batch))


def with_views(model: nn.Module, views: Sequence[View]) -> nn.Module:
    """The model looking at several views, or itself when there are none.

    Raises:
        ConfigError: the model cannot do that.
    """
    return AugmentedDetector(detector=model, views=views) if views else model


def views_from_config(cfg: CfgNode) -> tuple[View, ...]:
    """Read `TEST.AUG.VIEWS`; empty unless `TEST.AUG.ENABLED`.

    Raises:
        ConfigError: there is no view, or one is not a positive scale and a flip.
    """
    if not cfg.TEST.AUG.ENABLED:
        return ()
    if not cfg.TEST.AUG.VIEWS:
        raise ConfigError("TEST.AUG.VIEWS is empty: name a view, such as [[1.0, none]]")
    return tuple(_view(entry) for entry in cfg.TEST.AUG.VIEWS)


def _view(entry: Any) -> View:
    expected = "TEST.AUG.VIEWS: expected pairs of a scale above 0 and a flip, such as [0.83, none]"
    if not isinstance(entry, (list, tuple)) or len(entry) != 2:
        raise ConfigError(f"{expected}, got {entry!r}")
    scale, flip = entry
    if type(scale) not in (int, float) or not 0 < scale < math.inf:
        raise ConfigError(f"{expected}, got the scale {scale!r}")
    if not isinstance(flip, str) or flip not in FLIPS:
        raise ConfigError(f"{expected}, got the flip {flip!r}.{suggest(str(flip), FLIPS)}")
    return View(scale=float(scale), flip=flip)

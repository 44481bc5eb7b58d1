"""What is true: the objects of a batch in the one form that criteria read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yolov7.d2 import BitMasks, Instances
from yolov7.utils.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Targets:
    """The objects of all images of a batch, packed without padding; made once by the detector.

    M objects in the batch, ordered by image; M = 0 is ordinary.

    Attributes:
        boxes: ``(M, 4)`` xyxy pixels of the padded input.
        labels: ``(M,)`` int64 classes in ``[0, K)``.
        image_index: ``(M,)`` int64, the image of each object, ascending.
        image_sizes: ``(B, 2)`` int64 (height, width) of every image before padding.
        masks: ``(M, H, W)`` bool over the batch's padded frame, or None.
    """

    boxes: Tensor
    labels: Tensor
    image_index: Tensor
    image_sizes: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        return self.boxes.shape[0]

    @property
    def num_images(self) -> int:
        """B, the images of the batch, those without objects included."""
        return self.image_sizes.shape[0]

    @staticmethod
    def from_instances(
        instances: Sequence[Instances],
        *,
        image_sizes: Sequence[tuple[int, int]],
        device: torch.device | str,
        with_masks: bool = False,
        frame: tuple[int, int] | None = None,
        offsets: Sequence[tuple[int, int]] | None = None,
    ) -> Targets:
        """Pack one ``Instances`` per image.

        Args:
            instances: of each image, with ``gt_boxes`` (Boxes, xyxy pixels) and ``gt_classes``;
                with ``gt_masks`` too when masks are asked for.
            image_sizes: ``(height, width)`` of each image as it lies in the batch.
            device: where the packed tensors go.
            with_masks: pack ``gt_masks`` (BitMasks or PolygonMasks), too.
            frame: ``(height, width)`` of the batch, to which masks are padded; by default the
                largest image's.
            offsets: ``(x, y)`` of each image's top-left pixel in the frame; by default all 0.

        Raises:
            ValueError: when there are not as many instances as image sizes.
            DatasetError: when boxes are NaN or infinite, boxes and labels differ in number, or
                masks are asked for that are not there.
        """
        if len(instances) != len(image_sizes):
            raise ValueError(f"{len(instances)} instances but {len(image_sizes)} image sizes")
        if offsets is None:
            offsets = [(0, 0)] * len(instances)
        boxes = [
            image.gt_boxes.tensor.to(torch.float32).reshape(-1, 4)
            + image.gt_boxes.tensor.new_tensor(offset * 2, dtype=torch.float32)
            for image, offset in zip(instances, map(tuple, offsets), strict=True)
        ]
        labels = [image.gt_classes.to(torch.int64) for image in instances]
        for index, (image_boxes, image_labels) in enumerate(zip(boxes, labels, strict=True)):
            _check_image(index, image_boxes, image_labels)
        counts = [len(image_boxes) for image_boxes in boxes]
        image_index = torch.repeat_interleave(
            torch.arange(len(counts)), torch.tensor(counts).long()
        )
        return Targets(
            boxes=_cat(boxes, torch.zeros(0, 4)).to(device, non_blocking=True),
            labels=_cat(labels, torch.zeros(0, dtype=torch.int64)).to(device, non_blocking=True),
            image_index=image_index.to(device, non_blocking=True),
            image_sizes=torch.tensor([list(size) for size in image_sizes], dtype=torch.int64)
            .reshape(-1, 2)
            .to(device, non_blocking=True),
            masks=_pack_masks(instances, image_sizes, frame, offsets).to(device)
            if with_masks
            else None,
        )


def _check_image(index: int, boxes: Tensor, labels: Tensor) -> None:
    if len(boxes) != len(labels):
        raise DatasetError(
            f"image {index} of the batch has {len(boxes)} gt_boxes but {len(labels)} gt_classes; "
            "the mapper must give one class per box"
        )
    # On other devices this would wait for the device; samples come on the cpu.
    if boxes.device.type == "cpu" and not bool(torch.isfinite(boxes).all()):
        bad = boxes[~torch.isfinite(boxes).all(dim=1)][0].tolist()
        raise DatasetError(
            f"image {index} of the batch has the box {bad}; expected finite pixels (x0, y0, x1, "
            "y1). Check the annotations, or the augmentation that made it"
        )


def _cat(tensors: list[Tensor], empty: Tensor) -> Tensor:
    return torch.cat(tensors) if tensors else empty


def _pack_masks(
    instances: Sequence[Instances],
    image_sizes: Sequence[tuple[int, int]],
    frame: tuple[int, int] | None,
    offsets: Sequence[tuple[int, int]],
) -> Tensor:
    if frame is None:
        frame = tuple(max(sides) for sides in zip((0, 0), *image_sizes, strict=True))
    packed = torch.zeros((sum(len(image) for image in instances), *frame), dtype=torch.bool)
    start = 0
    for index, image in enumerate(instances):
        (height, width), (x, y) = image_sizes[index], offsets[index]
        if not image.has("gt_masks"):
            raise DatasetError(
                f"image {index} of the batch has no gt_masks, which MODEL.MASK_ON wants; use the "
                "training mapper on a data set with masks"
            )
        masks = image.gt_masks
        if not isinstance(masks, BitMasks):
            masks = BitMasks.from_polygon_masks(masks, height, width)
        stop = start + len(image)
        packed[start:stop, y : y + height, x : x + width] = masks.tensor.cpu()
        start = stop
    return packed

"""The detector: five parts, and what happens to images and objects before and after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import Backbone, ImageList, Instances
from yolov7.modeling.padding import Padding, TopLeftPadding
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError, DatasetError, ImageError


class Detector(nn.Module):
    """backbone → neck → head → criterion in training, postprocessor otherwise.

    Called with a list of samples, one dict an image:

    * `image`: (C, H, W), uint8 or float in 0-255, in the channel order of `pixel_mean`;
    * `height`, `width`: size to which results are scaled; the image's own when absent;
    * `instances`: in training, `gt_boxes` (xyxy pixels of the image) and `gt_classes`, and
      `gt_masks` for detectors of masks.

    In training it returns the dict of losses whose sum is to be minimised, else one
    `{"instances": Instances}` an image. Families are subclasses that only add `from_config`.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        neck: nn.Module,
        head: nn.Module,
        criterion: nn.Module,
        postprocessor: Any,
        num_classes: int,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        padded_value: float | Sequence[float] = 114.0,
        padding: Padding | None = None,
        auxiliary_head: nn.Module | None = None,
        with_masks: bool = False,
    ) -> None:
        """
        Args:
            backbone: images to maps.
            neck: the backbone's maps to the head's.
            head: `head(features, images) -> predictions`.
            criterion: `criterion(predictions, targets, auxiliary)` -> dict of losses; with
                `criterion.sums` of the same arguments, see `loss_sums`, for validation losses.
            postprocessor: `(predictions, images, original_sizes, offsets) -> list[Instances]`.
            num_classes: K; labels outside [0, K) are refused.
            pixel_mean, pixel_std: of each channel, in 0-255.
            padded_value: value of pixels around the images, 0-255 before normalisation; one for
                all channels or one for each.
            padding: places images of different sizes; by default top-left in the smallest frame
                whose sides are multiples of the coarsest stride.
            auxiliary_head: a second head that only training runs, called as the first.
            with_masks: give the criterion the objects' masks.

        Raises:
            ConfigError: mean and standard deviation differ in length, or a deviation is 0.
        """
        super().__init__()
        if len(pixel_mean) != len(pixel_std) or 0.0 in pixel_std:
            raise ConfigError(
                "MODEL.PIXEL_MEAN, MODEL.PIXEL_STD: expected equally many numbers and no zero "
                f"deviation, got {list(pixel_mean)} and {list(pixel_std)}"
            )
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.criterion = criterion
        self.postprocessor = postprocessor
        self.auxiliary_head = auxiliary_head
        self.num_classes = num_classes
        self.with_masks = with_masks
        coarsest = max(spec.stride for spec in neck.output_shape().values())
        self.size_divisibility = max(backbone.size_divisibility, coarsest)
        self.padding = padding or TopLeftPadding(self.size_divisibility)
        # Not in the state dict: they belong to the config, and other tools' weights lack them.
        mean, std, padded = (
            torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            for values in (pixel_mean, pixel_std, padded_value)
        )
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)
        self.register_buffer("padded_pixel", (padded - mean) / std, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where images and objects are moved to."""
        return self.pixel_mean.device

    def forward(self, batched_inputs: Sequence[dict[str, Any]]) -> dict[str, Tensor] | list[dict]:
        if self.training:
            return self.losses(batched_inputs)
        images, offsets = self.preprocess(batched_inputs)
        original_sizes = self.original_sizes(batched_inputs, images)
        results = self.postprocessor(self.predict(images), images, original_sizes, offsets)
        return [{"instances": instances} for instances in results]

    def original_sizes(
        self, batched_inputs: Sequence[dict[str, Any]], images: ImageList
    ) -> list[tuple[int, int]]:
        """(height, width) to which the results of each sample are scaled."""
        return [
            (sample.get("height", height), sample.get("width", width))
            for sample, (height, width) in zip(batched_inputs, images.image_sizes, strict=True)
        ]

    def losses(self, batched_inputs: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Compare predictions with ground truth, in whatever mode the parts are.

        Args:
            batched_inputs: samples with `instances`.

        Returns:
            the weighted losses of the batch, scalars.
        """
        return self.criterion(*self._predictions_and_targets(batched_inputs))

    def loss_sums(
        self, batched_inputs: Sequence[dict[str, Any]]
    ) -> tuple[dict[str, Tensor], float | Mapping[str, float]]:
        """The losses before they are normalised, to be added up over batches.

        Returns:
            the weighted sum of each loss over the batch, and the count that they are to be
            divided by, or one count for each, of this rank alone.
        """
        return self.criterion.sums(*self._predictions_and_targets(batched_inputs))

    def _predictions_and_targets(
        self, batched_inputs: Sequence[dict[str, Any]]
    ) -> tuple[Any, Targets, Any]:
        """What the criterion takes: predictions, targets, and the auxiliary head's, if any."""
        images, offsets = self.preprocess(batched_inputs)
        targets = self.make_targets(batched_inputs, images, offsets)
        features = self.neck(self.backbone(images.tensor))
        auxiliary = None
        if self.auxiliary_head is not None:
            auxiliary = self.auxiliary_head(features, images)
        return self.head(features, images), targets, auxiliary

    def predict(self, images: ImageList) -> Any:
        """Raw predictions of normalised, padded images: what is exported and compared."""
        return self.head(self.neck(self.backbone(images.tensor)), images)

    def to_deploy(self) -> Detector:
        """Drop what only training runs; see `yolov7.modeling.reparameterization`."""
        self.auxiliary_head = None
        return self

    def preprocess(
        self, batched_inputs: Sequence[dict[str, Any]]
    ) -> tuple[ImageList, tuple[tuple[int, int], ...]]:
        """Normalise images and place them in a padded batch on the model's device.

        Returns:
            The batch in the model's dtype, with each image's (height, width), and each image's
            offset (x, y) in it.

        Raises:
            ImageError: an image has another number of dimensions or channels.
        """
        channels = len(self.pixel_mean)
        for sample in batched_inputs:
            shape = tuple(sample["image"].shape)
            if len(shape) != 3 or shape[0] != channels or 0 in shape:
                raise ImageError(
                    f"{sample.get('file_name', 'image')}: expected a tensor ({channels}, H, W) as "
                    f"MODEL.PIXEL_MEAN has {channels} numbers, got {shape}"
                )
        sizes = [tuple(sample["image"].shape[-2:]) for sample in batched_inputs]
        placement = self.padding(sizes)
        frame = (len(sizes), channels, *placement.batch_size)
        batch = self.padded_pixel.expand(frame).clone(memory_format=torch.contiguous_format)
        for index, (x, y) in enumerate(placement.offsets):
            height, width = sizes[index]
            # In place: temporaries of a picture's size take longer than the arithmetic.
            place = batch[index, :, y : y + height, x : x + width]
            place.copy_(batched_inputs[index]["image"].to(self.device, non_blocking=True))
            place.sub_(self.pixel_mean).div_(self.pixel_std)
        return ImageList(batch, sizes), placement.offsets

    def make_targets(
        self,
        batched_inputs: Sequence[dict[str, Any]],
        images: ImageList,
        offsets: Sequence[tuple[int, int]],
    ) -> Targets:
        """Pack the batch's objects, checked while they are still on the CPU.

        Raises:
            DatasetError: a sample has no `instances`, or a label outside [0, K).
        """
        for sample in batched_inputs:
            source = sample.get("file_name", f"image {sample.get('image_id', '')}".strip())
            if "instances" not in sample:
                raise DatasetError(
                    f"{source}: the sample has no 'instances'. Training needs them, empty ones for "
                    "images without objects; use the training mapper, or call model.eval() first"
                )
            self._check_labels(sample["instances"], source)
        return Targets.from_instances(
            [sample["instances"] for sample in batched_inputs],
            image_sizes=images.image_sizes,
            device=self.device,
            with_masks=self.with_masks,
            frame=tuple(images.tensor.shape[-2:]),
            offsets=offsets,
        )

    def _check_labels(self, instances: Instances, source: str) -> None:
        labels = instances.gt_classes
        # Labels that are on a GPU already are not worth waiting for; mappers give CPU tensors.
        if labels.device.type != "cpu" or len(labels) == 0:
            return
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.num_classes:
            raise DatasetError(
                f"{source}: has an object of class {low if low < 0 else high}, but the model has "
                f"{self.num_classes} classes, 0 to {self.num_classes - 1}. Set MODEL.YOLO.CLASSES "
                "to the data set's number of classes"
            )

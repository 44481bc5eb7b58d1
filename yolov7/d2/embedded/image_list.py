"""`ImageList`: images of different sizes in one padded batch."""

from typing import Any, Dict, List, Optional, Tuple  # noqa: UP035

import torch
import torch.nn.functional as F
from torch import device

# TorchScript compiles this class and reads its annotations, hence their older spelling.


class ImageList:
    """A batch of images padded at the right and bottom.

    Attributes:
        tensor: (B, H, W) or (B, C, H, W).
        image_sizes: (height, width) of each image before padding.
    """

    def __init__(self, tensor: torch.Tensor, image_sizes: List[Tuple[int, int]]):  # noqa: UP006
        self.tensor = tensor
        self.image_sizes = image_sizes

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, idx: int) -> torch.Tensor:
        """Return one image without its padding, as a view."""
        size = self.image_sizes[idx]
        return self.tensor[idx, ..., : size[0], : size[1]]

    @torch.jit.unused
    def to(self, *args: Any, **kwargs: Any) -> "ImageList":
        """Return the batch on another device or in another dtype."""
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    @property
    def device(self) -> device:
        """Device of the batch."""
        return self.tensor.device

    @staticmethod
    def from_tensors(
        tensors: List[torch.Tensor],  # noqa: UP006
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: Optional[Dict[str, int]] = None,  # noqa: UP006, UP045
    ) -> "ImageList":
        """Pad images to the largest height and width among them and stack them.

        Args:
            tensors: images (C, H, W) or (H, W) of one dtype and with one number of channels.
            size_divisibility: the padded sides become multiples of it; 0 and 1 ask for nothing.
            pad_value: value of the padding.
            padding_constraints: a backbone's wishes. `size_divisibility` replaces the argument;
                `square_size`, where positive, replaces both sides, whatever the images' sizes.
        """
        assert len(tensors) > 0
        assert isinstance(tensors, (tuple, list))
        for image in tensors:
            assert isinstance(image, torch.Tensor), type(image)
            assert image.shape[:-2] == tensors[0].shape[:-2], image.shape
        divisor = size_divisibility
        square = 0
        if padding_constraints is not None:
            square = padding_constraints.get("square_size", 0)
            divisor = padding_constraints.get("size_divisibility", size_divisibility)
        if not torch.jit.is_scripting() and torch.jit.is_tracing():
            return _from_tensors_traced(tensors, divisor, pad_value, square)

        image_sizes = [(image.shape[-2], image.shape[-1]) for image in tensors]
        height = max([size[0] for size in image_sizes])
        width = max([size[1] for size in image_sizes])
        if square > 0:
            height, width = square, square
        if divisor > 1:
            height = (height + divisor - 1) // divisor * divisor
            width = (width + divisor - 1) // divisor * divisor

        first = tensors[0]
        if len(tensors) == 1:
            padding = [0, width - first.shape[-1], 0, height - first.shape[-2]]
            return ImageList(F.pad(first, padding, value=pad_value).unsqueeze(0), image_sizes)
        shape = [len(tensors)] + list(first.shape[:-2]) + [height, width]
        batch = first.new_full(shape, pad_value)
        for i, image in enumerate(tensors):
            batch[i, ..., : image.shape[-2], : image.shape[-1]].copy_(image)
        return ImageList(batch.contiguous(), image_sizes)


@torch.jit.unused
def _from_tensors_traced(
    tensors: List[torch.Tensor],  # noqa: UP006
    divisor: int,
    pad_value: float,
    square: int,
) -> ImageList:
    """The same with sizes as tensors, so that a trace does not freeze those of its example."""
    sizes = [torch.stack([torch.as_tensor(side) for side in im.shape[-2:]]) for im in tensors]
    largest = torch.stack(sizes).max(dim=0).values
    if square > 0:
        largest = torch.full_like(largest, square)
    if divisor > 1:
        largest = (largest + (divisor - 1)).div(divisor, rounding_mode="floor") * divisor
    padded = []
    for image, size in zip(tensors, sizes, strict=True):
        bottom, right = (largest - size).unbind()
        padded.append(F.pad(image, [0, right, 0, bottom], value=pad_value))
    return ImageList(torch.stack(padded), sizes)

"""`Boxes`: the boxes of one image."""

from typing import Any, List, Tuple, Union  # noqa: UP035

import torch
from torch import device

# TorchScript compiles this class and reads its annotations, hence their older spelling.


class Boxes:
    """Boxes as corners in absolute pixels.

    Attributes:
        tensor: float32 (N, 4), each row x0, y0, x1, y1.
    """

    def __init__(self, tensor: torch.Tensor):
        """Wrap boxes (N, 4). A float32 tensor is not copied; an empty one becomes (0, 4)."""
        if not isinstance(tensor, torch.Tensor):
            tensor = torch.as_tensor(tensor, dtype=torch.float32, device=torch.device("cpu"))
        tensor = tensor.to(torch.float32)
        if tensor.numel() == 0:
            # Not a new tensor: an empty one stays attached to what computed it.
            tensor = tensor.reshape((-1, 4))
        assert tensor.dim() == 2 and tensor.size(-1) == 4, tensor.size()
        self.tensor = tensor

    def clone(self) -> "Boxes":
        """Return a copy with its own memory."""
        return Boxes(self.tensor.clone())

    def to(self, device: device) -> "Boxes":
        """Return the boxes on a device. The dtype stays float32."""
        return Boxes(self.tensor.to(device=device))

    def area(self) -> torch.Tensor:
        """Areas (N,) in square pixels."""
        sides = self.tensor[:, 2:] - self.tensor[:, :2]
        return sides[:, 0] * sides[:, 1]

    def clip(self, box_size: Tuple[int, int]) -> None:  # noqa: UP006
        """Move all corners into the image, in this object but not in the tensor it was given.

        Args:
            box_size: (height, width).
        """
        assert torch.isfinite(self.tensor).all(), "Boxes to be clipped hold NaN or infinite values."
        height, width = box_size
        x = self.tensor[:, 0::2].clamp(min=0, max=width)
        y = self.tensor[:, 1::2].clamp(min=0, max=height)
        self.tensor = torch.stack((x, y), dim=2).flatten(1)

    def nonempty(self, threshold: float = 0.0) -> torch.Tensor:
        """Say for each box (N,) whether both sides are longer than the threshold."""
        sides = self.tensor[:, 2:] - self.tensor[:, :2]
        return (sides > threshold).all(dim=1)

    @torch.jit.unused
    def __getitem__(self, item: Union[int, slice, torch.Tensor]) -> "Boxes":  # noqa: UP007
        """Select boxes; an int gives `Boxes` of length one."""
        if isinstance(item, int):
            return Boxes(self.tensor[item].view(1, -1))
        selected = self.tensor[item]
        assert selected.dim() == 2, f"Indexing with {item} does not give boxes: {selected.shape}"
        return Boxes(selected)

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __repr__(self) -> str:
        return "Boxes(" + str(self.tensor) + ")"

    def inside_box(
        self,
        box_size: Tuple[int, int],  # noqa: UP006
        boundary_threshold: int = 0,
    ) -> torch.Tensor:
        """Say for each box (N,) whether it lies in an image, give or take some pixels.

        Args:
            box_size: (height, width).
            boundary_threshold: pixels that a box may reach over the border.
        """
        height, width = box_size
        low_enough = (self.tensor[:, :2] >= -boundary_threshold).all(dim=1)
        right_ok = self.tensor[:, 2] < width + boundary_threshold
        bottom_ok = self.tensor[:, 3] < height + boundary_threshold
        return low_enough & right_ok & bottom_ok

    def get_centers(self) -> torch.Tensor:
        """Centers (N, 2) as x, y."""
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Multiply the coordinates, in place in the tensor."""
        self.tensor[:, 0::2] *= scale_x
        self.tensor[:, 1::2] *= scale_y

    @classmethod
    def cat(cls, boxes_list: List["Boxes"]) -> "Boxes":  # noqa: UP006
        """Join the boxes of a list (or tuple), never sharing memory with them."""
        assert isinstance(boxes_list, (list, tuple))
        if len(boxes_list) == 0:
            return cls(torch.empty(0))
        assert all(isinstance(boxes, Boxes) for boxes in boxes_list)
        return cls(torch.cat([boxes.tensor for boxes in boxes_list], dim=0))

    @property
    def device(self) -> device:
        """Device of the tensor."""
        return self.tensor.device

    @torch.jit.unused
    def __iter__(self) -> Any:
        """Yield the boxes one by one as tensors (4,)."""
        yield from self.tensor

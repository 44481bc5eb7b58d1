"""Convolutions for inference on the processor, prepared for the kernels of oneDNN."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.layers.sole_receivers import sole_receivers

# What a kernel does with its result before it writes it: name, numbers and algorithm, in the words
# of PyTorch's operator.
_PostOp = tuple[str, list[float], str]

_NOTHING: _PostOp = ("none", [], "")
_POST_OPS: dict[type[nn.Module], Callable[[Any], _PostOp]] = {
    nn.SiLU: lambda module: ("swish", [], ""),
    nn.ReLU: lambda module: ("relu", [], ""),
    nn.LeakyReLU: lambda module: ("leaky_relu", [module.negative_slope], ""),
    nn.Hardswish: lambda module: ("hardswish", [], ""),
    nn.GELU: lambda module: ("gelu", [], module.approximate),
}


class PackedConv(nn.Module):
    """A convolution and its activation as one kernel, with weights in the kernel's own layout.

    PyTorch's convolution lays its weights out anew in every call and leaves the activation to a
    second pass over the map. Here the weights are laid out when the shape of the input changes:
    which layout is fast depends on it, and the wrong one may be a hundred times slower. Both
    layouts are kept, which is twice the memory.

    Maps (B, in_channels, H, W) to (B, out_channels, H', W') in channels-last memory, float32 on the
    CPU, without gradients. It has no parameters: it cannot be trained, saved or moved. `weight` and
    `bias` are there for code that reads a convolution's.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None = None) -> None:
        """
        Args:
            conv: see `can_pack`; not changed.
            activation: of a type that `can_fuse` knows; None for none.
        """
        super().__init__()
        geometry = (conv.padding, conv.stride, conv.dilation)
        self._geometry = (*(list(sides) for sides in geometry), conv.groups)
        self._post_op = _NOTHING if activation is None else _POST_OPS[type(activation)](activation)
        self.bias = None if conv.bias is None else conv.bias.detach().clone()
        # Laying out anew starts faster from channels last.
        self.weight = conv.weight.detach().clone(memory_format=torch.channels_last)
        self._packed: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        # Read and set as one, since a model may run in several threads.
        packed = self._packed
        if packed is None or packed[0] != x.shape:
            packed = self._packed = (x.shape, self._pack_for(x.shape))
        return torch.ops.mkldnn._convolution_pointwise(
            x, packed[1], self.bias, *self._geometry, *self._post_op
        )

    def _pack_for(self, shape: torch.Size) -> Tensor:
        return torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, *self._geometry, list(shape)
        )

    def __deepcopy__(self, memo: dict) -> PackedConv:
        """What it computes never changes, so copies of a model may share it."""
        return self

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedConv:
        """What `to`, `double`, `cuda` … call: only what would leave it as it is.

        Raises:
            RuntimeError: for another device or number format.
        """
        like = function(torch.empty(0, 1, 1, 1))
        if (like.device.type, like.dtype) != ("cpu", torch.float32):
            raise RuntimeError(
                f"a model packed for the CPU in float32 cannot become {like.dtype} on "
                f"{like.device.type}; prepare the model that it was made from once more"
            )
        return self


def pack_convolutions(model: nn.Module, run: Callable[[nn.Module], Any] | None = None) -> nn.Module:
    """Put `PackedConv` where a reparameterised model has convolutions, in place.

    What it cannot take stays: subclasses of `nn.Conv2d`, convolutions on other devices, of other
    number formats or without padding of zeros, and all of them where PyTorch lacks oneDNN.

    Args:
        model: as `reparameterize` leaves it; afterwards for inference only.
        run: runs the model, whatever the input; this shows which activations belong to which
            convolution (`sole_receivers`). Without it they stay layers of their own.

    Returns:
        The model.
    """
    convs = [module for module in model.modules() if can_pack(module)]
    if not convs or not kernels_work():
        return model
    activations: dict[nn.Module, nn.Module] = {}
    if run is not None:
        with torch.no_grad():
            activations.update(sole_receivers(model, run, senders=can_pack, receivers=can_fuse))
    replacements = {conv: PackedConv(conv, activations.get(conv)) for conv in convs}
    replacements |= {activation: nn.Identity() for activation in activations.values()}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in replacements:
                setattr(parent, name, replacements[child])
    return model


def can_pack(module: nn.Module) -> bool:
    """Whether `PackedConv` takes its place: a convolution, float32, on the CPU, padded with zeros.

    Subclasses do more than a convolution does.
    """
    return (
        type(module) is nn.Conv2d
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def can_fuse(module: nn.Module) -> bool:
    """Whether it is an activation that the kernel can apply, too."""
    return type(module) in _POST_OPS


@functools.cache
def kernels_work() -> bool:
    """Whether this PyTorch has the kernels, and they give what a convolution gives.

    They belong to its inner parts, which may change; so they are tried once.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    # Without random numbers: an evaluation must not change those of the training around it.
    conv = nn.Conv2d(3, 4, 3, padding=1, device="meta").to_empty(device="cpu")
    x = torch.linspace(-1, 1, 75).view(1, 3, 5, 5)
    with torch.no_grad():
        conv.weight.copy_(torch.linspace(-1, 1, 108).view(4, 3, 3, 3))
        conv.bias.copy_(torch.arange(4))
        try:
            found = PackedConv(conv, nn.SiLU())(x)
        except (AttributeError, RuntimeError, TypeError):
            return False
        return torch.allclose(found, nn.functional.silu(conv(x)), atol=1e-5)

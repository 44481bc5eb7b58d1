"""The authors' YOLOv7 (github.com/WongKinYiu/yolov7, GPL-3.0) as a black box.

It is run from a checkout, and only its public calls are used: a model from a config file, its
`fuse`, its forward pass. Nothing of it is part of this project.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.machinery
import importlib.util
import io
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

# What it imports for plots and downloads, which are not asked for here.
NOT_NEEDED = ("pandas", "requests", "seaborn")


class PeerYOLOv7:
    """One model of the authors' program, untrained, in eval mode.

    Args:
        folder: a checkout of their repository.
        name: of the file in its `cfg/training`, such as `yolov7-tiny`.
        images: (B, 3, H, W) float32 in 0-1; batch norms take their statistics.
    """

    def __init__(self, folder: Path, name: str, images: Tensor) -> None:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        for package in NOT_NEEDED:
            if package not in sys.modules and importlib.util.find_spec(package) is None:
                spec = importlib.machinery.ModuleSpec(package, None)
                sys.modules[package] = MagicMock(__spec__=spec, __path__=[])
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message="torch.meshgrid")
        logging.getLogger("models.yolo").setLevel(logging.ERROR)
        from models.yolo import Model

        with contextlib.redirect_stdout(io.StringIO()):
            self.model = Model(str(folder / "cfg" / "training" / f"{name}.yaml"))
        give_statistics(self.model, images)

    def fused(self) -> nn.Module:
        """A copy after its own reparameterisation."""
        model = copy.deepcopy(self.model)
        with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            model.fuse()
        return model.eval()


def finder(
    model: nn.Module, layout: torch.memory_format, dtype: torch.dtype | None = None
) -> Callable[[Tensor], Tensor]:
    """Make a function from images, float32 in 0-1, to all of the model's boxes and scores.

    Args:
        model: of `PeerYOLOv7`; it is moved to the layout.
        layout: of weights and images.
        dtype: of convolutions; None for the weights' own.

    Returns:
        images (B, 3, H, W) -> (B, P, 5 + K): cxcywh in pixels, objectness, scores of classes.
    """
    model = model.to(memory_format=layout)

    def find(images: Tensor) -> Tensor:
        autocast = torch.autocast("cpu", dtype=dtype, enabled=dtype is not None)
        with torch.inference_mode(), autocast:
            return model(images.contiguous(memory_format=layout))[0]

    return find


@torch.no_grad()
def give_statistics(model: nn.Module, images: Tensor) -> None:
    """Let batch norms of an untrained model know the images, so that maps are not all alike."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()

"""The authors' DETR (github.com/facebookresearch/detr, Apache-2.0) as a black box.

Its model, criterion, post-processing and optimiser are called from outside, as its own trainer and
evaluation call them, on the CPU and without downloading the backbone's weights.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PeerDETR:
    """DETR with ResNet-50, 91 classes, as its command line makes it by default.

    Args:
        folder: a checkout of the authors' repository.
    """

    def __init__(self, folder: Path) -> None:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        import main
        from models import backbone, detr

        # Only the main process asks for pretrained weights, which would be downloaded.
        backbone.is_main_process = lambda: False
        self.arguments = main.get_args_parser().parse_args(["--device", "cpu"])
        self.model, self.criterion, post_processors = detr.build(self.arguments)
        self.post_process = post_processors["bbox"]

    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict:
        """The weighted losses of a batch, in whatever mode the model is.

        Args:
            images: normalised, (3, H, W) each.
            targets: `labels`, and `boxes` as cxcywh in [0, 1], of each image.
        """
        found = self.criterion(self.model(list(images)), targets)
        weights = self.criterion.weight_dict
        return {name: loss * weights[name] for name, loss in found.items() if name in weights}

    def start_training(self) -> None:
        """Make the optimiser as its trainer does."""
        self.model.train()
        named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for n, p in named if "backbone" not in n]},
            {"params": [p for n, p in named if "backbone" in n], "lr": self.arguments.lr_backbone},
        ]
        self._optimizer = torch.optim.AdamW(
            groups, lr=self.arguments.lr, weight_decay=self.arguments.weight_decay
        )

    def step(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> float:
        """One iteration of its trainer; arguments are `losses`'. Returns the loss."""
        self.model.train()
        loss = sum(self.losses(images, targets).values())
        value = loss.item()
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.arguments.clip_max_norm)
        self._optimizer.step()
        return value

    @torch.no_grad()
    def detect(self, images: Sequence[Tensor], *, dtype: torch.dtype | None = None) -> list[dict]:
        """Boxes of all queries of each image, xyxy in its pixels, `scores` and `labels`."""
        self.model.eval()
        sizes = torch.tensor([image.shape[-2:] for image in images])
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            outputs = self.model(list(images))
        return self.post_process(outputs, sizes)


def authors_images(samples: Sequence[dict[str, Any]]) -> list[Tensor]:
    """Pictures of samples as the authors' loader gives them: float32, normalised."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return [(sample["image"].float() / 255 - mean) / std for sample in samples]


def authors_targets(samples: Sequence[dict[str, Any]]) -> list[dict[str, Tensor]]:
    """Objects of samples as the authors' loader gives them: cxcywh relative to the picture."""
    targets = []
    for sample in samples:
        height, width = sample["image"].shape[-2:]
        boxes = sample["instances"].gt_boxes.tensor / torch.tensor([width, height, width, height])
        middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        labels = sample["instances"].gt_classes
        targets.append({"boxes": torch.cat([middle, sides], dim=1), "labels": labels})
    return targets

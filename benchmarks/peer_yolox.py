"""The authors' YOLOX (github.com/Megvii-BaseDetection/YOLOX, Apache-2.0) as a black box.

Its models, loader, losses, optimiser and post-processing are called from outside, as its own
trainer and demo call them, without CUDA.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

EXPERIMENTS = {"nano": "yolox-nano", "s": "yolox-s"}
CONFIDENCE, NMS = 0.01, 0.65


class PeerYOLOX:
    """One experiment of the authors' program.

    Args:
        folder: a checkout of their repository.
        packages: a folder with packages that it imports and this environment lacks, or None.
        size: a key of `EXPERIMENTS`.
    """

    def __init__(self, folder: Path, packages: Path | None, size: str) -> None:
        for path in (folder, packages):
            if path is not None and str(path) not in sys.path:
                sys.path.append(str(path))
        warnings.filterwarnings("ignore", category=FutureWarning)
        from loguru import logger
        from yolox.exp import get_exp

        logger.remove()
        self.experiment = get_exp(None, EXPERIMENTS[size])
        self.model = self.experiment.get_model()

    def loader(self, data: Path, *, batch_size: int, num_workers: int) -> Any:
        """Its training loader on a folder laid out as COCO; it never ends."""
        self.experiment.data_dir = str(data)
        self.experiment.data_num_workers = num_workers
        self.experiment.seed = 0
        self.experiment.dataset = None
        with contextlib.redirect_stdout(io.StringIO()):
            return self.experiment.get_data_loader(batch_size, is_distributed=False)

    def start_training(self, batch_size: int) -> None:
        """Make optimiser, schedule and averages as its trainer does."""
        from yolox.utils import ModelEMA

        self.model.train()
        self._optimizer = self.experiment.get_optimizer(batch_size)
        self._schedule = self.experiment.get_lr_scheduler(
            self.experiment.basic_lr_per_img * batch_size, 1849
        )
        self._ema = ModelEMA(self.model, 0.9998)
        self._iteration = 0

    def step(self, images: Tensor, labels: Tensor) -> float:
        """One iteration of its trainer.

        Args:
            images: (B, 3, H, W) float32 in 0-255.
            labels: (B, N, 5) class, centre x, centre y, width, height in pixels; zeros for none.

        Returns:
            the loss.
        """
        images, labels = self.experiment.preprocess(images, labels, self.experiment.input_size)
        loss = self.model(images, labels)["total_loss"]
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._ema.update(self.model)
        self._iteration += 1
        rate = self._schedule.update_lr(self._iteration)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        return loss.item()

    def steps(self, loader: Any) -> Iterator[float]:
        """Losses of steps on the loader's batches."""
        for images, labels, _, _ in loader:
            yield self.step(images, labels)

    def detector(self, *, layout: torch.memory_format, dtype: torch.dtype | None) -> Any:
        """Make a function from a picture, (H, W, 3) uint8 BGR, to its detections (N, 6).

        Columns: xyxy in pixels of the picture, score, class.
        """
        from yolox.data import ValTransform
        from yolox.utils import postprocess

        size = self.experiment.test_size
        transform = ValTransform()

        def detect(picture: np.ndarray) -> Tensor:
            # In the process, layouts and modes of one model are switched between rounds.
            model = self.model.eval().to(memory_format=layout)
            ratio = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
            image, _ = transform(picture, None, size)
            images = torch.from_numpy(image).unsqueeze(0).float().contiguous(memory_format=layout)
            autocast = torch.autocast("cpu", dtype=dtype, enabled=dtype is not None)
            with torch.no_grad(), autocast:
                outputs = model(images)
            found = postprocess(outputs.float(), 80, CONFIDENCE, NMS)[0]
            if found is None:
                return torch.zeros(0, 6)
            scores = found[:, 4] * found[:, 5]
            return torch.cat([found[:, :4] / ratio, scores[:, None], found[:, 6:]], dim=1)

        return detect


def authors_labels(samples: list[dict[str, Any]]) -> Tensor:
    """Objects of samples in the authors' form, (B, 120, 5)."""
    labels = torch.zeros(len(samples), 120, 5)
    for row, sample in zip(labels, samples, strict=True):
        boxes = sample["instances"].gt_boxes.tensor
        middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        classes = sample["instances"].gt_classes[:, None]
        row[: len(boxes)] = torch.cat([classes, middle, sides], dim=1)
    return labels

"""The pictures of a run: labels, training batches, predictions, curves."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from yolov7.d2 import CfgNode
from yolov7.data import build_test_loader, read_image
from yolov7.utils.atomic import atomic_write
from yolov7.visualization import (
    Visualizer,
    image_grid,
    plot_label_statistics,
    plot_training_curves,
)

logger = logging.getLogger(__name__)

_MOST_IMAGES = 16


class Drawings:
    """Draws into the folder `pictures` of a run.

    Args:
        cfg: the config.
        class_names: names by class index.
    """

    def __init__(self, cfg: CfgNode, class_names: Sequence[str]):
        self._cfg = cfg
        self._class_names = list(class_names)
        self._visualizer = Visualizer(self._class_names, min_side=320)
        self._output_dir = Path(cfg.OUTPUT_DIR)
        self._folder = self._output_dir / "pictures"

    def labels(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Draw the statistics of the training labels."""
        self._folder.mkdir(parents=True, exist_ok=True)
        plot_label_statistics(records, self._class_names, self._folder / "labels.png")

    def batch(self, samples: Sequence[Mapping[str, Any]], iteration: int) -> None:
        """Draw what the model was trained on in an iteration."""
        images = [
            self._visualizer.draw_sample(sample, self._cfg.INPUT.FORMAT)
            for sample in samples[:_MOST_IMAGES]
        ]
        self._write(f"train_batch_{iteration:07d}.jpg", image_grid(images))

    @torch.no_grad()
    def predictions(self, model: nn.Module, iteration: int) -> None:
        """Draw what a model finds in the first images to evaluate on."""
        model.eval()
        images = []
        loader = build_test_loader(self._cfg, self._cfg.DATASETS.TEST[0])
        for sample in itertools.islice(itertools.chain.from_iterable(loader), _MOST_IMAGES):
            instances = model([sample])[0]["instances"].to("cpu")
            confident = instances[instances.scores >= 0.25]
            picture = read_image(sample["file_name"])
            images.append(self._visualizer.draw_instances(picture, confident))
        if images:
            self._write(f"predictions_{iteration:07d}.jpg", image_grid(images))

    def curves(self) -> None:
        """Draw the curves of `metrics.json`."""
        metrics = self._output_dir / "metrics.json"
        if metrics.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            plot_training_curves(metrics, self._folder / "curves.png")

    def _write(self, name: str, image: np.ndarray) -> None:
        encoded, data = cv2.imencode(".jpg", image)
        if not encoded:
            logger.warning("The picture %s could not be encoded.", name)
            return
        with atomic_write(self._folder / name) as file:
            file.write(data.tobytes())

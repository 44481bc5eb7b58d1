"""The pictures of a run: labels, training batches, predictions, curves."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from yolov7.d2 import CfgNode
from yolov7.data import build_test_loader, read_image
from yolov7.utils.errors import UserError
from yolov7.visualization import (
    Visualizer,
    image_grid,
    plot_label_statistics,
    plot_training_curves,
    write_picture,
)

logger = logging.getLogger(__name__)

_MOST_IMAGES = 16


class Drawings:
    """Draws into the folder `pictures` of a run.

    Args:
        output_dir: the run's folder, where `metrics.json` lies.
        class_names: names by class index.
        image_format: channel order of the samples, `INPUT.FORMAT`.
        test_loader: makes a loader of the samples to draw predictions on; None to draw none.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        class_names: Sequence[str],
        image_format: str,
        test_loader: Callable[[], Iterable[list[dict[str, Any]]]] | None,
    ):
        self._output_dir = Path(output_dir)
        self._folder = self._output_dir / "pictures"
        self._class_names = list(class_names)
        self._image_format = image_format
        self._test_loader = test_loader
        self._visualizer = Visualizer(self._class_names, min_side=320)

    @classmethod
    def from_config(cls, cfg: CfgNode, class_names: Sequence[str]) -> Drawings:
        """Predictions are drawn on the first data set of `DATASETS.TEST`."""
        tests = cfg.DATASETS.TEST
        return cls(
            output_dir=cfg.OUTPUT_DIR,
            class_names=class_names,
            image_format=cfg.INPUT.FORMAT,
            test_loader=partial(build_test_loader, cfg, tests[0]) if tests else None,
        )

    def labels(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Draw the statistics of the training labels."""
        self._folder.mkdir(parents=True, exist_ok=True)
        plot_label_statistics(records, self._class_names, self._folder / "labels.png")

    def batch(self, samples: Sequence[Mapping[str, Any]], iteration: int) -> None:
        """Draw what the model was trained on in an iteration."""
        images = [
            self._visualizer.draw_sample(sample, self._image_format)
            for sample in samples[:_MOST_IMAGES]
        ]
        self._write(f"train_batch_{iteration:07d}.jpg", image_grid(images))

    @torch.no_grad()
    def predictions(self, model: nn.Module, iteration: int) -> None:
        """Draw what a model finds in the first images to evaluate on."""
        if self._test_loader is None:
            return
        model.eval()
        images = []
        samples = itertools.chain.from_iterable(self._test_loader())
        for sample in itertools.islice(samples, _MOST_IMAGES):
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
        try:
            write_picture(self._folder / name, image)
        except UserError as error:
            logger.warning("A picture is left out: %s", error)  # no reason to end a training

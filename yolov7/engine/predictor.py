"""A trained model as a function of pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from yolov7.checkpoint import load_checkpoint, load_weights
from yolov7.d2 import CfgNode, Instances
from yolov7.data import register_from_config
from yolov7.data.mappers import TestMapper, build_test_mapper
from yolov7.data.mappers.sample import image_to_tensor
from yolov7.engine.class_list import ClassList, find_class_list
from yolov7.engine.evaluate import memory_format
from yolov7.modeling import build_detector, pack_for_inference, reparameterize
from yolov7.modeling.test_time_augmentation import View, views_from_config, with_views
from yolov7.utils.device import device_type
from yolov7.utils.errors import ConfigError

logger = logging.getLogger(__name__)


class Predictor:
    """Find objects in pictures: resize, run the reparameterised model, back to original pixels."""

    def __init__(
        self,
        model: nn.Module,
        *,
        mapper: TestMapper,
        classes: ClassList,
        layout: torch.memory_format = torch.contiguous_format,
        min_score: float = 0.0,
        views: Sequence[View] = (),
    ):
        """Take a model into use; the given one is not changed.

        Args:
            model: a trained detector on the device it is to run on.
            mapper: resizes a picture as in evaluation and knows the model's channel order.
            classes: what the class indices mean.
            layout: memory layout of the weights, and so of everything the model computes.
            min_score: detections below it are left out, whatever the model's own limit is.
            views: several views of each picture whose detections are joined; without any, the
                picture as it is.

        Raises:
            ConfigError: the model cannot be run on several views.
        """
        # Conv+BN and whatever else training needs and inference does not are folded together;
        # reparameterize asserts that the result gives the same outputs. What is not one of ours
        # (a detectron2 model) runs as it is.
        # On the CPU, convolutions then get the kernels' own layout.
        smaller = reparameterize(model).to(memory_format=layout)
        self.model = with_views(pack_for_inference(smaller), views)
        self.classes = classes
        self.min_score = min_score
        self._mapper = mapper

    @classmethod
    def from_config(cls, cfg: CfgNode, *, confidence_threshold: float | None = None) -> Predictor:
        """Build the model of a config and load `MODEL.WEIGHTS` (averaged weights if it has them).

        A box has one class here, its best, whatever `MODEL.CLASSES_PER_BOX` says of evaluation.

        Args:
            cfg: the config; it is not changed.
            confidence_threshold: the lowest score of a detection, instead of
                `MODEL.YOLO.CONF_THRESHOLD`.

        Raises:
            ConfigError: no weights are named, the device does not exist, the threshold is outside
                [0, 1], or the classes are not known.
            WeightsError: the weights are damaged or another model's.
        """
        cfg = cfg.clone()
        cfg.defrost()
        if confidence_threshold is not None:
            check_threshold(confidence_threshold)
            cfg.MODEL.YOLO.CONF_THRESHOLD = float(confidence_threshold)
        cfg.MODEL.CLASSES_PER_BOX = "best"
        _check_weights(cfg)
        check_device(cfg.MODEL.DEVICE, key="MODEL.DEVICE", remedy="--opts MODEL.DEVICE cpu")
        register_from_config(cfg)
        classes = find_class_list(cfg, load_checkpoint(cfg.MODEL.WEIGHTS))
        model = build_detector(cfg)
        load_weights(model, cfg.MODEL.WEIGHTS).require_complete(cfg.MODEL.WEIGHTS)
        return cls(
            model,
            mapper=build_test_mapper(cfg),
            classes=classes,
            layout=memory_format(cfg),
            views=views_from_config(cfg),
        )

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Instances]:
        """Find the objects of some pictures.

        Pictures that have one size after resizing share a forward pass. Others do not: they would
        be padded to a common size, and a result would depend on the pictures it came with.

        Args:
            images: (H, W, 3) uint8 BGR each, of any sizes; `data.image_io.read_image` makes this
                of grey, transparent, 16-bit and turned files.

        Returns:
            for each picture `Instances` on the CPU with `pred_boxes` (xyxy in the picture's own
            pixels), `scores`, `pred_classes`, and `pred_masks` where the model gives masks.

        Raises:
            ValueError: a picture has another shape or type.
        """
        for image in images:
            if (
                image.ndim != 3
                or image.shape[2] != 3
                or image.dtype != np.uint8
                or 0 in image.shape
            ):
                raise ValueError(
                    "A picture must be (height, width, 3) uint8 in BGR, got "
                    f"{image.shape} {image.dtype}. data.image_io.read_image reads any file as that."
                )
        samples = [self._sample(image) for image in images]
        groups: dict[torch.Size, list[int]] = {}
        for place, sample in enumerate(samples):
            groups.setdefault(sample["image"].shape, []).append(place)
        results: dict[int, Instances] = {}
        for places in groups.values():
            outputs = self.model([samples[place] for place in places])
            for place, output in zip(places, outputs, strict=True):
                found = output["instances"].to("cpu")
                results[place] = found[found.scores >= self.min_score]
        return [results[place] for place in range(len(images))]

    def _sample(self, image: np.ndarray) -> dict[str, Any]:
        height, width = image.shape[:2]
        resized = self._mapper.resize(image)
        if self._mapper.image_format == "RGB":
            resized = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
        return {"image": image_to_tensor(resized), "height": height, "width": width}


def _check_weights(cfg: CfgNode) -> None:
    if not cfg.MODEL.WEIGHTS:
        raise ConfigError(
            "MODEL.WEIGHTS is empty: an untrained model finds nothing. Name a checkpoint, for "
            "example --opts MODEL.WEIGHTS output/model_final.pth"
        )


def check_threshold(confidence_threshold: float) -> None:
    """Raise ConfigError unless it lies in [0, 1]."""
    if not 0 <= confidence_threshold <= 1:
        raise ConfigError(
            f"The confidence threshold must lie in [0, 1], got {confidence_threshold:g}."
        )


def check_device(device: str, *, key: str, remedy: str) -> None:
    """Raise ConfigError for a device that is not there; `key` is where the config has it."""
    if device_type(device, key=key) == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"{key} is '{device}', but this machine has no CUDA device that PyTorch can use. To "
            f"run on the processor, add {remedy}"
        )

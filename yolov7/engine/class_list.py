"""What a model's class indices mean: names and the data set's own category ids."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yolov7.d2 import CfgNode, Instances
from yolov7.data import get_metadata, load_records
from yolov7.utils.errors import ConfigError, DatasetError, ImageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassList:
    """Names and category ids in the order of a model's class indices.

    Attributes:
        names: name of each class.
        category_ids: id of each class in the data set's own numbering, aligned with `names`.
    """

    names: tuple[str, ...]
    category_ids: tuple[int, ...]

    def __post_init__(self):
        if len(self.names) != len(self.category_ids):
            raise ValueError(f"{len(self.names)} names for {len(self.category_ids)} category ids")

    def __len__(self) -> int:
        return len(self.names)

    def describe(self, instances: Instances) -> list[dict[str, Any]]:
        """Write detections as plain values for JSON.

        Args:
            instances: on the CPU, with `pred_boxes`, `scores` and `pred_classes`.

        Returns:
            `{"bbox": [x, y, w, h], "score", "category_id", "category_name"}` each, not rounded.
        """
        rows = zip(
            instances.pred_boxes.tensor.double().tolist(),
            instances.scores.tolist(),
            instances.pred_classes.tolist(),
            strict=True,
        )
        return [
            {
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
                "category_id": self.category_ids[index],
                "category_name": self.names[index],
            }
            for (x1, y1, x2, y2), score, index in rows
        ]

    def state_dict(self) -> dict[str, list]:
        """Plain containers for a checkpoint, where they stand under `classes`."""
        return {"names": list(self.names), "category_ids": list(self.category_ids)}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, list]) -> ClassList:
        """The inverse of `state_dict`."""
        return cls(tuple(state["names"]), tuple(state["category_ids"]))


def class_list_of_dataset(dataset_name: str) -> ClassList:
    """Give the classes of a registered data set; its annotations are read if need be.

    Raises:
        DatasetError: the annotations are missing or malformed.
        ConfigError: the data set has no class names.
    """
    metadata = get_metadata(dataset_name)
    if metadata.get("thing_dataset_id_to_contiguous_id") is None:
        load_records([dataset_name], training=False)  # the ids arrive with the records
    names = metadata.get("thing_classes")
    if names is None:
        raise ConfigError(
            f"The data set {dataset_name} has no class names. Name them in DATASETS.CLASS_NAMES."
        )
    mapping = metadata.get("thing_dataset_id_to_contiguous_id")
    if mapping is None:
        return ClassList(tuple(names), tuple(range(len(names))))
    return ClassList(tuple(names), tuple(sorted(mapping, key=mapping.__getitem__)))


def find_class_list(cfg: CfgNode, checkpoint: Mapping[str, Any]) -> ClassList:
    """Find out what a trained model's classes are, wherever that is written down.

    In this order: the checkpoint (`classes`), so that a model can be used where its data set is
    not; the annotations of `DATASETS.TEST`; `DATASETS.CLASS_NAMES`, with the class index as the
    category id. Which one it was is logged.

    Args:
        cfg: the model's config.
        checkpoint: the loaded file of `MODEL.WEIGHTS`.

    Raises:
        ConfigError: none of them has the names, or their number is not `MODEL.YOLO.CLASSES`.
    """
    classes, source = look_up_classes(
        checkpoint, datasets=cfg.DATASETS.TEST, class_names=cfg.DATASETS.CLASS_NAMES
    )
    check_number(classes, source, cfg.MODEL.YOLO.CLASSES, key="MODEL.YOLO.CLASSES")
    return classes


def check_number(classes: ClassList, source: str, number: int, *, key: str) -> None:
    """Check that a model has as many classes as have names, and log where the names come from.

    Raises:
        ConfigError: it has not.
    """
    if len(classes) != number:
        raise ConfigError(
            f"{key} is {number}, but {source} has {len(classes)} classes: "
            f"{', '.join(classes.names)}. Use the config that the weights were trained with."
        )
    logger.info(f"Class names and category ids come from {source}.")


def look_up_classes(
    checkpoint: Mapping[str, Any],
    *,
    datasets: Sequence[str],
    class_names: Sequence[str],
    datasets_key: str = "DATASETS.TEST",
    names_key: str = "DATASETS.CLASS_NAMES",
) -> tuple[ClassList, str]:
    """Look in the checkpoint, the data sets and the list of names, in this order.

    Args:
        checkpoint: the loaded file of weights.
        datasets: names of registered data sets.
        class_names: in the order of the class indices; may be empty.
        datasets_key, names_key: where the config has these, for messages.

    Returns:
        the classes, and what to call their source.

    Raises:
        ConfigError: none of them has the names.
    """
    if checkpoint.get("classes") is not None:
        return ClassList.from_state_dict(checkpoint["classes"]), "the checkpoint"
    problem = f"{datasets_key} is empty"
    for name in datasets:
        try:
            return class_list_of_dataset(name), f"the data set {name}"
        except (DatasetError, ImageError) as error:  # YOLO's sizes are read from the images
            problem = str(error)
    names = tuple(class_names)
    if names:
        logger.warning(
            f"The data set's category ids are not known ({problem}); category_id is the class "
            "index, from 0."
        )
        return ClassList(names, tuple(range(len(names)))), names_key
    raise ConfigError(
        f"The names of the classes are not known: the checkpoint does not hold them, and the data "
        f"set cannot be read ({problem}). List them in the order of their indices: "
        f'{names_key} "[cat, dog]".'
    )

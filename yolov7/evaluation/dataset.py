"""A registered data set as the evaluator needs it: ground truth, class names, category ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from yolov7.d2 import DatasetCatalog, MetadataCatalog, PathManager
from yolov7.data import get_metadata, load_records
from yolov7.data.conversion import coco_content
from yolov7.data.formats import Record
from yolov7.evaluation.ground_truth import GroundTruth, read_coco_json
from yolov7.utils.errors import DatasetError


@dataclass(frozen=True)
class EvaluatedDataset:
    """A data set to compare predictions with.

    Attributes:
        name: the name it is registered under.
        ground_truth: its images and annotations.
        class_names: name of each contiguous class index.
        category_ids: the data set's own id of each contiguous class index.
    """

    name: str
    ground_truth: GroundTruth
    class_names: list[str]
    category_ids: list[int]

    @property
    def num_classes(self) -> int:
        """The number of classes that predictions may name."""
        return len(self.category_ids)

    @property
    def category_index_of_class(self) -> np.ndarray:
        """(K,) positions in `ground_truth.category_ids`; classes need not be in their order."""
        return np.searchsorted(self.ground_truth.category_ids, self.category_ids)

    @property
    def labels(self) -> list[str]:
        """The class names, with the category id added where several classes share a name."""
        return [
            name if self.class_names.count(name) == 1 else f"{name} ({category_id})"
            for name, category_id in zip(self.class_names, self.category_ids, strict=True)
        ]


def load_evaluated_dataset(name: str, *, with_masks: bool) -> EvaluatedDataset:
    """Load a registered data set for evaluation.

    The json file named by its metadata is read as it lies on disk, since records no longer hold
    everything the protocol needs; without one, the records are converted.

    Args:
        name: the registered name.
        with_masks: whether masks are to be compared.

    Raises:
        DatasetError: the annotations cannot be used.
    """
    metadata = MetadataCatalog.get(name)
    if metadata.get("json_file") is None:
        source, coco = name, _content(name, load_records([name], training=False))
    else:
        if metadata.get("thing_dataset_id_to_contiguous_id") is None and (
            name in DatasetCatalog.list()
        ):
            # Class names and ids arrive in the metadata when the records are loaded.
            load_records([name], training=False)
        source = str(PathManager.get_local_path(metadata.json_file))
        coco = read_coco_json(source)

    names = {category["id"]: category["name"] for category in coco["categories"]}
    class_names, category_ids = _classes(name, names)
    ground_truth = GroundTruth.from_coco(
        coco, category_ids=category_ids, with_masks=with_masks, source=source
    )
    return EvaluatedDataset(name, ground_truth, class_names, category_ids)


def _classes(name: str, names: Mapping[int, str]) -> tuple[list[str], list[int]]:
    """Give name and category id of each class index.

    Args:
        name: the data set.
        names: of the categories in its annotations, by id.
    """
    metadata = MetadataCatalog.get(name)
    mapping = metadata.get("thing_dataset_id_to_contiguous_id")
    if mapping is None:
        mapping = {category_id: place for place, category_id in enumerate(sorted(names))}
    category_ids = sorted(mapping, key=mapping.__getitem__)
    if [mapping[category_id] for category_id in category_ids] != list(range(len(mapping))):
        raise DatasetError(
            f"{name}: thing_dataset_id_to_contiguous_id must give each class its own number from "
            f"0 to {len(mapping) - 1}, got {mapping}."
        )
    class_names = metadata.get("thing_classes")
    if class_names is None:
        class_names = [names.get(category_id, str(category_id)) for category_id in category_ids]
    if len(class_names) != len(category_ids):
        raise DatasetError(
            f"{name}: {len(class_names)} class names ({', '.join(class_names)}) for "
            f"{len(category_ids)} categories. Give one name for each category."
        )
    return list(class_names), category_ids


def _content(name: str, records: Sequence[Record]) -> dict:
    """Put the records of a data set into the form of a json file."""
    metadata = get_metadata(name)
    ids = range(len(metadata.thing_classes))
    mapping = metadata.get("thing_dataset_id_to_contiguous_id")
    if mapping is not None:
        ids = sorted(mapping, key=mapping.__getitem__)
    return coco_content(records, class_names=metadata.thing_classes, category_ids=ids)

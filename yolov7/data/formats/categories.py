"""The classes of a data set: from its own ids to class indices, and into the metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from yolov7.d2 import MetadataCatalog
from yolov7.utils.errors import DatasetError


def order_categories(
    names_by_id: Mapping[int, str], class_names: Sequence[str] | None, *, source: str
) -> tuple[list[str], dict[int, int]]:
    """Give every category a class index.

    Args:
        names_by_id: category id of the data set -> name; ids may have gaps and any start.
        class_names: the wanted order, a permutation of the names; None orders by id.
        source: named in errors, usually the annotation file.

    Returns:
        Names in the order of class indices, and category id -> class index in [0, K).

    Raises:
        DatasetError: `class_names` and the categories are not the same names.
    """
    ids = sorted(names_by_id)
    if class_names is not None:
        wanted = list(class_names)
        if sorted(wanted) != sorted(names_by_id.values()):
            raise DatasetError(
                f"{source}: its categories are {list(names_by_id.values())}, but "
                f"DATASETS.CLASS_NAMES is {wanted}. List the same names there, in any order, or "
                "leave it empty to take the order of the ids."
            )
        ids.sort(key=lambda i: wanted.index(names_by_id[i]))
    return [names_by_id[i] for i in ids], {i: index for index, i in enumerate(ids)}


def publish_classes(
    dataset_name: str, names: Sequence[str], contiguous_ids: Mapping[int, int], *, source: str
) -> None:
    """Set `thing_classes` and `thing_dataset_id_to_contiguous_id` of a data set's metadata.

    Args:
        dataset_name: the registered name.
        names: class names in the order of class indices.
        contiguous_ids: category id of the data set -> class index.
        source: named in errors.

    Raises:
        DatasetError: the metadata already holds other classes.
    """
    metadata = MetadataCatalog.get(dataset_name)
    values = {
        "thing_classes": list(names),
        "thing_dataset_id_to_contiguous_id": dict(contiguous_ids),
    }
    for key, value in values.items():
        present = metadata.get(key, value)
        if present != value:
            raise DatasetError(
                f"{source}: data set '{dataset_name}' is known to have {key} {present}, but the "
                f"file gives {value}. Register the file under a name of its own."
            )
    metadata.set(**values)

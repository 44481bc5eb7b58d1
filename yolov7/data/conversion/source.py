"""What is converted: the splits of a data set, read as training and evaluation read them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolov7.data.catalog import get_metadata, load_records
from yolov7.data.formats import Record
from yolov7.data.image_io import IMAGE_SUFFIXES
from yolov7.utils.errors import DatasetError

PlaceImage = Callable[[str, Path], None]
"""Brings an image from where it is to where the new data set has it."""


@dataclass(frozen=True)
class SourceSplit:
    """One split of a data set.

    Attributes:
        name: what it is called in the output: train, val …
        records: its images and objects.
        class_names: in the order of class indices.
        category_ids: the annotations' own id of each class; None where the format has none.
        image_names: for each record the image's path relative to the folder of all images, with
            `/` on every system.
    """

    name: str
    records: Sequence[Record]
    class_names: Sequence[str]
    category_ids: Sequence[int] | None
    image_names: Sequence[str]


def read_split(name: str, dataset_name: str, *, class_names: Sequence[str] = ()) -> SourceSplit:
    """Read a registered data set; nothing is cleaned, clipped or left out.

    Args:
        name: what the split is to be called, usable as the name of a file.
        dataset_name: a registered name.
        class_names: the classes, in their order, that it must have; any if there are none.

    Raises:
        DatasetError: see `load_records`; or the split's name is no file name.
    """
    if not name or name != os.path.basename(name) or name.startswith(".") or not is_plain(name):
        raise DatasetError(
            f"The split's name '{name}' must be usable as a file's name, like train."
        )
    records = load_records([dataset_name], training=False, class_names=class_names)
    metadata = get_metadata(dataset_name)
    ids = None
    mapping = metadata.get("thing_dataset_id_to_contiguous_id") or {}
    # Formats without ids of their own count the classes from 0.
    if metadata.get("json_file") or sorted(mapping) != list(range(len(mapping))):
        ids = sorted(mapping, key=mapping.__getitem__)
    files = [os.path.abspath(record["file_name"]) for record in records]
    root = os.path.abspath(metadata.get("image_root") or os.path.dirname(files[0]))
    if any(os.path.commonpath([root, file]) != root for file in files):
        root = os.path.commonpath([os.path.dirname(file) for file in files])
    names = [os.path.relpath(file, root).replace(os.sep, "/") for file in files]
    return SourceSplit(name, records, list(metadata.thing_classes), ids, names)


def check_splits(splits: Sequence[SourceSplit]) -> None:
    """Check that splits can be written together.

    Raises:
        DatasetError: there is none, two have one name, or their classes differ.
    """
    if not splits:
        raise DatasetError("There is no split to convert.")
    first = splits[0]
    for place, split in enumerate(splits):
        if split.name in [other.name for other in splits[:place]]:
            raise DatasetError(f"The split '{split.name}' is given twice.")
        if list(split.class_names) != list(first.class_names):
            raise DatasetError(
                f"'{split.name}' has the classes {list(split.class_names)}, but '{first.name}' has "
                f"{list(first.class_names)}. Name all classes in one order: --class-names."
            )
        if split.category_ids != first.category_ids:
            raise DatasetError(
                f"'{split.name}' has the category ids {split.category_ids}, but '{first.name}' has "
                f"{first.category_ids}. Convert them into folders of their own."
            )


def is_plain(name: str) -> bool:
    """Say whether a name survives in lists and xml: no control characters or outer blanks."""
    return name == name.strip() and not any(
        unicodedata.category(letter) in ("Cc", "Cs") or letter in "\ufffe\uffff" for letter in name
    )


def check_names(splits: Sequence[SourceSplit], *, format_name: str) -> None:
    """Check what formats need that tell images and classes apart by their names alone.

    Raises:
        DatasetError: two images of a split differ in their suffix only, two classes have one
            name, a name cannot be written, or an image's name would not be taken for one.
    """
    classes = list(splits[0].class_names)
    doubled = [name for name in classes if classes.count(name) > 1]
    if doubled:
        raise DatasetError(
            f"Two classes are called '{doubled[0]}'; in {format_name} they would be one. Rename "
            "one of them."
        )
    images = [name for split in splits for name in split.image_names]
    for name in [*classes, *(os.path.splitext(name)[0] for name in images)]:
        if not is_plain(name):
            raise DatasetError(
                f"The name {name!r} has control characters or outer blanks, which {format_name} "
                "cannot keep. Rename it."
            )
    for name in images:
        if os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES or f"/{name}".count("/."):
            raise DatasetError(
                f"The image '{name}' would not be found in {format_name}: names begin with no dot "
                f"and end with {', '.join(IMAGE_SUFFIXES)}. Rename or convert it."
            )
    for split in splits:
        by_stem: dict[str, str] = {}
        for name in split.image_names:
            stem = os.path.splitext(name)[0]
            if stem in by_stem:
                raise DatasetError(
                    f"'{split.name}' has the images '{by_stem[stem]}' and '{name}': in "
                    f"{format_name} both would have the same annotation file. Rename one of them."
                )
            by_stem[stem] = name

"""Data sets by name: the built-in ones, those of a config, and their records."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from yolov7.d2 import CfgNode, DatasetCatalog, Metadata, MetadataCatalog
from yolov7.data.builtin_datasets import BUILTIN_DATASETS, BuiltinDataset
from yolov7.data.formats import (
    DatasetFormat,
    Record,
    clean_for_training,
    get_format,
    validate_records,
)
from yolov7.data.formats.record import has_objects
from yolov7.utils.errors import ConfigError, DatasetError
from yolov7.utils.names import suggest

logger = logging.getLogger(__name__)

# Attributes of the metadata that name files or folders, the most telling one first.
_PLACES = {
    "json_file": "annotation file",
    "data_file": "data file",
    "dirname": "folder",
    "annotation_root": "annotation folder",
    "image_root": "image folder",
}


def register_builtin_datasets(root: str | None = None) -> None:
    """Register the built-in data sets whose names are not taken, with their class names.

    Nothing is read. The names that an installed detectron2 registers itself are left to it.

    Args:
        root: folder of all data sets; None for `$DETECTRON2_DATASETS`, or `datasets`.
    """
    root = os.path.expanduser(root or os.environ.get("DETECTRON2_DATASETS", "datasets"))
    for dataset in BUILTIN_DATASETS.values():
        if dataset.name in DatasetCatalog.list():
            continue
        dataset_format = get_format(dataset.format)
        values = [
            os.path.join(root, value) if isinstance(value, PurePath) else value
            for value in dataset.values
        ]
        names, ids = list(dataset.class_names), dataset.category_ids
        # Where classes have ids, the annotations say which id has which name.
        options = {"class_names": names} if ids is None else {}
        DatasetCatalog.register(
            dataset.name,
            functools.partial(dataset_format.load, *values, dataset_name=dataset.name, **options),
        )
        MetadataCatalog.get(dataset.name).set(
            **dataset_format.metadata(*values) | dataset.metadata,
            thing_classes=names,
            thing_dataset_id_to_contiguous_id={
                i: index for index, i in enumerate(ids or range(len(names)))
            },
        )


def register_from_config(cfg: CfgNode) -> None:
    """Register the data sets that `DATASETS.REGISTER` describes.

    Each entry has NAME, FORMAT and the keys of its format (datasets/README.md); paths are relative
    to the working directory. `DATASETS.CLASS_NAMES` orders their classes. Calling it again with the
    same entries changes nothing.

    Raises:
        ConfigError: an entry lacks a key or has an unknown one, its format is unknown, or its
            name is taken by another data set.
    """
    class_names = list(cfg.DATASETS.CLASS_NAMES) or None
    for entry in cfg.DATASETS.REGISTER:
        _register_entry(entry, class_names)


def get_metadata(dataset_name: str) -> Metadata:
    """Return a data set's metadata with its class names, reading the data set if need be.

    Raises:
        DatasetError: the name is unknown, the data set cannot be read, or whoever registered it
            gave no class names.
    """
    _check_name(dataset_name)
    metadata = MetadataCatalog.get(dataset_name)
    if not metadata.get("thing_classes"):
        _load(dataset_name)
    if not metadata.get("thing_classes"):
        raise DatasetError(
            f"Data set '{dataset_name}' ({_source(dataset_name)}) has no class names. Set them: "
            f"MetadataCatalog.get('{dataset_name}').set(thing_classes=[…])."
        )
    return metadata


def load_records(
    names: Sequence[str],
    *,
    training: bool,
    filter_empty: bool = False,
    class_names: Sequence[str] = (),
) -> list[Record]:
    """Load, check and join data sets.

    Args:
        names: registered names, at least one.
        training: True drops and clips bad boxes (`clean_for_training`); the records of an
            evaluation stay as the file has them.
        filter_empty: leave out images without objects (crowds are none).
        class_names: `DATASETS.CLASS_NAMES`; when given, all data sets must have these classes.

    Returns:
        The records of all data sets, in the order of `names`.

    Raises:
        DatasetError: a name is unknown, files are missing or wrong, data sets have different
            classes, or nothing is left.
    """
    if not names:
        raise DatasetError(
            f"No data set is named. Set {'DATASETS.TRAIN' if training else 'DATASETS.TEST'}."
        )
    records: list[Record] = []
    for name in names:
        _check_name(name)
        loaded = _load(name)
        if not loaded:
            raise DatasetError(f"Data set '{name}' ({_source(name)}) has no images.")
        classes = MetadataCatalog.get(name).get("thing_classes")
        validate_records(loaded, dataset_name=name, num_classes=len(classes) if classes else None)
        records += clean_for_training(loaded, dataset_name=name) if training else loaded
    _check_same_classes(names, class_names)
    if filter_empty:
        kept = [record for record in records if has_objects(record)]
        if len(kept) < len(records):
            logger.info(
                "Left out %d of %d images without objects (%s).",
                len(records) - len(kept), len(records), ", ".join(names),
            )  # fmt: skip
        records = kept
        if not records:
            raise DatasetError(
                f"No image of {', '.join(names)} has an object to learn. Check the annotations, or "
                "set DATALOADER.FILTER_EMPTY_ANNOTATIONS False."
            )
    return records


def check_class_count(
    dataset_name: str, num_classes: int, *, key: str = "MODEL.YOLO.CLASSES"
) -> None:
    """Check that a model has as many classes as a data set.

    Args:
        dataset_name: a registered name.
        num_classes: the model's number of classes.
        key: the config key that sets it.

    Raises:
        ConfigError: the numbers differ.
    """
    classes = get_metadata(dataset_name).thing_classes
    if len(classes) != num_classes:
        shown = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
        raise ConfigError(
            f"{key} is {num_classes}, but data set '{dataset_name}' has {len(classes)} classes "
            f"({shown}). Set {key} {len(classes)}."
        )


def _register_entry(entry: Mapping[str, Any], class_names: list[str] | None) -> None:
    if not isinstance(entry, Mapping) or "NAME" not in entry or "FORMAT" not in entry:
        raise ConfigError(
            "DATASETS.REGISTER: expected entries like {NAME: my_train, FORMAT: coco, "
            f"ANNOTATIONS: a.json, IMAGES: folder}}, got {entry!r}."
        )
    name, dataset_format = entry["NAME"], get_format(entry["FORMAT"])
    values = _entry_values(entry, dataset_format)
    try:
        described = dataset_format.metadata(*values)
    except ConfigError as error:
        raise ConfigError(f"DATASETS.REGISTER '{name}': {error}") from error
    metadata = {
        **described,
        "registered_as": (dataset_format.name, *values, class_names),
    }
    if class_names is not None:
        # Known before anything is read, so that a demonstration can name classes.
        metadata["thing_classes"] = class_names
    if name in DatasetCatalog.list():
        if MetadataCatalog.get(name).get("registered_as") == metadata["registered_as"]:
            return
        raise ConfigError(
            f"DATASETS.REGISTER: the name '{name}' is taken by another data set "
            f"({_source(name)}). Choose another name."
        )
    DatasetCatalog.register(
        name,
        functools.partial(dataset_format.load, *values, dataset_name=name, class_names=class_names),
    )
    MetadataCatalog.get(name).set(**metadata)


def _entry_values(entry: Mapping[str, Any], dataset_format: DatasetFormat) -> list[Any]:
    keys = (*dataset_format.keys, *dataset_format.optional_keys)
    known = ("NAME", "FORMAT", *keys)
    for key in entry:
        if key not in known:
            raise ConfigError(
                f"DATASETS.REGISTER '{entry['NAME']}': unknown key '{key}'.{suggest(key, known)}"
            )
    missing = [key for key in dataset_format.keys if key not in entry]
    if missing:
        raise ConfigError(
            f"DATASETS.REGISTER '{entry['NAME']}': format {dataset_format.name} also needs "
            f"{', '.join(missing)}."
        )
    return [entry.get(key) for key in keys]


def _check_name(name: str) -> None:
    names = list(DatasetCatalog.list())
    if name not in names:
        raise DatasetError(
            f"Unknown data set '{name}'.{suggest(name, names)} Others are registered by "
            "DATASETS.REGISTER."
        )


def _load(name: str) -> list[Record]:
    """Load one data set, whoever registered it, with errors that name it and its remedy."""
    metadata = MetadataCatalog.get(name)
    builtin: BuiltinDataset | None = BUILTIN_DATASETS.get(name)
    remedy = builtin.remedy if builtin else "Check the paths it is registered with."
    for key, kind in _PLACES.items():
        path = metadata.get(key)
        if path and not os.path.exists(path):
            root = " Data sets are looked for under $DETECTRON2_DATASETS or datasets/."
            raise DatasetError(
                f"Data set '{name}': its {kind} {path} does not exist. {remedy}"
                f"{root if builtin else ''}"
            )
    try:
        with _no_garbage_collection():
            return DatasetCatalog.get(name)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        # Loaders that others registered raise what they like.
        raise DatasetError(
            f"Data set '{name}' ({_source(name)}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause the search for cycles, which takes half the time of reading a large json file."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _source(name: str) -> str:
    metadata = MetadataCatalog.get(name)
    return next(
        (str(metadata.get(key)) for key in _PLACES if metadata.get(key)), "registered in Python"
    )


def _check_same_classes(names: Sequence[str], class_names: Sequence[str]) -> None:
    expected, origin = list(class_names), "DATASETS.CLASS_NAMES"
    for name in names:
        classes = list(MetadataCatalog.get(name).get("thing_classes", []))
        if not expected:
            expected, origin = classes, f"data set '{name}'"
        elif classes != expected:
            raise DatasetError(
                f"Data set '{name}' has the classes {classes}, but {origin} has {expected}. "
                "Data sets that are used together need the same classes in the same order; "
                "DATASETS.CLASS_NAMES orders those of DATASETS.REGISTER."
            )

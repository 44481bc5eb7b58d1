"""Pascal VOC: an xml file for each image, and lists of image names (VOC2012 devkit, section 2)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolov7.data.formats.categories import publish_classes
from yolov7.data.formats.file_names import ImageFolder, inside, read_lines
from yolov7.data.formats.record import Record
from yolov7.data.formats.registry import DatasetFormat, register_format
from yolov7.data.formats.voc_xml import declared_size, parse_xml, read_objects, where_is_object
from yolov7.data.image_io import read_image_size
from yolov7.utils.errors import ConfigError, DatasetError
from yolov7.utils.names import suggest

logger = logging.getLogger(__name__)

_FIRST_PIXEL = {"pixels": 1, "edges": 0}


def load_voc(
    annotation_root: str | os.PathLike[str],
    image_root: str | os.PathLike[str],
    list_file: str | os.PathLike[str] | None = None,
    coordinates: str = "pixels",
    *,
    dataset_name: str,
    class_names: Sequence[str] | None = None,
) -> list[Record]:
    """Read and check annotations in the xml files of Pascal VOC.

    VOC counts pixels from 1 and a box includes its last one, so that the whole of a W x H image is
    (1, 1, W, H); as in detectron2, this becomes the box (xmin − 1, ymin − 1, xmax, ymax) of edges.
    Some programs write edges themselves: the whole image is (0, 0, W, H). A warning counts boxes
    that begin at 0; `coordinates` says which it is. Fractions of pixels are kept.

    The image of `a.xml` is the file `a` with the suffix of an image (`a.jpg` before others), or
    else the one that `<filename>` names. A size that is missing or 0 is taken from the image, and
    a warning counts these. `difficult` is kept in each annotation (0 or 1), missing means 0;
    difficult objects are learned like all others. Other entries (pose, truncated, parts) are not
    read. Class ids do not exist in VOC: ids and indices are the same.

    Args:
        annotation_root: folder of the xml files.
        image_root: folder of the images.
        list_file: text file with an image name (without suffix) a line; None for all xml files.
        coordinates: "pixels" (VOC's own) or "edges" (taken as they are).
        dataset_name: the registered name.
        class_names: the classes in their order, more than occur if need be; None takes those that
            occur in these files, in alphabetical order.

    Returns:
        Records in the order of the list; `image_id` is the name, boxes are XYXY_ABS.

    Raises:
        DatasetError: a file or folder is missing, an xml file is malformed or lacks a box or a
            name, a class is not in `class_names` (file and line are named), or a name is given
            twice or leads out of its folder.
    """
    annotation_root, image_root = os.fspath(annotation_root), os.fspath(image_root)
    for kind, folder in (("Annotation", annotation_root), ("Image", image_root)):
        if not os.path.isdir(folder):
            raise DatasetError(f"{kind} folder {folder} does not exist.")
    first_pixel = _first_pixel(coordinates)
    files = _annotation_files(annotation_root, list_file)
    images = ImageFolder(image_root)
    records: list[Record] = []
    class_of_objects: list[list[str]] = []
    num_without_size = 0
    for name, path in files.items():
        root = parse_xml(path)
        file_name = images.find(name, root.findtext("filename"))
        size = declared_size(root, path)
        if size is None:
            size = read_image_size(file_name)
            num_without_size += 1
        annotations, classes = read_objects(root, path, first_pixel=first_pixel)
        class_of_objects.append(classes)
        records.append(
            {
                "file_name": file_name,
                "height": size[0],
                "width": size[1],
                "image_id": name,
                "annotations": annotations,
                "dataset_name": dataset_name,
            }
        )
    if class_names is None:
        class_names = _found_classes(class_of_objects, dataset_name, annotation_root)
    _set_classes(records, class_of_objects, class_names, list(files.values()))
    ids = {index: index for index in range(len(class_names))}
    publish_classes(dataset_name, class_names, ids, source=annotation_root)
    _report(records, dataset_name, first_pixel, num_without_size, images.num_missing)
    return records


def _first_pixel(coordinates: str) -> int:
    """Give what is to be subtracted from xmin and ymin."""
    try:
        return _FIRST_PIXEL[coordinates]
    except KeyError:
        raise ConfigError(
            f"COORDINATES must be {' or '.join(_FIRST_PIXEL)}, got {coordinates!r}."
        ) from None


def _annotation_files(
    annotation_root: str, list_file: str | os.PathLike[str] | None
) -> dict[str, str]:
    """Find {image name: xml file}, in the order of the list."""
    if list_file is None:
        entries = sorted(os.listdir(annotation_root))
        names = [entry[:-4] for entry in entries if entry.endswith(".xml") and entry[0] != "."]
        if not names:
            raise DatasetError(f"Annotation folder {annotation_root} holds no .xml file.")
        return {name: os.path.join(annotation_root, f"{name}.xml") for name in names}
    list_file = os.fspath(list_file)
    if not os.path.exists(list_file):
        folder = Path(list_file).parent
        near = suggest(Path(list_file).stem, [file.stem for file in folder.glob("*.txt")])
        raise DatasetError(f"The list of images {list_file} does not exist.{near}")
    files: dict[str, str] = {}
    for number, name in read_lines(list_file, "a list of images"):
        where = f"{list_file}, line {number}"
        if name in files:
            raise DatasetError(f"{where}: '{name}' is listed twice.")
        files[name] = inside(annotation_root, f"{name}.xml", where)
        if not os.path.exists(files[name]):
            raise DatasetError(
                f"{where}: there is no {files[name]}. A line holds the name of an image without "
                "its suffix, and nothing else."
            )
    return files


def _found_classes(
    class_of_objects: Sequence[Sequence[str]], dataset_name: str, source: str
) -> list[str]:
    names = sorted({name for names in class_of_objects for name in names})
    if not names:
        raise DatasetError(
            f"{source}: no file of data set '{dataset_name}' has an object, so that its classes "
            "are not known. List them in DATASETS.CLASS_NAMES."
        )
    logger.info(
        "Data set '%s': found the classes %s in the annotations, in alphabetical order. "
        "DATASETS.CLASS_NAMES sets another order, or classes that occur elsewhere only.",
        dataset_name, ", ".join(names),
    )  # fmt: skip
    return names


def _set_classes(
    records: Sequence[Record],
    class_of_objects: Sequence[Sequence[str]],
    class_names: Sequence[str],
    paths: Sequence[str],
) -> None:
    """Replace the preliminary `category_id` of all objects."""
    index_of = {name: index for index, name in enumerate(class_names)}
    for record, classes, path in zip(records, class_of_objects, paths, strict=True):
        for place, (annotation, name) in enumerate(
            zip(record["annotations"], classes, strict=True)
        ):
            if name not in index_of:
                where, near = where_is_object(path, place), suggest(name, class_names)
                raise DatasetError(
                    f"{where}: unknown class '{name}'.{near} The classes are those of "
                    "DATASETS.CLASS_NAMES, or of the built-in data set."
                )
            annotation["category_id"] = index_of[name]


def _report(
    records: Sequence[Record],
    dataset_name: str,
    first_pixel: int,
    num_without_size: int,
    num_missing: int,
) -> None:
    """Warn of what was made up for, and of what looks wrong."""
    num_boxes = sum(len(record["annotations"]) for record in records)
    num_from_zero = sum(
        first_pixel > 0 and min(annotation["bbox"][:2]) + first_pixel <= 0
        for record in records
        for annotation in record["annotations"]
    )
    if num_without_size:
        logger.warning(
            "Data set '%s': %d of %d xml files give no size of the image (or 0); it was read from "
            "the image.", dataset_name, num_without_size, len(records),
        )  # fmt: skip
    if num_missing:
        logger.warning(
            "Data set '%s': %d of %d images are not in the image folder.",
            dataset_name, num_missing, len(records),
        )  # fmt: skip
    if num_from_zero:
        logger.warning(
            "Data set '%s': %d of %d boxes begin at pixel 0 or before, but VOC counts from 1, so "
            "that all boxes may be one pixel too large at the left and the top. Entries with "
            "COORDINATES: edges take the numbers as they are.",
            dataset_name, num_from_zero, num_boxes,
        )  # fmt: skip


def _places(
    root: str | None, annotations: str | None, images: str | None, split: str | None
) -> tuple[str, str, str | None]:
    """Resolve an entry to the folder of xml files, the folder of images and the list's file."""
    if root is None and (annotations is None or images is None):
        raise ConfigError(
            "format voc needs ROOT (a folder with Annotations, JPEGImages and ImageSets/Main), or "
            "the two folders ANNOTATIONS and IMAGES."
        )
    annotations = annotations or os.path.join(str(root), "Annotations")
    images = images or os.path.join(str(root), "JPEGImages")
    if split is None or str(split).endswith(".txt"):
        return annotations, images, split
    if root is None:
        raise ConfigError(
            f"SPLIT '{split}' names a list in ROOT/ImageSets/Main, but there is no ROOT. Give "
            "ROOT, or the path of a list that ends in .txt."
        )
    return annotations, images, os.path.join(root, "ImageSets", "Main", f"{split}.txt")


def _load_entry(
    root: str | None,
    annotations: str | None,
    images: str | None,
    split: str | None,
    coordinates: str | None,
    **options: Any,
) -> list[Record]:
    places = _places(root, annotations, images, split)
    return load_voc(*places, coordinates or "pixels", **options)


def _metadata(
    root: str | None,
    annotations: str | None,
    images: str | None,
    split: str | None,
    coordinates: str | None,
) -> dict[str, Any]:
    annotation_root, image_root, _ = _places(root, annotations, images, split)
    _first_pixel(coordinates or "pixels")
    described = {"dirname": root, "split": split}
    return {
        **{key: str(value) for key, value in described.items() if value is not None},
        "annotation_root": annotation_root,
        "image_root": image_root,
        # The year decides how VOC computes AP; since 2010 it has been the area under the curve.
        "year": 2012,
        "evaluator_type": "voc",
    }


register_format(
    DatasetFormat(
        name="voc",
        keys=(),
        load=_load_entry,
        metadata=_metadata,
        optional_keys=("ROOT", "ANNOTATIONS", "IMAGES", "SPLIT", "COORDINATES"),
    )
)

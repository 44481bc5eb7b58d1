"""YOLO data sets: a `data.yaml`, image folders or lists, and a text file of labels an image."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yolov7.data.formats.categories import order_categories, publish_classes
from yolov7.data.formats.file_names import inside, read_lines
from yolov7.data.formats.record import Record
from yolov7.data.formats.registry import DatasetFormat, register_format
from yolov7.data.formats.yolo_labels import read_labels
from yolov7.data.image_io import IMAGE_SUFFIXES, read_image_size
from yolov7.utils.errors import DatasetError
from yolov7.utils.names import suggest
from yolov7.utils.safe_yaml import load_yaml

logger = logging.getLogger(__name__)

#: Entries of a data.yaml that are not splits.
RESERVED_ENTRIES = ("path", "names", "nc", "download", "channels", "kpt_shape", "flip_idx")


def load_yolo(
    data_file: str | os.PathLike[str],
    split: str,
    root: str | os.PathLike[str] | None = None,
    *,
    dataset_name: str,
    class_names: Sequence[str] | None = None,
) -> list[Record]:
    """Read and check one split of a YOLO data set.

    The split's entry in `data_file` is a folder (with subfolders), a text file that lists images,
    or a list of both, relative to `path`, which is relative to the folder of `data_file`. The names
    in a list are relative to `path`, too, and may not lead out of it. The labels of
    `…/images/a.jpg` are in `…/labels/a.txt` (the last folder called `images` counts), or beside an
    image that is in no such folder. An image without a label file has no objects; the log counts
    them. Sizes are read from the images. `download` and other entries are not read.

    Args:
        data_file: the yaml file: `path`, `train`, `val`, `test`, `names`, `nc`.
        split: train, val, test, or another entry of the same kind.
        root: folder to use instead of `path`; for files that were written on another machine.
        dataset_name: the registered name.
        class_names: wanted order of the classes, a permutation of `names`.

    Returns:
        Records in the order of the file names or lists; `image_id` is the image's path relative to
        `path`, boxes are XYWH_ABS.

    Raises:
        DatasetError: a file or folder is missing, `data_file` or a label file is malformed (file
            and line are named), or no image has a label file.
    """
    description = _Description.read(os.fspath(data_file), None if root is None else str(root))
    names, contiguous_ids = order_categories(
        dict(enumerate(description.class_names(class_names))),
        class_names,
        source=description.file,
    )
    records: list[Record] = []
    num_unlabelled = 0
    for file_name in description.images(split):
        height, width = read_image_size(file_name)
        labels = label_file(file_name, description.root)
        labelled = os.path.isfile(labels)
        num_unlabelled += not labelled
        annotations = []
        if labelled:
            annotations = read_labels(
                labels, height=height, width=width, index_of_class=contiguous_ids
            )
        records.append(
            {
                "file_name": file_name,
                "height": height,
                "width": width,
                "image_id": _relative(file_name, description.root),
                "annotations": annotations,
                "dataset_name": dataset_name,
            }
        )
    if records and num_unlabelled == len(records):
        raise DatasetError(
            f"{description.file}: none of the {num_unlabelled} images of '{split}' has a label "
            f"file; the first one would be {label_file(records[0]['file_name'], description.root)}."
        )
    if num_unlabelled:
        logger.info(
            "Data set '%s': %d of %d images have no label file, so no objects.",
            dataset_name, num_unlabelled, len(records),
        )  # fmt: skip
    publish_classes(dataset_name, names, contiguous_ids, source=description.file)
    return records


def label_file(image_file: str, root: str) -> str:
    """Give the path of an image's label file.

    The last folder called `images`, below `root` if the image is, becomes `labels`; the suffix
    becomes `.txt`.
    """
    relative = _relative(image_file, root)
    parts = relative.split("/")
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return os.path.join(root, os.path.splitext("/".join(parts))[0] + ".txt")


def _relative(file_name: str, root: str) -> str:
    """Give a path relative to `root`, or as it is when it lies elsewhere; with `/` everywhere."""
    relative = os.path.relpath(file_name, root)
    if _leads_out(relative):
        relative = os.path.abspath(file_name)
    return relative.replace(os.sep, "/")


def _leads_out(relative: str) -> bool:
    return relative == os.pardir or relative.startswith(os.pardir + os.sep)


@dataclass(frozen=True)
class _Description:
    """The content of a `data.yaml`.

    Attributes:
        file: its path.
        root: the folder that everything is relative to.
        content: what it says.
    """

    file: str
    root: str
    content: dict[str, Any]

    @classmethod
    def read(cls, file: str, root: str | None) -> _Description:
        content = _read_yaml(file)
        if content.get("kpt_shape"):
            raise DatasetError(
                f"{file}: 'kpt_shape' says that the labels hold key points; those are not read."
            )
        if root is None:
            path = content.get("path") or "."
            if not isinstance(path, str):
                raise DatasetError(f"{file}: 'path' must be a folder, got {path!r}.")
            root = os.path.normpath(os.path.join(os.path.dirname(file), os.path.expanduser(path)))
            remedy = "Correct 'path', which is relative to the folder of that file, or give ROOT"
        else:
            remedy = "Correct ROOT"
        if not os.path.isdir(root):
            raise DatasetError(f"{file}: its root folder {root} does not exist. {remedy}.")
        return cls(file, root, content)

    def class_names(self, wanted: Sequence[str] | None) -> list[str]:
        """Read `names` and `nc`; without `names`, the wanted ones in their order are taken."""
        names, number = self.content.get("names"), self.content.get("nc")
        if names is None and wanted is not None:
            names = list(wanted)
        if isinstance(names, dict):
            if set(names) != set(range(len(names))):
                raise DatasetError(
                    f"{self.file}: 'names' must number the classes 0, 1, 2 …, got the numbers "
                    f"{list(names)}."
                )
            names = [names[index] for index in range(len(names))]
        if not isinstance(names, list) or not names:
            raise DatasetError(
                f"{self.file}: 'names' must list the classes, got {names!r}. DATASETS.CLASS_NAMES "
                "may do so instead."
            )
        for name in names:
            if not isinstance(name, str | int) or isinstance(name, bool):
                raise DatasetError(
                    f"{self.file}: the class name {name!r} is no text in YAML; put it in quotes."
                )
        if number is not None and number != len(names):
            raise DatasetError(
                f"{self.file}: 'nc' is {number!r}, but 'names' has {len(names)} classes."
            )
        doubled = [name for name, count in Counter(map(str, names)).items() if count > 1]
        if doubled:
            raise DatasetError(f"{self.file}: the class name '{doubled[0]}' is given twice.")
        return [str(name) for name in names]

    def images(self, split: str) -> list[str]:
        """Find the images of a split, each once."""
        entry = self.content.get(split)
        if split in RESERVED_ENTRIES or not entry:
            given = [key for key in self.content if key not in RESERVED_ENTRIES]
            raise DatasetError(
                f"{self.file}: there is no split '{split}'.{suggest(split, map(str, given))}"
            )
        files: dict[str, None] = {}
        for place in entry if isinstance(entry, list) else [entry]:
            if not isinstance(place, str):
                raise DatasetError(
                    f"{self.file}: '{split}' must be a folder, a text file or a list of them, got "
                    f"{place!r}."
                )
            for file_name in self._images_of(split, place):
                if file_name in files:
                    raise DatasetError(f"{self.file}: '{split}' has the image {file_name} twice.")
                files[file_name] = None
        return list(files)

    def _images_of(self, split: str, place: str) -> Iterator[str]:
        path = os.path.normpath(os.path.join(self.root, os.path.expanduser(place)))
        if not os.path.exists(path) and place.startswith("../"):
            # Exports of Roboflow name the folders as seen from a folder that they do not have.
            path = os.path.join(self.root, place[3:])
        if os.path.isdir(path):
            yield from _images_below(path)
        elif os.path.isfile(path):
            for number, name in read_lines(path, "a list of images"):
                yield self._listed(name, f"{path}, line {number}")
        else:
            raise DatasetError(
                f"{self.file}: '{split}' is {place}, but there is neither a folder nor a file "
                f"{path}. It is relative to 'path' (here {self.root})."
            )

    def _listed(self, name: str, where: str) -> str:
        """Resolve a line of a list; a full path is allowed as long as it leads into the root."""
        if os.path.isabs(name):
            root = os.path.abspath(self.root)
            relative = os.path.relpath(name, root)
            name = name if _leads_out(relative) else relative
        path = os.path.normpath(inside(self.root, name, where))
        if os.path.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
            raise DatasetError(
                f"{where}: '{name}' has no suffix of an image ({', '.join(IMAGE_SUFFIXES)})."
            )
        return path


def _images_below(folder: str) -> list[str]:
    """List the images of a folder and its subfolders, sorted; hidden files are none."""
    found: list[str] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders.sort()  # which of several links to a folder counts is the same everywhere
        found += [
            os.path.join(parent, file)
            for file in files
            if file[0] != "." and os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES
        ]
    if not found:
        raise DatasetError(f"Image folder {folder} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
    return sorted(found)


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        content = load_yaml(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"Cannot read data file {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(
            f"{path}: expected a data.yaml with path, train, val and names, got a "
            f"{type(content).__name__}."
        )
    return content


def _metadata(data: str, split: str, root: str | None) -> dict[str, Any]:
    return {"data_file": str(data), "split": str(split), "evaluator_type": "coco"}


register_format(
    DatasetFormat(
        name="yolo",
        keys=("DATA", "SPLIT"),
        load=load_yolo,
        metadata=_metadata,
        optional_keys=("ROOT",),
    )
)

"""A conversion from start to end: all of the new folder, or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from yolov7.data.conversion.report import ConversionReport
from yolov7.data.conversion.source import PlaceImage, SourceSplit, check_splits
from yolov7.utils.atomic_folder import atomic_folder
from yolov7.utils.errors import ImageError


class Writer(Protocol):
    """Writes splits into an empty folder in one format, and reports what it lost."""

    format_name: str

    def write(
        self,
        splits: Sequence[SourceSplit],
        folder: Path,
        *,
        place_image: PlaceImage,
        report: ConversionReport,
    ) -> None:
        """Write everything; `report.entries` gets one entry a split."""


def convert_dataset(
    splits: Sequence[SourceSplit],
    output: str | os.PathLike[str],
    *,
    writer: Writer,
    place_image: PlaceImage,
) -> ConversionReport:
    """Write a data set in another format.

    Args:
        splits: what `read_split` gave.
        output: the new folder; it must not exist, and appears when all of it is written.
        writer: decides the format.
        place_image: `link_image` or `copy_image`.

    Raises:
        DatasetError: the splits do not go together, or cannot be said in the new format.
        ImageError: an image is missing.
        UserError: the folder exists or cannot be written.
    """
    check_splits(splits)
    names = list(splits[0].class_names)
    report = ConversionReport(
        format=writer.format_name, output=os.fspath(output), class_names=names
    )
    used = {a["category_id"] for s in splits for record in s.records for a in record["annotations"]}
    report.unused_classes = [name for index, name in enumerate(names) if index not in used]
    with atomic_folder(output) as folder:
        writer.write(splits, folder, place_image=place_image, report=report)
    return report


def link_image(source: str, target: Path) -> None:
    """Make a symbolic link to an image: no space is needed, but the original must stay."""
    _prepare(source, target)
    target.symlink_to(os.path.abspath(source))


def copy_image(source: str, target: Path) -> None:
    """Copy an image, byte for byte."""
    _prepare(source, target)
    shutil.copyfile(source, target)


def _prepare(source: str, target: Path) -> None:
    if not os.path.isfile(source):
        raise ImageError(
            f"Image {source} does not exist. Check that the image folder is complete; nothing was "
            "written."
        )
    target.parent.mkdir(parents=True, exist_ok=True)

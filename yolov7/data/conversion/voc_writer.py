"""Records as Pascal VOC's xml files and lists."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolov7.data.conversion.report import ConversionReport
from yolov7.data.conversion.source import PlaceImage, SourceSplit, check_names
from yolov7.data.formats.record import Annotation, Record, xyxy
from yolov7.utils.errors import DatasetError


class VocWriter:
    """Writes VOC's layout: `Annotations/`, `ImageSets/Main/<split>.txt` and `JPEGImages/`.

    Where splits have images of one name, each split's go into a subfolder of its name. An image
    that is in several splits is written once.

    Args:
        whole_pixels: round coordinates to whole pixels, as programs expect that read them as
            integers; otherwise fractions are written.
    """

    format_name = "voc"

    def __init__(self, *, whole_pixels: bool = False):
        self._whole_pixels = whole_pixels

    def write(
        self,
        splits: Sequence[SourceSplit],
        folder: Path,
        *,
        place_image: PlaceImage,
        report: ConversionReport,
    ) -> None:
        """Write splits into an empty folder; `place_image(source, target)` brings the images.

        Raises:
            DatasetError: names cannot be told apart, or an image has other objects in another
                split.
        """
        check_names(splits, format_name="VOC")
        for subfolder in ("Annotations", "ImageSets/Main", "JPEGImages"):
            (folder / subfolder).mkdir(parents=True)
        names_of_splits = _output_names(splits)
        written: dict[str, Record] = {}
        for split, names in zip(splits, names_of_splits, strict=True):
            objects = 0
            for record, name in zip(split.records, names, strict=True):
                identity, suffix = os.path.splitext(name)
                kept = _without_crowds(record)
                objects += len(kept)
                if identity in written:
                    _check_same(record, written[identity], split.name)
                    continue
                written[identity] = record
                place_image(record["file_name"], folder / "JPEGImages" / name)
                self._write_xml(
                    folder / "Annotations" / f"{identity}.xml", record, name, split.class_names,
                    report,
                )  # fmt: skip
                report.note(
                    "images that are not .jpg, which detectron2 does not find", suffix != ".jpg"
                )
            lines = [os.path.splitext(name)[0] for name in names]
            (folder / "ImageSets" / "Main" / f"{split.name}.txt").write_text(
                "".join(f"{line}\n" for line in lines), encoding="utf-8"
            )
            report.images[split.name] = len(names)
            report.objects[split.name] = objects
            report.entries[split.name] = {
                "FORMAT": "voc", "ROOT": report.output, "SPLIT": split.name
            }  # fmt: skip
        ids = splits[0].category_ids
        report.lose("category ids", 0 if ids is None else len(ids))
        report.lose("names of classes without an object", len(report.unused_classes))

    def _write_xml(
        self,
        path: Path,
        record: Record,
        name: str,
        class_names: Sequence[str],
        report: ConversionReport,
    ) -> None:
        root = ET.Element("annotation")
        image_folder, file = os.path.split(name)
        _add(root, "folder", os.path.join("JPEGImages", image_folder).rstrip("/"))
        _add(root, "filename", file)
        size = ET.SubElement(root, "size")
        _add(size, "width", record["width"])
        _add(size, "height", record["height"])
        _add(size, "depth", 3)
        kept = _without_crowds(record)
        for annotation in kept:
            element = ET.SubElement(root, "object")
            _add(element, "name", class_names[annotation["category_id"]])
            _add(element, "difficult", annotation.get("difficult", 0))
            self._add_box(element, annotation, report)
        report.lose("crowd regions", len(record["annotations"]) - len(kept))
        report.lose("masks", sum("segmentation" in a for a in kept))
        report.lose("annotation ids", sum("id" in a for a in kept))
        report.lose("image ids that are numbers", isinstance(record["image_id"], int))
        ET.indent(root, "\t")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ET.tostring(root, encoding="utf-8") + b"\n")

    def _add_box(
        self, element: ET.Element, annotation: Annotation, report: ConversionReport
    ) -> None:
        """Write edges as pixels counted from 1, both ends included."""
        edges = xyxy(annotation)
        values = [edges[0] + 1, edges[1] + 1, edges[2], edges[3]]
        if self._whole_pixels:
            (x0, x1), (y0, y1) = (_to_pixels(*values[axis::2]) for axis in (0, 1))
            texts = [str(pixel) for pixel in (x0, y0, x1, y1)]
        else:
            texts = [number_text(value) for value in values]
        box = ET.SubElement(element, "bndbox")
        for tag, text in zip(("xmin", "ymin", "xmax", "ymax"), texts, strict=True):
            _add(box, tag, text)
        read = [float(text) for text in texts]
        report.shift(edges, [read[0] - 1, read[1] - 1, read[2], read[3]])
        whole = all(float(v).is_integer() for v in values)
        if not whole:
            if self._whole_pixels:
                report.lose("boxes rounded to whole pixels")
            else:
                report.note("boxes with fractions of pixels, which some programs do not read")


def _to_pixels(first: float, last: float) -> tuple[int, int]:
    """Round to whole pixels; what has an extent keeps a pixel at least."""
    begin, end = round(first), round(last)
    return begin, max(begin, end) if last > first - 1 else end


def number_text(value: float) -> str:
    """Write a number in up to ten digits, without a trailing `.0`."""
    return f"{value:.10g}"


def _add(parent: ET.Element, tag: str, value: Any) -> None:
    ET.SubElement(parent, tag).text = str(value)


def _without_crowds(record: Record) -> list[Annotation]:
    return [a for a in record["annotations"] if not a.get("iscrowd", 0)]


def _output_names(splits: Sequence[SourceSplit]) -> list[list[str]]:
    """Name the images, with the split's name before them where two would have the same name."""
    sources: dict[str, str] = {}
    clash = False
    for split in splits:
        for record, name in zip(split.records, split.image_names, strict=True):
            source = os.path.abspath(record["file_name"])
            clash |= sources.setdefault(os.path.splitext(name)[0], source) != source
    if not clash:
        return [list(split.image_names) for split in splits]
    return [[f"{split.name}/{name}" for name in split.image_names] for split in splits]


def _check_same(record: Record, other: Record, split: str) -> None:
    def content(of: Record) -> list[tuple]:
        return [(a["category_id"], *xyxy(a), a.get("difficult", 0)) for a in _without_crowds(of)]

    if content(record) != content(other):
        raise DatasetError(
            f"'{split}': the image {record['file_name']} has other objects there than in an "
            "earlier split. Convert the splits into folders of their own."
        )

"""Records as YOLO's data.yaml and label files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from yolov7.data.conversion.report import ConversionReport
from yolov7.data.conversion.source import PlaceImage, SourceSplit, check_names
from yolov7.data.conversion.voc_writer import number_text
from yolov7.data.formats.record import Annotation, Record, xyxy
from yolov7.data.formats.yolo import RESERVED_ENTRIES, label_file
from yolov7.data.image_io import read_image_size
from yolov7.utils.errors import DatasetError


class YoloWriter:
    """Writes `data.yaml`, `images/<split>/` and `labels/<split>/`.

    Boxes are clipped to their image, since numbers outside [0, 1] are no labels.

    Args:
        masks: write an object whose mask is one polygon as that polygon, whose hull then is the
            box; otherwise boxes only.
    """

    format_name = "yolo"

    def __init__(self, *, masks: bool = False):
        self._masks = masks

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
            DatasetError: names cannot be told apart, or an image has another size than its record,
                on which the labels depend.
        """
        check_names(splits, format_name="YOLO")
        description: dict[str, object] = {}
        for split in splits:
            if split.name in RESERVED_ENTRIES:
                raise DatasetError(
                    f"data.yaml has another use for '{split.name}'; rename the split."
                )
            description[split.name] = f"images/{split.name}"
            report.images[split.name] = len(split.records)
            report.objects[split.name] = 0
            for record, name in zip(split.records, split.image_names, strict=True):
                image = folder / "images" / split.name / name
                _check_size(record)
                place_image(record["file_name"], image)
                lines = self._lines(record, report)
                labels = Path(label_file(str(image), str(folder)))
                labels.parent.mkdir(parents=True, exist_ok=True)
                labels.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
                report.objects[split.name] += len(lines)
                report.lose("image ids that are numbers", isinstance(record["image_id"], int))
            report.entries[split.name] = {
                "FORMAT": "yolo",
                "DATA": os.path.join(report.output, "data.yaml"),
                "SPLIT": split.name,
            }
        names = list(splits[0].class_names)
        ids = splits[0].category_ids
        report.lose("category ids", sum(i != index for index, i in enumerate(ids or ())))
        description["names"] = dict(enumerate(names))
        (folder / "data.yaml").write_text(
            yaml.safe_dump(description, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )

    def _lines(self, record: Record, report: ConversionReport) -> list[str]:
        lines = []
        for annotation in record["annotations"]:
            if annotation.get("iscrowd", 0):
                report.lose("crowd regions")
                continue
            line = self._line(annotation, record, report)
            if line is None:
                report.lose("boxes outside their image, or of negative size")
                continue
            lines.append(line)
            report.lose("difficult marks", annotation.get("difficult", 0))
            report.lose("annotation ids", "id" in annotation)
        return lines

    def _line(self, annotation: Annotation, record: Record, report: ConversionReport) -> str | None:
        """Write an object as a line; None if nothing of it is in the image."""
        sides = (record["width"], record["height"])
        edges = xyxy(annotation)
        clipped = [min(max(v, 0), side) for v, side in zip(edges, (*sides, *sides), strict=True)]
        x0, y0, x1, y1 = clipped
        width, height = sides
        if not (_overlaps(edges[0], edges[2], width) and _overlaps(edges[1], edges[3], height)):
            return None
        segmentation = annotation.get("segmentation")
        if self._masks and isinstance(segmentation, list) and len(segmentation) == 1:
            return self._polygon(annotation, sides, edges, report)
        report.lose("masks", segmentation is not None)
        report.lose("boxes clipped to their image", clipped != edges)
        values = (
            (x0 + x1) / 2 / width,
            (y0 + y1) / 2 / height,
            (x1 - x0) / width,
            (y1 - y0) / height,
        )
        texts = [number_text(value) for value in values]
        cx, cy, w, h = (float(text) for text in texts)
        back = [
            (cx - w / 2) * width, (cy - h / 2) * height,
            (cx + w / 2) * width, (cy + h / 2) * height,
        ]  # fmt: skip
        report.shift(clipped, back)
        return " ".join((str(annotation["category_id"]), *texts))

    @staticmethod
    def _polygon(
        annotation: Annotation,
        sides: tuple[int, int],
        edges: list[float],
        report: ConversionReport,
    ) -> str:
        (points,) = annotation["segmentation"]
        inside = [min(max(v, 0), sides[place % 2]) for place, v in enumerate(points)]
        report.lose("polygons clipped to their image", inside != points)
        texts = [number_text(v / sides[place % 2]) for place, v in enumerate(inside)]
        xs = [float(text) * sides[0] for text in texts[::2]]
        ys = [float(text) * sides[1] for text in texts[1::2]]
        hull = [min(xs), min(ys), max(xs), max(ys)]
        report.lose("boxes replaced by their polygon's hull", not np.allclose(hull, edges))
        report.shift(edges, hull)
        return " ".join((str(annotation["category_id"]), *texts))


def _overlaps(begin: float, end: float, side: int) -> bool:
    """Say whether something of [begin, end] is in [0, side]; an extent of 0 may be at its edge."""
    if begin == end:
        return 0 <= begin <= side
    return begin < end and begin < side and end > 0


def _check_size(record: Record) -> None:
    height, width = read_image_size(record["file_name"])
    if (height, width) != (record["height"], record["width"]):
        raise DatasetError(
            f"Image {record['file_name']} is {width}x{height} (width x height), but its "
            f"annotations declare {record['width']}x{record['height']}; labels in parts of the "
            "image would be wrong. Correct the declared size, or restore the image."
        )

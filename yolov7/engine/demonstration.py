"""The work of demo.py: find pictures, draw what the model sees, and write it down."""

from __future__ import annotations

import glob
import itertools
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from yolov7.d2 import Instances
from yolov7.data.image_io import read_image
from yolov7.engine.class_list import ClassList
from yolov7.engine.predictor import Predictor
from yolov7.utils.atomic import atomic_write, atomic_write_json
from yolov7.utils.errors import ImageError, UserError
from yolov7.visualization import Visualizer

logger = logging.getLogger(__name__)

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_RESULTS = "detections.json"
_READABLE_SIDE = 320


@dataclass
class DemoReport:
    """What came of a demonstration.

    Attributes:
        images: the entries of `detections.json`.
        skipped: the message of each picture that could not be read.
    """

    images: list[dict] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def num_detections(self) -> int:
        """Detections on all pictures together."""
        return sum(len(image["detections"]) for image in self.images)


def find_images(inputs: Sequence[str]) -> list[Path]:
    """Resolve what the user named to picture files.

    A file stands for itself, whatever its suffix; a folder for the pictures that lie directly in
    it; anything else is a pattern (`**` also looks into subfolders). A file named twice counts
    once.

    Args:
        inputs: files, folders and patterns.

    Returns:
        at least one path, in the order of the inputs, sorted within each.

    Raises:
        UserError: an input stands for no picture; the message says what was looked for.
    """
    found: dict[Path, Path] = {}
    for text in inputs:
        for path in _resolve(text):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def output_names(files: Sequence[Path]) -> list[Path]:
    """Give each picture a name of its own in the output folder.

    The file's own name where that is unique; pictures of the same name keep their folders below
    the deepest common one. Types that are not written become `<name>.png`.
    """
    files = [file.resolve() for file in files]
    flat = [Path(file.name) for file in files]
    if len({name.as_posix().lower() for name in flat}) < len(flat):
        common = Path(os.path.commonpath([file.parent for file in files]))
        flat = [file.relative_to(common) for file in files]
    return [
        name if name.suffix.lower() in _SUFFIXES else name.with_name(f"{name.name}.png")
        for name in flat
    ]


def run_demo(
    predictor: Predictor,
    files: Sequence[Path],
    output_dir: str | Path,
    *,
    batch_size: int = 1,
    skip_bad: bool = False,
) -> DemoReport:
    """Draw the detections on pictures and write `detections.json` beside them.

    The json holds `{"images": [{"file_name", "height", "width", "detections": [{"bbox": [x, y, w,
    h], "score", "category_id", "category_name"}]}]}`: original pixels, not rounded, the data set's
    own category ids. It is written once everything is done, all or nothing. Pictures with a side
    below 320 pixels are drawn enlarged by a whole factor, so that names can be read.

    Args:
        predictor: the model.
        files: the pictures.
        output_dir: where the results go; made if need be.
        batch_size: how many pictures are read and predicted together.
        skip_bad: leave out pictures that cannot be read, and report them, instead of stopping.

    Raises:
        ImageError: a picture cannot be read, or none of them can.
        UserError: the output folder cannot be written, or a picture would be overwritten.
    """
    if batch_size < 1:
        raise UserError(f"The batch size must be at least 1, got {batch_size}.")
    targets = [Path(output_dir) / name for name in output_names(files)]
    _protect(files, targets)
    _check_writable(Path(output_dir))
    visualizer = Visualizer(predictor.classes.names, min_side=_READABLE_SIDE)
    report = DemoReport()
    hidden = not sys.stderr.isatty()
    with tqdm(total=len(files), desc="demo", unit="picture", disable=hidden) as bar:
        for batch in _batches(list(zip(files, targets, strict=True)), batch_size):
            loaded = list(_read(batch, report, skip_bad=skip_bad))
            results = predictor([image for _, _, image in loaded])
            for (file, target, image), instances in zip(loaded, results, strict=True):
                _write_image(target, visualizer.draw_instances(image, instances))
                report.images.append(describe(file, image, instances, predictor.classes))
            bar.update(len(batch))
    if not report.images:
        raise ImageError(f"None of the {len(files)} pictures could be read. {report.skipped[0]}")
    atomic_write_json(Path(output_dir) / _RESULTS, {"images": report.images}, indent=2)
    return report


def describe(file: Path, image: np.ndarray, instances: Instances, classes: ClassList) -> dict:
    """Make a picture's entry of `detections.json`."""
    rows = zip(
        instances.pred_boxes.tensor.double().tolist(),
        instances.scores.tolist(),
        instances.pred_classes.tolist(),
        strict=True,
    )
    return {
        "file_name": str(file),
        "height": image.shape[0],
        "width": image.shape[1],
        "detections": [
            {
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
                "category_id": classes.category_ids[index],
                "category_name": classes.names[index],
            }
            for (x1, y1, x2, y2), score, index in rows
        ],
    }


def _resolve(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if path.is_file():
        return [path]
    known = ", ".join(f"*{suffix}" for suffix in _SUFFIXES)
    if path.is_dir():
        pictures = sorted(p for p in path.iterdir() if _is_picture(p))
        if not pictures:
            raise UserError(
                f"No pictures in the folder {text}: looked for {known} directly in it. For "
                f"subfolders give a pattern: '{Path(text) / '**' / '*.jpg'}'."
            )
        return pictures
    matches = glob.glob(str(path), recursive=True)
    pictures = sorted(p for p in map(Path, matches) if _is_picture(p))
    if not pictures:
        if not glob.has_magic(text):
            raise UserError(f"There is no file or folder {text}. Check --input.")
        raise UserError(
            f"No pictures match '{text}': {len(matches)} names fit the pattern, none of them with "
            f"one of the suffixes {known}."
        )
    return pictures


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def _protect(files: Sequence[Path], targets: Sequence[Path]) -> None:
    sources = {file.resolve() for file in files}
    for target in targets:
        if target.resolve() in sources:
            raise UserError(
                f"{target} is an input and would be overwritten. Choose another --output folder."
            )


def _check_writable(folder: Path) -> None:
    """Fail before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"Cannot write into the output folder {folder}: {error.strerror or error}. "
            "Choose one that you may write to."
        ) from error


def _batches(items: list, size: int) -> Iterator[list]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _read(
    batch: list[tuple[Path, Path]], report: DemoReport, *, skip_bad: bool
) -> Iterator[tuple[Path, Path, np.ndarray]]:
    for file, target in batch:
        try:
            yield file, target, read_image(file)
        except ImageError as error:
            if not skip_bad:
                raise ImageError(f"{error} To leave out such pictures: --skip-bad.") from error
            logger.warning(f"Skipped a picture: {error}")
            report.skipped.append(str(error))


def _write_image(path: Path, image: np.ndarray) -> None:
    done, data = cv2.imencode(path.suffix.lower(), image)
    if not done:
        raise UserError(f"OpenCV cannot write a picture of the type {path.suffix}: {path}.")
    with atomic_write(path) as file:
        file.write(data.tobytes())

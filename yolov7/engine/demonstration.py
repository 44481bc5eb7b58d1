"""The work of demo.py: draw what the model sees on pictures and videos, and write it down."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from yolov7.data.image_io import read_image
from yolov7.data.video_io import Address, VideoReader
from yolov7.engine.demo_inputs import DemoInputs, output_names
from yolov7.engine.predictor import Predictor
from yolov7.engine.video_demonstration import VideoEntry, draw_video
from yolov7.engine.window import Window
from yolov7.utils.atomic import atomic_write_json
from yolov7.utils.batched import batched
from yolov7.utils.errors import ImageError, UserError, VideoError
from yolov7.utils.interrupt import StopRequest
from yolov7.visualization import Visualizer, write_picture

logger = logging.getLogger(__name__)

_RESULTS = "detections.json"
_READABLE_SIDE = 320


@dataclass
class DemoReport:
    """What came of a demonstration.

    Attributes:
        images: the entries of the pictures in `detections.json`.
        videos: those of the videos.
        skipped: the message of each input that could not be read.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    videos: list[VideoEntry] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def num_detections(self) -> int:
        """Detections on all pictures and frames together."""
        on_images = sum(len(image["detections"]) for image in self.images)
        return on_images + sum(video["num_detections"] for video in self.videos)


def run_demo(
    predictor: Predictor,
    inputs: DemoInputs,
    output_dir: str | Path,
    *,
    batch_size: int = 1,
    skip_bad: bool = False,
    show: bool = False,
    stop: StopRequest | None = None,
) -> DemoReport:
    """Draw the detections on pictures and videos and write `detections.json` beside them.

    The json holds `{"images": [{"file_name", "height", "width", "detections": [{"bbox": [x, y, w,
    h], "score", "category_id", "category_name"}]}]}`: original pixels, not rounded, the data set's
    own category ids; and, where there are videos, `"videos"`, see `draw_video`. It is written once
    everything is done, all or nothing. Pictures with a side below 320 pixels are drawn enlarged by
    a whole factor, so that names can be read; videos keep their size.

    Args:
        predictor: the model.
        inputs: pictures and videos.
        output_dir: where the results go; made if need be.
        batch_size: how many pictures, or frames of a video, are read and predicted together.
        skip_bad: leave out what cannot be read, and report it, instead of stopping.
        show: show videos in a window while they are made.
        stop: once this is set, what has been done is written and the rest is left out.

    Raises:
        ImageError, VideoError: a picture or video cannot be read, or none of them can.
        UserError: the output folder cannot be written, or an input would be overwritten.
    """
    if batch_size < 1:
        raise UserError(f"The batch size must be at least 1, got {batch_size}.")
    output_dir, stop = Path(output_dir), stop or StopRequest()
    image_names, video_names = output_names(inputs)
    images = [(p, output_dir / n) for p, n in zip(inputs.images, image_names, strict=True)]
    videos = [(v, output_dir / n) for v, n in zip(inputs.videos, video_names, strict=True)]
    _protect(inputs, [target for _, target in images + videos])
    _check_writable(output_dir)
    window = Window("demo") if show else None
    report = DemoReport()
    try:
        _draw_images(predictor, images, report, batch_size=batch_size, skip_bad=skip_bad, stop=stop)
        for address, target in videos:
            if stop.requested:
                break
            try:
                with VideoReader(address) as reader:
                    entry = draw_video(
                        predictor, reader, target, batch_size=batch_size, window=window, stop=stop
                    )
            except VideoError as error:
                _skip(error, report, skip_bad=skip_bad)
            else:
                report.videos.append(entry)
    finally:
        if window is not None:
            window.close()
    if report.skipped and not (report.images or report.videos):
        raise ImageError(
            f"None of {len(images + videos)} inputs could be read. {report.skipped[0]}"
        )
    results = {"images": report.images} | ({"videos": report.videos} if report.videos else {})
    atomic_write_json(output_dir / _RESULTS, results, indent=2)
    return report


def _draw_images(
    predictor: Predictor,
    images: list[tuple[Path, Path]],
    report: DemoReport,
    *,
    batch_size: int,
    skip_bad: bool,
    stop: StopRequest,
) -> None:
    visualizer = Visualizer(predictor.classes.names, min_side=_READABLE_SIDE)
    hidden = not (images and sys.stderr.isatty())
    with tqdm(total=len(images), desc="demo", unit="picture", disable=hidden) as bar:
        for batch in batched(images, batch_size):
            if stop.requested:
                return
            loaded = list(_read(batch, report, skip_bad=skip_bad))
            results = predictor([image for _, _, image in loaded])
            for (file, target, image), instances in zip(loaded, results, strict=True):
                write_picture(target, visualizer.draw_instances(image, instances))
                entry = {"file_name": str(file), "height": image.shape[0], "width": image.shape[1]}
                report.images.append(entry | {"detections": predictor.classes.describe(instances)})
            bar.update(len(batch))


def _read(
    batch: list[tuple[Path, Path]], report: DemoReport, *, skip_bad: bool
) -> Iterator[tuple[Path, Path, np.ndarray]]:
    for file, target in batch:
        try:
            yield file, target, read_image(file)
        except ImageError as error:
            _skip(error, report, skip_bad=skip_bad)


def _skip(error: UserError, report: DemoReport, *, skip_bad: bool) -> None:
    if not skip_bad:
        raise type(error)(f"{error} To leave out such inputs: --skip-bad.") from error
    logger.warning(f"Skipped an input: {error}")
    report.skipped.append(str(error))


def _protect(inputs: DemoInputs, targets: Sequence[Path]) -> None:
    files: list[Address] = [*inputs.images, *inputs.videos]
    sources = {file.resolve() for file in files if isinstance(file, Path)}
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

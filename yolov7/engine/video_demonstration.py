"""A video with its detections drawn, and a line of JSON for each of its frames."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from tqdm import tqdm

from yolov7.d2 import Boxes, Instances
from yolov7.data.video_io import Frame, VideoReader, write_video
from yolov7.engine.predictor import Predictor
from yolov7.engine.window import Window
from yolov7.utils.atomic import atomic_write
from yolov7.utils.batched import batched
from yolov7.utils.interrupt import StopRequest
from yolov7.visualization import Visualizer

logger = logging.getLogger(__name__)


class VideoEntry(TypedDict):
    """What `detections.json` says about a video.

    `num_declared` is what the file says of itself (0 for streams and cameras); `num_frames` were
    written, of which `num_unreadable` are black, because they could not be decoded.
    """

    file_name: str
    height: int
    width: int
    frame_rate: float
    num_frames: int
    num_declared: int
    num_unreadable: int
    num_detections: int
    drawn: str
    detections: str


def draw_video(
    predictor: Predictor,
    reader: VideoReader,
    target: Path,
    *,
    stop: StopRequest,
    batch_size: int = 1,
    window: Window | None = None,
) -> VideoEntry:
    """Draw the detections on every frame of a video.

    The drawn video has the size, the frame rate and the number of frames of the original. Beside
    it lies `<its name>.jsonl`, a line for each frame: `{"frame": 0, "time": 0.0, "readable": true,
    "detections": […]}`, time in seconds, detections as in `detections.json`. A frame that cannot be
    decoded is black, has no detections, and is not `readable`. Both files appear when they are
    complete.

    Args:
        predictor: the model.
        reader: the video.
        target: the drawn video, `.mp4`.
        stop: ends the video after the batch at hand.
        batch_size: how many frames are predicted together; results differ by rounding at most.
        window: shows the frames; when it is closed, the video ends.

    Raises:
        VideoError: a frame has another size than those before it.
        UserError: the files cannot be written.
    """
    visualizer = Visualizer(predictor.classes.names)
    lines = target.with_suffix(".jsonl")
    num_detections, started, closed = 0, time.monotonic(), False
    hidden = not sys.stderr.isatty()
    with (
        tqdm(
            total=reader.num_declared or None, desc=target.name, unit="frame", disable=hidden
        ) as bar,
        write_video(target, frame_rate=reader.frame_rate) as writer,
        atomic_write(lines, "w") as file,
    ):
        for batch in batched(reader, batch_size):
            for frame, instances in zip(batch, _predict(predictor, batch), strict=True):
                found = predictor.classes.describe(instances)
                file.write(json.dumps(_line(frame, found)) + "\n")
                drawn = visualizer.draw_instances(frame.image, instances)
                writer.write(drawn)
                closed = closed or (window is not None and not window.show(drawn))
                num_detections += len(found)
            bar.update(len(batch))
            if stop.requested or closed:
                break
    _log(reader, target, seconds=time.monotonic() - started, stopped=stop.requested or closed)
    height, width = drawn.shape[:2]
    return {
        "file_name": reader.name,
        "height": height,
        "width": width,
        "frame_rate": reader.frame_rate,
        "num_frames": reader.num_frames,
        "num_declared": reader.num_declared,
        "num_unreadable": reader.num_unreadable,
        "num_detections": num_detections,
        "drawn": str(target),
        "detections": str(lines),
    }


def _predict(predictor: Predictor, frames: Sequence[Frame]) -> list[Instances]:
    """Detections of each frame; none where it could not be decoded."""
    found = iter(predictor([frame.image for frame in frames if frame.readable]))
    return [next(found) if frame.readable else _nothing(frame) for frame in frames]


def _nothing(frame: Frame) -> Instances:
    return Instances(
        frame.image.shape[:2],
        pred_boxes=Boxes(torch.zeros(0, 4)),
        scores=torch.zeros(0),
        pred_classes=torch.zeros(0, dtype=torch.int64),
    )


def _line(frame: Frame, detections: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "frame": frame.index,
        "time": round(frame.time, 6),
        "readable": frame.readable,
        "detections": detections,
    }


def _log(reader: VideoReader, target: Path, *, seconds: float, stopped: bool) -> None:
    """Say what came of it, and everything that is not as the video declares it."""
    count = reader.num_frames
    of = f" of {reader.num_declared}" if stopped and reader.num_declared else ""
    logger.info(
        "%s: %d%s frames in %.1f s (%.1f a second), drawn in %s.",
        reader.name, count, of, seconds, count / max(seconds, 1e-9), target,
    )  # fmt: skip
    if reader.num_unreadable:
        logger.warning(
            "%s: %d frames could not be decoded. They are black, and \"readable\": false.",
            reader.name, reader.num_unreadable,
        )  # fmt: skip
    if reader.num_missing:
        logger.warning(
            "%s: declares %d frames, %d of which are not there: it is cut off or damaged, or its "
            "head is wrong.",
            reader.name, reader.num_declared, reader.num_missing,
        )  # fmt: skip

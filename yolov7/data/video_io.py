"""Reading and writing videos: every frame is accounted for, and files are whole or not there."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from yolov7.utils.atomic import atomic_path
from yolov7.utils.errors import UserError, VideoError

#: Suffixes, in lower case, by which a file is taken for a video.
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")

Address = Path | str | int
"""Where frames come from: a file (Path), the URL of a stream (str), a camera's index (int)."""

_USUAL_RATE = 30.0  # of cameras that do not tell theirs
_MOST_FAILURES = 10_000  # in a row, before the rest of a video counts as missing
_CODEC = "mp4v"  # MPEG-4: of mp4's codecs the one that OpenCV's packages can encode


@dataclass(frozen=True)
class Frame:
    """A picture of a video.

    Attributes:
        index: its number, from 0.
        time: when it is shown, in seconds from the start.
        image: (H, W, 3) uint8, BGR, upright; black where the frame could not be decoded.
        readable: whether it could.
    """

    index: int
    time: float
    image: np.ndarray
    readable: bool = True


class VideoReader:
    """The frames of a video file, a stream or a camera, in order; to be read once.

    A frame that cannot be decoded comes as a black one, so that the others keep their places.
    Frames that are missing at the end, because the file is cut off, do not come; `num_missing`
    tells how many the file had declared.

    Attributes:
        name: what to call it in messages: the path, the URL without its password, or "camera 0".
        frame_rate: frames a second.
        num_declared: frames that the file says it has, for some kinds of files an estimate; 0 for
            streams and cameras.
        num_frames, num_unreadable: of those read so far.
        num_missing: how many of the declared ones did not come; known at the end.
    """

    def __init__(self, address: Address) -> None:
        """Open it.

        Raises:
            VideoError: it cannot be opened or has no frame that can be decoded.
        """
        # A damaged video otherwise prints thousands of lines; what matters is said here.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")
        self.address = address
        self.name = describe_address(address)
        self.num_frames = self.num_unreadable = self.num_missing = 0
        _check_file(address)
        self._capture = cv2.VideoCapture(str(address) if isinstance(address, Path) else address)
        if not self._capture.isOpened():
            raise VideoError(f"Cannot open {self._what()}. {self._remedy()}")
        live = not isinstance(address, Path)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else _USUAL_RATE
        declared = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.num_declared = 0 if live or not 0 < declared < 2**31 else int(declared)
        self._started = time.monotonic() if live else None
        self._first = self._next(0)
        if self._first is None:
            self.close()
            raise VideoError(f"No frame of {self._what()} can be decoded. {self._remedy()}")

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file or camera."""
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; at the end `num_missing` is known."""
        found = self._first
        while found is not None:
            failures, seconds, image = found
            for _ in range(failures):
                yield self._count(np.zeros_like(image), None)
            yield self._count(image, seconds)
            found = self._next(self.num_frames)
        self.num_missing = max(0, self.num_declared - self.num_frames)

    def _next(self, index: int) -> tuple[int, float, np.ndarray] | None:
        """(frames that cannot be decoded, time of the next that can, it), or None at the end.

        OpenCV reports the end and a broken frame alike. What was broken and not the end shows when
        another frame follows.
        """
        most = min(max(0, self.num_declared - index), _MOST_FAILURES)
        for failures in range(most + 1):
            decoded, image = self._capture.read()
            if decoded:
                seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                return failures, seconds, _as_bgr(image)
        return None

    def _count(self, image: np.ndarray, seconds: float | None) -> Frame:
        index = self.num_frames
        self.num_frames += 1
        self.num_unreadable += seconds is None
        if self._started is not None:
            shown = time.monotonic() - self._started
        else:
            shown = index / self.frame_rate if seconds is None else seconds
        return Frame(index, shown, image, readable=seconds is not None)

    def _what(self) -> str:
        return self.name if isinstance(self.address, int) else f"the video {self.name}"

    def _remedy(self) -> str:
        if isinstance(self.address, int):
            return "Check that the camera is connected, free, and that you may use it."
        return (
            "It is damaged, cut off or of a kind that OpenCV does not read. Fetch it again, or "
            "convert it to mp4."
        )


@contextlib.contextmanager
def write_video(path: str | Path, *, frame_rate: float) -> Iterator[VideoWriter]:
    """Open a video for writing that appears under its name when the block ends well.

    Args:
        path: the file; its suffix should be `.mp4`.
        frame_rate: frames a second.

    Raises:
        UserError: it cannot be written, or not all of it could (a full disk).
    """
    with atomic_path(path, suffix=".mp4") as temporary:
        writer = VideoWriter(temporary, frame_rate=frame_rate, name=str(path))
        try:
            yield writer
        finally:
            writer.close()
        writer.check()


class VideoWriter:
    """Encodes frames into an mp4 file; all must have the size of the first.

    Sides are even in this format: the last column or row of odd sizes is written twice.

    Attributes:
        num_frames: frames written so far.
    """

    def __init__(self, path: Path, *, frame_rate: float, name: str) -> None:
        """Prepare to write `path`, which messages call `name`."""
        self.path = path
        self.frame_rate = frame_rate
        self.name = name
        self.num_frames = 0
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None

    def write(self, image: np.ndarray) -> None:
        """Append a frame: (H, W, 3) uint8, BGR.

        Raises:
            VideoError: it is of another size than the first.
            UserError: this OpenCV cannot write videos.
        """
        height, width = image.shape[:2]
        if self._writer is None:
            self._size = (height, width)
            self._writer = self._open(width + width % 2, height + height % 2)
        if (height, width) != self._size:
            raise VideoError(
                f"{self.name}: frame {self.num_frames} is {width}x{height} (width x height), those "
                f"before it are {self._size[1]}x{self._size[0]}; a video has one size."
            )
        if height % 2 or width % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._writer.write(np.ascontiguousarray(image))
        self.num_frames += 1

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.release()

    def check(self) -> None:
        """Read the closed file's head back: OpenCV does not say when it could not write.

        Raises:
            UserError: it does not have all frames.
        """
        written = cv2.VideoCapture(str(self.path))
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if count != self.num_frames or count == 0:
            raise UserError(
                f"{self.name} could not be written: {count} of {self.num_frames} frames are in the "
                "file. Is the disk full?"
            )

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        codec = cv2.VideoWriter_fourcc(*_CODEC)
        writer = cv2.VideoWriter(str(self.path), codec, self.frame_rate, (width, height))
        if not writer.isOpened():
            raise UserError(
                f"OpenCV cannot write {self.name}: it lacks the {_CODEC} encoder for videos of "
                f"{width}x{height}. The package opencv-python-headless has it."
            )
        return writer


def describe_address(address: Address) -> str:
    """Name an address for people; user name and password of a URL are left out."""
    if isinstance(address, int):
        return f"camera {address}"
    if isinstance(address, Path):
        return str(address)
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _check_file(address: Address) -> None:
    if not isinstance(address, Path):
        return
    try:
        with open(address, "rb") as file:
            if not file.read(1):
                raise VideoError(f"The video {address} is an empty file (0 bytes). Fetch it again.")
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise VideoError(
            f"Cannot read the video {address}: {getattr(error, 'strerror', None) or error}."
        ) from error


def _as_bgr(image: np.ndarray) -> np.ndarray:
    """Three channels, also for the grey cameras that give one."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image

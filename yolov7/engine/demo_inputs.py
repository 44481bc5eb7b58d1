"""What a demonstration is to show, as the user named it, and what its results are called."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolov7.data.image_io import IMAGE_SUFFIXES
from yolov7.data.video_io import VIDEO_SUFFIXES, Address, describe_address
from yolov7.utils.errors import UserError

_SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


@dataclass
class DemoInputs:
    """What a demonstration is to show.

    Attributes:
        images: picture files.
        videos: video files, streams and cameras.
    """

    images: list[Path] = field(default_factory=list)
    videos: list[Address] = field(default_factory=list)


def find_inputs(texts: Sequence[str], cameras: Sequence[int] = ()) -> DemoInputs:
    """Resolve what the user named.

    A file stands for itself: a video if its suffix says so, else a picture; a folder for the
    pictures and videos that lie directly in it; a text with `://` for a stream; a number for a
    camera; anything else is a pattern (`**` also looks into subfolders). What is named twice
    counts once.

    Args:
        texts: files, folders, patterns, URLs, numbers of cameras.
        cameras: further cameras.

    Returns:
        at least one of either, in the order of the texts, sorted within each.

    Raises:
        UserError: a text stands for nothing; the message says what was looked for.
    """
    inputs = DemoInputs()
    files: dict[Path, Path] = {}
    live: list[Address] = []
    for text in texts:
        address = _live_address(text)
        if address is not None:
            live.append(address)
        else:
            for path in _resolve(text):
                files.setdefault(path.resolve(), path)
    for path in files.values():
        (inputs.videos if _is_video(path) else inputs.images).append(path)
    inputs.videos += dict.fromkeys([*live, *cameras])
    return inputs


def output_names(inputs: DemoInputs) -> tuple[list[Path], list[Path]]:
    """Give each picture and each video a name of its own in the output folder.

    The file's own name where that is unique; files of the same name keep their folders below the
    deepest common one. Types that are not written get another suffix: `a.gif.png`, `b.avi.mp4`.
    Streams and cameras are called `HOST_PATH.mp4` and `camera_0.mp4`.

    Returns:
        names of the pictures, and of the videos.

    Raises:
        UserError: two inputs would have the same name.
    """
    files = [Path(name) for name in inputs.images + inputs.videos if isinstance(name, Path)]
    files = [file.resolve() for file in files]
    flat = [Path(file.name) for file in files]
    if len({name.as_posix().lower() for name in flat}) < len(flat):
        common = Path(os.path.commonpath([file.parent for file in files]))
        flat = [file.relative_to(common) for file in files]
    names = {file: _with_suffix(name) for file, name in zip(files, flat, strict=True)}
    images = [names[file.resolve()] for file in inputs.images]
    videos = [
        names[video.resolve()] if isinstance(video, Path) else _live_name(video)
        for video in inputs.videos
    ]
    taken = [name.as_posix().lower() for name in images + videos]
    for name in taken:
        if taken.count(name) > 1:
            raise UserError(f"Two inputs would both be written to {name}. Run them one by one.")
    return images, videos


def _with_suffix(name: Path) -> Path:
    if name.suffix.lower() in (*IMAGE_SUFFIXES, ".mp4"):
        return name
    return name.with_name(f"{name.name}{'.mp4' if _is_video(name) else '.png'}")


def _live_name(address: Address) -> Path:
    text = describe_address(address).partition("://")[2] or describe_address(address)
    return Path(f"{re.sub(r'[^A-Za-z0-9.-]+', '_', text).strip('_.')}.mp4")


def _live_address(text: str) -> Address | None:
    """The URL or the number of a camera that a text stands for, unless it is a file's name."""
    if "://" in text:
        try:
            describe_address(text)
        except ValueError as error:
            raise UserError(f"'{text}' is no valid URL: {error}. Check --input.") from error
        return text
    return int(text) if text.isdecimal() and not Path(text).exists() else None


def _resolve(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if path.is_file():
        return [path]
    known = ", ".join(f"*{suffix}" for suffix in _SUFFIXES)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if _is_known(p))
        if not found:
            raise UserError(
                f"No pictures or videos in the folder {text}: looked for {known} directly in it. "
                f"For subfolders give a pattern: '{Path(text) / '**' / '*.jpg'}'."
            )
        return found
    matches = glob.glob(str(path), recursive=True)
    found = sorted(p for p in map(Path, matches) if _is_known(p))
    if not found:
        if not glob.has_magic(text):
            raise UserError(f"There is no file or folder {text}. Check --input.")
        raise UserError(
            f"No pictures or videos match '{text}': {len(matches)} names fit the pattern, none of "
            f"them with one of the suffixes {known}."
        )
    return found


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES

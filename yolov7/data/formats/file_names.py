"""File names of data sets: they never lead out of their folder, and images are found by them."""

from __future__ import annotations

import os
import re
from typing import Any

from yolov7.data.image_io import IMAGE_SUFFIXES
from yolov7.utils.errors import DatasetError


def inside(root: str, name: Any, where: str) -> str:
    """Join a file name to its root, refusing names that lead out of it.

    Args:
        root: the folder that the name is relative to.
        name: what the data set's file says.
        where: begins the message, e.g. "a.json: image 3".

    Raises:
        DatasetError: the name is no text, empty, absolute or has a part `..`.
    """
    if not isinstance(name, str) or not name:
        raise DatasetError(f"{where} has file_name {name!r}; expected a path relative to {root}.")
    # Backslashes are separators on Windows only, but files travel between systems.
    parts = name.replace("\\", "/").split("/")
    has_drive = len(parts[0]) == 2 and parts[0][1] == ":"
    if not parts[0] or ".." in parts or has_drive:
        raise DatasetError(
            f"{where} has file_name '{name}', which leads out of the image folder {root}. "
            "File names must be relative to it, without '..'."
        )
    return os.path.join(root, name)


def read_lines(path: str, kind: str) -> list[tuple[int, str]]:
    """Read the lines of a text file that are not blank, as (line number from 1, stripped text).

    Nothing is a comment: names may hold `#`, `=` and spaces.

    Raises:
        DatasetError: the file is missing or no UTF-8 text; `kind` says what it should have been.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise DatasetError(f"Cannot read {kind} {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: expected {kind} in UTF-8 text ({error.reason}).") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line]


class ImageFolder:
    """Finds the image of an annotation file; every folder is listed only once."""

    def __init__(self, root: str):
        self._root = root
        self._by_stem: dict[str, dict[str, list[str]]] = {}
        self.num_missing = 0

    def find(self, name: str, stated: str | None) -> str:
        """Give the path of an image.

        Args:
            name: its name without suffix, relative to the folder.
            stated: what the xml file says; often it is of another place or time.
        """
        subfolder, stem = os.path.split(name)
        folder = os.path.join(self._root, subfolder)
        if folder not in self._by_stem:
            self._by_stem[folder] = self._list(folder)
        listed = self._by_stem[folder]
        stated = re.split(r"[/\\]", stated or "")[-1].strip()
        candidates = listed.get(stem, [])
        if stated in candidates or (
            not candidates and stated in listed.get(os.path.splitext(stated)[0], ())
        ):
            return os.path.join(folder, stated)
        if not candidates:
            self.num_missing += 1
            return os.path.join(folder, f"{stem}.jpg")
        return os.path.join(folder, candidates[0])

    @staticmethod
    def _list(folder: str) -> dict[str, list[str]]:
        """List a folder's images as {stem: files}, .jpg before other suffixes."""
        by_stem: dict[str, list[str]] = {}
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for file in sorted(names, key=lambda file: (not file.lower().endswith(".jpg"), file)):
            stem, suffix = os.path.splitext(file)
            if suffix.lower() in IMAGE_SUFFIXES:
                by_stem.setdefault(stem, []).append(file)
        return by_stem

"""Checkpoint files: written whole or not at all, read without running code, rotated safely."""

from __future__ import annotations

import logging
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from yolov7.utils.atomic import atomic_write
from yolov7.utils.errors import WeightsError

logger = logging.getLogger(__name__)

_LAST = "last_checkpoint"
_PICKLE_HINT = (
    " Weights of detectron2's model zoo are first converted: "
    "tools/convert_weights.py --source detectron2."
)


def save_checkpoint(path: str | os.PathLike[str], checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint of tensors and plain containers; `path` is never half a file.

    Raises:
        UserError: the file cannot be written; the old one, if any, is unchanged.
    """
    with atomic_write(path) as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:
            # A full disk arrives as a complaint about positions in the archive.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint to the CPU. Nothing in the file is executed (`weights_only`).

    Raises:
        WeightsError: the file is missing, damaged, holds other things than tensors and plain
            containers, or is not a dict.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"Weights file {path} does not exist.{_download_hint(path)}")
    try:
        _verify_checksums(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path):
            raise WeightsError(
                f"{path} holds more than tensors and plain containers, which this program refuses "
                "to load because it could run code. Convert it with tools/convert_weights.py, or "
                "save its state dict alone."
            ) from error
        raise WeightsError(_damaged(path, error)) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(_damaged(path, error)) from error
    if not isinstance(checkpoint, dict):
        raise WeightsError(
            f"{path}: expected a dict of a checkpoint or of weights, "
            f"got a {type(checkpoint).__name__}."
        )
    return checkpoint


class Checkpointer:
    """The checkpoints of one output folder, of which the newest few are kept.

    Args:
        folder: where `model_*.pth` and the text file `last_checkpoint` live.
        keep: how many numbered checkpoints stay; 0 keeps all.
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep: int = 0):
        self.folder = Path(folder)
        self.keep = keep

    def save(self, name: str, checkpoint: dict[str, Any]) -> Path:
        """Write `<name>.pth` and name it in `last_checkpoint`; it is not rotated."""
        path = self.folder / f"{name}.pth"
        save_checkpoint(path, checkpoint)
        with atomic_write(self.folder / _LAST, "w") as file:
            file.write(path.name)
        logger.info("Saved %s", path)
        return path

    def save_numbered(self, iteration: int, checkpoint: dict[str, Any]) -> Path:
        """Write `model_<iteration>.pth`; the oldest go once the new one is safe.

        Files of later iterations, which are those of another run, are left alone.
        """
        path = self.save(f"model_{iteration:07d}", checkpoint)
        earlier = [file for number, file in self._numbered().items() if number <= iteration]
        for file in earlier[: -self.keep] if self.keep else []:
            file.unlink(missing_ok=True)
        return path

    def last(self) -> Path | None:
        """The file that `last_checkpoint` names, or None where there is no checkpoint yet.

        Without `last_checkpoint`, as after a kill while the first checkpoint was saved, it is the
        numbered file of the latest iteration, or `model_final.pth`.

        Raises:
            WeightsError: `last_checkpoint` names a file that does not exist.
        """
        try:
            name = (self.folder / _LAST).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return self._last_without_its_name()
        path = self.folder / name
        if not path.is_file():
            raise WeightsError(
                f"{self.folder / _LAST} names {name}, which does not exist. Write the name of "
                "another checkpoint of this folder into it, or start anew in another OUTPUT_DIR."
            )
        return path

    def _numbered(self) -> dict[int, Path]:
        """{iteration: file} of the numbered checkpoints, ascending."""
        numbers = {
            int(file.stem.removeprefix("model_")): file
            for file in self.folder.glob("model_*.pth")
            if file.stem.removeprefix("model_").isdecimal()
        }
        return dict(sorted(numbers.items()))

    def _last_without_its_name(self) -> Path | None:
        final = self.folder / "model_final.pth"
        found = [*([final] if final.is_file() else []), *self._numbered().values()]
        if not found:
            return None
        logger.info("%s is missing; %s is there and taken.", self.folder / _LAST, found[-1].name)
        return found[-1]


def remove_temporaries(folder: str | os.PathLike[str]) -> None:
    """Remove what a killed process left of checkpoints that it had not finished."""
    for path in Path(folder).glob(".*.pth.*.tmp"):
        path.unlink(missing_ok=True)


def _verify_checksums(path: Path) -> None:
    """Compare the archive with its checksums, which `torch.load` does not look at."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {bad}")


def _damaged(path: Path, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"{path} is damaged or is not a PyTorch checkpoint ({reason}). "
        "Use another checkpoint, or copy or download the file again."
        + (_PICKLE_HINT if path.suffix == ".pkl" else "")
    )


def _download_hint(path: Path) -> str:
    if "://" in str(path) or str(path).startswith(("http:/", "https:/")):
        return " Nothing is downloaded by itself: fetch the file and give its path."
    return " Check the path, which is relative to the current folder."

"""Loading weights into a model, with a report of what fitted and what did not."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from yolov7.checkpoint.checkpointer import load_checkpoint
from yolov7.utils.errors import WeightsError
from yolov7.utils.names import listed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mismatch:
    """An entry whose shape in the file is not the model's."""

    name: str
    file_shape: tuple[int, ...]
    model_shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} (file {list(self.file_shape)}, model {list(self.model_shape)})"


@dataclass(frozen=True)
class LoadReport:
    """What became of the entries of a weights file and of a model.

    Attributes:
        matched: names that were loaded.
        missing: names of the model that the file lacks; they keep their values.
        unexpected: names of the file that the model lacks.
        mismatched: names in both, but of another shape; they keep the model's values.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]

    def require_complete(self, path: str | os.PathLike[str]) -> None:
        """Insist that every entry of the model was loaded, as inference needs.

        Raises:
            WeightsError: entries are missing or of another shape.
        """
        if not self.missing and not self.mismatched:
            return
        parts = []
        if self.mismatched:
            parts.append(f"of another shape: {listed(self.mismatched)}")
        if self.missing:
            parts.append(f"missing: {listed(self.missing)}")
        raise WeightsError(
            f"{os.fspath(path)} does not fit the model of the config: {'; '.join(parts)}. "
            "Expected weights of the same architecture and MODEL.YOLO.CLASSES."
        )


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> LoadReport:
    """Load the weights of a file into `model`, in place, and log what matched.

    Of a checkpoint with averaged weights (`ema`) those are taken, else its `model`; a bare state
    dict is taken as it is. Entries of another shape, for example of another number of classes,
    are left as they are in the model and named.

    Args:
        model: the model; not wrapped for distributed training.
        path: a file of this program, of detectron2 or of `torch.save(model.state_dict())`.

    Raises:
        WeightsError: the file is missing, damaged or unsafe, or no entry fits the model.
    """
    source, state = select_weights(load_checkpoint(path))
    own = model.state_dict()
    mismatched = tuple(
        Mismatch(name, tuple(state[name].shape), tuple(own[name].shape))
        for name in own
        if name in state and state[name].shape != own[name].shape
    )
    wrong = {mismatch.name for mismatch in mismatched}
    report = LoadReport(
        matched=tuple(name for name in own if name in state and name not in wrong),
        missing=tuple(name for name in own if name not in state),
        unexpected=tuple(name for name in state if name not in own),
        mismatched=mismatched,
    )
    if not report.matched:
        raise WeightsError(
            f"{os.fspath(path)}: no entry fits the model. The file has {listed(list(state))}; the "
            f"model has {listed(list(own))}. Expected weights of the architecture in the config; "
            "weights of the original authors are converted by tools/convert_weights.py first."
        )
    model.load_state_dict({name: state[name] for name in report.matched}, strict=False)
    _log(report, source, path)
    return report


def select_weights(checkpoint: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]]:
    """Find the weights for inference in a checkpoint.

    Returns:
        Where they came from ("ema", "model" or "state dict"), and {name: tensor}.
    """
    ema = checkpoint.get("ema")
    if isinstance(ema, Mapping) and isinstance(ema.get("model"), Mapping):
        source, state = "ema", ema["model"]
    elif isinstance(checkpoint.get("model"), Mapping):
        source, state = "model", checkpoint["model"]
    else:
        source, state = "state dict", checkpoint
    state = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return source, state


def _log(report: LoadReport, source: str, path: str | os.PathLike[str]) -> None:
    total = len(report.matched) + len(report.missing) + len(report.mismatched)
    logger.info(
        "Loaded %d of %d entries of the model from '%s' of %s.",
        len(report.matched), total, source, os.fspath(path),
    )  # fmt: skip
    if report.mismatched:
        logger.warning(
            "Of another shape, left as they were (another number of classes?): %s",
            listed(report.mismatched),
        )
    if report.missing:
        logger.warning("Missing in the file, left as they were: %s", listed(_by_part(report)))
    if report.unexpected:
        logger.warning("Not in the model, ignored: %s", listed(report.unexpected))


def _by_part(report: LoadReport) -> list[str]:
    """The missing entries; of a part of the model that has no other ones, its name alone."""
    present = {name.partition(".")[0] for name in report.matched}
    present |= {mismatch.name.partition(".")[0] for mismatch in report.mismatched}
    parts = {name: name.partition(".")[0] for name in report.missing}
    return list(
        dict.fromkeys(
            name if part in present else f"everything in {part}" for name, part in parts.items()
        )
    )

"""The record of a step whose loss was not finite, and its replay."""

from __future__ import annotations

import logging
import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from yolov7.checkpoint import load_checkpoint, save_checkpoint, set_rng_state
from yolov7.d2 import BitMasks, Boxes, Instances, get_rank
from yolov7.engine.precision import Precision
from yolov7.engine.trainer import Trainer, split_batch
from yolov7.utils.atomic import atomic_write_json
from yolov7.utils.errors import UserError, WeightsError

logger = logging.getLogger(__name__)

_REPORT, _STEP = "report.json", "step.pth"


class NonFiniteLoss(UserError):
    """Training ended because a loss was not finite; the message names the record."""


class BlackBox:
    """Writes what is needed to repeat a bad step; to be given to the trainer.

    Every rank whose own loss is bad writes a folder `black_box/iteration_<i>_rank_<r>` with
    `report.json` (loss terms, source files, bad entries of the weights, the command that repeats
    it) and `step.pth` (batch, weights, random generators).

    Args:
        output_dir: the run's folder, which has `config.yaml`.
        loss_weights: the criterion's weights, which are recorded too.
        stop: whether the training then ends.
    """

    def __init__(self, output_dir: str | Path, *, loss_weights: Mapping[str, float], stop: bool):
        self._output_dir = Path(output_dir)
        self._loss_weights = loss_weights
        self._stop = stop

    def __call__(self, trainer: Trainer) -> None:
        """Record the trainer's present step.

        Raises:
            NonFiniteLoss: the policy is to stop.
        """
        losses = trainer.summary.local_losses()
        terms = ", ".join(f"{name} {value:g}" for name, value in trainer.summary.losses.items())
        message = f"The loss of iteration {trainer.iter} is not finite ({terms})."
        if not all(math.isfinite(value) for value in losses.values()):
            folder = self._write(trainer, losses)
            message += f" Recorded in {folder}; repeat it by: {self._command(folder)}"
        if self._stop:
            raise NonFiniteLoss(message)
        logger.error("%s This step is left out.", message)

    def _write(self, trainer: Trainer, losses: Mapping[str, float]) -> Path:
        folder = self._output_dir / "black_box" / f"iteration_{trainer.iter:07d}_rank_{get_rank()}"
        state = trainer.bare_model.state_dict()
        save_checkpoint(
            folder / _STEP,
            {
                "batch": [pack_sample(sample) for sample in trainer.batch],
                "parts": trainer.accumulation_steps,
                "model": state,
                "loss_weights": dict(self._loss_weights),
                "rng": trainer.step_rng_state,
                "losses": dict(losses),
            },
        )
        atomic_write_json(
            folder / _REPORT,
            {
                "iteration": trainer.iter,
                # JSON has no NaN and no infinity: numbers that are not finite become words.
                "losses": {k: v if math.isfinite(v) else str(v) for k, v in losses.items()},
                "sources": [
                    [str(file) for file in sample.get("sources", [sample.get("file_name")])]
                    for sample in trainer.batch
                ],
                "weights_that_are_not_finite": [
                    name
                    for name, value in state.items()
                    if value.is_floating_point() and not value.isfinite().all()
                ],
                "command": self._command(folder),
            },
            indent=2,
        )
        return folder

    def _command(self, folder: Path) -> str:
        config = shlex.quote(str(self._output_dir / "config.yaml"))
        return f"{_program()} --config-file {config} --replay {shlex.quote(str(folder))}"


def _program() -> str:
    """How this training was started: `yolov7 train`, or the script by its path."""
    name = sys.argv[0]
    if name.startswith("yolov7 "):
        return name
    script = name if Path(name).name == "train_net.py" else "train_net.py"
    return f"python {shlex.quote(script)}"


def replay(model: nn.Module, folder: str | Path, precision: Precision) -> bool:
    """Repeat a recorded step and log its loss terms beside the recorded ones.

    Args:
        model: built from the run's config, on its device.
        folder: what `BlackBox` wrote.
        precision: as in the run.

    Returns:
        Whether the same terms are not finite again.

    Raises:
        WeightsError: the record is missing, damaged or of another model.
    """
    step = load_checkpoint(Path(folder) / _STEP)
    try:
        model.load_state_dict(step["model"])
    except RuntimeError as error:
        raise WeightsError(
            f"{folder} was recorded with another model than the config's: {error}"
        ) from error
    if hasattr(model, "criterion"):
        model.criterion.loss_weights.update(step["loss_weights"])
    model.train()
    set_rng_state(step["rng"])
    batch = [unpack_sample(sample) for sample in step["batch"]]
    sums: dict[str, float] = {}
    for part in split_batch(batch, step["parts"]):
        with precision.autocast():
            losses = model(part)
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach()) / step["parts"]
    for name, value in sums.items():
        logger.info("%s: %.9g (recorded: %.9g)", name, value, step["losses"][name])
    bad, recorded = (
        {name for name, value in terms.items() if not math.isfinite(value)}
        for terms in (sums, step["losses"])
    )
    logger.info("The step was %s.", "repeated" if bad == recorded else "NOT repeated")
    return bad == recorded


_FIELD_TYPES = {"Boxes": Boxes, "BitMasks": BitMasks}


def pack_sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a training sample into tensors and plain containers."""
    return {name: _pack(value) for name, value in sample.items()}


def unpack_sample(packed: Mapping[str, Any]) -> dict[str, Any]:
    """Invert `pack_sample`."""
    return {name: _unpack(value) for name, value in packed.items()}


def _pack(value: Any) -> Any:
    if isinstance(value, Instances):
        fields = {name: _pack(field) for name, field in value.get_fields().items()}
        return {"type": "Instances", "image_size": list(value.image_size), "fields": fields}
    if isinstance(value, (Boxes, BitMasks)):
        return {"type": type(value).__name__, "tensor": value.tensor}
    if value is None or isinstance(value, (Tensor, bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_pack(item) for item in value]
    return str(value)


def _unpack(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value["type"] == "Instances":
        fields = {name: _unpack(field) for name, field in value["fields"].items()}
        return Instances(tuple(value["image_size"]), **fields)
    return _FIELD_TYPES[value["type"]](value["tensor"])

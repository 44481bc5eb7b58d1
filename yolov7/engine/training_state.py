"""Everything a training must remember to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim.lr_scheduler import LambdaLR

from yolov7.checkpoint import get_rng_state
from yolov7.d2 import gather, get_world_size
from yolov7.engine.ema import ModelEMA
from yolov7.engine.trainer import Trainer
from yolov7.utils.errors import ConfigError


class TrainingState:
    """Puts the state of a training into a checkpoint, and back.

    A checkpoint has the keys `model` (live weights), `ema`, `optimizer`, `scheduler`, `scaler`,
    `hooks` (by class name), `iteration` (the last completed one), `seed`, `rng` (per rank),
    `world_size`, and what `extra` adds. It holds tensors and plain containers only.

    Args:
        trainer: with its hooks registered.
        scheduler: the learning rate schedule.
        ema: the averaged weights, or None.
        seed: the seed of the run.
        extra: further entries, such as the class names.
    """

    def __init__(
        self,
        *,
        trainer: Trainer,
        scheduler: LambdaLR,
        ema: ModelEMA | None,
        seed: int,
        extra: Mapping[str, Any],
    ):
        self._trainer = trainer
        self._scheduler = scheduler
        self._ema = ema
        self._seed = seed
        self._extra = dict(extra)

    def collect(self) -> dict[str, Any]:
        """Return the checkpoint; all ranks must call it, the first gets all of it."""
        trainer = self._trainer
        return {
            **self.weights(),
            "optimizer": trainer.optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": trainer.precision.scaler.state_dict(),
            "hooks": {
                type(hook).__name__: state for hook in trainer.hooks if (state := hook.state_dict())
            },
            "iteration": trainer.iter,
            "seed": self._seed,
            "rng": gather(get_rng_state()),
            "world_size": get_world_size(),
        }

    def weights(self) -> dict[str, Any]:
        """Return what inference needs: `model`, `ema` and the extra entries."""
        return {
            "model": self._trainer.bare_model.state_dict(),
            "ema": None if self._ema is None else self._ema.state_dict(),
            **self._extra,
        }

    def restore(self, checkpoint: Mapping[str, Any], *, rank: int) -> None:
        """Put a checkpoint back into all parts; the trainer's `start_iter` is not touched.

        Hyperparameters of the optimiser are those of the present config, not of the checkpoint.

        Raises:
            ConfigError: the checkpoint has no averaged weights, but the config asks for them.
        """
        trainer = self._trainer
        trainer.bare_model.load_state_dict(checkpoint["model"])
        if self._ema is not None:
            if checkpoint["ema"] is None:
                raise ConfigError(
                    "SOLVER.EMA.ENABLED is True, but the checkpoint to resume from has no "
                    "averaged weights. Set it to False, or start anew with MODEL.WEIGHTS."
                )
            self._ema.load_state_dict(checkpoint["ema"])
        groups = trainer.optimizer.param_groups
        configured = [{k: v for k, v in group.items() if k != "params"} for group in groups]
        trainer.optimizer.load_state_dict(checkpoint["optimizer"])
        for group, options in zip(trainer.optimizer.param_groups, configured, strict=True):
            group.update(options)
        base_lrs = self._scheduler.base_lrs
        self._scheduler.load_state_dict({**checkpoint["scheduler"], "base_lrs": base_lrs})
        trainer.precision.scaler.load_state_dict(checkpoint["scaler"])
        for hook in trainer.hooks:
            state = checkpoint["hooks"].get(type(hook).__name__)
            if state and hasattr(hook, "load_state_dict"):
                hook.load_state_dict(state)
        trainer.initial_rng_state = checkpoint["rng"][rank]


_KEYS = (
    "model", "ema", "optimizer", "scheduler", "scaler", "hooks", "iteration", "seed", "rng",
    "world_size",
)  # fmt: skip


def check_resumable(checkpoint: Mapping[str, Any], path: Any) -> None:
    """Make sure that training can go on from a checkpoint in this process group.

    Raises:
        ConfigError: it is not a training checkpoint, or is of another world size.
    """
    missing = [key for key in _KEYS if key not in checkpoint]
    if missing:
        raise ConfigError(
            f"{path} cannot be resumed from: it lacks {', '.join(missing)}. "
            "To start from its weights, give it as MODEL.WEIGHTS, without --resume."
        )
    saved, present = checkpoint["world_size"], get_world_size()
    if saved != present:
        raise ConfigError(
            f"{path} was written by {saved} process{'es' if saved > 1 else ''}, this is a run of "
            f"{present}. Resume with {saved}, or start anew with MODEL.WEIGHTS {path}."
        )

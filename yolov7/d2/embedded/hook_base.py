"""`HookBase`: what a hook of a trainer may do, and when."""

from __future__ import annotations

from typing import Any


class HookBase:
    """Behaviour added to a training loop; every method may stay as it is.

    A trainer calls `before_train`, then per iteration `before_step`, `after_backward` and
    `after_step`, and `after_train` in the end, also after an error.

    Attributes:
        trainer: set by the trainer when the hook is registered; a weak reference.
    """

    trainer: Any = None

    def before_train(self) -> None:
        """Called once, before the first iteration."""

    def after_train(self) -> None:
        """Called once, after the last iteration or the error that ended training."""

    def before_step(self) -> None:
        """Called before each iteration; should take next to no time."""

    def after_backward(self) -> None:
        """Called when the gradients of an iteration are there."""

    def after_step(self) -> None:
        """Called after each iteration."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold to go on later; hooks with state also load it back."""
        return {}

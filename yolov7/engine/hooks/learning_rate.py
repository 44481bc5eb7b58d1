"""The learning rate of each iteration."""

from __future__ import annotations

from torch.optim.lr_scheduler import LambdaLR

from yolov7.d2 import HookBase


class LearningRate(HookBase):
    """Steps the schedule after every iteration and reports the rate that was used.

    The rate depends on the iteration only: at the start of a run the schedule is put to
    `trainer.start_iter`, whatever it was before.

    Args:
        scheduler: from `build_lr_scheduler`, over the trainer's optimiser.
    """

    def __init__(self, scheduler: LambdaLR):
        self._scheduler = scheduler

    def before_train(self) -> None:
        iteration = self.trainer.start_iter
        self._scheduler.last_epoch = iteration
        groups = self._scheduler.optimizer.param_groups
        for group, base, factor in zip(
            groups, self._scheduler.base_lrs, self._scheduler.lr_lambdas, strict=True
        ):
            group["lr"] = base * factor(iteration)

    def after_step(self) -> None:
        groups = self._scheduler.optimizer.param_groups
        main = max(groups, key=lambda group: sum(p.numel() for p in group["params"]))
        self.trainer.storage.put_scalar("lr", main["lr"], smoothing_hint=False)
        self._scheduler.step()
